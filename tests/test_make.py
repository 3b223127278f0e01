"""Every make target in a copy of the checkout, with a path that has a space in it."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.checkout import (
    BARE,
    ROOT,
    changed_files,
    copy_checkout,
    cron_command,
    job_lines,
    lend_environment,
)

INSTALLERS = {"runtime", "development"}


def make(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *words],
        cwd=folder,
        env=BARE | environment,
        text=True,
        capture_output=True,
        timeout=240,
    )


def targets() -> set[str]:
    """The targets of the Makefile that a person types."""
    names = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return set(names) - INSTALLERS


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Makefile and crontab alone, with pins that need nothing from anywhere."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("Makefile", "cronjob.txt"):
        (folder / name).write_text((ROOT / name).read_text())
    for name in ("requirements.txt", "requirements-dev.txt"):
        (folder / name).write_text("# nothing\n")
    return folder


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A checkout after `make run`, with what it printed."""
    folder = copy_checkout(tmp_path_factory.mktemp("make") / "a checkout")
    lend_environment(folder)
    return folder, make(folder, "run")


def test_plain_make_lists_every_target():
    listed = re.findall(r"^  make (\w+) +\S", make(ROOT).stdout, re.MULTILINE)
    assert set(listed) == targets()
    assert targets() >= {"run", "serve", "cron", "demo", "test", "lint", "bench", "clean"}


def test_run_deploys_calls_the_api_and_ends_with_what_to_type_next(ran):
    folder, done = ran
    assert done.returncode == 0, done.stdout + done.stderr
    assert "make serve" in done.stdout.partition("Next")[2]
    assert float((folder / "production_deployment" / "latestscore.txt").read_text()) > 0
    for name in ("clients_at_risk.csv", "confusion_matrix.png", "apireturns.txt"):
        assert (folder / "models" / name).stat().st_size > 0


def test_serve_answers_on_the_port_of_the_config(ran, tmp_path):
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-a", ran[0], folder], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = json.loads((folder / "config.json").read_text()) | {"port": port}
    (folder / "config.json").write_text(json.dumps(settings))
    served = subprocess.Popen(["make", "serve"], cwd=folder, env=BARE, stderr=subprocess.DEVNULL)
    try:
        assert answered(f"http://127.0.0.1:{port}/health") == 200
    finally:
        served.terminate()
        served.wait(20)


def answered(url: str) -> int:
    """The status of the first answer within half a minute."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_no_command_changes_the_work_tree(ran):
    folder, _ = ran
    for target in sorted(
        targets()
        - {
            "clean",
            "serve",
            "test",
            "types",
            "demo",
            "torture",
            "bench",
            "screenshots",  # it is there to change docs/pages
        }
    ):
        make(folder, target)
    assert changed_files(folder) == ""


def test_clean_takes_caches_and_the_environment_but_no_data_model_release_or_state(ran, tmp_path):
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-a", ran[0], folder], check=True)
    for cache in (".pytest_cache", ".mypy_cache", ".ruff_cache", "risk/__pycache__", "logs"):
        (folder / cache).mkdir(exist_ok=True)
    before = everything(folder)
    assert make(folder, "clean").returncode == 0
    gone = before - everything(folder)
    assert {name.partition("/")[0] for name in gone if "__pycache__" not in name} == {
        ".venv",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        "logs",
    }
    assert not [name for name in everything(folder) if "__pycache__" in name]


def everything(folder: Path) -> set[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*"))
    return {path.as_posix() for path in paths if path.parts[0] != ".git"}


def test_test_means_ruff_then_mypy_then_pytest():
    plan = make(ROOT, "-n", "test", "ARGS=-k word").stdout
    tools = re.findall(r"-m (ruff|mypy|pytest)\b(.*)", plan)
    assert [tool for tool, _ in tools] == ["ruff", "ruff", "mypy", "pytest"]
    assert tools[3][1].strip() == "-n auto --dist loadfile -m 'not torture' -k word"


def test_the_pins_are_installed_once_and_again_when_they_change(bare):
    (bare / "requirements.txt").write_text("# nothing\n")
    first = make(bare, "runtime", f"PYTHON={sys.executable}")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith("installing requirements.txt into .venv")
    assert make(bare, "runtime").stdout == ""
    (bare / "requirements.txt").write_text("# still nothing\n")
    assert make(bare, "runtime").stdout == first.stdout
    assert make(bare, "development").stdout.startswith("installing requirements-dev.txt")
    assert make(bare, "development").stdout == ""


FAKE_PYTHON = """
[ "$1 $2" = "-m venv" ] || exec "{}" "$@"
rm -r .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python
"""


def test_an_environment_whose_python_has_gone_is_made_anew(bare, tmp_path):
    broken = bare / ".venv" / "bin" / "python"
    broken.parent.mkdir(parents=True)
    broken.symlink_to("/nowhere/python3.10")
    (bare / ".venv" / "installed-runtime").write_text("# nothing\n# nothing\n")
    python = executable(tmp_path / "python", FAKE_PYTHON.format(sys.executable))
    assert make(bare, "runtime", f"PYTHON={python}").returncode == 0
    assert broken.read_text() == python.read_text()


def test_an_installation_that_failed_is_tried_again(bare):
    fails = 'case "$*" in *"pip install"*) echo no index >&2; exit 1;; esac'
    executable(bare / ".venv" / "bin" / "python", fails)
    done = make(bare, "run")
    assert done.returncode == 2
    assert "no index" in done.stderr
    assert not (bare / ".venv" / "installed-runtime").exists()


def test_an_old_python_is_refused_with_a_sentence_and_no_environment(bare, tmp_path):
    old = "import sys; sys.version_info = (3, 9, 18); exec(sys.argv[1])"
    python = executable(tmp_path / "old", f'exec "{sys.executable}" -c "{old}" "$2"')
    done = make(bare, "run", f"PYTHON={python}")
    assert done.returncode == 2
    assert "is Python 3.9; this needs 3.11 or newer: make run PYTHON=python3.12" in done.stderr
    assert not (bare / ".venv").exists()


@pytest.mark.parametrize(
    "name", ["plain", "two words", "50%", "it's", "a&b;c$d", r"back\1slash", "größe"]
)
def test_the_rendered_line_runs_the_script_of_this_checkout(bare, name):
    folder = bare.rename(bare.parent / name)
    executable(folder / "fullprocess.sh", "echo ran")
    done = make(folder, "-s", "cron", f"PYTHON={sys.executable}")
    [line] = job_lines(done.stdout)
    assert line.startswith("*/10 * * * * ")
    assert subprocess.check_output(["sh", "-c", cron_command(line)], text=True) == "ran\n"
    assert "make cron INSTALL=1" in done.stderr


FAKE_CRONTAB = """
cd "$(dirname "$0")"
case $1 in
-l) [ -f trouble ] && { cat trouble >&2; exit 1; }
    [ -f table ] || { echo "no crontab for you" >&2; exit 1; }
    echo "a warning of no weight" >&2; cat table ;;
-) cat >new; mv new table ;;
esac
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The file of a stand-in for crontab, so that nobody's real table is at stake."""
    executable(tmp_path / "bin" / "crontab", FAKE_CRONTAB)
    return tmp_path / "bin" / "table"


def install(folder: Path, table: Path) -> subprocess.CompletedProcess[str]:
    return make(
        folder,
        "-s",
        "cron",
        "INSTALL=1",
        f"PYTHON={sys.executable}",
        PATH=f"{table.parent}:{os.defpath}",
    )


OTHERS = "MAILTO=me\n# */10 * * * * {}/fullprocess.sh\n0 3 * * * backup 100\\%  \\\\n\n"


@pytest.mark.parametrize("before", ["", OTHERS, "*/10 * * * * /mnt{}/fullprocess.sh\n"])
def test_install_adds_one_line_below_what_is_there_and_only_once(bare, table, before):
    bare = bare.rename(bare.with_name("plain"))
    before = before.format(bare)
    if before:
        table.write_text(before)
    first = install(bare, table)
    line = f"*/10 * * * * {bare}/fullprocess.sh\n"
    assert (first.stdout, first.stderr) == (f"added to your crontab: {line}", "")
    assert table.read_text() == before + line
    assert install(bare, table).stdout == f"your crontab has it already: {line}"
    assert table.read_text() == before + line


def test_a_line_with_another_rhythm_or_more_options_is_left_alone(bare, table):
    mine = f"5 * * * * {shlex.quote(f'{bare}/fullprocess.sh')} --config my.json\n"
    table.write_text(mine)
    assert install(bare, table).returncode == 0
    assert table.read_text() == mine


def test_a_table_that_cannot_be_read_is_not_replaced(bare, table):
    table.write_text("0 3 * * * backup\n")
    (table.parent / "trouble").write_text("you may not use this program (crontab)\n")
    done = install(bare, table)
    assert done.returncode == 2
    assert "you may not use this program" in done.stderr
    assert table.read_text() == "0 3 * * * backup\n"


def test_without_crontab_make_says_what_to_do(bare, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("make", "sh"):
        found = subprocess.check_output(["sh", "-c", f"command -v {name}"], text=True, env=BARE)
        (tools / name).symlink_to(found.strip())
    done = make(bare, "cron", "INSTALL=1", PATH=str(tools))
    assert done.returncode == 2
    assert "there is no crontab command here; install cron" in done.stderr


def test_bench_runs_every_benchmark_and_says_when_there_is_none(bare):
    lend_environment(bare)
    assert make(bare, "bench").stdout == "there is no benchmark in benchmarks/ yet\n"
    (bare / "benchmarks").mkdir()
    (bare / "benchmarks" / "one.py").write_text("print('fast')")
    (bare / "benchmarks" / "two.py").write_text("raise SystemExit(3)")
    done = make(bare, "bench")
    assert done.stdout == "== benchmarks/one.py\nfast\n== benchmarks/two.py\n"
    assert done.returncode == 2
