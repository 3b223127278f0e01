"""What a person who typed `make run` reads at the end: what was done and decided, what is next."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import Any

from risk.calllist.facts import everybody_words, score_words
from risk.calllist.types import read_list
from risk.config import DEFAULT_CONFIG, HOME, Config, Outcome
from risk.script import make_command, typed_path

SHOWN_CLIENTS = 5


def summary(
    config: Config, outcome: Outcome, score: Mapping[str, Any] | None, releases: str
) -> str:
    """The run's outcome with what it means. score: of the deployed model, None before the first."""
    known = f"{score_words(score)}; {everybody_words(score)}" if score else ""
    lists = (config.clients_csv, config.report_html, config.confusion_matrix, config.api_returns)
    places = (*lists, config.finaldata, config.ingested_files, config.production_folder)
    parts = {
        "What was done": outcome.data["notes"],
        "What was decided": outcome.text.splitlines()[:1],
        "How good the deployed model is": [known],
        "Who to call first": first_clients(config),
        "Where things are": [config.shown(path) for path in places],
        "Releases": releases.splitlines(),
        "What to type next": _next_commands(config),
    }
    if not score:  # nothing is deployed, so that there is nothing to show yet
        folder = config.shown(config.input_folder)
        parts = {head: parts[head] for head in ("What was done", "What was decided")}
        parts["What to type next"] = [f"put CSV files with labels into {folder}/, then make run"]
    return "\n".join(
        f"\n{head}\n" + "\n".join(f"  {line}" for line in lines) for head, lines in parts.items()
    )


def first_clients(config: Config) -> list[str]:
    """The first ones on the call list, or why nobody is on it."""
    listing = read_list(config)
    if listing is None:
        return ["nobody: there is no list yet"]
    first = listing.called[:SHOWN_CLIENTS]
    return [f"{c.rank:>3}  {c.risk:4.0%}  {c.called_name}" for c in first] or [
        f"nobody: {listing.cut.how}"
    ]


def _next_commands(config: Config) -> list[str]:
    """Commands that work when typed where this run was started, with its Python and its config."""
    option = "" if config.path == DEFAULT_CONFIG else f" --config {shlex.quote(str(config.path))}"
    script = f"{typed_path(sys.executable)} {typed_path(HOME)}/".replace(" ./", " ")
    commands = {
        make_command("serve", config.path): f"then open http://127.0.0.1:{config.port}/",
        make_command("cron", config.path): "the line for crontab",
        f"{script}diagnostics.py --status{option}": "is it alive?",
        f"{script}ingestion.py --init DIR FILE": "a project from files of your own",
    }
    width = max(map(len, commands))
    return [f"{command:{width}}  {what}" for command, what in commands.items()]
