"""A mail server and a web address on loopback that keep what they get, and others that fail."""

from __future__ import annotations

import contextlib
import email
import email.policy
import http.server
import json
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

PASSWORD = "s3cret of the mail"


@dataclass
class Mailbox:
    """A running mail server. mails: what it took, in order; users: who logged in."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    refuses: str = ""

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuses:
            return self.refuses
        self.raw.append(envelope.content)
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 taken"


@contextlib.contextmanager
def mail_server(certificate: Path | None = None, *, asks: bool = False) -> Iterator[Mailbox]:
    """A server on a free port; certificate: offers STARTTLS; asks: for a user and PASSWORD."""
    box = Mailbox()

    def knows(_server: Any, _session: Any, _envelope: Any, _how: str, data: Any) -> AuthResult:
        good = data.password == PASSWORD.encode()
        box.users += [data.login.decode()] if good else []
        return AuthResult(success=good, handled=False)

    options: dict[str, Any] = {"authenticator": knows} if asks else {}
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        options |= {"tls_context": context, "require_starttls": True}
    options |= {"auth_required": asks and bool(certificate), "auth_require_tls": bool(certificate)}
    box.port = closed_port()  # its own check that it has started wants a number
    controller = Controller(box, hostname="127.0.0.1", port=box.port, **options)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


def certificate_in(folder: Path, name: str = "127.0.0.1") -> Path:
    """A certificate for the address, signed by itself; its key lies beside it."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("openssl is not installed: no TLS to a mail server was tried")
    made = folder / "mail.pem"
    kind = "IP" if name[0].isdigit() else "DNS"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName={kind}:{name}"]
    command += ["-keyout", str(made.with_suffix(".key")), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


# ---------------------------------------------------------------- the web


@dataclass
class Hook:
    """A running receiver of webhooks. calls: path, headers and body of each, in order."""

    port: int = 0
    calls: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?to=us"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.calls]

    @property
    def events(self) -> list[str]:
        return [body["event"] for body in self.bodies]


Answer = Callable[[socket.socket, threading.Event], None]


def says(raw: bytes) -> Answer:
    return lambda connection, _: connection.sendall(raw)


def hangs(connection: socket.socket, over: threading.Event) -> None:
    over.wait(60)


def drips(connection: socket.socket, over: threading.Event) -> None:
    """An answer that never ends, a byte at a time."""
    with contextlib.suppress(OSError):
        while not over.wait(0.05):
            connection.sendall(b"H")


def closes(connection: socket.socket, over: threading.Event) -> None:
    pass


TAKEN = says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@contextlib.contextmanager
def web_hook(*answers: Answer) -> Iterator[Hook]:
    """A receiver on a free port that answers the calls so, the last answer for all that follow."""
    hook, over, given = Hook(), threading.Event(), list(answers or (TAKEN,))

    class Receiver(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline().decode()
            headers = http.client.parse_headers(self.rfile)
            body = self.rfile.read(int(headers.get("Content-Length", 0)))
            answer = given.pop(0) if len(given) > 1 else given[0]
            hook.calls.append((line.split()[1], dict(headers.items()), body))
            answer(self.connection, over)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Receiver) as server:
        hook.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield hook
        finally:
            over.set()
            server.shutdown()
            thread.join()


def closed_port() -> int:
    """A port of loopback at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]
