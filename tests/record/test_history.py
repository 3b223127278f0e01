"""The history of decisions: what was committed stays whole through kill -9, damage, a full disk."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from conftest import ROOT, Project

from risk.config import Config, PipelineError
from risk.decide.decision import ChallengerEvidence
from risk.files import checksum_holds
from risk.record import history, sqlite
from risk.record.history import Entry, entries, explain_entry, history_table, last_decision, record

SEED = 6
KILLS = 60
FLIPS = 150


def entry(number: int, **changed: Any) -> Entry:
    """An evaluation whose every value follows from its number, of the usual size."""
    return dataclasses.replace(
        Entry(
            key=f"evaluation {number}",
            at=f"2026-01-{number % 28 + 1:02d}T07:00:00Z",
            data_version=number,
            policy="fast",
            verdict="wait",
            action="none",
            reason=f"On {number} new labelled rows the evidence is 2.41 of 3. " * 3,
            rows=number,
            exits=number // 5,
            before=3,
            after=3,
            evidence=tuple(
                ChallengerEvidence(name, number / 7, 3.0, 0.1812 + number / 1e9, 0.1834, 480)
                for name in ("challenger", "last file", "version 2")
            ),
            details={"digests": {"model": f"{number:064x}"}, "layer": [0.1, 1.02], "auc": None},
        ),
        **changed,
    )


@pytest.fixture
def config(project: Project) -> Config:
    return project.config


def recorded(config: Config, *numbers: int) -> list[Entry]:
    made = [entry(number) for number in numbers]
    for one in made:
        record(config, one)
    return made


@pytest.fixture(scope="module")
def twenty_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with twenty entries; never used itself, only copied."""
    config = Project(tmp_path_factory.mktemp("twenty")).config
    recorded(config, *range(20))
    return config.state_folder


@pytest.fixture
def twenty(twenty_once: Path, config: Config) -> Config:
    shutil.copytree(twenty_once, config.state_folder)
    return config


TWENTY = [entry(number) for number in range(20)]


def files(config: Config) -> dict[str, bytes]:
    """Name -> bytes of everything in the state folder."""
    return {path.name: path.read_bytes() for path in config.state_folder.iterdir()}


def test_an_entry_comes_back_as_it_was_recorded(config: Config) -> None:
    odd = entry(
        7,
        before=None,
        after=None,
        evidence=(),
        reason="Größe ≥ ½ 'x\"; DROP TABLE",
        details={"file": "caf\udce9.csv", "gain": -1.5e-300, "E": 1e300, "n": 2**70},
    )
    record(config, odd)
    assert entries(config) == [odd]


def test_entries_are_in_the_order_of_recording_whatever_the_clock_says(config: Config) -> None:
    made = [entry(number, at=f"20{30 - number}-01-01T00:00:00Z") for number in range(5)]
    for one in made:
        record(config, one)
    assert entries(config) == made
    assert entries(config, last=2) == made[3:]
    assert entries(config, last=0) == []
    assert entries(config, last=9) == made


def test_the_same_evaluation_recorded_again_replaces_itself_and_is_the_last(config: Config) -> None:
    first, second = recorded(config, 1, 2)
    again = dataclasses.replace(first, verdict="deploy", action="promote", after=4)
    record(config, again)
    assert entries(config) == [second, again]


def test_decision_json_is_the_last_entry_with_a_checksum(config: Config) -> None:
    recorded(config, 1, 2)
    found = json.loads(config.decision.read_bytes())
    assert checksum_holds(found)
    body = {key: value for key, value in found.items() if key not in ("checksum", "format")}
    assert body == json.loads(json.dumps(dataclasses.asdict(entry(2))))
    assert found["format"] == 1


def test_decision_json_is_written_after_the_commit(config: Config) -> None:
    made = recorded(config, 1)
    before = config.decision.read_bytes()
    full = mock.patch.object(history, "write_json", side_effect=OSError(28, "No space left"))
    with full, pytest.raises(OSError, match="No space left"):
        record(config, entry(2))
    assert entries(config) == [*made, entry(2)]
    assert config.decision.read_bytes() == before


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), {1, 2}, b"x"])
def test_what_json_cannot_hold_is_refused_before_anything_is_written(
    config: Config, wrong: Any
) -> None:
    with pytest.raises((ValueError, TypeError)):
        record(config, entry(1, details={"E": wrong}))
    assert not config.history.exists() and not config.decision.exists()


def test_no_text_of_an_entry_can_steer_a_terminal(config: Config) -> None:
    evil = "a\x1b[2J\nb\u202e"
    challenger = ChallengerEvidence(evil, 1.0, 3.0)
    record(
        config,
        entry(1, reason=evil, policy=evil, evidence=(challenger,), details={"guards": [evil]}),
    )
    kept = entries(config)
    shown = history_table(kept) + explain_entry(kept[0])
    assert kept[0].reason == r"a\x1b[2J\nb\u202e"
    assert "\x1b" not in shown and "\u202e" not in shown and "\nb" not in shown


@pytest.mark.parametrize(
    "last",
    [
        {"verdict": "by hand", "action": "rollback by hand"},
        {"verdict": "by hand", "action": "deployment by hand"},
        {"verdict": "by hand", "action": "release hold"},
        {"verdict": "keep", "action": "release hold"},
    ],
)
def test_the_last_decision_is_not_one_by_hand(config: Config, last: dict[str, str]) -> None:
    made = recorded(config, 1, 2)
    record(config, entry(3, **last))
    assert last_decision(config) == made[1]


def test_there_may_be_no_decision_yet(config: Config) -> None:
    assert last_decision(config) is None
    record(config, entry(1, verdict="by hand", action="rollback by hand"))
    assert last_decision(config) is None


def test_reading_where_there_is_no_history_makes_none(config: Config) -> None:
    assert entries(config) == []
    assert not config.state_folder.exists()


def test_reading_changes_nothing(config: Config) -> None:
    recorded(config, 1, 2, 3)
    before = files(config)
    assert len(entries(config)) == 3
    assert files(config) == before
    assert set(before) == {"history.sqlite", "decision.json"}


def test_sqlite_is_loaded_only_where_it_is_used() -> None:
    code = "import sys, risk.record.history; sys.exit('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


def challenger(name: str = "challenger", **values: Any) -> ChallengerEvidence:
    usual: dict[str, Any] = {
        "e_value": 1.2,
        "threshold": 3.0,
        "brier": 0.18,
        "brier_deployed": 0.19,
    }
    return ChallengerEvidence(name, **usual | values)


def test_the_table_has_a_line_per_entry_with_the_leading_challenger() -> None:
    nearer = (challenger("last file", e_value=30.0, threshold=60.0), challenger(e_value=2.9))
    far = (challenger(e_value=2.5e9),)
    shown = history_table(
        [
            entry(
                0,
                verdict="deploy",
                action="first",
                before=None,
                after=1,
                evidence=(),
                reason="The first.",
            ),
            entry(1230, evidence=nearer, reason="Not yet."),
            entry(2, verdict="deploy", action="promote", after=4, evidence=far, reason="Enough."),
            entry(
                3,
                verdict="by hand",
                action="rollback by hand",
                before=4,
                after=3,
                rows=0,
                evidence=(),
                reason="By hand.",
            ),
            entry(4, verdict="paused", before=None, after=None, evidence=(), reason="x" * 120),
        ]
    )
    assert shown.splitlines() == [
        f"when                  what              version   rows  {'evidence':32}why",
        f"2026-01-01T07:00:00Z  first model       1            0  {'':32}The first.",
        "2026-01-27T07:00:00Z  wait              3        1,230  "
        f"{'challenger 2.9 of 3':32}Not yet.",
        "2026-01-03T07:00:00Z  promoted          3 -> 4       2  challenger over a million of 3  "
        "Enough.",
        f"2026-01-04T07:00:00Z  rollback by hand  4 -> 3       0  {'':32}By hand.",
        f"2026-01-05T07:00:00Z  paused            -            4  {'':32}{'x' * 29}...",
    ]


def test_an_empty_history_says_so() -> None:
    assert history_table([]) == "nothing was decided yet"


def test_an_evaluation_is_explained_by_reason_evidence_guards_and_versions() -> None:
    wait = entry(
        1310,
        reason="The evidence for the challenger is 2.41 of 3; the model stays.",
        evidence=(
            challenger(e_value=2.41, rows_needed=480),
            challenger("last file", e_value=0.2, threshold=60.0, rows_needed=None),
            challenger("version 2", e_value=61.0, threshold=60.0, brier=None),
            challenger("certified", alone=True),
        ),
        details={"guards": ["1,310 labelled rows of 50"], "digests": {}},
    )
    assert explain_entry(wait) == (
        "2026-01-23T07:00:00Z: wait (policy fast, 1,310 labelled rows, 262 exits)\n"
        "The evidence for the challenger is 2.41 of 3; the model stays.\n"
        "\n"
        "challenger  e-value  threshold   Brier  deployed  rows still needed\n"
        "challenger      2.4          3  0.1800    0.1900  about 480 (192 to 1,200)\n"
        "last file      0.20         60  0.1800    0.1900  no evidence for it so far\n"
        "version 2        61         60       -    0.1900  none: the threshold is reached\n"
        "certified       1.2          3  0.1800    0.1900  none: judged by these rows alone\n"
        "\n"
        "guard: 1,310 labelled rows of 50\n"
        "\n"
        "Model 3 stays."
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (None, None, "No model is deployed yet."),
        (None, 1, "Model 1 is the first."),
        (3, 3, "Model 3 stays."),
        (3, 5, "Model 5 took over from 3: it predicts better."),
    ],
)
def test_the_explanation_ends_with_the_versions(
    before: int | None, after: int | None, said: str
) -> None:
    bare = entry(0, before=before, after=after, evidence=(), details={}, reason="Because.")
    head = "2026-01-01T07:00:00Z: wait (policy fast, 0 labelled rows, 0 exits)\nBecause.\n\n"
    assert explain_entry(bare) == head + said


@pytest.fixture
def newer(config: Config) -> Config:
    recorded(config, 1)
    with contextlib.closing(sqlite3.connect(config.history)) as sqlite:
        sqlite.execute("PRAGMA user_version = 2")
    return config


@pytest.mark.parametrize("use", [entries, last_decision, lambda config: record(config, entry(2))])
def test_a_newer_format_is_refused_and_left_alone(
    newer: Config, use: Callable[[Config], Any]
) -> None:
    before = files(newer)
    with pytest.raises(PipelineError, match=r"history\.sqlite was written by a newer version; up"):
        use(newer)
    assert files(newer) == before


def text(path: Path) -> None:
    path.write_text("nothing that a database begins with " * 400)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def zeroed_page(path: Path) -> None:
    with open(path, "r+b") as file:
        file.seek(2 * 4096)
        file.write(bytes(4096))


def other_database(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as sqlite:
        sqlite.execute("CREATE TABLE entries (name TEXT)")


def without_table(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as sqlite:
        sqlite.execute("ALTER TABLE entries RENAME COLUMN reason TO why")


def hidden_cell(path: Path) -> None:
    """The table's last leaf says that it holds one entry less: no statement would notice."""
    with contextlib.closing(sqlite3.connect(path)) as sqlite:
        pages = sqlite.execute("PRAGMA page_count").fetchone()[0]
    raw = bytearray(path.read_bytes())
    leaves = [page * 4096 for page in range(1, pages) if raw[page * 4096] == 0x0D]
    raw[leaves[-1] + 4] -= 1
    path.write_bytes(raw)


DAMAGES = [text, cut, zeroed_page, other_database, without_table, hidden_cell]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_reader_names_the_damaged_file_and_what_to_do(
    twenty: Config, damage: Callable[[Path], None]
) -> None:
    damage(twenty.history)
    before = files(twenty)
    with pytest.raises(PipelineError, match=r"^state/history\.sqlite is damaged \(.+\); rename it"):
        entries(twenty)
    assert files(twenty) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_history_is_moved_aside_as_it_is_and_a_new_one_begun(
    twenty: Config, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(twenty.history)
    before = twenty.history.read_bytes()
    record(twenty, entry(20))
    (aside,) = twenty.state_folder.glob("history.damaged-*.sqlite")
    assert aside.read_bytes() == before
    assert re.fullmatch(r"history\.damaged-\d{8}T\d{6}\.\d{6}Z\.sqlite", aside.name)
    assert entries(twenty) == [entry(20)]
    assert f"it is now {aside.name}" in caplog.text


def test_two_damaged_histories_are_both_kept(config: Config) -> None:
    for number in range(2):
        recorded(config, number)
        text(config.history)
    recorded(config, 2)
    assert len(list(config.state_folder.glob("history.damaged-*"))) == 2


def test_the_journal_of_a_damaged_history_does_no_harm_to_the_new_one(
    half_written: Config,
) -> None:
    text(half_written.history)
    record(half_written, entry(40))
    record(half_written, entry(41))
    assert entries(half_written) == [entry(40), entry(41)]
    assert not (half_written.state_folder / "history.sqlite-journal").exists()


def test_a_flipped_bit_is_noticed_or_harmless(config: Config) -> None:
    made = recorded(config, *range(12))
    whole, draw, noticed = config.history.read_bytes(), random.Random(SEED), 0
    for _ in range(FLIPS):
        raw = bytearray(whole)
        raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
        config.history.write_bytes(raw)
        try:
            assert entries(config) == made
        except PipelineError:
            noticed += 1
    assert noticed > FLIPS / 4  # about half of the bytes are not in use


@contextlib.contextmanager
def held(config: Config, *statements: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has run these statements on the history and stays in their transaction."""
    code = (
        "import sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for statement in sys.argv[2:]: database.execute(statement).fetchall()\n"
        "print('held', flush=True); sys.stdin.readline(); database.execute('COMMIT')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(config.history), *statements],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout and process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


COUNT = "SELECT count(*) FROM entries"


def test_a_reader_waits_for_the_writer(config: Config) -> None:
    made = recorded(config, 1)
    with held(config, "BEGIN EXCLUSIVE") as process:
        assert process.stdin
        ending = threading.Timer(0.4, process.stdin.close)
        started = time.monotonic()
        ending.start()
        assert entries(config) == made
        assert time.monotonic() - started > 0.3
        ending.join()


@pytest.mark.parametrize(
    ("statements", "use"),
    [
        (["BEGIN EXCLUSIVE"], entries),
        (["BEGIN EXCLUSIVE"], lambda config: record(config, entry(2))),
        (["BEGIN", COUNT], lambda config: record(config, entry(2))),
    ],
    ids=["a reader the writer", "a writer another", "a writer a reader"],
)
def test_nobody_waits_for_ever(
    config: Config, statements: list[str], use: Callable[[Config], Any]
) -> None:
    made = recorded(config, 1)
    with (
        held(config, *statements),
        mock.patch.object(sqlite, "WAIT_SECONDS", 0.3),
        pytest.raises(PipelineError, match=r"history\.sqlite has been in use for 0\.3 seconds; tr"),
    ):
        use(config)
    assert entries(config) == made


READER = """
import sys
sys.path[:0] = [{root!r}, {root!r} + "/tests", {root!r} + "/tests/record"]
from test_history import entry
from risk.config import load
from risk.record.history import entries
config, seen, reads = load(sys.argv[1]), 0, 0
while reads < 40 or seen < 20:  # however busy the machine is
    found = entries(config)
    assert found == [entry(number) for number in range(len(found))], found
    assert len(found) >= seen, (len(found), seen)
    seen, reads = len(found), reads + 1
"""


def test_readers_beside_a_writer_see_whole_entries_only(config: Config) -> None:
    recorded(config, 0)
    command = [sys.executable, "-c", READER.format(root=str(ROOT)), str(config.path)]
    readers = [subprocess.Popen(command) for _ in range(2)]
    number = 0
    while any(reader.poll() is None for reader in readers):
        number += 1
        record(config, entry(number))
    assert [reader.returncode for reader in readers] == [0, 0]
    assert entries(config) == [entry(at) for at in range(number + 1)]


WRITER = """
import os, sqlite3, sys
sys.path[:0] = [{root!r}, {root!r} + "/tests", {root!r} + "/tests/record"]
from test_history import entry
from risk.config import load
from risk.record.history import record
config = load(sys.argv[1])
while line := sys.stdin.readline():
    child = os.fork()
    if not child:
        number = int(line)
        while True:
            record(config, entry(number))
            os.write(1, b"%d\\n" % number)
            number += 1
    os.write(1, b"pid %d\\n" % child)
    os.waitpid(child, 0)
    os.write(1, b"gone\\n")
"""


@contextlib.contextmanager
def writer(config: Config) -> Iterator[Callable[[int, float], int]]:
    """A function that records from a number on in a process, and kills it so many seconds after the
    first was kept; the last number that was kept for certain."""
    command = [sys.executable, "-c", WRITER.format(root=str(ROOT)), str(config.path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as warm:
        given, said = warm.stdin, warm.stdout
        assert given and said

        def killed(first: int, wait: float) -> int:
            given.write(f"{first}\n")
            given.flush()
            lines = [said.readline(), said.readline()]
            time.sleep(wait)
            child = next(int(line.split()[1]) for line in lines if line.startswith("pid"))
            os.kill(child, signal.SIGKILL)
            lines += iter(said.readline, "gone\n")
            return max(int(line) for line in lines if not line.startswith("pid"))

        yield killed


def test_sixty_kills_leave_every_kept_entry_whole_and_none_twice(config: Config) -> None:
    draw, open_journals, following = random.Random(SEED), 0, 0
    recorded(config, 0, 0, 0)
    with writer(config) as killed:
        for _ in range(KILLS):
            # The writer never pauses: any moment is as likely to be within a write as another.
            kept = killed(following, draw.uniform(0, 0.05))
            before = files(config)
            last = entries(config, last=1)[0].data_version
            assert last in (kept, kept + 1)
            assert files(config) == before
            open_journals += "history.sqlite-journal" in before
            following = last + draw.choice([0, 1])  # the same evaluation again, or the next one
    assert entries(config) == [entry(number) for number in range(last + 1)]
    print(f"{last + 1} entries, {open_journals} of {KILLS} kills left a journal")
    assert open_journals > KILLS / 10


HALF_WRITTEN = """
import os, signal, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")  # pages go to the file before the commit
database.execute("BEGIN IMMEDIATE")
database.execute("UPDATE entries SET reason = 'half'")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def half_written(twenty: Config) -> Config:
    """Twenty entries of which a killed process has overwritten a part, without a commit."""
    done = subprocess.run([sys.executable, "-c", HALF_WRITTEN, str(twenty.history)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert (twenty.state_folder / "history.sqlite-journal").stat().st_size > 512
    assert b"half" in twenty.history.read_bytes()
    return twenty


def test_what_a_killed_writer_left_half_written_is_not_read_and_not_touched(
    half_written: Config,
) -> None:
    before = files(half_written)
    assert entries(half_written) == TWENTY
    assert files(half_written) == before


def test_the_next_writer_undoes_what_was_left_half_written(half_written: Config) -> None:
    record(half_written, entry(20))
    assert entries(half_written) == [*TWENTY, entry(20)]
    assert set(files(half_written)) == {"history.sqlite", "decision.json"}
    assert b"half" not in half_written.history.read_bytes()


def test_a_history_elsewhere_behind_a_link_is_read_with_its_journal(
    half_written: Config, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("history.sqlite", "history.sqlite-journal"):
        shutil.move(half_written.state_folder / name, tmp_path / "elsewhere" / name)
    half_written.history.symlink_to(tmp_path / "elsewhere" / "history.sqlite")
    assert entries(half_written) == TWENTY


def test_a_history_that_never_rests_is_given_up(half_written: Config) -> None:
    with (
        mock.patch.object(sqlite, "_copy", return_value=False),
        pytest.raises(PipelineError, match=r"^history\.sqlite changes all the time; try again$"),
    ):
        entries(half_written)


def test_a_copy_made_while_a_writer_comes_in_is_made_again(half_written: Config) -> None:
    copied, turns = sqlite._copy, []

    def disturbed(path: Path, copy: Path) -> bool:
        turns.append(copied(path, copy))
        if len(turns) == 1:
            record(half_written, entry(20))
            return False
        return turns[-1]

    with mock.patch.object(sqlite, "_copy", disturbed):
        assert entries(half_written) == [*TWENTY, entry(20)]
    assert turns == [True]


def test_a_copy_counts_only_if_the_journal_is_the_same_after_it(
    half_written: Config, tmp_path: Path
) -> None:
    journal = half_written.state_folder / "history.sqlite-journal"
    whole, copy, copyfile = journal.read_bytes(), tmp_path / "copy.sqlite", shutil.copyfile

    def then(change: Callable[[], Any]) -> bool:
        def disturbed(source: Path, target: Path) -> None:
            copyfile(source, target)
            change()

        with mock.patch.object(sqlite.shutil, "copyfile", disturbed):
            return sqlite._copy(half_written.history, copy)

    assert then(lambda: None)
    assert not then(lambda: journal.write_bytes(whole[:-1] + b"?"))
    assert not then(journal.unlink)
    assert not then(lambda: None)


def test_a_first_writer_that_was_killed_leaves_no_history(config: Config) -> None:
    config.state_folder.mkdir()
    config.history.touch()
    assert entries(config) == []
    made = recorded(config, 1)
    assert entries(config) == made


UNPRIVILEGED = """
import os, sqlite3, sys, tempfile
sys.path[:0] = [{root!r}, {root!r} + "/tests", {root!r} + "/tests/record"]
from pathlib import Path
from types import SimpleNamespace
from test_history import entry
from risk.config import PipelineError
from risk.record.history import entries, record
folder = Path(sys.argv[1])
if not os.geteuid():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
assert not os.access(folder, os.W_OK) and not os.access(folder / "history.sqlite", os.W_OK)
config = SimpleNamespace(history=folder / "history.sqlite", decision=folder / "x", shown=str)
assert entries(config) == [entry(number) for number in range(20)]
config.state_folder = folder
try:
    record(config, entry(20))
except PipelineError as error:
    print(error)
"""


@pytest.mark.parametrize("journal", [False, True])
def test_without_the_right_to_write_all_can_be_read_and_nothing_recorded(
    half_written: Config, journal: bool
) -> None:
    if not journal:
        record(half_written, entry(19))
    with tempfile.TemporaryDirectory() as name:  # tmp_path is closed to other users
        folder = Path(name)
        for path in half_written.state_folder.glob("history.*"):
            shutil.copy(path, folder)
            (folder / path.name).chmod(0o444)
        folder.chmod(0o555)
        code = UNPRIVILEGED.format(root=str(ROOT))
        done = subprocess.run(
            [sys.executable, "-c", code, name], capture_output=True, text=True, timeout=60
        )
        folder.chmod(0o755)
        assert len(list(folder.iterdir())) == 1 + journal
    assert done.returncode == 0, done.stderr
    assert "history.sqlite: " in done.stdout and "; nothing in it has changed" in done.stdout


RECORD = """
import sys
sys.path[:0] = [{root!r}, {root!r} + "/tests", {root!r} + "/tests/record"]
from test_history import entry
from risk.config import PipelineError, load
from risk.record.history import record
try:
    record(load(sys.argv[1]), entry(40, reason="long " * 4000))
except (PipelineError, OSError) as error:
    print(error)
"""


def said_by_recording(config: Config, *before: str, **options: Any) -> str:
    """What a process says that records a long entry, run by the command before it."""
    command = [*before, sys.executable, "-B", "-c", RECORD.format(root=str(ROOT)), config.path]
    return subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=60, check=True, **options
    ).stdout


def test_a_history_that_may_not_grow_loses_nothing(twenty: Config) -> None:
    limit = twenty.history.stat().st_size
    said = said_by_recording(
        twenty, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    assert said == (
        "state/history.sqlite: disk I/O error; nothing in it has changed, free the cause, try "
        "again\n"
    )
    assert entries(twenty) == TWENTY
    assert set(files(twenty)) == {"history.sqlite", "decision.json"}


@pytest.fixture(scope="module")
def strace() -> list[str]:
    """The beginning of a command that traces a process, stopping it at the traced calls alone."""
    command = ["strace", "-f", "--seccomp-bpf", "-y"]
    if not shutil.which("strace"):
        pytest.skip("NOT CHECKED: strace is not installed (apt-get install strace)")
    if subprocess.run([*command, "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("NOT CHECKED: strace may not trace here")
    return command


@pytest.mark.parametrize("when", ["1+", "5", "12+"])
def test_a_full_disk_loses_nothing(twenty: Config, strace: list[str], when: str) -> None:
    full = ["-e", "trace=pwrite64", "-e", f"inject=pwrite64:error=ENOSPC:when={when}"]
    said = said_by_recording(twenty, *strace, "-o", os.devnull, *full)
    assert said == (
        "state/history.sqlite: database or disk is full; nothing in it has changed, free the "
        "cause, try again\n"
    )
    assert entries(twenty) == TWENTY
    recorded(twenty, 20)
    assert entries(twenty) == [*TWENTY, entry(20)]


def test_every_step_is_on_disk_before_the_next_begins(
    twenty: Config, strace: list[str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    calls = "trace=pwrite64,fdatasync,fsync,?unlink,?unlinkat,?rename,?renameat,?renameat2"
    assert said_by_recording(twenty, *strace, "-o", str(log), "-e", calls) == ""
    step = r"^\d+ +(pwrite|f(?:data)?sync|unlink|rename).*?/state(?:/([\w.-]+))?"
    found = re.findall(step, log.read_text(), re.M)
    steps = [f"{call.replace('data', '')} {name}".strip() for call, name in found]
    changed = steps.index("pwrite history.sqlite")
    assert steps[:changed].count("fsync history.sqlite-journal") == 2  # pages, then their number
    assert "fsync" in steps[:changed]  # the folder: the journal's name
    assert list(dict.fromkeys(steps[changed:])) == [
        "pwrite history.sqlite",
        "fsync history.sqlite",
        "unlink history.sqlite-journal",
        "fsync",  # the folder, once more after the renaming
        "fsync .tmp-decision.json",
        "rename .tmp-decision.json",
    ]
