"""A number that stands in two of pages, report.html, report.pdf, digest and summary is the same."""

from __future__ import annotations

import html
import io
import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import pytest
from listed import clients, write_list
from past import outcomes, write_all
from pypdf import PdfReader
from serving import deployed_copy

import reporting
from app import create_app
from risk.alerts.digest import Compared, digest_of
from risk.calllist.facts import expected_words, list_facts
from risk.calllist.types import Band, CallList, Expected, load_list
from risk.config import Outcome
from risk.data.holdout import Holdout
from risk.model.deployed import read_deployed
from risk.report.contents import Report, report_of
from risk.report.html import html_of
from risk.report.pdf import pdf_of
from risk.run.summary import summary
from risk.words import as_sentence

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
EXPECTED = Expected(
    n=60, called=8, exits=Band(17, 11, 24), found=Band(4.2, 2, 6), brier=Band(0.2, 0.1, 0.3),
    precision=Band(0.53, 0.4, 0.65), recall=Band(0.7, 0.6, 0.8), f1=None, auc=Band(0.8, 0.7, 0.9),
)  # fmt: skip
GAINS = {
    "share": 0.13, "called": 10, "left": 8, "precision": 0.8, "precision_interval": [0.49, 0.94],
    "recall": 0.22, "recall_interval": [0.11, 0.37],
    "at_random": {"precision": 0.46, "recall": 0.13},
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """One project as it is told: pages by their address, files and messages, all as plain text."""

    listing: CallList
    report: Report
    pages: dict[str, str]
    html: str
    pdf: str
    digest: str
    summary: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """A project with outcomes, changes, decisions and drift, told in every way there is."""
    project = deployed_copy(tmp_path_factory)
    made = clients(60, 8)
    gone = [{"client": f"Gone {at}", "rank": at, "risk": 0.61 + at / 100} for at in range(3)]
    off = [
        one | {"became": word} for one, word in zip(gone, ("left", "stayed", "gone"), strict=True)
    ]
    off.append({"client": made[9]["client"], "rank": 4, "risk": 0.58, "became": "open"})
    expected = asdict(EXPECTED) | {"sentence": expected_words(EXPECTED)}
    found = write_list(project, made, expected=expected, off=off)
    found["cut"] |= {
        "cumulative_gains": GAINS,
        "expected_profit": 812.0,
        "expected_profit_at_random": 90.0,
    }
    project.config.clients_json.write_text(json.dumps(found))
    write_all(project, NOW.timestamp())
    listing, deployed = load_list(project.config), read_deployed(project.config)
    tested = reporting.tested(deployed.model, Holdout(project.config))
    report = report_of(project.config, listing, outcomes(), deployed, tested)
    browser = create_app(project.config).test_client()
    paths = ("/", "/trust", "/decisions", "/status")
    pages = {path: browser.get(path, headers={"Accept": "text/html"}).text for path in paths}
    pdf = PdfReader(io.BytesIO(pdf_of(report)))
    compared = Compared(listing.since or "", listing.new, len(listing.off), listing.data_date)
    digest = digest_of(listing, compared, now=NOW, outcomes=outcomes()["all"]["sentence"])
    done = Outcome("kept", {"notes": []})
    return Told(
        listing,
        report,
        pages,
        html_of(report),
        " ".join(page.extract_text() for page in pdf.pages),
        digest.text,
        summary(project.config, done, deployed.score),
    )


def words(raw: str) -> str:
    """What a person reads, in one line."""
    raw = re.sub(r"<style.*?</style>", "", raw, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", raw)).split())


def close(text: str) -> str:
    """Without spaces and line breaks, which a PDF puts where a line ends."""
    return re.sub(r"\s", "", text)


def parts(raw: str, pattern: str) -> list[str]:
    return [words(found) for found in re.findall(pattern, raw, re.DOTALL)]


def test_the_answer_and_the_facts_on_top_are_the_same_everywhere(told: Told) -> None:
    page, file, pdf = words(told.pages["/"]), words(told.html), close(told.pdf)
    answer = "8 of 60 clients to call"

    for text in (page, file, told.digest):
        assert answer in text
    assert close(answer) in pdf
    facts = list_facts(told.listing, today=NOW.date())
    assert [fact.value for fact in facts] == [
        "8",
        str(len(told.listing.new)),
        "1",
        "4 of 8",
        "31 %",
    ]
    for fact in facts:
        assert f"{fact.name} {fact.value} {fact.note}" in page
        assert f"{fact.name} {fact.value} {fact.note}" in file
        assert close(fact.name) in pdf and close(fact.note) in pdf


def test_every_client_has_one_risk_one_move_and_the_same_reasons(told: Told) -> None:
    row = r'<tr class="\w+"(?: id="at-\d+")?><td class="rank">.*?<td class="curve">'
    page, file = parts(told.pages["/"], row), parts(told.html, row)
    pdf = close(told.pdf)

    assert page == file and len(file) == 8
    for shown, client in zip(told.report.today.rows, told.listing.called, strict=True):
        risk = f"{shown.percent} %"
        assert shown.client == client.client and f"{client.risk:.0%}" == close(risk)
        assert re.search(rf"{shown.rank}\.? +{re.escape(shown.client)} +{risk}", told.digest)
        assert close(f"{shown.client}{shown.about}{risk}") in pdf
        assert close(shown.split) in pdf and close(shown.move) in pdf
        for sign in (*shown.up, *shown.down):
            assert close("".join(sign)) in pdf
    for client in told.listing.called[:5]:
        line = f"{client.rank} {client.risk:.0%} {client.client}"
        assert line in " ".join(told.summary.split())


def test_what_changed_is_counted_once(told: Told) -> None:
    section = r"<section>\s*<h2>What changed since.*?</section>"
    page, file = parts(told.pages["/"], section), parts(told.html, section)
    found, pdf = told.report.today.changed, close(told.pdf)

    assert page == file and len(page) == 1 and found
    for title in (f"{found.new_count} new on the list", f"{found.off_count} off the list"):
        assert title in page[0] and close(title) in pdf
    for one in (*found.new, *found.off):
        assert f"{one.client} {one.then} {one.now}" in page[0]
        assert close(f"{one.then},{one.now}") in pdf
    for one in found.moves:
        assert close(f"{one.points} ({one.data}, {one.model})") in pdf
    assert f"{found.new_count} new, {found.off_count} no longer on it" in told.digest


@pytest.mark.parametrize("path", ["/trust", "/status"])
def test_every_section_that_the_report_has_is_the_pages_own(told: Told, path: str) -> None:
    pattern = r'<section class="row">.*?</section>'
    page = [re.sub(r" That was [^.]* ago\.| That was just now\.", "", one)
            for one in parts(told.pages[path], pattern)]  # fmt: skip
    file = parts(told.html, pattern)

    shared = [one for one in page if one in file]
    assert len(shared) == {"/trust": len(page), "/status": 2}[path]


def test_how_good_the_lists_were_is_one_sentence(told: Told) -> None:
    trust, pdf = told.report.trust, close(told.pdf)
    sentence = "Of 100 clients we listed, 62 left; of 100 picked at random, 31 would have"

    assert trust.heading == sentence
    assert sentence in words(told.pages["/trust"]) and sentence in words(told.html)
    assert close(sentence) in pdf
    assert trust.expected in words(told.pages["/trust"]) and trust.expected in words(told.html)
    # Where outcomes are known test rows say nothing more of the list.
    assert trust.like_this == "" and "test clients called" not in words(told.pages["/"])
    assert as_sentence(outcomes()["all"]["sentence"]) in told.summary
    assert close("".join(text for text, _ in trust.lead)) in pdf
    for one in trust.squares:
        assert close(f"{one.word}: {one.percent} of 100") in pdf


def test_the_score_is_told_with_the_same_digits(told: Told) -> None:
    score = words(told.html).partition("Measured ")[2].partition(", Brier")[0]

    assert re.fullmatch(r"F1 0\.\d{3} .* on 80 test rows", score)
    assert f"number: {score[3:8]}" in told.summary
    assert score in words(told.html) and score in words(told.pages["/trust"])
    assert close(score) in close(told.pdf)
    assert close(told.report.auc) in close(told.pdf) and told.report.auc in score


def test_the_last_decision_has_the_pages_evidence(told: Told) -> None:
    row = r'<tr><th scope="row"><time>.*?</tr>'
    page = re.sub(r"(UTC) \d+ \w+ ago", r"\1", parts(told.pages["/decisions"], row)[0])
    (line,), pdf = told.report.decision.groups[0], close(told.pdf)

    assert page == parts(told.html, row)[0]
    assert told.report.decision.heading in words(told.pages["/decisions"])
    assert told.report.decision.heading in words(told.html)
    for one in line.evidence:
        assert f"{one.e_value} of {one.threshold}" in page
        assert close(f"{one.e_value} of {one.threshold}") in pdf
    assert close(line.reason) in pdf and close(line.at) in pdf
