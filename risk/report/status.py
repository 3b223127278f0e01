"""The page Status: does it run, how did the last week go, what is wrong with the data or the runs."""

from __future__ import annotations

from typing import Any

from werkzeug.datastructures import MultiDict

from risk.report.desk import Desk


def view(desk: Desk, args: MultiDict[str, str]) -> dict[str, Any]:
    return {}
