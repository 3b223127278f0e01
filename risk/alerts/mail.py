"""One mail by the configured server: plain text, and HTML of the same content; sent, or why not."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime

from risk.alerts.webhook import Undelivered, unreachable
from risk.config import Mail, is_loopback
from risk.data.schema import printable

SECONDS = 10.0  # for each answer of the server: the run holds its lock meanwhile
USER, PASSWORD, SECRET = "RISK_SMTP_USER", "RISK_SMTP_PASSWORD", "RISK_WEBHOOK_SECRET"
LONGEST_SUBJECT = 160
HINTS = (
    "; a certificate of your own is trusted where the environment variable SSL_CERT_FILE names it",
    "; see mail.tls and mail.port",
)


@dataclass(frozen=True)
class Secrets:
    """What is in the environment alone; never shown."""

    user: str = ""
    password: str = field(default="", repr=False)
    webhook: str = field(default="", repr=False)


def mail_message(
    mail: Mail, to: tuple[str, ...], identity: str, at: datetime, subject: str, text: str, html: str
) -> EmailMessage:
    """The message; the same identity gives the same Message-ID, so that a repeat is known as one.

    html: "" for text alone. No subject can add a header: what steers is escaped.
    """
    message = EmailMessage(policy=policy.SMTP)
    message["Subject"] = printable(" ".join(subject.split()))[:LONGEST_SUBJECT]
    message["From"] = mail.sender
    message["To"] = ", ".join(to)
    message["Date"] = format_datetime(at)
    # An id has a time with colons, which a Message-ID may not hold.
    unique = re.sub(r"[^A-Za-z0-9.-]", "-", identity)
    message["Message-ID"] = f"<{unique}@{mail.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # so that no absence note answers it
    message.set_content(text, charset="utf-8")
    if html:
        message.add_alternative(html, subtype="html", charset="utf-8")
    return message


def send(mail: Mail, secrets: Secrets, message: EmailMessage, seconds: float = SECONDS) -> str:
    """Send it; who was refused while others were not, in a sentence, else "". Undelivered if not.

    seconds: for each answer of the server.
    """
    where = f"{mail.host}:{mail.port}"
    if secrets.user and mail.tls == "none" and not is_loopback(mail.host):
        why = f"mail.tls is none, and the password would go to {mail.host} for all to read"
        raise Undelivered(f"{why}; use starttls or tls")
    try:
        with _connected(mail, seconds) as server:
            if secrets.user:
                server.login(secrets.user, secrets.password)
            refused = server.send_message(message)
    # First: it is an OSError as well.
    except smtplib.SMTPException as error:
        raise _refusal(error, mail, secrets, seconds) from None
    except OSError as error:
        raise unreachable(error, mail.host, where, seconds, HINTS) from None
    return f"refused by {mail.host}: {', '.join(sorted(refused))}" if refused else ""


def _connected(mail: Mail, seconds: float) -> smtplib.SMTP:
    """The server, greeted, over TLS where the config wants it."""
    own = socket.gethostname()  # smtplib would ask the name server, which may take long
    if mail.tls == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(mail.host, mail.port, own, timeout=seconds, context=context)
    server = smtplib.SMTP(mail.host, mail.port, own, timeout=seconds)
    try:
        if mail.tls == "starttls":
            server.starttls(context=ssl.create_default_context())
    except BaseException:
        server.close()  # not quit(), which would ask a server that has just failed, and wait
        raise
    return server


def _refusal(
    error: smtplib.SMTPException, mail: Mail, secrets: Secrets, seconds: float
) -> Undelivered:
    """What the server would not do, and whether it may in a moment."""
    where = f"{mail.host}:{mail.port}"
    match error:
        case smtplib.SMTPAuthenticationError():
            refusal = f"{where} refuses the user {secrets.user!r} ({_answer_of(error)})"
            return Undelivered(f"{refusal}; see {USER} and {PASSWORD}")
        case smtplib.SMTPNotSupportedError() if mail.tls == "starttls" and "STARTTLS" in str(error):
            return Undelivered(f"{where} offers no STARTTLS; see mail.tls and mail.port")
        case smtplib.SMTPNotSupportedError():
            return Undelivered(f"{where}: {printable(str(error))}")
        # smtplib tells a time-out as a lost connection.
        case smtplib.SMTPServerDisconnected() if isinstance(error.__context__, TimeoutError):
            return unreachable(TimeoutError(), mail.host, where, seconds, HINTS)
        case smtplib.SMTPRecipientsRefused():
            codes = [code for code, _ in error.recipients.values()]
            names = ", ".join(sorted(error.recipients))
            again = all(code < 500 for code in codes)
            return Undelivered(f"{where} refuses every recipient: {names}", again=again)
        case smtplib.SMTPResponseException():
            return Undelivered(f"{where} answered {_answer_of(error)}", again=error.smtp_code < 500)
        case _:
            return Undelivered(f"{where}: {printable(str(error))[:200]}", again=True)


def _answer_of(error: smtplib.SMTPResponseException) -> str:
    """The server's code and words, on one line."""
    raw = error.smtp_error
    words = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    return f"{error.smtp_code} {printable(' '.join(words.split()))[:200]}"
