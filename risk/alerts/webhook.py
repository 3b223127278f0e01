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
from urllib.parse import SplitResult, urlsplit

SECONDS = 5.0
LONGEST_LINE = 1000
SIGNATURE, IDENTITY = "X-Risk-Signature", "X-Risk-Id"
BUSY = (408, 425, 429)


class Undelivered(Exception):
    """Why a message was not taken, in a sentence.

    again: it may be in a moment. channel: it is not the message's fault, another would fare alike.
    """

    def __init__(self, why: str, *, again: bool = False, channel: bool = True) -> None:
        super().__init__(why)
        self.again, self.channel = again, channel


def post(url: str, body: bytes, identity: str, secret: str, seconds: float = SECONDS) -> None:
    """Send the body; Undelivered unless the answer is a 2xx within so many seconds.

    The time is that from the connection on; a name is looked up at the system's own pace.
    """
    parts, deadline = urlsplit(url), time.monotonic() + seconds
    host = parts.hostname or ""
    headers = {"Content-Type": "application/json", "User-Agent": "dynamic-risk", IDENTITY: identity}
    if secret:
        headers[SIGNATURE] = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _connection(parts, seconds)
    try:
        connection.request("POST", target, body, headers)
        status = _status(connection.sock, deadline)
    except ssl.SSLCertVerificationError as error:
        raise Undelivered(f"the certificate of {host} is refused: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise Undelivered(f"{host} speaks no TLS there ({error.reason}); is it http?") from None
    except socket.gaierror:
        raise Undelivered(f"there is no host {host}, or no network", again=True) from None
    except TimeoutError:
        raise Undelivered(f"no answer from {host} within {seconds:g} s", again=True) from None
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or "the connection was closed"
        raise Undelivered(f"{host}: {why}", again=True) from None
    finally:
        connection.close()
    _refuse(status, host)


def _connection(parts: SplitResult, seconds: float) -> http.client.HTTPConnection:
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
    return http.client.HTTPConnection(host, port, timeout=seconds)


def _status(sock: socket.socket, deadline: float) -> int:
    """The status of the answer; TimeoutError at the deadline, however slowly it drips in."""
    line = b""
    while b"\n" not in line and len(line) < LONGEST_LINE:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)
        part = sock.recv(LONGEST_LINE)
        if not part:
            raise ConnectionError("the connection was closed without an answer")
        line += part
    found = re.match(rb"HTTP/\d\.\d (\d{3})\b", line)
    if not found:
        raise ConnectionError("the answer is not HTTP")
    return int(found[1])


def _refuse(status: int, host: str) -> None:
    """Undelivered for a status that does not say that the message was taken."""
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise Undelivered(f"{host} redirects ({status}), which is not followed; write the address")
    again = status >= 500 or status in BUSY
    raise Undelivered(f"{host} answered {status}", again=again, channel=again)
