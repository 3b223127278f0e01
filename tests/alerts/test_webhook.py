"""The webhook against receivers that take it, refuse it, hang, break off or point elsewhere."""

from __future__ import annotations

import hashlib
import hmac
import socket
import threading
import time

import pytest
from receiving import TAKEN, closed_port, closes, drips, hangs, says, web_hook

from risk.alerts.webhook import Undelivered, post

BODY = b'{"text": "one"}'


def test_a_receiver_gets_the_body_its_id_and_a_signature_it_can_check() -> None:
    with web_hook() as hook:
        post(hook.url, BODY, "digest-1", "shared secret")

    [(path, headers, body)] = hook.calls
    expected = hmac.new(b"shared secret", BODY, hashlib.sha256).hexdigest()
    assert (path, body) == ("/hook?to=us", BODY)
    assert headers["X-Risk-Signature"] == f"sha256={expected}"
    assert (headers["X-Risk-Id"], headers["Content-Type"]) == ("digest-1", "application/json")


def test_without_a_secret_nothing_is_signed() -> None:
    with web_hook(says(b"HTTP/1.1 204 No Content\r\n\r\n")) as hook:
        post(hook.url, BODY, "x", "")

    assert "X-Risk-Signature" not in hook.calls[0][1]


@pytest.mark.parametrize(
    ("answer", "why", "again", "channel"),
    [
        (says(b"HTTP/1.1 500 No\r\n\r\n"), "127.0.0.1 answered 500", True, True),
        (says(b"HTTP/1.1 429 Slow\r\n\r\n"), "127.0.0.1 answered 429", True, True),
        (says(b"HTTP/1.1 404 No\r\n\r\n"), "127.0.0.1 answered 404", False, False),
        (closes, "127.0.0.1: the connection was closed without an answer", True, True),
        (says(b"220 mail.example.com ESMTP\r\n"), "the answer is not HTTP", True, True),
        (says(b"x" * 5000), "the answer is not HTTP", True, True),
        (hangs, "no answer from 127.0.0.1 within 0.5 s", True, True),
        (drips, "no answer from 127.0.0.1 within 0.5 s", True, True),
    ],
    ids=["500", "429", "404", "closes", "another protocol", "a long line", "hangs", "drips"],
)
def test_a_message_that_is_not_taken_says_why(answer, why: str, again: bool, channel: bool) -> None:
    with web_hook(answer) as hook, pytest.raises(Undelivered, match=why) as caught:
        post(hook.url, BODY, "x", "", seconds=0.5)

    assert (caught.value.again, caught.value.channel) == (again, channel)


@pytest.mark.torture
def test_a_byte_at_the_last_moment_buys_no_more_time() -> None:
    def one_byte(connection: socket.socket, over: threading.Event) -> None:
        over.wait(15)
        connection.sendall(b"H")
        over.wait(120)

    started = time.monotonic()
    with web_hook(one_byte) as hook, pytest.raises(Undelivered, match="no answer"):
        post(hook.url, BODY, "x", "", seconds=16)
    assert time.monotonic() - started < 30  # with a limit for each read it would be 31


def test_a_redirect_is_not_followed() -> None:
    with web_hook() as other:
        to = f"HTTP/1.1 307 There\r\nLocation: {other.url}\r\n\r\n".encode()
        with web_hook(says(to)) as hook, pytest.raises(Undelivered, match="redirects") as caught:
            post(hook.url, BODY, "x", "")

    assert (len(hook.calls), other.calls, caught.value.again) == (1, [], False)


def test_a_proxy_of_the_surroundings_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_hook() as proxy, web_hook() as hook:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        post(hook.url, BODY, "x", "")

    assert (len(hook.calls), proxy.calls) == (1, [])


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"http://127.0.0.1:{closed_port()}/", "127.0.0.1: Connection refused"),
        ("http://no-such-host.invalid/", "there is no host no-such-host.invalid"),
    ],
    ids=["nothing listens", "no such host"],
)
def test_a_receiver_that_is_not_there_is_told_in_a_sentence(url: str, why: str) -> None:
    with pytest.raises(Undelivered, match=why) as caught:
        post(url, BODY, "x", "")
    assert caught.value.again


def test_http_at_an_https_address_is_told_in_a_sentence() -> None:
    with web_hook(TAKEN) as hook, pytest.raises(Undelivered, match="127.0.0.1 speaks no TLS"):
        post(hook.url.replace("http:", "https:"), BODY, "x", "")
