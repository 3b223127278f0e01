"""What the real driver sends, killed in between, with secrets of its environment, or as a test."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Project
from driver import OFFLINE, copy_of, first_deployed, marker
from receiving import (
    PASSWORD,
    TAKEN,
    Hook,
    Mailbox,
    certificate_in,
    closed_port,
    hangs,
    mail_server,
    web_hook,
)
from telling import broken, digest_is_due, log, mail, state, tells

from risk.files import read_optional_json


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as made:
        yield made


@pytest.fixture
def hook() -> Iterator[Hook]:
    with web_hook() as made:
        yield made


@pytest.fixture
def project(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with its first release, whom nobody has told anything."""
    return copy_of(first_deployed(tmp_path_factory), tmp_path / "clients")


def real_run(project: Project, *options: str, **environment: str) -> Any:
    return project.run("fullprocess.py", *options, check=False, **OFFLINE, **environment)


def kills(project: Project) -> Callable[[socket.socket, threading.Event], None]:
    """An answer before which the sender is killed: it has sent and cannot note it."""

    def answer(connection: socket.socket, over: threading.Event) -> None:
        holder = read_optional_json(project.folder / "state/lock")["pid"]
        os.kill(holder, signal.SIGKILL)

    return answer


def test_a_run_killed_between_sending_and_noting_repeats_one_message_with_its_id(
    project: Project, box: Mailbox
) -> None:
    with web_hook(kills(project), TAKEN) as hook:
        tells(project, box, hook)
        digest_is_due(project)
        killed = real_run(project)
        after = [real_run(project).stdout for _ in range(2)]

    assert killed.returncode == -signal.SIGKILL
    assert hook.events == ["digest", "digest"]
    assert hook.bodies[0]["id"] == hook.bodies[1]["id"]
    assert len(box.mails) == 1  # that one was noted
    assert after[1].startswith("idle: ")


@pytest.mark.torture
def test_a_receiver_that_hangs_costs_a_run_its_tries_and_nothing_else(
    project: Project, box: Mailbox
) -> None:
    time.sleep(1.1)  # stamps are of whole seconds: the first deployment has to lie before the run
    with web_hook(hangs) as hook:
        tells(project, box)
        project.configure(port=9, mail=mail(box), webhook_url=hook.url)
        digest_is_due(project)
        started = time.monotonic()
        done = real_run(project)

    assert done.returncode == 0, done.stderr
    assert len(hook.calls) == 3 and len(box.mails) == 1
    assert time.monotonic() - started > 15
    assert marker(project)["finished"] < state(project)["waiting"][0]["tried"]


def test_a_failed_run_of_the_real_driver_tells_it_over_tls_with_a_password(
    project: Project, tmp_path: Path
) -> None:
    certificate = certificate_in(tmp_path)
    with mail_server(certificate, asks=True) as box:
        project.configure(port=9, mail=mail(box, tls="starttls"))
        broken(project)
        secrets = {"RISK_SMTP_USER": "risk", "RISK_SMTP_PASSWORD": PASSWORD}
        done = real_run(project, SSL_CERT_FILE=str(certificate), **secrets)

    assert done.returncode == 1 and done.stderr.startswith("error: ingestion: ")
    [subject] = box.subjects
    assert subject.startswith("A run failed: ingestion: ") and box.users == ["risk"]
    kept = "".join(p.read_text() for p in project.folder.glob("state/*.json")) + log(project)
    assert PASSWORD not in kept + done.stderr


# ---------------------------------------------------------------- --test-alerts


def test_a_test_message_goes_everywhere_and_says_so(
    project: Project, box: Mailbox, hook: Hook
) -> None:
    project.configure(port=9, mail=mail(box), webhook_url=hook.url)
    done = real_run(project, "--test-alerts")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"mail to ann@example.com, ops@example.com by 127.0.0.1:{box.port}: sent",
        f"webhook at 127.0.0.1:{hook.port}: sent",
    ]
    assert hook.events == ["test"] and "This is a test" in hook.bodies[0]["text"]
    assert box.subjects == ["Test of clients"]


def test_what_is_wrong_with_a_set_up_is_said_in_a_sentence_each(project: Project) -> None:
    port = closed_port()
    server = {"host": "no-such-host.invalid", "from": "a@b.c", "to": ["d@e.f"]}
    project.configure(mail=server, webhook_url=f"http://127.0.0.1:{port}/secret")
    done = real_run(project, "--test-alerts")

    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        "mail to d@e.f by no-such-host.invalid:587: not sent: there is no host "
        "no-such-host.invalid, or no network",
        f"webhook at 127.0.0.1:{port}: not sent: 127.0.0.1: Connection refused",
    ]


def test_without_a_way_to_tell_the_test_says_what_to_set(project: Project) -> None:
    done = real_run(project, "--test-alerts")

    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "neither mail nor webhook_url is set" in done.stderr


def test_nothing_of_the_alerts_is_imported_by_an_idle_run() -> None:
    head = (ROOT / "fullprocess.py").read_text().split("# ------")[0]
    assert "risk.report" not in head.split("TYPE_CHECKING:")[0]
