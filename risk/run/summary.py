"""What a person reads after `make run`: the list, how far to trust it, what was decided, what next.

At most 24 lines of at most 100 characters; all that was done stands behind -v and in --json.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from risk.calllist.facts import cannot_rank, expected_short, headline, trust_sentence
from risk.calllist.policy import NO_RANKING
from risk.calllist.types import CallList, ListedClient, read_list
from risk.config import DEFAULT_CONFIG, HOME, Config, Outcome
from risk.data.schema import printable
from risk.files import read_optional_json
from risk.record.outcomes import parse_outcomes
from risk.script import make_command, typed_path
from risk.words import LINE, as_sentence, day, wrapped

SHOWN_CLIENTS, SHOWN_NAME, MOST_ATTENTION = 5, 30, 3


def summary(config: Config, outcome: Outcome, score: Mapping[str, Any] | None) -> str:
    """The run's outcome with what it means. score: of the deployed model, None before the first."""
    listing = read_list(config) if score else None
    outcomes = parse_outcomes(read_optional_json(config.outcomes))
    parts = [
        _list_lines(config, listing) if listing else [],
        _trust_lines(trust_sentence(listing, outcomes, score), listing) if listing else [],
        _decided_lines(outcome),
        _attention_lines(outcome.data.get("attention", [])),
        _next_lines(config, listing),
    ]
    if score and listing:
        # Last and alone: it is the exercise's number and says little to whoever has to call.
        parts[-1].append(f"F1, the exercise's number: {score['f1']:.3f}. All that was done: -v")
    return "\n\n".join("\n".join(part) for part in parts if part)


def _list_lines(config: Config, listing: CallList) -> list[str]:
    """How many to call, the first five with risk and reason, and where the others are."""
    when = f", data of {day(listing.data_date)}" if listing.data_date else ""
    called = listing.called
    head = f"{headline(listing)}{when}"
    if not called:
        plain = f"the list cannot be relied on yet: {NO_RANKING}"
        why = as_sentence(plain if cannot_rank(listing) else listing.cut.how)
        return [head, *wrapped(f"  {why}").splitlines()[:3]]
    first = called[:SHOWN_CLIENTS]
    width = max(len(_shortened(client.called_name, SHOWN_NAME)) for client in first)
    lines = [_client_line(client, width) for client in first]
    more = len(called) - len(first)
    place = typed_path(config.clients_sheet)
    return [head, *lines, f"  {f'and {more:,} more, ' if more else ''}all clients: {place}"]


def _client_line(client: ListedClient, width: int) -> str:
    name = _shortened(client.called_name, SHOWN_NAME).ljust(width)
    reason = client.raising[0].text if client.raising else ""
    return _shortened(f"{client.rank:>4}  {client.risk:4.0%}  {name}  {reason}".rstrip(), LINE)


def _shortened(text: str, longest: int) -> str:
    text = printable(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _trust_lines(trust: str, listing: CallList) -> list[str]:
    """How far to trust the list, and how many of those called are expected to leave."""
    expected = expected_short(listing.expected) if listing.expected else ""
    return wrapped(" ".join(filter(None, [trust, expected])), step="").splitlines()[:3]


def _decided_lines(outcome: Outcome) -> list[str]:
    """What became of the model, in one sentence."""
    words = as_sentence(outcome.data.get("decision") or outcome.text.partition("\n")[0])
    return wrapped(f"Decided: {words}").splitlines()[:2]


def _attention_lines(sentences: list[str]) -> list[str]:
    """What somebody has to look at: files that were not read, alerts, outcomes that never count."""
    lines: list[str] = []
    for at, sentence in enumerate(sentences):
        # Whole, since it may end with what to type; the others wait behind -v.
        own = wrapped(f"Look at: {sentence}").splitlines()
        more = len(sentences) - at - 1
        if lines and len(lines) + len(own) + (more > 0) > MOST_ATTENTION:
            return [*lines, f"  and {more + 1:,} more: -v"]
        lines += own
    return lines


def _next_lines(config: Config, listing: CallList | None) -> list[str]:
    """Commands that work when typed where this run was started, with its Python and its config."""
    if listing is None:
        folder = typed_path(config.input_folder)
        what = "the next export" if config.labels == "status" else "files with outcomes"
        return ["Next", *wrapped(f"  put {what} into {folder}/, then type this again").splitlines()]
    commands = {
        make_command("serve", config.path): f"then open http://127.0.0.1:{config.port}/",
        make_command("cron", config.path): "the line for crontab, so that it runs by itself",
        typed_path(config.report_pdf): "to read and to forward",
    }
    if config.path == DEFAULT_CONFIG:
        script = f"{typed_path(sys.executable)} {typed_path(HOME)}/".replace(" ./", " ")
        commands[f"{script}ingestion.py --init DIR FILE"] = "the same with your own files"
    width = max(map(len, commands))
    lines = [(f"  {command:{width}}  {what}", command) for command, what in commands.items()]
    # A command is never cut: in a folder of a long name it stands alone.
    return ["Next", *(line if len(line) <= LINE else f"  {command}" for line, command in lines)]
