"""docs/operations.md's backup, systemd and nginx texts, taken as they stand and tried."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, Project
from serving import deployed_copy, gunicorn_server

TEXT = (ROOT / "docs" / "operations.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def commands(words: str) -> str:
    """The block of commands that begins so."""
    [found] = [block for block in blocks("sh") if block.startswith(words)]
    return found


@pytest.mark.skipif(shutil.which("flock") is None, reason="flock is not installed")
def test_a_backup_restored_elsewhere_is_whole(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project, backup = deployed_copy(tmp_path_factory), tmp_path / "dynamic-risk.tgz"

    def typed(block: str, folder: Path) -> str:
        """The block typed in the folder, with this Python and the place of the backup."""
        text = block.replace("/backup/dynamic-risk.tgz", str(backup))
        text = re.sub(
            r"\.venv/bin/python (\w+\.py)", rf"{python} {ROOT}/\1 --config config.json", text
        )
        done = subprocess.run(
            ["sh", "-e", "-c", text],
            cwd=folder,
            text=True,
            capture_output=True,
            env={"PATH": os.environ["PATH"]},
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    python = ROOT / ".venv/bin/python"
    project.configure(port=9)  # where no API answers
    typed(commands("flock state/lock tar"), project.folder)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    said = typed(commands("tar xzf"), fresh)
    assert "all is well" in said and "finaldata.csv: 120 rows" in said
    restored = object.__new__(Project)
    restored.folder = fresh
    assert not list(fresh.glob("ingesteddata/*byhand*"))
    assert restored.run("fullprocess.py").stdout.startswith("idle: ")


def units() -> dict[str, str]:
    """File name -> text of the three units, in the order of the text."""
    names = ["dynamic-risk-api.service", "dynamic-risk.service", "dynamic-risk.timer"]
    return dict(zip(names, blocks("ini"), strict=True))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    home = tmp_path / "srv"
    (home / ".venv/bin").mkdir(parents=True)
    for name in (".venv/bin/python", "fullprocess.sh"):
        (home / name).write_text("#!/bin/sh\n")
        (home / name).chmod(0o755)
    files = []
    for name, text in units().items():
        files.append(tmp_path / name)
        files[-1].write_text(text.replace("/srv/dynamic-risk", str(home)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, files)],
        text=True,
        capture_output=True,
        timeout=60,
    )
    ours = [line for line in done.stderr.splitlines() if "dynamic-risk" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


def test_what_the_api_may_write_is_what_a_note_needs(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """As ProtectSystem=strict with the unit's ReadWritePaths, in a mount namespace of its own."""
    [writable] = re.findall("^ReadWritePaths=/srv/dynamic-risk/(.*)$", TEXT, re.MULTILINE)
    project = deployed_copy(tmp_path_factory)
    folder, state = project.folder, project.folder / writable
    state.mkdir(exist_ok=True)
    mounts = (
        f"mount --bind {folder} {folder} && mount --bind {state} {state} && "
        f"mount -o remount,bind,ro {folder}"
    )
    if subprocess.run(["unshare", "-m", "sh", "-c", mounts], capture_output=True).returncode:
        pytest.skip("this user may not mount: the folders' protection was not tried")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from app import create_app\nfrom risk.config import load\n"
        "call = create_app(load(sys.argv[2])).test_client()\n"
        "note = {'client': 'Beta', 'state': 'contacted'}\n"
        "paths = ['/', '/status', '/metrics', '/clients', '/prediction']\n"
        "page = {'Accept': 'text/html'}\n"
        "print(*[call.get(p, headers=page).status_code for p in paths])\n"
        "print(call.post('/contacts', json=note).status_code)\n"
        "try:\n    open(sys.argv[2], 'a')\nexcept OSError as error:\n    print(error.strerror)\n"
    )
    inside = f'{mounts} && exec "$0" -c "$1" "$2" "$3"'
    python = [str(ROOT / ".venv/bin/python"), code, str(ROOT), str(folder / "config.json")]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", inside, *python], text=True, capture_output=True, timeout=60
    )
    assert done.stdout.splitlines() == ["200 " * 4 + "200", "200", "Read-only file system"]


def test_a_form_through_a_proxy_is_taken_with_the_host_and_port_that_the_text_passes_on(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """$http_host is the caller's Host as it came, $host the same without its port."""
    import requests

    [passed] = re.findall(r"proxy_set_header Host (\$\w+);", TEXT)
    host = {"$http_host": "risk.example.com:8443", "$host": "risk.example.com"}[passed]
    project = deployed_copy(tmp_path_factory)
    with gunicorn_server(project) as server:
        headers = {"Host": host, "Accept": "text/html"}
        page = requests.get(server.url, headers=headers, timeout=10).text
        token = re.search(r'name="token" value="(\w+)"', page)
        assert token
        sent = {"token": token[1], "state": "contacted", "name": "Beta", "back": "?"}
        done = requests.post(
            f"{server.url}/contact",
            data=sent,
            headers=headers | {"Origin": "https://risk.example.com:8443"},
            allow_redirects=False,
            timeout=10,
        )
        assert done.status_code == 303
