"""Mail against a real server: what arrives, what may not, and what is said where it does not."""

from __future__ import annotations

import email
import email.policy
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
from receiving import PASSWORD, certificate_in, closed_port, mail_server

from risk.alerts.mail import Secrets, mail_message, send
from risk.alerts.webhook import Undelivered
from risk.config import Mail

AT = datetime(2026, 11, 24, 7, 0, 5, tzinfo=UTC)
USER, NOBODY = Secrets("risk", PASSWORD), Secrets()


def settings(port: int = 587, tls: str = "none", **changed: object) -> Mail:
    to = ("ann@example.com", "bo@example.com")
    made = {"host": "127.0.0.1", "port": port, "tls": tls, "sender": "risk@example.com", "to": to}
    return Mail(**(made | {"operators": (), "hour": 7, "names": True, "owners": {}} | changed))  # type: ignore[arg-type]


def sample(mail: Mail, subject: str = "3 new") -> EmailMessage:
    return mail_message(
        mail, mail.to, "digest-2026-11-24", AT, subject, "Zoë, é\n", "<p>Zoë, é</p>"
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate_in(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return certificate


def test_a_mail_arrives_over_tls_by_a_user_with_both_parts(trusted: Path) -> None:
    with mail_server(trusted, asks=True) as box:
        assert send(settings(box.port, "starttls"), USER, sample(settings())) == ""

    [mail] = box.mails
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]
    assert [part.get_content().strip() for part in mail.iter_parts()] == ["Zoë, é", "<p>Zoë, é</p>"]
    assert (mail["To"], mail["From"]) == ("ann@example.com, bo@example.com", "risk@example.com")
    assert mail["Message-ID"] == "<digest-2026-11-24@example.com>"
    assert mail["Date"] == "Tue, 24 Nov 2026 07:00:05 +0000"
    assert box.users == ["risk"]


@pytest.mark.parametrize(
    "subject",
    [
        "x\r\nBcc: thief@example.com",
        "x\nBcc: thief@example.com\n\nbody",
        "x\rBcc: thief@example.com",
        "x\x0b\x0c\x1c\x85\u2028Bcc: thief@example.com",
        "x\udc80\x00",
        "\u202egnp.x",
        "x" * 5000,
        "é" * 500,
    ],
)
def test_no_subject_adds_a_header(subject: str) -> None:
    message = sample(settings(), subject)

    parsed = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    assert parsed.keys() == sample(settings()).keys()
    assert len(str(parsed["Subject"])) <= 160
    assert parsed["To"] == "ann@example.com, bo@example.com"


def fails(mail: Mail, secrets: Secrets = NOBODY) -> Undelivered:
    with pytest.raises(Undelivered) as caught:
        send(mail, secrets, sample(mail), seconds=0.5)
    assert "\n" not in str(caught.value) and PASSWORD not in str(caught.value)
    return caught.value


def test_a_server_that_is_not_there_is_told_in_a_sentence() -> None:
    port = closed_port()
    assert str(fails(settings(port))) == f"127.0.0.1:{port}: Connection refused"
    nowhere = fails(settings(host="no-such-host.invalid"))
    assert str(nowhere) == "there is no host no-such-host.invalid, or no network"
    assert nowhere.again


def test_a_certificate_that_is_not_trusted_is_refused(certificate: Path) -> None:
    with mail_server(certificate) as box:
        said = fails(settings(box.port, "starttls"), USER)

    assert str(said).startswith("the certificate of 127.0.0.1 is refused: self-signed certificate")
    assert "SSL_CERT_FILE" in str(said)
    assert (said.again, box.mails, box.users) == (False, [], [])


def test_a_certificate_of_another_server_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = certificate_in(tmp_path, "mail.example.com")
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    with mail_server(other) as box:
        assert "is refused: IP address mismatch" in str(fails(settings(box.port, "starttls")))


def test_a_server_without_starttls_gets_neither_mail_nor_password() -> None:
    with mail_server(asks=True) as box:
        said = fails(settings(box.port, "starttls"), USER)

    assert str(said).endswith("offers no STARTTLS; see mail.tls and mail.port")
    assert (box.mails, box.users) == ([], [])


def test_tls_from_the_start_at_a_server_that_speaks_none_is_told() -> None:
    with mail_server() as box:
        assert "speaks no TLS there" in str(fails(settings(box.port, "tls")))


def test_a_wrong_password_is_told_without_it(trusted: Path) -> None:
    with mail_server(trusted, asks=True) as box:
        said = fails(settings(box.port, "starttls"), Secrets("risk", "wrong"))

    assert "refuses the user 'risk' (535 5.7.8 Authentication credentials invalid)" in str(said)
    assert "RISK_SMTP_PASSWORD" in str(said) and "wrong" not in str(said)
    assert not said.again


def test_a_password_does_not_leave_the_machine_in_the_clear() -> None:
    said = fails(settings(host="mail.example.com"), USER)
    assert str(said).startswith("mail.tls is none, and the password would go to mail.example.com")


@pytest.mark.parametrize(("answer", "again"), [("451 later", True), ("554 spam", False)])
def test_a_mail_that_the_server_refuses_is_told_with_its_words(answer: str, again: bool) -> None:
    with mail_server() as box:
        box.refuses = answer
        said = fails(settings(box.port))

    assert str(said) == f"127.0.0.1:{box.port} answered {answer}"
    assert said.again is again


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_server_that_says_nothing_is_left_after_a_while(silent: int) -> None:
    said = fails(settings(silent))
    assert (str(said), said.again) == (f"no answer from 127.0.0.1:{silent} within 0.5 s", True)


def test_a_server_that_breaks_off_is_told_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        said = fails(settings(server.getsockname()[1]))
        thread.join()
    assert "Connection unexpectedly closed" in str(said) and said.again


def test_secrets_are_not_shown() -> None:
    assert repr(Secrets("risk", "p", "w")) == "Secrets(user='risk')"
