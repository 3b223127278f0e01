"""The notices of a page: what is, why, and what to do next, from what is on disk."""

from __future__ import annotations

from dataclasses import dataclass

from risk.model.fit import MIN_TRAINING_CLASS, MIN_TRAINING_ROWS
from risk.run.record import EVERY_MINUTES


@dataclass(frozen=True)
class Notice:
    """One notice; `alert` needs somebody. Text between backticks is to be typed."""

    name: str
    what: str
    why: str
    next: str
    alert: bool = False
    status: int = 200
    links: tuple[tuple[str, str], ...] = ()


class ShowInstead(Exception):
    """Raised by a page's view: the notice is all that there is to show."""

    def __init__(self, notice: Notice) -> None:
        super().__init__(notice.what)
        self.notice = notice


def no_model(rows: int, labelled: int) -> Notice:
    """rows, labelled: taken in so far, and those of them with an outcome."""
    return Notice(
        "no model yet",
        "No model yet.",
        f"{rows:,} rows were taken in, {labelled:,} of them with an outcome; a first model "
        f"needs at least {MIN_TRAINING_ROWS} rows with an outcome, "
        f"{MIN_TRAINING_CLASS} of each kind.",
        "Put files with outcomes into the input folder; then type `make run`, or wait for the "
        "next run.",
    )


def no_list() -> Notice:
    return Notice(
        "no list yet",
        "No list yet.",
        "A model is deployed, and nobody has made the list of clients.",
        "Type `python reporting.py`; every run of `fullprocess.py` that changes something does so.",
    )


def provisional(version: int) -> Notice:
    return Notice(
        "provisional model",
        f"Model {version} is provisional.",
        "No outcome that came after a forecast has shown yet that the forecasts are better than "
        "the share of leavers alone.",
        "Use the list. The model is confirmed by itself as outcomes come; if it does worse than "
        "the share of leavers alone, an alarm in the log says so.",
    )


def other_model(listed: int, deployed: int) -> Notice:
    return Notice(
        "list of another model",
        f"The list is by model {listed}; deployed is model {deployed}.",
        "It holds for the rows of its date. A client's reasons are the deployed model's.",
        "Type `python reporting.py`, or wait for the next run.",
    )


def nothing_to_score(note: str) -> Notice:
    return Notice(
        "nothing to score",
        "No clients to score.",
        f"Every client’s last row says that the client has left ({note}).",
        "Add a file with present clients, their outcome left empty.",
    )


def no_outcomes(why: str) -> Notice:
    return Notice(
        "no outcomes yet",
        "We cannot say yet how good the lists are.",
        why,
        "Nothing to do. Until then no accuracy is shown.",
    )


def cannot_tell(known: int, least: int, waiting: int) -> Notice:
    """Too few outcomes to say how good the lists are."""
    told = f"{known:,} of the {least:,} that it takes are known" if least else "None is known"
    wait = f"; {waiting:,} clients of earlier lists wait for theirs" if waiting else ""
    return Notice(
        "no outcomes yet",
        "No outcomes yet: we cannot tell how good the lists are.",
        f"{told}{wait}. A client counts who was on a list before the outcome was known.",
        "Nothing to do: outcomes come with the files. Until then no accuracy is claimed.",
    )


def no_decision() -> Notice:
    return Notice(
        "no decision yet",
        "No decision yet.",
        "No evaluation has had anything to decide: that takes labelled rows for a first model, and "
        "new ones after it.",
        "Put files with outcomes into the input folder; then type `make run`, or wait for the "
        "next run.",
    )


def history_damaged(path: str, why: str) -> Notice:
    return Notice(
        "history damaged",
        "The history of decisions cannot be read.",
        f"{why[:1].upper()}{why[1:]}.",
        f"Type `mv {path} {path}.old`: the next decision begins a new history. The last decision "
        "and the releases below are kept elsewhere and hold.",
        alert=True,
    )


def paused_by_hand(version: int | None, since: str) -> Notice:
    return Notice(
        "paused by hand",
        f"Model {version} is paused by hand.",
        f"Somebody chose it {since}; no run replaces it.",
        "When evidence may decide again, type `python deployment.py --release-hold`.",
    )


def paused_by_fault(sentence: str, file: str) -> Notice:
    return Notice(
        "paused by a data quality issue",
        "Nothing is judged or deployed: a data fault.",
        f"{sentence}.",
        f"If the file is wrong, put the right one in its place, or type `python ingestion.py "
        f"--forget {file}`. If the world is like that now, type `python deployment.py "
        "--release-hold`.",
        alert=True,
    )


def never_run() -> Notice:
    return Notice(
        "never run",
        "No run has ended well yet.",
        "Cron’s line is not set up, or every run so far failed.",
        "Type `python fullprocess.py --now` to see what happens, and `make cron` for cron’s line.",
        alert=True,
    )


def late(ago: str) -> Notice:
    return Notice(
        "late",
        f"Late: the last good run was {ago}.",
        f"A run is expected every {EVERY_MINUTES} minutes; at least two are missing.",
        "Type `crontab -l` to see whether cron’s line is there, and `python fullprocess.py --now` "
        "to see what happens.",
        alert=True,
    )


def one_snapshot() -> Notice:
    return Notice(
        "only one snapshot",
        "Changes appear from the second file on.",
        "This is the first list, so there is nothing to compare it with.",
        "Nothing to do.",
    )


def no_hits(asked: str, links: tuple[tuple[str, str], ...]) -> Notice:
    return Notice("filter without hits", f"No client matches: {asked}.", "", "", links=links)


def stale(data: str, old: str, rhythm: str) -> Notice:
    return Notice(
        "stale",
        f"The list is old: data of {data}, {old}.",
        f"{rhythm} The list below is the last that could be made.",
        "Ask whoever sends the files, and look into the input folder.",
        alert=True,
    )


def last_run_failed(trouble: str, data: str) -> Notice:
    return Notice(
        "last run failed",
        f"The last run failed; the list is still that of {data}.",
        f"{trouble[:1].upper()}{trouble[1:]}.",
        "Type `python diagnostics.py --doctor`; the next run completes what is open.",
        alert=True,
    )


def unknown_client(asked: str, near: tuple[tuple[str, str], ...]) -> Notice:
    return Notice(
        "client unknown",
        f"No client is called “{asked}”.",
        "Names are matched whole.",
        "The nearest names:" if near else "",
        status=404,
        links=near,
    )


def damaged(what: str, hint: str) -> Notice:
    return Notice(
        "artifact damaged",
        "What was deployed cannot be read.",
        f"{what}.",
        f"Type `python diagnostics.py --doctor`: it names what is damaged and what to type. {hint}",
        alert=True,
        status=503,
    )


def not_allowed() -> Notice:
    return Notice(
        "not allowed",
        "This page needs the token.",
        "A token is set on this machine, and the request carried none, or another.",
        "Load the page again: any user name, with the token as the password.",
        status=401,
    )


def refused(status: int, message: str, hint: str) -> Notice:
    """Any other refusal, in the words of the API's error."""
    what = f"{message[:1].upper()}{message[1:]}."
    then = f"{hint[:1].upper()}{hint[1:]}."
    return Notice("refused", what, "", then, alert=status >= 500, status=status)


def examples() -> list[Notice]:
    """One of each, for the page that explains them."""
    link = (("Clear the filter", "."),)
    return [
        no_model(26, 6),
        no_list(),
        provisional(16),
        other_model(16, 17),
        nothing_to_score("clients whose last row says that they stayed"),
        no_outcomes("The first list is too young: a client counts once its outcome is known."),
        cannot_tell(12, 30, 410),
        no_decision(),
        history_damaged("state/history.sqlite", "file is not a database"),
        paused_by_hand(15, "on 24 Nov 2026 09:30 UTC"),
        paused_by_fault(
            "orders: the values are about 1,000 times as large as before", "orders.csv"
        ),
        never_run(),
        late("2 hours ago"),
        one_snapshot(),
        no_hits("band high, name with “quilon”", link),
        stale("3 Nov 2026", "21 days ago", "A file came every 7 days; at least two are missing."),
        last_run_failed("the run of 24 Nov failed in ingestion: permission denied", "3 Nov 2026"),
        unknown_client("Quilon Instrument", (("Quillon Instruments", "."),)),
        damaged("model.json does not match its digest", ""),
        not_allowed(),
    ]
