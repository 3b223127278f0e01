"""One JSON POST to the configured address, signed where there is a secret: sent, or why not.

The answer's first line is all that is read. No redirect is followed and no proxy is asked, so that
nothing goes anywhere but to that address.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import re
import socket
import ssl
import time
from urllib.parse import urlsplit

SECONDS = 5.0
LONGEST_LINE = 1000
SIGNATURE, IDENTITY = "X-Risk-Signature", "X-Risk-Id"
BUSY = (408, 425, 429)  # these ask for another try; any other 4xx is the message's own fault


class Undelivered(Exception):
    """Why a message was not taken, in a sentence.

    again: it may be in a moment. channel: it is not the message's fault, another would fare alike.
    """

    def __init__(self, why: str, *, again: bool = False, channel: bool = True) -> None:
        super().__init__(why)
        self.again, self.channel = again, channel


def unreachable(
    error: Exception, host: str, place: str, seconds: float, hints: tuple[str, str]
) -> Undelivered:
    """Why nothing could be sent to that place, in a sentence. hints: on its certificate, its TLS.

    Only what another try can mend is tried again: no certificate becomes good in a minute.
    """
    match error:
        case ssl.SSLCertVerificationError():
            why = f"the certificate of {host} is refused: {error.verify_message}"
            return Undelivered(why + hints[0])
        case ssl.SSLError():
            return Undelivered(f"{place} speaks no TLS there ({error.reason}){hints[1]}")
        case socket.gaierror():
            return Undelivered(f"there is no host {host}, or no network", again=True)
        case TimeoutError():
            return Undelivered(f"no answer from {place} within {seconds:g} s", again=True)
    why = getattr(error, "strerror", None) or str(error) or "the connection was closed"
    return Undelivered(f"{place}: {why}", again=True)


def post(
    url: str,
    body: bytes,
    identity: str,
    secret: str,
    seconds: float = SECONDS,
    kind: str = "application/json",
) -> None:
    """Send the body; Undelivered unless the answer is a 2xx within so many seconds.

    The time is that from the connection on; a name is looked up at the system's own pace.
    """
    parts, deadline = urlsplit(url), time.monotonic() + seconds
    host = parts.hostname or ""
    headers = {"Content-Type": kind, "User-Agent": "dynamic-risk", IDENTITY: identity}
    if secret:
        headers[SIGNATURE] = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, parts.port, timeout=seconds, context=context)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=seconds)
    try:
        connection.request("POST", target, body, headers)
        status = _status(connection.sock, deadline)
    except (OSError, http.client.HTTPException) as error:
        raise unreachable(error, host, host, seconds, ("", "; is it http?")) from None
    finally:
        connection.close()
    if not 200 <= status < 300:
        if 300 <= status < 400:
            why = f"{host} redirects ({status}), which is not followed; write the address"
            raise Undelivered(why)
        again = status >= 500 or status in BUSY
        raise Undelivered(f"{host} answered {status}", again=again, channel=again)


def _status(sock: socket.socket, deadline: float) -> int:
    """The status of the answer; TimeoutError at the deadline, however slowly it drips in."""
    line = b""
    while b"\n" not in line and len(line) < LONGEST_LINE:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)  # of what is left: one for each read, a drip would take for ever
        part = sock.recv(LONGEST_LINE)
        if not part:
            raise ConnectionError("the connection was closed without an answer")
        line += part
    found = re.match(rb"HTTP/\d\.\d (\d{3})\b", line)
    if not found:
        raise ConnectionError("the answer is not HTTP")
    return int(found[1])
