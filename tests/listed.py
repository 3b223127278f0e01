"""Lists of made-up clients in the form that reporting.py writes, from a seed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from conftest import Project

from risk.calllist.types import CallList, Cut, ListedClient
from risk.model.reasons import Reason

FIRST = "Cor Tarn Bran Vel Olling Lys Quill Suth Dun Pell Zeph Marrow Gre Fen Haver Ard Kes Isen"
LAST = "vane field nick mara ham tra on ern march worth ton dale wick ley lund low ter bruck"
TRADE = "Logistics Packaging Textiles Bakery Medical Instruments Glass Hotels Foods Cables Timber"
OWNERS = ("Ann", "Bo", "Cleo", "Dag", "Eva")
SIGNS = (
    ("lastmonth activity", 0, 60, "usually 16 to 51"),
    ("lastyear activity", 40, 700, "usually 221 to 558"),
    ("number of employees", 5, 300, "usually 28 to 108"),
    ("open tickets", 0, 9, "usually 0 to 2"),
)
HOSTILE = (
    "<script>alert(1)</script>",
    "=cmd()|'/C calc'!A0",
    "W" * 200,
    "شركة الاختبار العربية",
    "a/b ../c?d=e&f#g",
    "100% & `more`",
    "\"quoted\" 'name'",
)


def named(count: int) -> list[str]:
    """So many different names of companies, always the same."""
    first, last, trade = FIRST.split(), LAST.split(), TRADE.split()
    every = [f"{a}{b} {c}" for c in trade for b in last for a in first]
    return [
        every[at % len(every)] + (f" {at // len(every) + 1}" if at >= len(every) else "")
        for at in range(count)
    ]


def clients(count: int, called: int, seed: int = 0) -> list[dict[str, Any]]:
    """So many clients by risk, the first `called` of them on the call list."""
    rng = np.random.default_rng(seed)
    risks = np.sort(np.round(rng.beta(2, 4.5, count), 6))[::-1].tolist()
    return [_client(at, name, risks[at], at < called, rng) for at, name in enumerate(named(count))]


def _client(at: int, name: str, risk: float, call: bool, rng: Any) -> dict[str, Any]:
    percent = round(100 * risk)
    data, model = int(rng.normal(0, 7)), int(rng.integers(-2, 4))
    past = [int(np.clip(percent - data - model + n, 0, 100)) for n in rng.integers(-6, 5, 11)]
    past[-1] = percent - data - model
    history: list[int | None] = [*past, percent]
    if at % 7 == 3:
        history[4:6] = [None, None]
    band = "high" if call else "raised" if risk >= 0.45 else "low"
    points = np.sort(np.round(rng.uniform(3, 30, 3), 1))[::-1].tolist() + [-4.2]
    return {
        "rank": at + 1,
        "client": name,
        "risk": risk,
        "date": "2026-11-24",
        "owner": OWNERS[at % 5],
        "call": call,
        "band": band,
        "reasons": [
            {"points": point, "text": f"{sign} {rng.integers(low, high)} ({usual})"}
            for point, (sign, low, high, usual) in zip(points, SIGNS, strict=True)
        ],
        "notes": [],
        "change": {"since": "2026-11-17", "points": data + model, "data": data, "model": model},
        "history": history,
        "contact": None,
    }


def listing(made: list[dict[str, Any]], version: int = 1) -> dict[str, Any]:
    """The whole list around these clients."""
    called = [client for client in made if client["call"]]
    bands = {
        word: sum(c["band"] == word for c in made)
        for word in ("high", "raised", "low", "not enough data")
    }
    told = [c for c in made if c["change"]]
    moves = sorted(told, key=lambda c: -abs(c["change"]["points"]))[:10]
    return {
        "format": 1,
        "model_version": version,
        "data_version": 1,
        "basis": "unlabelled",
        "note": "clients whose last row has no label yet",
        "scored_at": "2026-11-24T07:00:00Z",
        "data_date": "2026-11-24",
        "average_risk": 0.31,
        "cut": {
            "called": len(called),
            "of": len(made),
            "capacity": len(called),
            "how": f"the {len(called)} with the highest risk",
            "expected_leavers": sum(client["risk"] for client in called),
            "expected_leavers_at_random": 0.3 * len(called),
            "cumulative_gains": None,
        },
        "bands": bands,
        "shown": ["owner"],
        "settings": [],
        "expected": None,
        "since": "2026-11-17",
        "snapshots": [
            {
                "date": f"2026-{9 + at // 4:02d}-{1 + 7 * (at % 4):02d}",
                "at": "2026-11-24T07:00:00Z",
                "model_version": 15 + at // 5,
            }
            for at in range(12)
        ],
        "new": [c["client"] for c in called[3::5]],
        "off": [
            {"client": c["client"], "rank": 9 + at, "risk": 0.6, "became": became}
            for at, (c, became) in enumerate(
                zip(made[len(called) :], ("left", "open", "open", "stayed"), strict=False)
            )
        ],
        "moves": [
            {
                "client": c["client"],
                "rank": c["rank"],
                "risk": c["risk"],
                **{key: c["change"][key] for key in ("points", "data", "model")},
            }
            for c in moves
        ],
        "clients": made,
    }


def listed_client(name: str, rank: int = 1, **changed: Any) -> ListedClient:
    """One client of a list, called and with one reason on either side."""
    plain = {"rank": rank, "client": name, "risk": 0.72, "date": "2026-11-24", "call": True}
    reasons = (Reason(9.0, "tenure 1 (usually 9 to 55)", ()), Reason(-3.0, "no", ()))
    return ListedClient(**plain | {"band": "high", "reasons": reasons, "notes": ()} | changed)


def call_list(*made: ListedClient, **changed: Any) -> CallList:
    """A list of these, of which nobody knows more."""
    called = sum(client.call for client in made)
    plain: dict[str, Any] = {
        "model_version": 17,
        "data_version": 1,
        "basis": "unlabelled",
        "note": "clients whose last row has no label yet",
        "scored_at": "2026-11-24T07:00:05Z",
        "data_date": "2026-11-24",
        "average_risk": 0.31,
        "cut": Cut(called, len(made), None, "no call pays", 0.0, 0.0),
        "shown": (),
        "settings": (),
        "clients": made,
    }
    return CallList(**plain | changed)


def write_list(project: Project, made: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Put the list where reporting.py puts it; what was written."""
    found = {**listing(made), **more}
    project.config.clients_json.write_text(json.dumps(found))
    return found
