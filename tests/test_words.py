"""Numbers, dates and shares as people read them: the one place that pages, report and mail use."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from risk import words
from risk.files import epoch, utc_stamp

NOW = datetime(2026, 11, 24, 7, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (words.amount(1, "client"), "1 client"),
        (words.amount(4312, "client"), "4,312 clients"),
        (words.amount(0, "row"), "0 rows"),
        (words.percent(0.03), "3.0 %"),
        (words.percent(0.004), "0.4 %"),
        (words.percent(0.5), "50 %"),
        (words.percent(0.996), "99.6 %"),
        (words.percent(1.0), "100 %"),
        (words.percent(-0.0), "0 %"),
        (words.percents([0.594, 0.84]), "59 to 84"),
        (words.percents(None), ""),
        (words.signed(9), "+9"),
        (words.signed(-3), "−3"),
        (words.signed(-0.4), "0"),
        (words.signed(-0.44, 1), "−0.4"),
        (words.day("2026-10-31"), "31 Oct 2026"),
        (words.day("2026-10-31T07:00:00Z", date(2026, 1, 1)), "31 Oct"),
        (words.day(""), "undated"),
        (words.stamp("2026-11-24T07:00:00Z"), "24 Nov 2026 07:00 UTC"),
        (words.age("2026-11-24T04:20:00Z", NOW), "3 hours ago"),
        (words.age("2026-11-24", NOW), "today"),
        (words.age("2026-11-23", NOW), "yesterday"),
        (words.age("2026-11-25", NOW), "ahead of us"),
        (words.ago(59), "just now"),
        (words.ago(3 * 86_400), "3 days ago"),
        (words.duration(7.6), "8 s"),
        (words.duration(200), "3 min 20 s"),
        (words.enumeration(["a"]), "a"),
        (words.enumeration(["a", "b", "c"]), "a, b and c"),
        (words.enumeration(["a", "b"], "or"), "a or b"),
        (words.as_sentence("no row came."), "No row came."),
        (words.as_sentence(""), ""),
        (words.evidence_number(0.314), "0.31"),
        (words.evidence_number(3.14), "3.1"),
        (words.evidence_number(1391.2), "1,391"),
        (words.evidence_number(3e12), "over a million"),
    ],
)
def test_a_value_reads_as_a_person_would_say_it(text: str, expected: str) -> None:
    assert text == expected


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [("name", "n"), ("a", "1,000"), ("bcdef", "7")]
    assert words.aligned(rows, right={1}) == ["name       n", "a      1,000", "bcdef      7"]


def test_a_stamp_and_its_moment_are_the_same() -> None:
    assert utc_stamp(epoch("2026-11-24T07:00:00Z")) == "2026-11-24T07:00:00Z"
