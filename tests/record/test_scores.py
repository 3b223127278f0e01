"""What each client was told: a move splits exactly, and what was committed stays whole."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
import pytest
from conftest import ROOT, Project

from risk.calllist.changes import base_of, changes_of, histories, snapshots_of
from risk.calllist.types import Change
from risk.config import Config, PipelineError
from risk.record import scores, sqlite
from risk.record.contacts import add_contact, contacts_of, newest_contacts
from risk.record.scores import (
    Score,
    forget_client,
    frame_of_rows,
    past_scores,
    record_scores,
    scored_frame,
    scores_of,
    scoring_of,
    scorings,
    split_move,
)
from risk.words import in_percent

SEED, KILLS = 11, 40
CLIENTS = 30


@pytest.fixture
def config(project: Project) -> Config:
    return project.config


def listing(data_version: int, risks: dict[str, float], **changed: Any) -> dict[str, Any]:
    """A list as reporting.py makes it: the riskiest client is called."""
    order = sorted(risks, key=lambda name: (-risks[name], name))
    clients = [
        {
            "rank": rank,
            "client": name,
            "risk": risks[name],
            "date": f"2025-{data_version % 12 + 1:02d}-28",
            "call": rank == 1,
            "band": "high" if rank == 1 else "low",
            "notes": [],
            "reasons": [{"points": 100 * risks[name], "text": f"orders {data_version}"}],
        }
        for rank, name in enumerate(order, 1)
    ]
    return {
        "clients": clients, "data_version": data_version, "model_version": 1, "basis": "unlabelled",
        "data_date": clients[0]["date"] if clients else "", "cut": {"called": bool(clients)},
        "scored_at": f"2031-01-01T{data_version // 60 % 24:02d}:{data_version % 60:02d}:00Z",
        **changed,
    }  # fmt: skip


def scored_in(told: dict[str, Any]) -> pl.DataFrame:
    names = {**{name: name for name in scores.SCORED}, "called": "call"}
    columns = {name: [c[of] for c in told["clients"]] for name, of in names.items()}
    columns["reasons"] = [
        tuple((r["points"], r["text"]) for r in own) for own in columns["reasons"]
    ]
    return scored_frame(columns)


def scores_in(config: Config, number: int) -> dict[str, Score]:
    return {client: Score(*own) for client, *own in scores.scores_in(config, number).rows()}


def risks_in(config: Config, number: int) -> dict[str, float]:
    return dict(scores.risks_in(config, number).rows())


def as_scoring(told: dict[str, Any], model: str, past: list[scores.Scoring]) -> scores.Scoring:
    about = {name: told[name] for name in ("data_version", "data_date", "model_version", "basis")}
    return scoring_of(scored_in(told), past, at=told["scored_at"], model=model, **about)


def tell(
    config: Config,
    told: dict[str, Any],
    formers: dict[str, float | None] | None = None,
    model: str = "m",
) -> scores.Scoring:
    """Record the list; formers: what the model before says of the rows, None: it is the same."""
    past = scorings(config)
    last = past[-1] if past else None
    before = scores.scores_in(config, last.number if last else 0)
    scoring = as_scoring(told, model, past)
    own: dict[str, float | None] = {c["client"]: c["risk"] for c in told["clients"]}
    own = own if formers is None else formers
    known = frame_of_rows(list(own.items()), ("client", "former"))
    made = scores_of(scored_in(told), scoring.number, before, known)
    record_scores(config, scoring, made, scored_in(told), last, before)
    return scoring


def risks(number: int, clients: int = CLIENTS) -> dict[str, float]:
    draw = random.Random(number)
    return {f"client {at}": round(draw.random(), 6) for at in range(clients)}


def files(config: Config) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in config.state_folder.iterdir()}


def test_a_clients_scores_come_back_as_the_lists_had_them(config: Config) -> None:
    tell(config, listing(1, {"Acme": 0.5, "Größe 'x\"; --": 0.25}))
    tell(config, listing(2, {"Acme": 0.125, "Größe 'x\"; --": 0.75}))

    first, second = past_scores(config, "Größe 'x\"; --")

    assert (first.at, first.data_date) == ("2031-01-01T00:01:00Z", "2025-02-28")
    assert (first.date, first.risk, first.rank, first.of) == ("2025-02-28", 0.25, 2, 2)
    assert (first.called, first.band) == (False, "low")
    assert (second.risk, second.rank, second.called, second.band) == (0.75, 1, True, "high")
    assert (first.data, first.model, second.data, second.model) == (None, None, 0.5, 0.0)
    assert second.reasons == [(75.0, "orders 2")]
    assert past_scores(config, "nobody") == []


def test_reasons_that_stay_are_kept_once_and_come_back_every_time(config: Config) -> None:
    same = {"Acme": 0.5}
    tell(config, listing(1, same))
    tell(config, listing(1, same, cut={"called": 0}), model="other")
    tell(config, listing(1, {**same, "new": 0.75}), model="other")

    with sqlite3.connect(config.score_history) as kept:
        held = kept.execute("SELECT reasons IS NULL FROM scores WHERE client = 'Acme'").fetchall()
    kept.close()

    assert held == [(0,), (0,), (1,)]
    assert [len(told.reasons) for told in past_scores(config, "Acme")] == [1, 1, 1]


def test_a_list_that_repeats_the_last_is_the_same_scoring(config: Config) -> None:
    first = tell(config, listing(1, risks(1)))
    past = scorings(config)

    assert as_scoring(listing(1, risks(1), scored_at="2032-01-01T00:00:00Z"), "m", past) is past[0]
    for other in (listing(2, risks(1)), listing(1, risks(2)), listing(1, risks(1), data_date="x")):
        assert as_scoring(other, "m", past).number == first.number + 1
    assert as_scoring(listing(1, risks(1)), "other model", past).number == first.number + 1


def test_what_is_older_than_configured_goes_but_never_the_last(project: Project) -> None:
    config = project.configure(score_log_days=10)
    days = ("2031-01-01", "2031-01-05", "2031-01-11", "2031-01-20")
    for data_version, day in enumerate(days, 1):
        tell(config, listing(data_version, risks(data_version), scored_at=f"{day}T07:00:00Z"))

    assert [one.at[:10] for one in scorings(config)] == ["2031-01-11", "2031-01-20"]
    assert [len(past_scores(config, "client 1")), scores_in(config, 1)] == [2, {}]

    tell(config, listing(9, risks(9), scored_at="2033-01-01T07:00:00Z"))
    assert [one.data_version for one in scorings(config)] == [9]


def test_the_first_score_of_a_row_is_marked(config: Config) -> None:
    tell(config, listing(1, {"Acme": 0.5}))
    tell(config, listing(1, {"Acme": 0.6, "late": 0.1}))
    tell(config, listing(2, {"Acme": 0.6, "late": 0.1}))
    undated = {"data_date": ""}
    for data_version, risk in ((3, 0.1), (3, 0.2), (4, 0.2)):
        told = listing(data_version, {"Acme": risk}, **undated)
        told["clients"][0]["date"] = ""
        tell(config, told)

    with sqlite3.connect(config.score_history) as kept:
        found = kept.execute("SELECT client, first FROM scores ORDER BY scoring, client").fetchall()
    kept.close()

    assert found == [("Acme", 1), ("Acme", 0), ("late", 1), ("Acme", 1), ("late", 1),
                     ("Acme", 1), ("Acme", 0), ("Acme", 1)]  # fmt: skip


def test_over_several_scorings_the_parts_add_up(config: Config) -> None:
    draw, models = random.Random(SEED), "aabbbcaad"
    own: list[dict[str, float]] = []
    formers: list[dict[str, float]] = []
    for data_version, model in enumerate(models, 1):
        own.append(risks(data_version))
        changed = data_version > 1 and model != models[data_version - 2]
        formers.append({c: round(draw.random(), 6) if changed else r for c, r in own[-1].items()})
        tell(config, listing(data_version, own[-1]), dict(formers[-1]), model)

    found = {at: scores_in(config, at) for at in range(1, len(models) + 1)}
    for old in range(1, len(models)):
        for new in range(old + 1, len(models) + 1):
            for client in own[0]:
                split = split_move(found[old][client], found[new][client])
                assert split is not None
                steps = range(old, new)
                data = sum(formers[at][client] - own[at - 1][client] for at in steps)
                assert split == pytest.approx(
                    (data, sum(own[at][client] - formers[at][client] for at in steps)), abs=1e-9
                )
                assert sum(split) == pytest.approx(own[new - 1][client] - own[old - 1][client])
    steps_told = past_scores(config, "client 3")
    assert sum(t.data + t.model for t in steps_told[1:]) == pytest.approx(  # type: ignore[operator]
        own[-1]["client 3"] - own[0]["client 3"]
    )


def test_a_step_that_is_not_known_leaves_the_split_open_from_then_on(config: Config) -> None:
    tell(config, listing(1, {"Acme": 0.5}))
    tell(config, listing(2, {"Acme": 0.6}), {"Acme": None}, "b")
    tell(config, listing(3, {"Acme": 0.7}), {"Acme": 0.65}, "c")

    one, two, three = (scores_in(config, number)["Acme"] for number in (1, 2, 3))

    assert split_move(one, two) is None and split_move(one, three) is None
    assert split_move(two, three) == pytest.approx((0.05, 0.05))


def test_a_client_who_was_away_has_no_split_across_the_gap(config: Config) -> None:
    tell(config, listing(1, {"Acme": 0.5, "Borg": 0.5}))
    tell(config, listing(2, {"Borg": 0.5}))
    tell(config, listing(3, {"Acme": 0.6, "Borg": 0.5}))

    assert split_move(scores_in(config, 1)["Acme"], scores_in(config, 3)["Acme"]) is None


def change_of(old: Score, new: Score) -> Change | None:
    then, now = (frame_of_rows([("Acme", *one)], scores.SCORES) for one in (old, new))
    return changes_of("2025-01-31", then, now)[0]


def scored(risk: float, shift: float = 0.0, chain: int = 1) -> Score:
    return Score("2025-01-31", risk, 1, True, None, chain, shift)


@pytest.mark.parametrize(
    ("old", "new", "points", "data", "model"),
    [
        (scored(0.10), scored(0.22, 0.03), 12, 9, 3),
        (scored(0.104), scored(0.116), 2, 2, 0),  # 10 to 12 on the page, all of it the data's
        (scored(0.104), scored(0.116, 0.012), 2, 0, 2),
        (scored(0.5, 0.25), scored(0.25, 0.0), -25, 0, -25),
        (scored(0.7), scored(0.2, -0.1), -50, -40, -10),
        (scored(0.3), scored(0.3, 0.2), 0, -20, 20),
        (scored(0.10), scored(0.22, 0.03, chain=2), 12, None, None),
    ],
)
def test_a_move_in_whole_points_is_that_of_the_percents_shown_and_its_parts_add_up(
    old: Score, new: Score, points: int, data: int | None, model: int | None
) -> None:
    assert change_of(old, new) == Change("2025-01-31", points, data, model)


def test_no_part_is_rounded_further_than_a_point() -> None:
    draw = np.random.default_rng(SEED)
    for old, new, shift in draw.uniform(-1, 1, (300, 3)).round(6).tolist():
        one, two = scored(abs(old)), scored(abs(new), shift)
        found = change_of(one, two)
        assert found.data + found.model == found.points
        assert found.points == in_percent(two.risk) - in_percent(one.risk)
        assert abs(found.model - 100 * shift) <= 1
        assert abs(found.data - 100 * (abs(new) - abs(old) - shift)) <= 1
        assert change_of(one, scored(abs(new))).model == 0


def told_at(number: int, date: str, data_version: int | None = None) -> scores.Scoring:
    data_version = number if data_version is None else data_version
    at = f"2031-01-{number:02d}T00:00:00Z"
    return scores.Scoring(number, data_version, date, at, 1, "m", "", 1, 0, "")


@pytest.mark.parametrize(
    ("past", "present", "base", "shown"),
    [
        ([], told_at(1, "2025-01-31"), None, [1]),
        ([told_at(1, "2025-01-31")], told_at(2, "2025-01-31"), 1, [2]),
        ([told_at(1, "2025-01-31"), told_at(2, "2025-02-28")], told_at(3, "2025-02-28"), 1, [1, 3]),
        ([told_at(1, "2025-01-31"), told_at(2, "2025-01-31")], told_at(3, "2025-02-28"), 2, [2, 3]),
        ([told_at(1, ""), told_at(2, "")], told_at(3, "", data_version=2), 1, [1, 3]),
        ([told_at(1, "2025-03-31")], told_at(2, "2025-02-28"), 1, [1, 2]),
    ],
    ids=["first", "one date", "an earlier date", "its last word", "undated", "a date taken back"],
)
def test_the_list_is_compared_with_the_last_snapshot_of_an_earlier_date(
    past: list[scores.Scoring], present: scores.Scoring, base: int | None, shown: list[int]
) -> None:
    found = base_of(past, present)
    assert (found.number if found else None) == base
    assert [scoring.number for scoring in snapshots_of([*past, present])] == shown


def test_a_history_begins_with_the_client_and_shows_gaps() -> None:
    past = [{"B": 0.3}, {}, {"A": 0.084}, {"B": 0.3}, {"A": 0.1}]
    frames = [frame_of_rows(list(one.items()), ("client", "risk")) for one in past]
    now = frame_of_rows([("A", 0.225), ("New", 0.5)], ("client", "risk"))
    assert histories(frames, now) == [(8, None, 10, 22), (50,)]


@pytest.fixture
def told(config: Config) -> Config:
    """Three scorings of thirty clients and one contact."""
    for data_version in (1, 2, 3):
        tell(config, listing(data_version, risks(data_version)))
    add_contact(config, "client 1", "contacted")
    return config


READERS: list[Callable[[Config], Any]] = [
    scorings,
    newest_contacts,
    lambda config: past_scores(config, "client 1"),
    lambda config: scores_in(config, 1),
    lambda config: contacts_of(config, "client 1"),
]


def test_reading_where_there_is_nothing_makes_nothing(config: Config) -> None:
    for read in READERS:
        assert not read(config)
    assert forget_client(config, "Acme") == []
    assert not config.state_folder.exists()


def test_reading_changes_no_file_and_leaves_none(told: Config) -> None:
    before = files(told)
    for read in READERS:
        assert read(told)
    assert files(told) == before and set(before) == {"clients.sqlite"}


def test_a_newer_format_is_refused_and_left_alone(told: Config) -> None:
    with sqlite3.connect(told.score_history) as kept:
        kept.execute("PRAGMA user_version = 2")
    kept.close()
    before = files(told)

    for use in (
        *READERS,
        lambda config: add_contact(config, "client 1", "left"),
        scores.recover_score_history,
    ):
        with pytest.raises(PipelineError, match=r"clients\.sqlite was written by a newer version"):
            use(told)
    assert files(told) == before


def garbage(path: Path) -> None:
    path.write_text("nothing that a database begins with " * 400)


def torn(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def other_tables(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as kept:
        kept.execute("CREATE TABLE scorings (name TEXT)")
    kept.close()


@pytest.mark.parametrize("damage", [garbage, torn, other_tables])
def test_a_damaged_history_is_named_by_readers_and_moved_aside_by_a_writer(
    told: Config, damage: Callable[[Path], None]
) -> None:
    damage(told.score_history)
    broken = told.score_history.read_bytes()
    with pytest.raises(PipelineError, match=r"^state/clients\.sqlite is damaged \(.*run reporting"):
        scorings(told)

    add_contact(told, "client 2", "contacted")

    (aside,) = told.state_folder.glob("clients.damaged-*.sqlite")
    assert aside.read_bytes() == broken
    assert list(newest_contacts(told)) == ["client 2"] and scorings(told) == []
    tell(told, listing(4, risks(4)))
    assert len(past_scores(told, "client 1")) == 1


def test_two_writers_who_find_the_damage_move_it_aside_once(told: Config) -> None:
    garbage(told.score_history)
    command = [sys.executable, "-c", NOTING.format(root=str(ROOT)), str(told.path)]
    noting = [subprocess.Popen([*command, f"w{at}", "20"]) for at in range(4)]
    assert [process.wait(60) for process in noting] == [0] * 4

    assert len(list(told.state_folder.glob("clients.damaged-*"))) == 1
    assert len(newest_contacts(told)) == 80


def test_what_is_damaged_is_moved_aside_by_one_at_a_time(told: Config) -> None:
    garbage(told.score_history)
    folder = os.open(told.state_folder, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    noting = threading.Thread(target=add_contact, args=(told, "client 2", "contacted"))
    noting.start()
    time.sleep(0.3)
    waiting = noting.is_alive() and not list(told.state_folder.glob("clients.damaged-*"))
    told.score_history.unlink()  # another process has begun anew by now
    os.close(folder)
    noting.join()

    assert waiting and list(newest_contacts(told)) == ["client 2"]
    assert set(files(told)) == {"clients.sqlite"}


NOTING = """
import sys
sys.path[:0] = [{root!r}]
from risk.config import load
from risk.record.contacts import add_contact
config = load(sys.argv[1])
for number in range(int(sys.argv[3])):
    add_contact(config, f"{{sys.argv[2]}} {{number}}", "contacted")
"""


def test_contacts_and_scorings_written_at_the_same_time_are_all_kept(config: Config) -> None:
    tell(config, listing(1, risks(1)))
    command = [sys.executable, "-c", NOTING.format(root=str(ROOT)), str(config.path)]
    noting = [subprocess.Popen([*command, f"w{at}", "60"]) for at in range(2)]
    data_version = 1
    while any(process.poll() is None for process in noting):
        data_version += 1
        tell(config, listing(data_version, risks(data_version, 300)))

    assert [process.returncode for process in noting] == [0, 0]
    assert len(newest_contacts(config)) == 120
    assert [one.data_version for one in scorings(config)] == list(range(1, data_version + 1))
    assert data_version > 3


def test_threads_of_one_process_read_and_write_beside_a_left_journal(told: Config) -> None:
    failed: list[Exception] = []

    def use(at: int) -> None:
        try:
            for number in range(15):
                add_contact(told, f"t{at} {number}", "contacted")
                assert len(past_scores(told, "client 1")) == 3
        except (PipelineError, AssertionError) as error:
            failed.append(error)

    leave_journal(told)
    threads = [threading.Thread(target=use, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [] and len(newest_contacts(told)) == 61


def test_a_thread_does_not_read_while_another_of_its_process_writes(told: Config) -> None:
    """Reading may copy the file, and closing the copy's source drops the writer's locks."""
    begun, go = threading.Event(), threading.Event()
    writing = threading.Thread(
        target=scores.write_score_history, args=(told, lambda _: (begun.set(), go.wait(60)))
    )
    reading = threading.Thread(target=scorings, args=(told,))
    writing.start()
    assert begun.wait(60)
    reading.start()
    reading.join(0.3)
    waited = reading.is_alive()
    go.set()
    for thread in (writing, reading):
        thread.join()
    assert waited


WRITING = """
import os, sqlite3, sys
sys.path[:0] = [{root!r}, {root!r} + "/tests", {root!r} + "/tests/record"]
from test_scores import listing, risks, tell
from risk.config import load
from risk.record.contacts import add_contact
config = load(sys.argv[1])
while line := sys.stdin.readline():
    child = os.fork()
    if not child:
        version = int(line)
        while True:
            tell(config, listing(version, risks(version)))
            add_contact(config, f"client {{version}}", "contacted")
            os.write(1, b"%d\\n" % version)
            version += 1
    os.write(1, b"pid %d\\n" % child)
    os.waitpid(child, 0)
    os.write(1, b"gone\\n")
"""


def test_forty_kills_leave_every_scoring_whole_and_every_kept_contact(config: Config) -> None:
    draw, journals, following = random.Random(SEED), 0, 1
    noted: set[str] = set()
    command = [sys.executable, "-c", WRITING.format(root=str(ROOT)), str(config.path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as warm:
        given, said = warm.stdin, warm.stdout
        assert given and said
        for _ in range(KILLS):
            given.write(f"{following}\n")
            given.flush()
            lines = [said.readline(), said.readline()]
            time.sleep(draw.uniform(0, 0.05))
            child = next(int(line.split()[1]) for line in lines if line.startswith("pid"))
            os.kill(child, signal.SIGKILL)
            lines += iter(said.readline, "gone\n")
            kept = max(int(line) for line in lines if not line.startswith("pid"))
            before = files(config)
            found = scorings(config)
            assert files(config) == before
            assert found[-1].data_version in (kept, kept + 1)
            assert risks_in(config, found[-1].number) == risks(found[-1].data_version)
            noted |= {f"client {data_version}" for data_version in range(following, kept + 1)}
            assert noted <= newest_contacts(config).keys()
            journals += "clients.sqlite-journal" in before
            following = found[-1].data_version + 1
        given.close()
    assert [one.data_version for one in scorings(config)] == list(range(1, following))
    for scoring in scorings(config):
        assert len(risks_in(config, scoring.number)) == scoring.clients == CLIENTS
    print(f"{following - 1} scorings, {journals} of {KILLS} kills left a journal")
    assert journals > KILLS / 10


HALF_WRITTEN = """
import os, signal, sqlite3, sys
kept = sqlite3.connect(sys.argv[1], isolation_level=None)
kept.execute("PRAGMA cache_size = 1")  # pages go to the file before the commit
kept.execute("BEGIN IMMEDIATE")
kept.execute("UPDATE scores SET band = 'half', reasons = printf('%.500c', 'x')")
os.kill(os.getpid(), signal.SIGKILL)
"""


def leave_journal(config: Config) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HALF_WRITTEN, str(config.score_history)], timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert (config.state_folder / "clients.sqlite-journal").stat().st_size > 512


def test_what_a_killed_writer_left_half_written_is_not_read(told: Config) -> None:
    expected = past_scores(told, "client 1")
    leave_journal(told)
    before = files(told)

    assert past_scores(told, "client 1") == expected
    assert files(told) == before
    add_contact(told, "client 2", "left")
    assert past_scores(told, "client 1") == expected
    assert set(files(told)) == {"clients.sqlite"}


def test_a_writer_does_not_wait_for_ever(told: Config) -> None:
    holder = sqlite3.connect(told.score_history, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with (
        mock.patch.object(sqlite, "WAIT_SECONDS", 0.2),
        pytest.raises(PipelineError, match=r"clients\.sqlite has been in use for 0\.2 seconds"),
    ):
        add_contact(told, "client 2", "left")
    holder.close()
    assert "client 2" not in newest_contacts(told)


def test_a_forgotten_client_is_in_no_byte_of_the_history(config: Config) -> None:
    name = "Erased Ltd 4711"
    for data_version in range(1, 6):
        tell(config, listing(data_version, {**risks(data_version, 300), name: 0.5}))
    for number in range(60):
        add_contact(config, name, "contacted", by="Ann", note=f"{number} " + "x" * 400)
    assert name.encode() in config.score_history.read_bytes()

    assert forget_client(config, name) == []

    assert name.encode() not in config.score_history.read_bytes()
    assert past_scores(config, name) == [] and name not in newest_contacts(config)
    assert [len(risks_in(config, one.number)) for one in scorings(config)] == [300] * 5
    assert set(files(config)) == {"clients.sqlite"}
    kept = sqlite3.connect(config.score_history)
    assert kept.execute("PRAGMA freelist_count").fetchone() == (0,)  # written anew
    kept.close()


def test_forgetting_names_the_damaged_files_that_may_hold_the_client(told: Config) -> None:
    garbage(told.score_history)
    add_contact(told, "client 2", "left")

    (aside,) = forget_client(told, "client 2")

    assert aside.startswith("state/clients.damaged-")
    assert newest_contacts(told) == {}


def test_ten_thousand_clients_are_kept_and_each_is_found(config: Config) -> None:
    for data_version in (1, 2):
        tell(config, listing(data_version, risks(data_version, 10_000)))

    for at in (0, 5_000, 9_999):
        name = f"client {at}"
        assert [one.risk for one in past_scores(config, name)] == [
            risks(data_version, 10_000)[name] for data_version in (1, 2)
        ]
    assert len(scores_in(config, scorings(config)[-1].number)) == 10_000
