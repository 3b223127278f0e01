"""The letter: what it says, both parts alike, and no name that does harm."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from listed import call_list, listed_client

from risk.alerts.digest import Compared, digest_of
from risk.alerts.mail import mail_message
from risk.calllist.types import Change
from risk.config import Mail
from risk.model.reasons import Reason
from risk.record.contacts import Contact

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
HOSTILE = [
    "<script>alert(1)</script>",
    "=cmd()",
    "Ann\r\nBcc: thief@example.com",
    "\u202egnp.exe",
    "&amp;\"'<>" * 30,
    "Zoë 😀" * 60,
    "שלום",
    "\x00\x1b[31m",
    "x" * 5000,
    "&" * 5000,
]


def words(text: str) -> list[str]:
    """The words that a reader of the HTML sees."""
    body = re.sub(r"<head>.*?</head>", " ", text, flags=re.S)
    return html.unescape(re.sub(r"<[^>]*>", " ", body)).split()


def test_the_letter_says_whom_to_call_and_what_is_new() -> None:
    called = [
        listed_client("Acme", 1, change=Change("2026-11-17", 12, None, None)),
        listed_client(
            "Borg",
            2,
            risk=0.6,
            change=Change("2026-11-17", 3, None, None),
            contact=Contact("Borg", "contacted", "2026-11-20T07:00:00Z"),
        ),
    ]
    stays = listed_client("Calm", 3, call=False)

    made = digest_of(
        call_list(*called, stays),
        Compared("2026-11-17", ("Acme",), 4),
        now=NOW,
        link="https://risk.example.com/",
        outcomes="of 100 clients we listed, 62 left",
    )

    assert made.subject == "Clients at risk: 1 new, 2 to call (data of 24 Nov)"
    assert made.text == (
        "2 of 3 clients to call\n\n"
        "Data of 24 Nov, list of 24 Nov 07:00 UTC, model version 17.\n\n"
        "Since the list of 17 Nov: 1 new, 4 no longer on it.\n\n"
        "1.  Acme  72 %  new, +12 points  tenure 1 (usually 9 to 55)\n"
        "2.  Borg  60 %  contacted  tenure 1 (usually 9 to 55)\n\n"
        "So far: of 100 clients we listed, 62 left.\n\n"
        "https://risk.example.com/\n"
    )
    assert [item["client"] for item in made.items] == ["Acme", "Borg"]


@pytest.mark.parametrize(
    ("changed", "compared", "subject"),
    [
        ({}, None, "Clients at risk: 1 to call (data of 24 Nov)"),
        ({}, Compared("2026-11-17", (), 0), "Clients at risk: 0 new, 1 to call (data of 24 Nov)"),
        ({"data_date": ""}, None, "Clients at risk: 1 to call (data of 24 Nov)"),
        ({"data_date": "2025-12-31"}, None, "Clients at risk: 1 to call (data of 31 Dec 2025)"),
    ],
    ids=["the first", "nobody new", "undated", "of last year"],
)
def test_the_subject_carries_the_counts(
    changed: dict[str, Any], compared: Compared | None, subject: str
) -> None:
    assert digest_of(call_list(listed_client("A"), **changed), compared, now=NOW).subject == subject


def test_ten_names_at_most_and_how_many_more() -> None:
    made = digest_of(
        call_list(*(listed_client(f"c{at}", at) for at in range(1, 24))), None, now=NOW
    )

    assert re.findall(r"\bc\d+\b", made.text) == [f"c{at}" for at in range(1, 11)]
    assert "and 13 more" in made.text and len(made.items) == 10


def test_without_names_nobody_can_be_recognised() -> None:
    made = digest_of(
        call_list(listed_client("Acme")), Compared("2026-11-17", ("Acme",), 0), now=NOW, names=False
    )

    assert "Acme" not in made.text + made.html + str(made.items)
    assert "tenure" not in made.text + made.html + str(made.items)
    assert "1 of 1 client to call" in made.text
    assert made.items == ({"rank": 1, "risk_percent": 72, "new": True, "change_points": None},)


def test_an_empty_call_list_says_why_and_a_failed_run_is_told() -> None:
    made = digest_of(call_list(listed_client("A", call=False)), None, now=NOW, trouble="It is old.")
    assert "Nobody to call: no call pays." in made.text and "It is old." in made.text


@pytest.mark.parametrize("name", HOSTILE)
def test_both_parts_say_the_same_whatever_a_client_is_called(name: str) -> None:
    reasons = (Reason(1.0, f"plan {name}", ()),)
    made = digest_of(
        call_list(listed_client(name, reasons=reasons)), None, now=NOW, link="https://a/?b&c"
    )

    assert words(made.html) == made.text.split()
    assert not re.search(r"<(script|img|link|style|iframe)|src=|style=|url\(", made.html)
    assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e]", made.text + made.html)


def test_a_letter_of_hostile_names_is_below_30_kb_and_adds_no_header() -> None:
    for name in HOSTILE:
        clients = [listed_client(name, at, reasons=(Reason(1.0, name, ()),)) for at in range(1, 20)]
        made = digest_of(call_list(*clients), None, now=NOW, outcomes="x" * 300, link="http://a/")
        mail = Mail("h", 587, "none", "a@b.c", ("d@e.f",), (), 7, True, {})
        message = mail_message(mail, mail.to, "digest-1", NOW, made.subject, made.text, made.html)
        assert len(message.as_bytes()) < 30_000, name[:20]
        assert sorted(message.keys()) == sorted(
            [
                "Subject",
                "From",
                "To",
                "Date",
                "Message-ID",
                "Auto-Submitted",
                "MIME-Version",
                "Content-Type",
            ]
        )
