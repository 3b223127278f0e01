"""What the report says, as values: from the list, the outcomes, the model and the kept state.

Each part is made by a function of its own, so that a page or a digest can take it alone. Nothing
here draws, and nothing is cut for want of room.
"""

from __future__ import annotations

import datetime
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.calllist.types import CallList, ListedClient, OffList
from risk.config import Config, PipelineError
from risk.data.quarantine import set_aside
from risk.data.schema import printable
from risk.data.store import COUNTS, read_state
from risk.drift.state import DriftEvaluation, last_evaluation
from risk.model.curves import curves
from risk.model.effects import overview
from risk.model.logistic import expit
from risk.model.measures import SHARES, cumulative_gains
from risk.model.model import Model
from risk.model.profile import column_text
from risk.record.history import last_decision
from risk.releases import Manifest

if TYPE_CHECKING:
    from risk.record.history import Entry

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
HIGHEST = 10  # shown where nobody is to be called
NOT_FOR = (
    "To refuse, price or dismiss a person: it ranks clients for a call.",
    "As a cause: a sign goes together with leaving and need not bring it about.",
    "For clients unlike those it was trained on, or after a change that the new data do not show.",
    "To judge calls: a client who was called and stayed may be a success and no false alarm.",
)
PROVISIONAL = "Provisional: no model has proved yet that it beats the plain share of exits."
RECIPES = {
    "default": "logistic regression on curves, levels and joint terms (docs/model.md)",
    "original": "logistic regression on the raw columns",
}


def card_of(
    config: Config,
    listing: CallList,
    outcomes: dict[str, Any],
    score: dict[str, Any],
    manifest: Manifest,
    model: Model,
    tested: tuple[np.ndarray, np.ndarray],
) -> dict[str, Any]:
    """All that the report says; tested: labels and risks of the test data as they are now."""
    entry, undecided = _last_look(config)
    labels, risks = tested
    return {
        **_today(listing, manifest),
        "calls": _calls(listing),
        "changed": _changed(listing),
        "trust": trust(outcomes, score, listing.cut.cumulative_gains),
        "curves": curves(labels, risks) if labels.size else None,
        "no_curves": no_curves(labels),
        "area": area_words(score) if score["basis"] == "test data" else "",
        "judged": calibrated(outcomes, score),
        "reached": reached(outcomes, score, labels, risks),
        "effects": _effects(model),
        "model": _model_card(manifest, score),
        "not_for": NOT_FOR,
        "decision": _decision(entry),
        "undecided": undecided,
        "data": data_card(config),
        "alerts": _alerts(last_evaluation(config)),
    }


# ---------------------------------------------------------------- words


def day(text: str) -> str:
    """`24 Nov 2026` for 2026-11-24 or 2026-11-24T07:00:00Z; other texts as they are."""
    try:
        found = datetime.date.fromisoformat(text[:10])
    except ValueError:
        return text
    return f"{found.day} {MONTHS[found.month - 1]} {found.year}"


def _moment(text: str) -> str:
    """`24 Nov 2026 07:00 UTC` for 2026-11-24T07:00:00Z."""
    return f"{day(text)} {text[11:16]} UTC" if len(text) > 15 else day(text)


def _span(interval: list[float]) -> str:
    """`51 to 73` for [.51, .73]."""
    return f"{100 * interval[0]:.0f} to {100 * interval[1]:.0f}"


def signed(points: float) -> str:
    """+3, −3 or 0, with a real minus."""
    return f"{points:+.0f}".replace("-", "−") if round(points) else "0"


# ---------------------------------------------------------------- today


def _today(listing: CallList, manifest: Manifest) -> dict[str, Any]:
    """The headline, the stamp, and four facts."""
    cut = listing.cut
    data = listing.data_date
    dated = f"Data of {day(data)}" if data else "Data without a date"
    return {
        "headline": f"{cut.called:,} of {cut.of:,} clients to call"
        if cut.called
        else f"Nobody to call of {cut.of:,} clients",
        "stamp": f"{dated}, model version {listing.model_version} "
        f"(deployed {day(manifest['deployed_at'])}). Made {_moment(listing.scored_at)}.",
        "made_at": listing.scored_at,
        "basis": f"Listed: {listing.note}.",
        "facts": [
            _on_the_list(listing),
            _new_on_the_list(listing),
            _expected(listing),
            _mean(listing),
        ],
    }


def _on_the_list(listing: CallList) -> dict[str, str]:
    cut, bands = listing.cut, listing.bands
    note = f"{bands['raised']:,} raised, {bands['low']:,} low"
    if bands["not enough data"]:
        note += f", {bands['not enough data']:,} not enough data"
    return {"name": "On the call list", "value": f"{cut.called:,}", "note": note}


def _new_on_the_list(listing: CallList) -> dict[str, str]:
    if not listing.since:
        why = "the first list: nothing to compare with"
        return {"name": "New on it", "value": "–", "note": why}
    became = Counter(one.became for one in listing.off)
    words = [f"{became[word]:,} {word}" for word in ("left", "stayed", "gone") if became[word]]
    if became["open"]:
        words.append(f"{became['open']:,} passed by others")
    note = f"and {len(listing.off):,} off it" + (f": {', '.join(words)}" if words else "")
    name = f"New since {day(listing.since)}"
    return {"name": name, "value": f"{len(listing.new):,}", "note": note}


def _expected(listing: CallList) -> dict[str, str]:
    cut = listing.cut
    note = f"of as many picked at random {cut.expected_leavers_at_random:.1f}"
    if cut.expected_profit is not None:
        note += f"; expected profit {cut.expected_profit:,.0f}"
    value = f"{cut.expected_leavers:.1f}"
    return {"name": "Of the listed expected to leave", "value": value, "note": note}


def _mean(listing: CallList) -> dict[str, str]:
    value = f"{100 * listing.average_risk:.0f} %"
    note = "one who is average in everything"
    return {"name": "Average client's risk", "value": value, "note": note}


def _calls(listing: CallList) -> dict[str, Any]:
    """The call list, or where nobody is to be called the highest risks and why."""
    called = listing.called
    title = "Whom to call, and why" if called else "The highest risks (no call is advised)"
    how = listing.cut.how
    return {
        "title": title,
        "how": how[:1].upper() + how[1:] + ".",
        "average": listing.average_risk,
        "since": listing.since,
        "clients": called or listing.clients[:HIGHEST],
    }


def change_words(client: ListedClient, since: str | None) -> tuple[str, str]:
    """(`+12`, `data +9, model +3`); under 5 points `steady`; `new`: unknown then."""
    change = client.change
    if not change:
        return "new" if since else "", ""
    return change.words, "" if change.data is None else change.split


def signs(client: ListedClient, *, up: bool) -> list[str]:
    """The signs of one direction; what is odd about the row comes after those that raise."""
    texts = [reason.text for reason in (client.raising if up else client.lowering)]
    return [*texts, *(client.notes if up else ())]


def about_words(client: ListedClient) -> str:
    """Who looks after the client and whether somebody has called, where that is known."""
    contact = client.contact
    words = [client.owner] if client.owner else []
    if contact:
        when = f"until {day(contact.until)}" if contact.until else day(contact.at)
        words.append(f"{contact.state} {when}")
    return ", ".join(words)


def _changed(listing: CallList) -> dict[str, Any]:
    """Who is new on the list with risk, who is off it and what became of them, who moved most."""
    by_name = listing.by_name
    return {
        "since": listing.since and day(listing.since),
        "new": [by_name[name] for name in listing.new],
        "off": listing.off,
        "moves": listing.moves,
    }


def off_word(one: OffList) -> str:
    return "passed by others" if one.became == "open" else one.became


# ---------------------------------------------------------------- can it be trusted


def trust(
    outcomes: dict[str, Any], score: dict[str, Any], test: dict[str, Any] | None
) -> dict[str, Any]:
    """What came of the lists; before enough outcomes what the test data say, named as such.

    listed, at_random: shares for a picture, None where nothing can be claimed.
    """
    whole = outcomes.get("all")
    if outcomes["enough"] and whole and whole["listed"]["n"]:
        return _by_outcomes(outcomes, whole)
    why = outcomes["why"] or "none of the clients whose outcome is known was on the call list"
    why = why[:1].upper() + why[1:]
    if test and score["basis"] == "test data":
        return _by_test(test, score) | {"why": f"{why}."}
    low, high = score["f1_interval"]
    basis = "test rows" if score["basis"] == "test data" else "training rows by cross-validation"
    found = f"F1 {score['f1']:.2f} ({low:.2f} to {high:.2f}) on {score['n']:,} {basis}"
    return {
        "headline": "No list has come true yet",
        "text": f"{found}{_area(score)}. Calling everybody would score "
        f"{score['everybody_exits']['f1']:.2f}.",
        "why": f"{why}.",
        "listed": None,
        "at_random": None,
    }


def _by_outcomes(outcomes: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    listed, drawn = whole["listed"], whole["at_random"]
    dates = [day(text) for text in (outcomes["from"], outcomes["to"]) if text]
    when = f" in the data of {' to '.join(dict.fromkeys(dates))}" if dates else ""
    text = (
        f"{listed['left']:,} of {listed['n']:,} listed clients left (95 % interval "
        f"{_span(listed['interval'])} of 100), {whole['left']:,} of all {whole['n']:,}{when}. "
        f"Outcomes of {outcomes['waiting']:,} rows are still to come."
    )
    return {
        "headline": _of_hundred("clients we listed", listed["share"], drawn["share"]),
        "text": text,
        "why": outcomes["caveat"][:1].upper() + outcomes["caveat"][1:] + ".",
        "listed": listed["share"],
        "at_random": drawn["share"],
    }


def _by_test(test: dict[str, Any], score: dict[str, Any]) -> dict[str, Any]:
    text = (
        f"By the test data, {score['n']:,} rows that the model never saw: {test['left']:,} of the "
        f"{test['called']:,} with the highest risk left (95 % interval "
        f"{_span(test['precision_interval'])} of 100){_area(score)}."
    )
    drawn = test["at_random"]["precision"]
    return {
        "headline": _of_hundred("test clients called like this", test["precision"], drawn),
        "text": text,
        "listed": test["precision"],
        "at_random": drawn,
    }


def _of_hundred(who: str, listed: float, drawn: float) -> str:
    return (
        f"Of 100 {who}, {100 * listed:.0f} left; "
        f"of 100 picked at random, {100 * drawn:.0f} would have"
    )


def _area(score: dict[str, Any]) -> str:
    return f"; {area_words(score)}" if area_words(score) else ""


def area_words(score: dict[str, Any]) -> str:
    """`AUC 0.85 (0.83 to 0.87)`, "" where there is none."""
    if score.get("auc") is None:
        return ""
    return f"AUC {within(score['auc'], score.get('auc_interval'))}"


def within(value: float, interval: list[float] | None) -> str:
    """`0.85 (0.83 to 0.87)`."""
    return f"{value:.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")


def no_curves(labels: np.ndarray) -> str:
    """Why there is no ROC, "" where there is one."""
    if not labels.size:
        return "no labelled test row"
    left = int(labels.sum())
    if 0 < left < labels.size:
        return ""
    return f"all {labels.size:,} test rows {'left' if left else 'stayed'}"


def _basis_of(score: dict[str, Any]) -> str:
    if score["basis"] == "test data":
        return f"{score['n']:,} test rows"
    return f"{score['n']:,} training rows, cross-validated"


def calibrated(outcomes: dict[str, Any], score: dict[str, Any]) -> dict[str, Any] | None:
    """Risks beside what came of them: by outcomes, else as scored; None where neither has any."""
    found = outcomes["calibration"] if outcomes["enough"] else None
    if found:
        return {"basis": f"{outcomes['known']:,} outcomes", **found}
    found = score.get("calibration")
    return {"basis": _basis_of(score), **found} if found and found["bins"] else None


def reached(
    outcomes: dict[str, Any], score: dict[str, Any], labels: np.ndarray, risks: np.ndarray
) -> dict[str, Any] | None:
    """The share of leavers that longer lists reach: by outcomes, else the test data, as scored."""
    if outcomes["enough"] and outcomes["cumulative_gains"]:
        steps, basis = outcomes["cumulative_gains"], f"{outcomes['known']:,} outcomes"
    elif labels.size:
        steps, basis = cumulative_gains(labels, risks, SHARES), f"{labels.size:,} test rows"
    else:
        steps, basis = score.get("cumulative_gains") or [], _basis_of(score)
    steps = [step for step in steps if step["recall"] is not None]
    return {"basis": basis, "steps": steps} if steps else None


# ---------------------------------------------------------------- the model


def _effects(model: Model) -> dict[str, Any]:
    """The average client's risk and what each column does to it, the widest range first."""
    return {
        "average": float(expit(np.array([model.intercept]))[0]),
        "columns": [
            {
                "name": " together with ".join(column_text(name) for name in item["columns"]),
                "kind": model.columns[item["columns"][0]] if len(item["columns"]) == 1 else "joint",
                "usual": _usual(model, item["columns"]),
                "low": min(entry["risk"] for entry in item["effects"]),
                "high": max(entry["risk"] for entry in item["effects"]),
                "effects": [
                    {key: entry.get(key) for key in ("value", "text", "risk")}
                    for entry in item["effects"]
                ],
            }
            for item in overview(model)
        ],
    }


def _usual(model: Model, columns: list[str]) -> list[float] | None:
    """The ends of the middle half of a number's values; None where there is no such half."""
    usual = model.profile.get(columns[0], {}) if len(columns) == 1 else {}
    return [usual["low"], usual["high"]] if "low" in usual else None


def range_words(column: dict[str, Any]) -> str:
    return f"{100 * column['low']:.0f} to {100 * column['high']:.0f} %"


def _model_card(manifest: Manifest, score: dict[str, Any]) -> list[tuple[str, str]]:
    """(what, value) of the deployed model, for a table."""
    recipe = RECIPES.get(manifest["recipe"], manifest["recipe"])
    rows = f"{manifest['rows']:,} labelled rows, {manifest['exits']:,} of them exits"
    last = f", the newest of {day(manifest['last_date'])}" if manifest.get("last_date") else ""
    horizon = manifest.get("horizon_days")
    after = f", a label counts after {horizon:,} days" if horizon else ""
    return [
        ("Version", f"{manifest['version']}, deployed {_moment(manifest['deployed_at'])}"),
        ("Trained", f"{_moment(manifest['trained_at'])} on {rows}{last}{after}"),
        ("Recipe", recipe),
        ("Sees", f"{len(manifest['columns']):,} columns: {', '.join(manifest['columns'])}"),
        ("Says", "the chance that a client leaves; the reasons add up to it exactly"),
        ("Judged", f"F1 {score['f1']:.3f}{_area(score)}, Brier {score['brier']:.3f} on "
                   f"{_basis_of(score)}"),
    ]  # fmt: skip


def _number(value: float) -> str:
    """Two decimals; 3e+12 where they say nothing any more."""
    return f"{value:,.2f}" if abs(value) < 1e6 else f"{value:.0e}"


def _last_look(config: Config) -> tuple[Entry | None, str]:
    """(the last look, "") or (None, why there is none): a damaged history keeps no list back."""
    try:
        entry = last_decision(config)
    except PipelineError as error:
        return None, str(error)
    return entry, "" if entry else "Nothing was decided yet."


def _decision(entry: Entry | None) -> dict[str, Any] | None:
    """The last look that decided something; None before the first."""
    if entry is None:
        return None
    return {
        "what": entry.word,
        "at": _moment(entry.at),
        "reason": entry.why,
        "judged": f"{entry.rows:,} labelled rows, {entry.exits:,} exits; policy {entry.policy}",
        "evidence": [
            {
                "name": printable(one.name),
                "E": _number(one.e_value),
                "limit": _number(one.threshold),
            }
            for one in entry.evidence
        ],
        "provisional": bool(entry.details.get("provisional", entry.action == "first")),
    }


# ---------------------------------------------------------------- the data


def data_card(config: Config) -> dict[str, Any]:
    """What was read: the counts, which add up, the newest files, and why rows were set aside."""
    files = sorted(
        read_state(config)["files"].values(),
        key=lambda entry: (entry["data_version"], entry["file"]),
        reverse=True,
    )
    sums = {key: sum(entry[key] for entry in files) for key in COUNTS}
    return {
        "sentence": _sums_words(sums, len(files)),
        "files": [
            {key: entry[key] for key in ("file", "verdict", "reason", *COUNTS)} for entry in files
        ],
        **sums,
        "reasons": set_aside(config, files),
    }


def _sums_words(sums: dict[str, int], files: int) -> str:
    """`99 rows, 2 files = 90 accepted + 5 duplicates + 4 set aside`."""
    return (
        f"{sums['rows']:,} rows, {files:,} {'file' if files == 1 else 'files'} = "
        f"{sums['accepted']:,} accepted + {sums['duplicates']:,} duplicates + "
        f"{sums['quarantined']:,} set aside"
    )


def _alerts(last: DriftEvaluation) -> dict[str, Any]:
    """What has drifted, a sentence each; measured_at None before the first evaluation."""
    return {
        "measured_at": last.measured_at and _moment(last.measured_at),
        "watched": len(last.rows),
        "lines": [
            f"{row.state}: {row.name}: {row.sentence}"
            for row in last.rows
            if row.state in ("alert", "watching")
        ],
    }


def quiet(watch: dict[str, Any]) -> str:
    if watch["measured_at"] is None:
        return "Has not looked yet."
    if not watch["watched"]:
        return "Nothing new to compare with what the model was built on."
    return f"{watch['watched']:,} things watched, nothing moved (looked {watch['measured_at']})."
