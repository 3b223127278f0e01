"""A sign of life at an address that misses it, as healthchecks.io and others take it.

`ping_url` is asked at a run's start (/start), when it ended well (the address itself) and when it
failed (/fail), with a line of words. An idle run pings too, so that this imports no config.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from risk.alerts.webhook import Undelivered, post

SECONDS = 5.0
START, FAIL, WELL = "/start", "/fail", ""


def ping(url: str, signal: str, run: str = "", words: str = "") -> str:
    """Send one signal; why it did not arrive, "" if it did. run: its id, at its start and end."""
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, f"rid={run}" if run else ""]))
    to = parts._replace(path=f"{parts.path.rstrip('/')}{signal}", query=query).geturl()
    try:
        post(to, words.encode(), run, "", SECONDS, kind="text/plain; charset=utf-8")
    except Undelivered as why:
        return str(why)
    return ""
