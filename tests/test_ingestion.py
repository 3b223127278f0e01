"""Ingestion: what is read, counted once, set aside, and what stays whatever happens."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import HEADER, ROOT, Project, age, client_rows, real_data

from ingestion import ingest
from risk.config import PipelineError
from risk.data import sources
from risk.data.inventory import RECORD_HEADER
from risk.data.removal import erase, forget
from risk.data.snapshot import read_snapshot
from risk.data.state import read_store_state

A, B, C = "a,1,2,3,0", "b,4,5,6,1", "c,7,8,9,0"


@pytest.fixture
def own(tmp_path: Path) -> Project:
    """A project with empty folders."""
    return Project(tmp_path)


def final(project: Project) -> list[str]:
    """The lines of finaldata.csv below its header."""
    return project.text("ingesteddata/finaldata.csv").splitlines()[1:]


def record(project: Project) -> dict[str, tuple[int, int, int, int]]:
    """file -> (rows, accepted, duplicates, quarantined) as ingestedfiles.txt says."""
    lines = csv.DictReader(io.StringIO(project.text("ingesteddata/ingestedfiles.txt")))
    return {
        line["file"]: (
            int(line["rows"]),
            int(line["accepted"]),
            int(line["duplicates"]),
            int(line["quarantined"]),
        )
        for line in lines
    }


def quarantined(project: Project) -> list[list[str]]:
    """Every line in the quarantine folder: file, line, column, rule, value, row."""
    found = []
    for path in sorted((project.folder / "ingesteddata/quarantine").glob("*.csv")):
        found += list(csv.reader(io.StringIO(path.read_text())))[1:]
    return found


def content(project: Project) -> dict[str, Any]:
    """What an ingestion leaves, without the times."""
    folder = project.folder / "ingesteddata"
    lines = [
        line.rsplit(",", 1)[0] for line in (folder / "ingestedfiles.txt").read_text().splitlines()
    ]
    return {"final": (folder / "finaldata.csv").read_bytes(), "record": lines}


# ------------------------------------------------------------ the first ingestion


def test_the_script_writes_the_rows_then_the_record(own: Project) -> None:
    own.write("sourcedata/one.csv", [A, B, A])
    own.write("sourcedata/sub/two.csv", [C, B, "d,x,1,1,0"])
    done = own.run("ingestion.py")
    assert done.stdout.startswith(
        "read 6 rows of 2 files: 3 accepted, 2 duplicates, 1 set aside; "
        "ingesteddata/finaldata.csv has 3 rows\n"
    )
    assert own.text("ingesteddata/finaldata.csv") == f"{HEADER}\n{A}\n{B}\n{C}\n"
    lines = own.text("ingesteddata/ingestedfiles.txt").splitlines()
    assert (
        lines[0]
        == RECORD_HEADER
        == ("directory,file,rows,accepted,duplicates,quarantined,size,sha256,ingested_at")
    )
    assert lines[1].startswith("sourcedata,one.csv,3,2,1,0,")
    assert lines[2].startswith("sourcedata/sub,two.csv,3,1,1,1,")
    assert lines[2].endswith("Z")
    final_time, record_time = (
        (own.folder / "ingesteddata" / name).stat().st_mtime_ns
        for name in ("finaldata.csv", "ingestedfiles.txt")
    )
    assert final_time <= record_time


def test_the_script_answers_a_program_in_json(own: Project) -> None:
    own.write("sourcedata/one.csv", [A, A])
    found = json.loads(own.run("ingestion.py", "--json").stdout)
    assert (found["rows"], found["accepted"], found["duplicates"], found["quarantined"]) == (
        2,
        1,
        1,
        0,
    )
    assert (found["kept"], found["data_version"], found["notes"]) == (1, 1, [])
    assert [entry["file"] for entry in found["files"]] == ["one.csv"]


def test_entries_of_the_config_without_effect_are_named_where_rows_are_read(own: Project) -> None:
    own.configure(logs_folder_path="/logs/")
    own.write("sourcedata/one.csv", [A, B])
    note = "config.json: not needed and ignored: 'logs_folder_path'"
    assert note in ingest(own.config).text
    assert note not in ingest(own.config).text


def test_a_second_run_has_nothing_to_do_and_changes_no_file(own: Project) -> None:
    own.write("sourcedata/one.csv", [A, "b,x,1,1,0"])
    own.run("ingestion.py")
    before = {p: p.stat().st_mtime_ns for p in own.folder.joinpath("ingesteddata").rglob("*")}
    done = own.run("ingestion.py")
    assert done.stdout == "nothing new in sourcedata; 1 rows as before\n"
    assert {
        p: p.stat().st_mtime_ns for p in own.folder.joinpath("ingesteddata").rglob("*")
    } == before


def test_a_missing_input_folder_is_one_clear_line(own: Project) -> None:
    (own.folder / "sourcedata").rmdir()
    done = own.run("ingestion.py", check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: the input folder {own.folder}/sourcedata is not there; make it and put files in\n"
    )


def test_numbers_keep_their_value_and_whole_ones_their_look(own: Project) -> None:
    own.write("sourcedata/one.csv", ["a,1.0,2.50,1e3,0", "b,0.1,1e22,123456789.123,1", "c,,-0,.5,"])
    ingest(own.config)
    assert final(own) == ["a,1,2.5,1000,0", "b,0.1,1e+22,123456789.123,1", "c,,0,0.5,"]


def test_any_order_of_the_columns_gives_the_same_bytes(own: Project) -> None:
    rows = [row.split(",") for row in client_rows(4)]
    seen = set()
    for at, order in enumerate(itertools.permutations(range(5))):
        copy = Project(own.folder)
        source = copy.folder / "sourcedata/one.csv"
        lines = [",".join(row[place] for place in order) for row in [HEADER.split(","), *rows]]
        source.write_text("\n".join([*lines, ""]))
        age(source)
        for made in sorted((copy.folder / "ingesteddata").rglob("*"), reverse=True) if at else []:
            made.rmdir() if made.is_dir() else made.unlink()
        ingest(copy.config)
        seen.add((copy.folder / "ingesteddata/finaldata.csv").read_bytes())
    assert at == 119
    assert seen == {"\n".join([HEADER, *client_rows(4), ""]).encode()}


def test_the_order_of_the_files_is_that_of_their_paths(own: Project) -> None:
    own.write("sourcedata/b.csv", [B])
    own.write("sourcedata/a/z.csv", [C])
    own.write("sourcedata/A.csv", [A])
    ingest(own.config)
    assert final(own) == [A, C, B]


# ------------------------------------------------------------ duplicates and dates


def test_equal_rows_of_one_date_count_once_and_of_two_dates_twice(own: Project) -> None:
    own.write("sourcedata/x_2026-01-31.csv", [A, A, B])
    own.write("sourcedata/x_2026-02-28.csv", [A, C])
    own.write("sourcedata/2026-01/late.csv", [B, C])
    own.write("sourcedata/undated.csv", [A])
    own.write("sourcedata/undated2.csv", [A, A])
    ingest(own.config)
    assert record(own) == {
        "late.csv": (2, 2, 0, 0),
        "undated.csv": (1, 1, 0, 0),
        "undated2.csv": (2, 0, 2, 0),
        "x_2026-01-31.csv": (3, 1, 2, 0),
        "x_2026-02-28.csv": (2, 2, 0, 0),
    }


def test_duplicates_of_earlier_runs_are_found(own: Project) -> None:
    own.write("sourcedata/one.csv", [A, B])
    ingest(own.config)
    own.write("sourcedata/two.csv", [B, C, "b,4.0,5,6,1"])
    ingest(own.config)
    assert final(own) == [A, B, C]
    assert record(own)["two.csv"] == (3, 1, 2, 0)


def test_a_date_column_goes_before_the_date_in_the_path(own: Project) -> None:
    own.configure(columns={"date": "day"})
    header = HEADER + ",day"
    own.write("sourcedata/x_2026-01-31.csv", [A + ",2026-03-01", A + ",2026-03-02"], header=header)
    own.write("sourcedata/x_2026-02-28.csv", [A + ",20260301"], header=header)
    ingest(own.config)
    assert final(own) == ["a,2026-03-01,1,2,3,0", "a,2026-03-02,1,2,3,0"]
    found = read_snapshot(own.config)
    rows, data_version = found.rows, found.version.number
    assert ([str(date) for date in rows["_date"]], data_version) == (
        ["2026-03-01", "2026-03-02"],
        1,
    )


def test_a_dated_file_without_rows_is_no_error(own: Project) -> None:
    own.configure(columns={"date": "day"})
    own.write("sourcedata/none.csv", [], header=HEADER + ",day")
    outcome = ingest(own.config)
    assert outcome.data["notes"] == ["none.csv: no rows below the header"]
    assert final(own) == []


def test_an_unlabelled_row_and_its_label_are_both_kept(own: Project) -> None:
    own.write("sourcedata/x_2026-01-31.csv", ["a,1,2,3,"])
    own.write("sourcedata/y_2026-01-31.csv", ["a,1,2,3,1"])
    ingest(own.config)
    assert final(own) == ["a,1,2,3,", "a,1,2,3,1"]


# ------------------------------------------------------------ the same file again


def test_the_same_bytes_under_another_name_are_counted_once(own: Project) -> None:
    own.write("sourcedata/one.csv", [A, B])
    own.write("sourcedata/copy.csv", [A, B])
    outcome = ingest(own.config)
    assert "one.csv: the same bytes as copy.csv, counted once" in outcome.data["notes"]
    assert record(own) == {"copy.csv": (2, 2, 0, 0), "one.csv": (2, 0, 2, 0)}
    assert ingest(own.config).worked is False


def test_a_renamed_file_adds_nothing_and_a_deleted_one_takes_nothing(own: Project) -> None:
    one = own.write("sourcedata/one.csv", [A, B])
    own.write("sourcedata/two.csv", [C])
    ingest(own.config)
    one.rename(one.with_name("moved.csv"))
    ingest(own.config)
    (own.folder / "sourcedata/two.csv").unlink()
    ingest(own.config)
    assert final(own) == [A, B, C]


def test_a_file_changed_in_place_replaces_its_rows_where_they_stood(own: Project) -> None:
    own.write("sourcedata/one.csv", [A, B])
    own.write("sourcedata/two.csv", [C, "d,1,1,1,0"])
    ingest(own.config)
    own.write("sourcedata/one.csv", ["e,1,1,1,1", "d,1,1,1,0"])
    outcome = ingest(own.config)
    assert final(own) == ["e,1,1,1,1", "d,1,1,1,0", C]
    assert "one.csv: changed, its rows are replaced" in outcome.data["notes"]
    assert record(own) == {"one.csv": (2, 2, 0, 0), "two.csv": (2, 1, 1, 0)}
    rows = read_snapshot(own.config).rows
    assert rows["_replaced"].to_list() == [True, True, False]


def test_a_file_that_becomes_a_copy_of_another_gives_its_own_rows_up(own: Project) -> None:
    own.write("sourcedata/one.csv", [A])
    own.write("sourcedata/two.csv", [B])
    own.write("sourcedata/three.csv", [C])
    ingest(own.config)
    own.write("sourcedata/one.csv", [B])
    ingest(own.config)
    before = content(own)
    assert final(own) == [C, B]
    ingest(own.config, again=True)
    assert content(own) == before
    own.write("sourcedata/one.csv", ["d,1,1,1,0"])
    ingest(own.config)
    assert final(own) == ["d,1,1,1,0", C, B]
    before = content(own)
    ingest(own.config, again=True)
    assert content(own) == before


def test_a_file_that_grew_keeps_its_rows_and_gets_the_new_ones(own: Project) -> None:
    own.write("sourcedata/one.csv", [A])
    ingest(own.config)
    own.write("sourcedata/one.csv", [A, B])
    ingest(own.config)
    assert final(own) == [A, B]


def test_a_touched_file_is_hashed_and_not_read_again(own: Project) -> None:
    one = own.write("sourcedata/one.csv", [A])
    ingest(own.config)
    age(one, 100)
    outcome = ingest(own.config)
    assert (outcome.worked, outcome.data["data_version"]) == (False, 1)
    state = own.json("ingesteddata/state.json")
    assert state["files"]["one.csv"]["mtime_ns"] == one.stat().st_mtime_ns


def test_rows_counted_through_a_copy_stay_when_the_copy_changes(own: Project) -> None:
    own.write("sourcedata/archive.csv", [A, B])
    own.write("sourcedata/latest.csv", [A, B])
    ingest(own.config)
    own.write("sourcedata/archive.csv", [C])
    ingest(own.config)
    assert sorted(final(own)) == [A, B, C]
    assert record(own) == {"archive.csv": (1, 1, 0, 0), "latest.csv": (2, 2, 0, 0)}


def test_a_file_that_is_moved_on_before_it_is_overwritten_loses_no_row(own: Project) -> None:
    own.write("sourcedata/latest.csv", [A, B])
    ingest(own.config)
    own.write("sourcedata/archive.csv", [A, B])
    own.write("sourcedata/latest.csv", [C])
    ingest(own.config)
    assert sorted(final(own)) == [A, B, C]


def test_a_refused_file_gets_a_line_is_not_new_again_and_comes_in_when_mended(own: Project) -> None:
    own.write("sourcedata/bad.csv", b"corporation,lastmonth\na,1\n")
    own.write("sourcedata/good.csv", [A])
    first = ingest(own.config)
    assert any(
        note.startswith("bad.csv: refused, the column 'lastmonth_activity' is missing")
        for note in first.data["notes"]
    )
    assert record(own) == {"bad.csv": (1, 0, 0, 1), "good.csv": (1, 1, 0, 0)}
    assert ingest(own.config).worked is False
    own.write("sourcedata/bad.csv", [B])
    ingest(own.config)
    assert final(own) == [A, B]
    assert quarantined(own) == []


def test_a_file_refused_for_its_numbers_comes_in_when_the_config_is_mended(own: Project) -> None:
    rows = [f"c{at};1.234,5;2;3;0" for at in range(10)]
    own.write("sourcedata/one.csv", rows, header=HEADER.replace(",", ";"))
    said = own.run("ingestion.py").stdout
    assert 'written 1.234,5, set "formats": {"lastmonth_activity": "1.234,5"}' in said
    own.configure(columns={"formats": {"lastmonth_activity": "1.234,5"}})
    own.run("ingestion.py")
    assert final(own) == [f"c{at},1234.5,2,3,0" for at in range(10)]
    entry = read_store_state(own.config)["files"]["one.csv"]
    assert (entry["delimiter"], entry["decimal"]) == (";", ",")


def test_rows_of_a_file_stay_when_its_new_version_is_refused(own: Project) -> None:
    own.write("sourcedata/one.csv", [A])
    ingest(own.config)
    own.write("sourcedata/one.csv", b"")
    outcome = ingest(own.config)
    assert "one.csv: the rows of its earlier version stay" in outcome.data["notes"]
    assert final(own) == [A]
    assert ingest(own.config).worked is False
    age(own.folder / "sourcedata/one.csv", 10)
    assert ingest(own.config).worked is False
    own.write("sourcedata/one.csv", [A])
    ingest(own.config)
    assert own.text("ingesteddata/ingestedfiles.txt").count("one.csv") == 1


def test_without_one_accepted_file_the_record_says_why_and_the_stages_do_too(own: Project) -> None:
    own.write("sourcedata/bad.csv", b"x\n")
    own.run("ingestion.py")
    assert record(own) == {"bad.csv": (0, 0, 0, 0)}
    done = own.run("training.py", check=False)
    assert done.returncode == 1
    assert "no file was accepted yet" in done.stderr
    (own.folder / "ingesteddata/ingestedfiles.txt").unlink()
    own.run("ingestion.py")
    assert record(own) == {"bad.csv": (0, 0, 0, 0)}


# ------------------------------------------------------------ quarantine and notes


def test_a_bad_row_is_set_aside_with_file_line_column_rule_value_and_itself(own: Project) -> None:
    own.write("sourcedata/sub/one.csv", [A, "b,1,-2,3,0", "x,1", B])
    outcome = ingest(own.config)
    assert quarantined(own) == [
        ["sub/one.csv", "3", "lastyear_activity", "below 0", "-2", "b,1,-2,3,0"],
        ["sub/one.csv", "4", "", "2 cells where the header has 5", "", "x,1"],
    ]
    assert outcome.data["notes"][0].startswith(
        "sub/one.csv: 2 bad rows set aside in ingesteddata/quarantine/sub__one.csv."
    )
    assert final(own) == [A, B]


def test_a_file_with_too_many_bad_rows_is_refused_whole_and_the_good_one_goes_on(
    own: Project,
) -> None:
    own.write("sourcedata/bad.csv", [B] * 89 + ["c,x,1,1,0"] * 10)
    own.write("sourcedata/good.csv", [A])
    ingest(own.config)
    assert final(own) == [A]
    assert record(own)["bad.csv"] == (99, 0, 0, 99)
    assert quarantined(own)[0][3].startswith("refused: 10 of 99 rows are bad, the first on line 91")
    assert len(quarantined(own)) == 11


def test_extra_columns_and_absent_ones_are_noted(own: Project) -> None:
    own.write("sourcedata/one.csv", ["a,1,2,3,hi"], header=HEADER.removesuffix("exited") + "note")
    notes = ingest(own.config).data["notes"]
    assert notes == [
        "one.csv: columns ignored: note",
        "one.csv: no column 'exited'; all its rows are current clients",
    ]
    assert final(own) == ["a,1,2,3,"]


def test_a_column_for_the_value_that_is_nearly_named_is_refused(own: Project) -> None:
    own.configure(columns={"value": "contract_value", "owner": "owner"})
    own.write("sourcedata/near.csv", [A + ",1"], header=HEADER + ",Contract Values")
    own.write("sourcedata/none.csv", [B])
    outcome = ingest(own.config)
    assert any("is 'Contract Values' meant?" in note for note in outcome.data["notes"])
    assert "none.csv: no column 'owner'; left empty" in outcome.data["notes"]
    assert final(own) == ["b,4,5,6,,,1"]


def test_a_name_of_any_kind_is_read_and_shown_as_one_safe_line(own: Project) -> None:
    for name in (b"caf\xe9.csv", "株".encode() * 60 + b".csv", b"a\nb\x1b[31m.csv", b'q"u,ote.CSV'):
        path = os.path.join(os.fsencode(own.folder), b"sourcedata", name)
        Path(os.fsdecode(path)).write_text(
            "\n".join([HEADER, f"{len(name)},1,2,3,0", "x,y,2,3,0", ""])
        )
        age(Path(os.fsdecode(path)))
    done = own.run("ingestion.py", LC_ALL="C.UTF-8")
    assert done.stdout.startswith("read 8 rows of 4 files: 4 accepted")
    assert "a\\nb\\x1b[31m.csv: 1 bad rows set aside" in done.stdout
    assert "caf\\udce9.csv: 1 bad rows set aside" in done.stdout
    assert own.run("ingestion.py", LC_ALL="C.UTF-8").stdout.startswith("nothing new")


# ------------------------------------------------------------ what is no file


def test_what_is_named_csv_and_is_none_is_skipped_with_a_reason(own: Project) -> None:
    folder = own.folder / "sourcedata"
    own.write("sourcedata/good.csv", [A])
    own.write("elsewhere/target.csv", [B])
    own.write("sourcedata/folder.csv/inside.csv", [C])
    own.write("sourcedata/.hidden.csv", [C])
    own.write("sourcedata/.hidden/x.csv", [C])
    own.write("sourcedata/notes.docx", [C])
    own.write("sourcedata/old.xls", [C])
    own.write("sourcedata/all.zip", [C])
    own.write("sourcedata/~$open.xlsx", [C])
    own.write("sourcedata/good.csv.part", [C])
    os.mkfifo(folder / "pipe.csv")
    (folder / "link.csv").symlink_to(own.folder / "elsewhere/target.csv")
    (folder / "dangling.csv").symlink_to("nowhere")
    (folder / "loop.csv").symlink_to("loop.csv")
    (folder / "device.csv").symlink_to("/dev/zero")
    (folder / "linked").symlink_to(own.folder / "elsewhere")
    outcome = ingest(own.config)
    assert final(own) == [A, B]
    said = [
        "all.zip: not read, unpack it",
        "dangling.csv: skipped, No such file or directory",
        "device.csv: skipped, not a regular file",
        "folder.csv: skipped, a folder",
        "linked: skipped, a link to a folder",
        "loop.csv: skipped, Too many levels of symbolic links",
        "notes.docx: not read, save its table as .xlsx or CSV",
        "old.xls: not read, save it as .xlsx or CSV",
        "pipe.csv: skipped, not a regular file",
    ]
    assert outcome.data["notes"] == said
    assert read_store_state(own.config)["unread"] == said


def test_sub_folders_and_capital_suffixes_are_read(own: Project) -> None:
    own.write("sourcedata/x/y/z/deep.csv", [A])
    own.write("sourcedata/CAPITAL.CSV", [B])
    ingest(own.config)
    assert final(own) == [B, A]


# ------------------------------------------------------------ files that are still written


def test_young_files_are_looked_at_twice_with_one_wait_for_all(
    own: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(5):
        own.write(f"sourcedata/{at}.csv", [f"{at},1,2,3,0"], old=False)
    waits: list[float] = []
    monkeypatch.setattr(sources.time, "sleep", waits.append)
    ingest(own.config)
    assert waits == [1.0]
    assert len(final(own)) == 5


def test_an_old_file_is_not_waited_for(own: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    age(own.write("sourcedata/one.csv", [A], old=False), 61)
    monkeypatch.setattr(sources.time, "sleep", lambda _: pytest.fail("waited"))
    ingest(own.config)
    assert final(own) == [A]


@pytest.mark.parametrize(("ahead", "rows"), [(5, 0), (3600, 0), (1e8, 1)])
def test_a_file_whose_time_is_ahead_is_young(own: Project, ahead: float, rows: int) -> None:
    text = "\n".join([HEADER, A])  # cut off in the middle of a number, for all one knows
    age(own.write("sourcedata/one.csv", text.encode(), old=False), -ahead)
    outcome = ingest(own.config, patient=True)
    assert outcome.data["rows"] == rows and ("no line end" in outcome.text) == (not rows)


def test_a_file_that_grows_while_it_is_looked_at_waits(
    own: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.write("sourcedata/old.csv", [A])
    growing = own.write("sourcedata/growing.csv", [B], old=False)

    def grow(_: float) -> None:
        with open(growing, "a") as file:
            file.write(C + "\n")

    monkeypatch.setattr(sources.time, "sleep", grow)
    outcome = ingest(own.config)
    assert outcome.data["notes"] == ["growing.csv: is still growing; left for the next run"]
    assert final(own) == [A]
    assert "growing.csv" not in own.text("ingesteddata/ingestedfiles.txt")
    age(growing)
    ingest(own.config)
    assert final(own) == [A, B, C]


def test_only_a_patient_run_leaves_a_young_file_without_its_last_newline(
    own: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources.time, "sleep", lambda _: None)
    one = own.write("sourcedata/one.csv", f"{HEADER}\n{A}".encode(), old=False)
    own.write("sourcedata/none.csv", b"", old=False)
    outcome = ingest(own.config, patient=True)
    assert outcome.data["notes"] == [
        "none.csv: has no line end yet; left for the next run",
        "one.csv: has no line end yet; left for the next run",
    ]
    assert not (own.folder / "ingesteddata/finaldata.csv").exists()
    age(one, 61)
    ingest(own.config, patient=True)
    assert final(own) == [A]
    # UTF-16 ends with a 0 behind its line end.
    own.write("sourcedata/two.csv", f"{HEADER}\r\n{B}\r\n".encode("utf-16"), old=False)
    assert "two.csv" not in str(ingest(own.config, patient=True).data["notes"])
    assert final(own) == [A, B]


def test_a_young_file_without_its_last_newline_is_read_by_hand(
    own: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources.time, "sleep", lambda _: None)
    own.write("sourcedata/one.csv", f"{HEADER}\n{A}".encode(), old=False)
    ingest(own.config)
    assert final(own) == [A]


def test_a_real_slow_writer_gives_no_row_that_nobody_sent(own: Project) -> None:
    rows = client_rows(400, seed=5)
    path = own.folder / "sourcedata/slow.csv"
    writer = (
        "import sys, time\n"
        "text = sys.stdin.read()\n"
        f"with open({str(path)!r}, 'w') as file:\n"
        "    for at in range(0, len(text), 97):\n"
        "        file.write(text[at:at + 97]); file.flush(); time.sleep(0.01)\n"
    )
    text = "\n".join([HEADER, *rows, ""])
    with subprocess.Popen(
        [sys.executable, "-c", writer], stdin=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        process.stdin.write(text)
        process.stdin.close()
        while not path.exists():
            time.sleep(0.01)
        seen = []
        while process.poll() is None:
            own.run("ingestion.py")
            final_path = own.folder / "ingesteddata/finaldata.csv"
            seen.append(final(own) if final_path.exists() else [])
    own.run("ingestion.py")
    assert final(own) == rows
    assert seen[0] == []
    assert all(set(lines) <= set(rows) for lines in seen)


@pytest.mark.parametrize("cut", range(len(HEADER), len(HEADER) + 22))
def test_a_half_written_file_that_slipped_through_heals_when_it_is_whole(
    own: Project, cut: int
) -> None:
    whole = "\n".join([HEADER, A, B, ""]).encode()
    own.write("sourcedata/one.csv", whole[:cut])
    ingest(own.config)
    own.write("sourcedata/one.csv", whole)
    ingest(own.config)
    assert final(own) == [A, B]


# ------------------------------------------------------------ the config's columns


def test_text_features_are_inferred_once_and_recorded(own: Project) -> None:
    own.configure(columns={"features": ["plan", "use", "later"]})
    header = "corporation,plan,use,later,exited"
    own.write("sourcedata/one.csv", ["a,basic,1,,0", "b,pro,2,,1"], header=header)
    assert ingest(own.config).data["notes"] == ["taken as texts, not numbers: plan"]
    assert own.json("ingesteddata/state.json")["kinds"] == {
        "plan": "text",
        "use": "number",
        "later": None,
    }
    own.write("sourcedata/two.csv", ["c,12,x,red,0"], header=header)
    ingest(own.config)
    assert own.json("ingesteddata/state.json")["kinds"]["later"] == "text"
    own.write("sourcedata/three.csv", ["c,12,3,red,0"], header=header)
    ingest(own.config)
    assert final(own) == ["a,basic,1,,0", "b,pro,2,,1", "c,12,3,red,0"]


def test_declared_kinds_hold_from_the_first_file(own: Project) -> None:
    own.configure(columns={"features": {"code": "text", "use": "number"}})
    own.write("sourcedata/one.csv", ["a,01,1,0", "b,2,x,1"], header="corporation,code,use,exited")
    ingest(own.config)
    assert final(own) == ["a,01,1,0"]


def test_words_for_the_target_and_a_decimal_comma_come_out_as_numbers(own: Project) -> None:
    own.configure(
        columns={"target_values": {"Yes": 1, "No": 0}},
        csv={"delimiter": ";", "decimal": ",", "encoding": "latin-1"},
    )
    own.write(
        "sourcedata/one.csv",
        "\n".join([HEADER.replace(",", ";"), "café;1,5;2;3;Yes", '"a;b";1;2;3;No', ""]).encode(
            "latin-1"
        ),
    )
    ingest(own.config)
    assert final(own) == ["café,1.5,2,3,1", "a;b,1,2,3,0"]


CHANGES = {
    "a feature more": {"features": ["lastmonth_activity", "lastyear_activity"]},
    "another id": {"id": "name"},
    "another target": {"target": "left"},
    "other words": {"target_values": {"1": 1, "0": 0}},
    "another rule": {"non_negative": []},
    "another kind": {
        "features": {
            "lastmonth_activity": "text",
            "lastyear_activity": "number",
            "number_of_employees": "number",
        },
        "non_negative": [],
    },
    "another order": {
        "features": ["lastyear_activity", "lastmonth_activity", "number_of_employees"]
    },
}


@pytest.mark.parametrize("columns", CHANGES.values(), ids=CHANGES)
def test_changed_columns_meet_an_old_store_with_a_refusal_that_names_rebuild(
    own: Project, columns: dict[str, Any]
) -> None:
    own.write("sourcedata/one.csv", [A])
    ingest(own.config)
    own.configure(columns=columns)
    own.write("sourcedata/two.csv", [B])
    with pytest.raises(PipelineError, match="--rebuild"):
        ingest(own.config)
    assert final(own) == [A]
    with pytest.raises(PipelineError, match="--rebuild"):
        read_snapshot(own.config)


def test_rebuild_takes_changed_columns_and_marks_every_row_as_replaced(own: Project) -> None:
    own.write("sourcedata/one.csv", [A + ",basic"], header=HEADER + ",plan")
    ingest(own.config)
    own.configure(columns={"features": ["plan", "lastmonth_activity"]})
    own.run("ingestion.py", "--rebuild")
    assert own.text("ingesteddata/finaldata.csv") == (
        "corporation,plan,lastmonth_activity,exited\na,basic,1,0\n"
    )
    found = read_snapshot(own.config)
    rows, data_version = found.rows, found.version.number
    assert (rows["_data_version"].to_list(), rows["_replaced"].to_list(), data_version) == (
        [2],
        [True],
        2,
    )


# ------------------------------------------------------------ somebody's work in finaldata.csv


def byhand(project: Project) -> list[str]:
    return [path.read_text() for path in project.folder.glob("ingesteddata/finaldata.byhand-*.csv")]


EDITS = {
    "longer": f"{HEADER}\n{A}\n{B}\nz,1,1,1,1\n",
    "edited at the same length": f"{HEADER}\n{A}\nz,4,5,6,1\n",
    "shorter and edited": f"{HEADER}\nz,1,1,1,1\n",
}


@pytest.mark.parametrize("text", EDITS.values(), ids=EDITS)
def test_an_edited_finaldata_is_moved_aside_said_so_and_rebuilt(own: Project, text: str) -> None:
    own.write("sourcedata/one.csv", [A, B])
    ingest(own.config)
    (own.folder / "ingesteddata/finaldata.csv").write_text(text)
    with pytest.raises(PipelineError, match="run ingestion.py"):
        read_snapshot(own.config)
    done = own.run("ingestion.py")
    assert byhand(own) == [text]
    assert "holds a finaldata.csv that was changed by hand" in done.stdout
    assert final(own) == [A, B]
    assert read_snapshot(own.config).rows.height == 2


@pytest.mark.parametrize("text", [f"{HEADER}\n{A}\n", f"{HEADER}\n{A}\nb,4", "", None])
def test_a_shortened_finaldata_is_rebuilt(own: Project, text: str | None) -> None:
    own.write("sourcedata/one.csv", [A, B])
    ingest(own.config)
    path = own.folder / "ingesteddata/finaldata.csv"
    path.unlink() if text is None else path.write_text(text)
    outcome = ingest(own.config)
    assert outcome.data["notes"] == ["finaldata.csv was rebuilt from the store"]
    assert (final(own), byhand(own)) == ([A, B], [])


def test_a_touched_finaldata_is_left_alone(own: Project) -> None:
    own.write("sourcedata/one.csv", [A, B])
    ingest(own.config)
    path = own.folder / "ingesteddata/finaldata.csv"
    age(path)
    seen = path.stat().st_mtime_ns
    assert ingest(own.config).data["notes"] == []
    assert (path.stat().st_mtime_ns, byhand(own)) == (seen, [])
    own.write("sourcedata/two.csv", [C])
    ingest(own.config)
    assert final(own) == [A, B, C]


def test_a_finaldata_from_before_the_first_ingestion_is_moved_aside_when_rows_come(
    own: Project,
) -> None:
    text = f"{HEADER}\nz,1,1,1,1\n"
    own.write("ingesteddata/finaldata.csv", text.encode())
    assert ingest(own.config).data["notes"] == []
    assert read_snapshot(own.config).rows["corporation"].to_list() == ["z"]
    own.write("sourcedata/one.csv", [A])
    outcome = ingest(own.config)
    assert "holds a finaldata.csv that ingestion did not write" in outcome.text
    assert (final(own), byhand(own)) == ([A], [text])


def test_a_finaldata_put_there_by_hand_is_read_by_the_same_rules(own: Project) -> None:
    own.write("ingesteddata/finaldata.csv", [A, "b,x,1,1,0"])
    with pytest.raises(PipelineError, match=r"line 3, lastmonth_activity: not a number \('x'\)"):
        read_snapshot(own.config)


# ------------------------------------------------------------ damage


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"{",
        b"[]",
        b'{"format": 0}',
        b'{"format": 1}',
        b'{"format": "1"}',
        b'{"format": 1, "data_version": 1, "kinds": {}, "schema_signature": [], "finaldata": {}, '
        b'"files": {"a": {}}, "erased": []}',
    ],
)
def test_a_damaged_state_is_named_with_the_command_that_mends_it(
    own: Project, state: bytes
) -> None:
    own.write("sourcedata/one.csv", [A, B])
    ingest(own.config)
    before = content(own)
    (own.folder / "ingesteddata/state.json").write_bytes(state)
    with pytest.raises(PipelineError, match="state.json is damaged; run ingestion.py --rebuild"):
        ingest(own.config)
    outcome = ingest(own.config, again=True)
    assert "state.json could not be read" in outcome.text
    assert content(own) == before
    assert read_snapshot(own.config).rows["_replaced"].to_list() == [True, True]


@pytest.mark.parametrize("again", [False, True])
def test_a_state_of_a_newer_format_is_refused_and_left(own: Project, again: bool) -> None:
    own.write("sourcedata/one.csv", [A])
    ingest(own.config)
    path = own.folder / "ingesteddata/state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    before = path.read_bytes()
    with pytest.raises(PipelineError, match="newer version of this software; update"):
        ingest(own.config, again=again)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_segment_is_named_and_rebuilt(own: Project, damage: str) -> None:
    own.write("sourcedata/one.csv", client_rows(20))
    ingest(own.config)
    before = content(own)
    (segment,) = (own.folder / "ingesteddata/segments").iterdir()
    raw = bytearray(segment.read_bytes())
    raw[len(raw) // 2] ^= 1
    segment.unlink() if damage == "gone" else segment.write_bytes(
        raw[:-9] if damage == "cut" else raw
    )
    with pytest.raises(PipelineError, match="missing or damaged .* run ingestion.py --rebuild"):
        read_snapshot(own.config)
    ingest(own.config, again=True)
    assert content(own) == before
    assert read_snapshot(own.config).rows.height == 20


# ------------------------------------------------------------ --rebuild


def test_a_rebuild_gives_the_bytes_of_the_incremental_way(own: Project) -> None:
    own.write("sourcedata/m_2026-02.csv", [A, B, B])
    ingest(own.config)
    own.write("sourcedata/a_2026-02.csv", [B, C, "x,y,z"])
    own.write("sourcedata/a_copy.csv", [A, B, B])
    ingest(own.config)
    own.write("sourcedata/bad.csv", b"no")
    own.write("sourcedata/b.csv", client_rows(9))
    ingest(own.config)
    own.write("sourcedata/m_2026-02.csv", [C, "d,1,1,1,"])
    ingest(own.config)
    before, versions = (
        content(own),
        read_snapshot(own.config).rows.select("_data_version", "_replaced"),
    )
    own.run("ingestion.py", "--rebuild")
    assert content(own) == before
    assert read_snapshot(own.config).rows.select("_data_version", "_replaced").equals(versions)
    assert byhand(own) == []


def test_a_rebuild_says_which_rows_are_gone_with_their_files(own: Project) -> None:
    own.write("sourcedata/one.csv", [A, B])
    own.write("sourcedata/two.csv", [C])
    ingest(own.config)
    (own.folder / "sourcedata/one.csv").unlink()
    with pytest.raises(PipelineError, match="2 rows would go: one.csv.*--drop-missing"):
        ingest(own.config, again=True)
    outcome = ingest(own.config, again=True, drop=True)
    assert outcome.data["notes"] == ["no longer in sourcedata, 2 rows gone: one.csv"]
    assert final(own) == [C]


def test_a_rebuild_that_would_leave_nothing_is_refused(own: Project) -> None:
    one = own.write("sourcedata/one.csv", [A, B])
    ingest(own.config)
    one.unlink()
    with pytest.raises(PipelineError, match="holds no file any more.*the old rows stay"):
        ingest(own.config, again=True)
    own.write("sourcedata/one.csv", b"junk")
    with pytest.raises(PipelineError, match="'corporation' is missing.*the old rows stay"):
        ingest(own.config, again=True)
    assert final(own) == [A, B]
    assert read_snapshot(own.config).rows.height == 2


def test_a_rebuild_keeps_an_edited_finaldata(own: Project) -> None:
    own.write("sourcedata/one.csv", [A])
    ingest(own.config)
    (own.folder / "ingesteddata/finaldata.csv").write_text("mine\n")
    ingest(own.config, again=True)
    assert (final(own), byhand(own)) == ([A], ["mine\n"])


# ------------------------------------------------------------ --forget and --erase


@pytest.mark.parametrize(
    "typed", ["sub/one.csv", "sourcedata/sub/one.csv", "{folder}/sourcedata/sub/one.csv"]
)
def test_a_forgotten_file_takes_its_rows_along_and_stays_out(own: Project, typed: str) -> None:
    own.write("sourcedata/sub/one.csv", [A, B, "x,y,1,1,0"])
    own.write("sourcedata/two.csv", [B, C])
    ingest(own.config)
    done = own.run("ingestion.py", "--forget", typed.format(folder=own.folder))
    assert done.stdout.startswith("sub/one.csv: 2 rows taken out;")
    assert "No model was trained on them." in done.stdout
    assert final(own) == [B, C]
    assert quarantined(own) == []
    age(own.folder / "sourcedata/sub/one.csv", 10)
    assert ingest(own.config).worked is False
    assert final(own) == [B, C]
    assert record(own)["one.csv"] == (0, 0, 0, 0)
    own.write("sourcedata/sub/one.csv", [A])
    ingest(own.config)
    assert final(own) == [B, C, A]


def test_copies_of_a_forgotten_file_are_forgotten_with_it(own: Project) -> None:
    own.write("sourcedata/one.csv", [A])
    own.write("sourcedata/copy.csv", [A])
    own.write("sourcedata/two.csv", [C])
    ingest(own.config)
    assert "forgotten too: copy.csv" in forget(own.config, "one.csv").text
    ingest(own.config)
    assert final(own) == [C]


def test_forgetting_an_unknown_file_names_those_that_are_known(own: Project) -> None:
    own.write("sourcedata/one.csv", [A])
    ingest(own.config)
    with pytest.raises(
        PipelineError, match="no file 'x.csv' was ingested; the nearest .*: one.csv"
    ):
        forget(own.config, "x.csv")


def test_taking_out_says_which_models_still_carry_the_rows(deployed: Project) -> None:
    assert "No model was trained on them" not in (text := forget(deployed.config, "one.csv").text)
    assert (
        "Still trained on them: models/trainedmodel.pkl, version 1 in production_deployment" in text
    )
    deployed.write("sourcedata/three.csv", ["later,1,2,3,0"])
    ingest(deployed.config)
    assert "No model was trained on them." in erase(deployed.config, "later").text


def test_an_erased_client_goes_from_rows_quarantine_and_later_files(own: Project) -> None:
    name = 'Foo "Bar", Inc'
    cell = '"Foo ""Bar"", Inc"'
    own.write(
        "sourcedata/one.csv",
        [A, f"{cell},1,2,3,0", f"{cell},x,2,3,0", f"{cell},9,9", "other,x,1,1,1"],
    )
    own.write("sourcedata/two.csv", [f"{cell},4,4,4,1", B])
    own.write("testdata/testdata.csv", [C])
    ingest(own.config)
    done = own.run("ingestion.py", "--erase", name)
    assert done.stdout.startswith("2 rows of this client taken out; later files lose them too.")
    assert "Still in: sourcedata/one.csv, sourcedata/two.csv; delete it there" in done.stdout
    assert final(own) == [A, B]
    assert quarantined(own) == [
        ["one.csv", "4", "lastmonth_activity", "not a number", "", ""],
        ["one.csv", "5", "", "3 cells where the header has 5", "", ""],
        ["one.csv", "6", "lastmonth_activity", "not a number", "x", "other,x,1,1,1"],
    ]
    assert record(own) == {"one.csv": (5, 1, 0, 4), "two.csv": (2, 1, 0, 1)}
    own.write("sourcedata/three.csv", [C, f"{cell},7,7,7,0", f"{cell},-1,7,7,0"])
    own.write("sourcedata/four.csv", ["q,x,1,1,1"] * 10 + [f"{cell},x,7,7,0"])
    ingest(own.config)
    assert final(own) == [A, B, C]
    assert record(own)["three.csv"] == (3, 1, 0, 2)
    assert ["three.csv", "3", "", "erased client", "", ""] in quarantined(own)
    own.run("ingestion.py", "--rebuild")
    assert final(own) == [A, B, C]
    kept = [
        p
        for p in (own.folder / "ingesteddata").rglob("*")
        if p.is_file() and b"Foo" in p.read_bytes()
    ]
    assert kept == []


def test_erasing_one_client_leaves_those_whose_names_hold_its_name(own: Project) -> None:
    own.write("sourcedata/one.csv", ["a,1,2,3,0", "aa,1,2,3,0", "aa,x,2,3,0"])
    ingest(own.config)
    erase(own.config, "a")
    assert final(own) == ["aa,1,2,3,0"]
    assert quarantined(own)[0][5] == "aa,x,2,3,0"


def test_a_client_erased_before_it_came_never_comes(own: Project) -> None:
    said = erase(own.config, "a")
    assert (said.code, said.text) == (
        1,
        "no row is of a client 'a'; the nearest names: there are none. Files to come lose its "
        "rows all the same.",
    )
    assert erase(own.config, "a").code == 0  # asked again, it is known
    own.write("sourcedata/one.csv", [A, B])
    ingest(own.config)
    assert final(own) == [B]
    with pytest.raises(PipelineError, match="needs the client's id"):
        erase(own.config, " ")


def test_a_name_that_matches_nobody_is_an_error_and_names_the_nearest(own: Project) -> None:
    own.write("sourcedata/one.csv", ["Acme Ltd,1,2,3,0", "Borg,1,2,3,0"])
    ingest(own.config)
    done = own.run("ingestion.py", "--erase", "acme", check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("no row is of a client 'acme'; the nearest names: Acme Ltd.")
    done = own.run("ingestion.py", "--forget", "on.csv", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no file 'on.csv' was ingested; the nearest names: one.csv" in done.stderr
    assert own.run("ingestion.py", "--erase", "Borg").returncode == 0


def test_an_erased_client_stays_out_after_the_state_was_damaged(own: Project) -> None:
    own.write("sourcedata/one.csv", [A, B])
    ingest(own.config)
    erase(own.config, "a")
    path = own.folder / "ingesteddata/state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": 7}))
    outcome = ingest(own.config, again=True)
    assert "it knew 1 erased clients" in outcome.text
    assert final(own) == [B]


# ------------------------------------------------------------ the counts, and real data


def test_every_row_of_every_file_is_accounted_for(own: Project) -> None:
    own.write("sourcedata/one.csv", [*client_rows(30), A, A, "x,y", ",1,1,1,1"])
    own.write("sourcedata/two.csv", [*client_rows(30), B, "z,-1,0,0,0"])
    own.write("sourcedata/three.csv", ["bad,row"] * 12)
    outcome = ingest(own.config)
    for rows, accepted, duplicates, set_aside in record(own).values():
        assert rows == accepted + duplicates + set_aside
    assert record(own) == {
        "one.csv": (34, 31, 1, 2),
        "two.csv": (32, 1, 30, 1),
        "three.csv": (12, 0, 0, 12),
    }
    assert outcome.data["kept"] == len(final(own)) == 32


def test_the_summary_measures_what_finaldata_holds(own: Project) -> None:
    own.write("sourcedata/one.csv", ["a,1,2,3,0", "b,2,,4,1", "c,6,1e308,5,"])
    ingest(own.config)
    found = own.json("ingesteddata/summary.json")
    assert found["rows"] == 3
    assert found["columns"]["corporation"] == {"count": 3, "missing": 0, "missing_percent": 0.0}
    assert found["columns"]["lastmonth_activity"] == {
        "count": 3,
        "missing": 0,
        "missing_percent": 0.0,
        "mean": 3.0,
        "median": 2.0,
        "std": pytest.approx(7**0.5),
    }
    assert found["columns"]["lastyear_activity"]["missing_percent"] == 33.3333
    assert found["columns"]["exited"]["mean"] == 0.5


def test_dated_files_of_real_customers_keep_every_row(own: Project) -> None:
    for path in real_data("cdnow", "batches").glob("*.csv"):
        own.write(f"sourcedata/{path.name}", path.read_bytes())
    outcome = ingest(own.config)
    assert (outcome.data["rows"], outcome.data["accepted"], len(outcome.data["files"])) == (
        170809,
        170809,
        13,
    )
    rows = read_snapshot(own.config).rows
    assert rows["_date"].n_unique() == 13


@pytest.mark.parametrize(
    ("folder", "read", "kept"), [("practicedata", 36, 26), ("sourcedata", 26, 26)]
)
def test_the_originals_files_give_the_originals_rows(
    own: Project, folder: str, read: int, kept: int
) -> None:
    for path in real_data("original", folder).glob("*.csv"):
        own.write(f"sourcedata/{path.name}", path.read_bytes())
    outcome = ingest(own.config)
    assert (outcome.data["rows"], outcome.data["kept"]) == (read, kept)


def test_the_script_needs_nothing_of_its_surroundings(own: Project) -> None:
    own.write("sourcedata/one.csv", [A])
    done = subprocess.run(
        [
            "/usr/bin/env",
            "-i",
            sys.executable,
            str(ROOT / "ingestion.py"),
            "--config",
            str(own.folder / "config.json"),
            "-v",
        ],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"input_folder_path {own.folder}/sourcedata\n" in done.stderr
    assert final(own) == [A]
