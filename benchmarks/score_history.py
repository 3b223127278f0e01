"""How long it takes to keep what a list predicted and to find one client: SQLite beside JSON files.

    python benchmarks/score_history.py [--clients 10000] [--lists 24]

The plain way writes each list as a JSON file of its own and reads all of them to find a client.
CPU seconds of one process, medians; the same lists for both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from risk.config import Config, load
from risk.files import write_atomic
from risk.record.scores import (
    past_scores,
    record_scores,
    scored_frame,
    scores_in,
    scores_of,
    scoring_of,
    scorings,
)

SEED, ASKED = 0, 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--lists", type=int, default=24)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        config = made(Path(scratch))
        lists = {n: scored_clients(n, chosen.clients) for n in range(1, chosen.lists + 1)}
        kept = [timed(lambda n=n: keep(config, n, lists[n])) for n in lists]
        files = [timed(lambda n=n: keep_plain(Path(scratch), n, lists[n])) for n in lists]
        names = [f"client {at}" for at in range(0, chosen.clients, chosen.clients // ASKED)]
        found = [timed(lambda name=name: past_scores(config, name)) for name in names]
        plain = [timed(lambda: find_plain(Path(scratch), names[0])) for _ in range(3)]
        size = config.score_history.stat().st_size
    print(f"{chosen.clients:,} clients, {chosen.lists} lists, seed {SEED}; CPU, medians")
    report("one list kept", kept, files)
    report("one client found", found, plain)
    print(f"  {size / chosen.clients / chosen.lists:.0f} bytes a client and list")


def report(what: str, ours: list[float], plain: list[float]) -> None:
    one, other = statistics.median(ours), statistics.median(plain)
    print(f"  {what:18} {1e3 * one:8.1f} ms, plain files {1e3 * other:8.1f} ms: {one / other:.3f}")


def timed(step: Callable[[], Any]) -> float:
    started = time.process_time()
    step()
    return time.process_time() - started


def made(folder: Path) -> Config:
    """The config of an empty project."""
    keys = ("input_folder", "output_folder", "output_model", "prod_deployment")
    settings = {f"{key}_path": f"{key}/" for key in keys} | {"test_data_path": "testdata/"}
    for name in settings.values():
        (folder / name).mkdir()
    (folder / "config.json").write_text(json.dumps(settings))
    config = load(folder / "config.json")
    config.state_folder.mkdir(exist_ok=True)
    return config


def scored_clients(number: int, clients: int) -> pl.DataFrame:
    """The clients of one list, a tenth of them called."""
    risks = np.sort(np.random.default_rng([SEED, number]).random(clients))[::-1].round(6)
    called = [at < clients // 10 for at in range(clients)]
    return scored_frame(
        {
            "client": [f"client {(at * 7919 + number) % clients}" for at in range(clients)],
            "date": [f"2030-{number % 12 + 1:02d}-28"] * clients,
            "risk": risks.tolist(),
            "rank": range(1, clients + 1),
            "band": ["high" if call else "low" for call in called],
            "called": called,
            "reasons": [((12.5, "orders 3 (usually 9 to 55)"),) * 3] * clients,
        }
    )


def keep(config: Config, number: int, scored: pl.DataFrame) -> None:
    past = scorings(config)
    last = past[-1] if past else None
    before = scores_in(config, last.number if last else 0)
    scoring = scoring_of(
        scored,
        past,
        data_version=number,
        data_date=scored["date"][0],
        at=f"2031-01-{number % 28 + 1:02d}T07:00:00Z",
        model_version=1,
        model="m",
        basis="unlabelled",
    )
    scores = scores_of(scored, scoring.number, before, scored.select("client", former="risk"))
    record_scores(config, scoring, scores, scored, last, before)


def keep_plain(folder: Path, number: int, scored: pl.DataFrame) -> None:
    write_atomic(folder / f"list-{number:04}.json", json.dumps(scored.to_dicts()))


def find_plain(folder: Path, name: str) -> list[dict[str, Any]]:
    lists = (json.loads(path.read_text()) for path in sorted(folder.glob("list-*.json")))
    return [client for one in lists for client in one if client["client"] == name]


if __name__ == "__main__":
    main()
