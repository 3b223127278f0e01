"""The page Decisions: every evaluation, what was behind it, the evidence as a chart, releases."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from conftest import Project
from past import PAST, bet, entry, write_past
from serving import deployed_copy
from test_pages import getter, text_of

from risk.releases import DATA_QUALITY, read_deployment, write_deployment
from risk.web import decisions
from risk.web.evidence_svg import EvidencePoint, evidence_chart, evidence_scale, labels_apart
from risk.words import evidence_number

NOW = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def past_page(tmp_path_factory: pytest.TempPathFactory) -> Any:
    project = deployed_copy(tmp_path_factory)
    write_past(project)
    return getter(project)("/decisions")


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return deployed_copy(tmp_path_factory)


def hold(project: Project, why: str) -> None:
    now = read_deployment(project.config)
    write_deployment(project.config, replace(now, paused=why))


def typed(words: str, text: str) -> bool:
    """Whether the text has the command, as it can be typed from anywhere."""
    return re.search(rf"/python \S*/{re.escape(words)}", text) is not None


def lines(page: Any) -> list[str]:
    """Each line of the log as a person reads it, folded ones too."""
    body = page.get_data(as_text=True)
    table = body[body.index('<table class="log">') : body.index('<p class="more">')]
    plain = [" ".join(re.sub("<[^>]*>", " ", one).split()) for one in table.split("<tr")]
    return [one.partition("> ")[2] or one for one in plain]


# ---------------------------------------------------------------- the answer


def test_the_heading_says_whether_the_model_is_about_to_change(past_page: Any) -> None:
    text = text_of(past_page)
    assert "Model 1 stays, and another is close to replacing it" in text
    assert "Last evaluation with something to decide: 9 Jan 2026 07:00 UTC" in text
    assert "its e-value is 25, and it takes 60. By the rows of this evaluation alone." in text


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (entry(9), "Model 1 stays, and another is close to replacing it"),
        (entry(9, evidence=(bet("challenger", 0.9, 10.0),)), "no other was clearly better on the"),
        (entry(9, evidence=()), "Model 1 stays"),
        (entry(9, before=7, verdict="deploy", action="promote"), "took over from 7: it predicts"),
        (
            entry(9, before=7, verdict="deploy", action="scheduled retrain"),
            "learned from many more rows",
        ),
        (entry(9, before=7, action="recalibrate"), "Model 7 was recalibrated: model 1 ranks"),
        (PAST[0], "Model 1 is the first"),
    ],
)
def test_the_heading_follows_the_last_evaluation(own: Project, last: Any, said: str) -> None:
    write_past(own, last)
    assert said in text_of(getter(own)("/decisions"))


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (bet("c", 12.0, 10.0, rows_needed=0), "The threshold is reached."),
        (bet("c", 2.0, 10.0), "By the rows of this evaluation alone."),
        (bet("c", 0.2, 10.0, rows_needed=None), "There is no evidence for it so far."),
        (bet("c", 2.0, 10.0, rows_needed=1512), "about 1,500 more rows with outcomes (600 to "),
        (bet("c", 2.0, 10.0, rows_needed=7), "about 7 more rows with outcomes (3 to 18)"),
    ],
)
def test_what_is_still_needed_is_said_no_finer_than_it_is_known(one: Any, said: str) -> None:
    assert said in decisions.still_needed(one)


# ---------------------------------------------------------------- the log


def test_a_line_has_time_verdict_reason_evidence_rows_versions_and_digests(past_page: Any) -> None:
    promoted = next(line for line in lines(past_page) if "promoted" in line)
    for part in (
        "5 Jan 2026 07:00 UTC",
        "1 → 2",
        "The challenger is better",
        "12.4",
        "of 10",
        "250",
        "80 left",
        "abababab",
    ):
        assert part in promoted, part


def test_what_was_behind_an_evaluation_is_there_without_javascript(past_page: Any) -> None:
    text = text_of(past_page)
    assert (
        "challenger : e-value 3.1 of 10, Brier 0.1710 where the deployed model had 0.1843." in text
    )
    assert "At this pace that is about 1,500 more rows" in text
    assert "250 new labelled rows (50 needed)" in text


def test_quiet_evaluations_in_a_row_are_folded(past_page: Any) -> None:
    text = text_of(past_page)
    assert (
        "3 evaluations that changed nothing, 2 Jan 2026 07:00 UTC to 4 Jan 2026 07:00 UTC" in text
    )
    assert past_page.get_data(as_text=True).count('<tr class="quiet">') == 1


def test_the_newest_evaluation_is_never_folded() -> None:
    log = decisions.log_lines([entry(1), entry(2), entry(3)], {}, NOW)
    found = decisions.groups_of(log, True)
    assert [len(one) for one in found] == [1, 2]
    assert len(decisions.groups_of(log, False)) == 1


def test_names_from_data_are_text(past_page: Any) -> None:
    assert "<i>version 2</i>" not in past_page.get_data(as_text=True)


@pytest.mark.parametrize(
    ("one", "word", "shape", "change"),
    [
        (entry(1), "keep", "keep", "1 stays"),
        (entry(1, verdict="wait"), "wait", "wait", "1 stays"),
        (entry(1, action="recalibrate", after=2), "recalibrated", "keep", "1 → 2"),
        (PAST[0], "first model", "deploy", "model 1"),
        (PAST[5], "rollback by hand", "back", "2 → 1"),
        (PAST[6], "hold released", "hand", "1 stays"),
        (PAST[7], "data issue", "paused", "1 stays"),
        (
            entry(1, verdict="by hand", action="deployment by hand", after=2),
            "deployed by hand",
            "hand",
            "1 → 2",
        ),
    ],
)
def test_a_verdict_is_a_word_and_a_shape(one: Any, word: str, shape: str, change: str) -> None:
    assert (one.word, decisions.shape_of(one), decisions.change_of(one)) == (word, shape, change)


def test_the_files_since_the_evaluation_before_stand_with_their_digests(own: Project) -> None:
    state = json.loads(own.config.store_state.read_text())
    data_version = state["data_version"]
    write_past(own, entry(0, data_version=0), entry(1, data_version=data_version))
    text = text_of(getter(own)("/decisions"))
    for name, file in state["files"].items():
        assert f"{name} {file['sha256'][:8]}" in text


def test_fifty_evaluations_a_page_and_the_way_to_the_others(own: Project) -> None:
    write_past(own, *(entry(at, before=at, after=at + 1, action="promote") for at in range(60)))
    get = getter(own)
    first, second = get("/decisions"), get("/decisions?page=2")
    assert "Evaluations 1 to 50 of 60" in text_of(
        first
    ) and "Evaluations 51 to 60 of 60" in text_of(second)
    assert 'href="/decisions?page=2" rel="next"' in first.get_data(as_text=True)
    assert 'href="/decisions?page=1" rel="prev"' in second.get_data(as_text=True)
    assert "59 → 60" in text_of(first) and "59 → 60" not in text_of(second)
    assert "Evaluations 51 to 60" in text_of(get("/decisions?page=99"))


@pytest.mark.parametrize("query", ["page=0", "page=x", "page=-1", "sort=at"])
def test_a_query_that_makes_no_sense_is_refused_with_what_does(own: Project, query: str) -> None:
    page = getter(own)(f"/decisions?{query}")
    assert page.status_code == 400
    assert query.partition("=")[0] in text_of(page).lower()


# ---------------------------------------------------------------- the chart


def seen(own: float, mark: str = "", limit: float = 10.0) -> EvidencePoint:
    return EvidencePoint("1 Jan", {"challenger": (own, limit)}, {}, mark)


def test_the_chart_is_of_the_evidence_on_a_log_axis() -> None:
    found = evidence_chart([seen(1.0), seen(10.0), seen(100.0)])
    assert found
    points = re.findall(r"[ML]([\d.]+) ([\d.]+)", found.lines[0].path)
    ys = [float(y) for _, y in points]
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.2) and ys[0] > ys[1]
    assert [level for _, level in found.grid][0] == "0.1"
    assert len(found.crossings) == 2


def test_the_evidence_starts_at_one_after_a_mark() -> None:
    found = evidence_chart([seen(1.0), seen(8.0, mark="model 2"), seen(2.0)])
    assert found
    before, after = found.lines[0].path.split("M")[1:]
    at_one = dict(map(reversed, found.grid))["1"]  # type: ignore[arg-type]
    start = after.partition("L")[0].split()
    assert float(start[1]) == at_one
    assert start[0] == before.rpartition("L")[2].split()[0]
    assert [words for _, words in found.marks] == ["model 2"]


def test_a_recalibration_is_no_mark_and_a_released_hold_is_one() -> None:
    recalibrated = entry(2, action="recalibrate", after=2)
    found = decisions.chart_of([entry(1), recalibrated, entry(3)], NOW.date())
    assert found and found.marks == []
    released = decisions.chart_of([entry(1), PAST[6]], NOW.date())
    assert released and [words for _, words in released.marks] == ["hold released"]


def test_evidence_of_one_evaluation_alone_is_no_line() -> None:
    found = decisions.chart_of([entry(1), entry(2)], NOW.date())
    assert found
    assert [line.name for line in found.lines] == ["challenger"]
    assert [words for *_, words in found.alone] == ["newest rows 0.30 of 20"] * 2


@pytest.mark.parametrize("own", [0.0, 1e-300, 1e300])
def test_evidence_beyond_all_bounds_stays_on_the_paper(own: float) -> None:
    found = evidence_chart([seen(1.0), seen(own)])
    assert found
    for y in re.findall(r"[ML][\d.]+ (-?[\d.]+)", found.lines[0].path):
        assert 0 <= float(y) <= 330
    at = evidence_scale(own, 10.0, 10.0)
    assert 0 <= at.own <= 132 and at.one < at.threshold < 132


def test_labels_that_would_collide_give_way_to_the_later() -> None:
    assert labels_apart([(0, "model 1"), (20, "model 2"), (200, "model 3")]) == [
        (0, ""),
        (20, "model 2"),
        (200, "model 3"),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.312, "0.31"), (3.07, "3.1"), (10.0, "10"), (1391.4, "1,391"), (3e12, "over a million")],
)
def test_evidence_is_shown_as_finely_as_it_means_something(value: float, text: str) -> None:
    assert evidence_number(value) == text


def test_no_evidence_no_chart() -> None:
    assert evidence_chart([EvidencePoint("1 Jan", {}, {}, "model 1")]) is None


# ---------------------------------------------------------------- releases and notices


def test_releases_stand_with_their_digests_and_the_command(own: Project) -> None:
    own.run("deployment.py")
    page = getter(own)("/decisions")
    manifest = json.loads((own.config.production_folder / "manifest.json").read_text())
    text = text_of(page)
    assert manifest["files"]["model.json"][:8] in text
    assert manifest["files"]["finaldata.csv"][:8] in text
    assert typed("deployment.py --rollback 1", text)
    own.run("deployment.py", "--rollback", "1")
    text = text_of(getter(own)("/decisions"))
    assert "Model 1 is paused by hand" in text and typed("deployment.py --rollback 2", text)
    assert typed("deployment.py --release-hold", text)


def test_a_data_fault_is_told_with_its_sentence_and_both_ways_on(own: Project) -> None:
    fault = {"sentence": "activity: 1,000 times as large; mend it", "file": "new.csv"}
    write_past(own, PAST[0], replace(PAST[7], details={"issues": [fault]}))
    hold(own, DATA_QUALITY)
    text = text_of(getter(own)("/decisions"))
    assert "Model 1 is paused by a data quality issue" in text
    assert "activity: 1,000 times as large; mend it." in text
    assert typed("ingestion.py --forget new.csv", text)
    assert typed("deployment.py --release-hold", text)


def test_without_a_decision_there_is_a_notice_and_still_the_release(own: Project) -> None:
    own.config.history.unlink(missing_ok=True)
    text = text_of(getter(own)("/decisions"))
    assert "No decision yet." in text and "Model 1 was deployed by hand" in text
    assert "There is no former model to go back to yet." in text


def test_without_a_model_the_page_says_no_decision(own: Project) -> None:
    own.config.history.unlink(missing_ok=True)
    (own.config.production_folder / "current").unlink()
    page = getter(own)("/decisions")
    assert page.status_code == 200 and "No decision yet" in text_of(page)


def test_a_damaged_history_says_what_to_type_and_hides_nothing_else(own: Project) -> None:
    write_past(own)
    own.config.history.write_bytes(b"no database at all" * 99)
    page = getter(own)("/decisions")
    text = text_of(page)
    assert page.status_code == 200
    assert "The history of decisions cannot be read." in text
    assert "mv state/history.sqlite state/history.sqlite.old" in text
    assert str(own.folder) not in text
    assert "Releases" in text
