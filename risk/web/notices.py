"""The notices of a page: what is, why, and what to do next, from what is on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace

from risk.model.fit import MIN_TRAINING_CLASS, MIN_TRAINING_ROWS
from risk.words import as_sentence


@dataclass(frozen=True)
class Notice:
    """One notice; `alert` needs somebody. Text between backticks is to be typed.

    Words in {braces} are filled in by `of`.
    """

    name: str
    what: str
    why: str
    next: str
    alert: bool = False
    status: int = 200
    links: tuple[tuple[str, str], ...] = ()

    def of(self, **values: object) -> Notice:
        """The notice about these values; KeyError where one is missing."""
        # Only our own words are a format: {braces} in a name are a value and stay.
        what, why, then = (t.format(**values) for t in (self.what, self.why, self.next))
        return replace(self, what=what, why=why, next=then)


class ShowInstead(Exception):
    """Raised by a page's view: the notice is all that there is to show."""

    def __init__(self, notice: Notice) -> None:
        super().__init__(notice.what)
        self.notice = notice


INPUT_NEXT = (
    "Put files with outcomes into the input folder; then type `make run`, or wait for the next run."
)
NO_MODEL = Notice(
    "no model yet",
    "No model yet.",
    "{rows:,} rows were taken in, {labelled:,} of them with an outcome; a first model needs at "
    f"least {MIN_TRAINING_ROWS} rows with an outcome, {MIN_TRAINING_CLASS} of each kind.",
    INPUT_NEXT,
)
NO_LIST = Notice(
    "no list yet",
    "No list yet.",
    "A model is deployed, and nobody has made the list of clients.",
    "Type `python reporting.py`; every run of `fullprocess.py` that changes something does so.",
)
PROVISIONAL = Notice(
    "provisional model",
    "Model {version} is new: no outcome has confirmed it yet.",
    "",
    "",
)
CANNOT_RANK = Notice(
    "cannot be relied on yet",
    "The list cannot be relied on yet.",
    "By the outcomes that are known the model cannot tell who leaves from who stays. Nobody is "
    "named to call; the order below is its best guess.",
    "Nothing to do: each file with outcomes teaches it more.",
)
OTHER_MODEL = Notice(
    "list of another model",
    "The list is by model {listed}; deployed is model {deployed}.",
    "It holds for the rows of its date. A client's reasons are the deployed model's.",
    "Type `python reporting.py`, or wait for the next run.",
)
NOTHING_TO_SCORE = Notice(
    "nothing to score",
    "No clients to score.",
    "Every client’s last row says that the client has left ({note}).",
    "Add a file with present clients, their outcome left empty.",
)
NO_OUTCOMES = Notice(
    "no outcomes yet",
    "We cannot say yet how good the lists are.",
    "{why}",
    "Nothing to do. Until then no accuracy is shown.",
)
CANNOT_TELL = Notice(
    "no outcomes yet",
    "No outcomes yet: we cannot tell how good the lists are.",
    "{known}. A client counts who was on a list before the outcome was known.",
    "Nothing to do: outcomes come with the files. Until then no accuracy is claimed.",
)
NO_DECISION = Notice(
    "no decision yet",
    "No decision yet.",
    "No evaluation has had anything to decide: that takes labelled rows for a first model, and "
    "new ones after it.",
    INPUT_NEXT,
)
HISTORY_DAMAGED = Notice(
    "history damaged",
    "The history of decisions cannot be read.",
    "{why}",
    "Type `mv {path} {path}.old`: the next decision begins a new history. The last decision and "
    "the releases below are kept elsewhere and hold.",
    alert=True,
)
PAUSED_BY_HAND = Notice(
    "paused by hand",
    "Model {version} is paused by hand.",
    "Somebody chose it {since}; no run replaces it.",
    "When evidence may decide again, type `python deployment.py --release-hold`.",
)
PAUSED_BY_ISSUE = Notice(
    "paused by a data quality issue",
    "Nothing is judged or deployed: a data quality issue.",
    "{sentence}.",
    "If the file is wrong, put the right one in its place, or type `python ingestion.py --forget "
    "{file}`. If the world is like that now, type `python deployment.py --release-hold`.",
    alert=True,
)
NEVER_RUN = Notice(
    "never run",
    "No run has ended well yet.",
    "Cron’s line is not set up, or every run so far failed.",
    "Type `python fullprocess.py --now` to see what happens, and `make cron` for cron’s line.",
    alert=True,
)
LATE = Notice(
    "late",
    "Late: the last good run was {ago}.",
    "A run is expected {rhythm}; at least two are missing.",
    "Type `crontab -l` to see whether cron’s line is there, and `python fullprocess.py --now` to "
    "see what happens.",
    alert=True,
)
MISREAD = Notice("misread outcomes", "Outcomes come and never count.", "{misread}.", "", alert=True)
ONE_SNAPSHOT = Notice(
    "only one snapshot",
    "Changes appear from the second file on.",
    "This is the first list, so there is nothing to compare it with.",
    "Nothing to do.",
)
NO_HITS = Notice("filter without hits", "No client matches: {asked}.", "", "")
STALE = Notice(
    "stale",
    "The list is old: data of {data}, {old}.",
    "{rhythm} The list below is the last that could be made.",
    "Ask whoever sends the files, and look into the input folder.",
    alert=True,
)
LAST_RUN_FAILED = Notice(
    "last run failed",
    "The last run failed; the list is still that of {data}.",
    "{trouble}",
    "Type `python diagnostics.py --doctor`; the next run completes what is open.",
    alert=True,
)
UNKNOWN_CLIENT = Notice(
    "client unknown", "No client is called “{asked}”.", "Names are matched whole.", "", status=404
)
DAMAGED = Notice(
    "artifact damaged",
    "What was deployed cannot be read.",
    "{what}.",
    "Type `python diagnostics.py --doctor`: it names what is damaged and what to type. {hint}",
    alert=True,
    status=503,
)
NO_PAGE = Notice(
    "no such page", "There is no such page.", "", "", status=404, links=(("Today", "."),)
)
NOT_ALLOWED = Notice(
    "not allowed",
    "This page needs the token.",
    "A token is set on this machine, and the request carried none, or another.",
    "Load the page again: any user name, with the token as the password.",
    status=401,
)


def cannot_tell(known: int, least: int, waiting: int) -> Notice:
    """Too few outcomes to say how good the lists are."""
    words = f"{known:,} of the {least:,} that it takes are known" if least else "None is known"
    wait = f"; {waiting:,} clients of earlier lists wait for theirs" if waiting else ""
    return CANNOT_TELL.of(known=f"{words}{wait}")


def misread(why: str) -> list[Notice]:
    """That outcomes come and never count; [] where `why` says of none."""
    return [MISREAD.of(misread=why)] if why else []


def refused(status: int, message: str, hint: str) -> Notice:
    """Any other refusal, in the words of the API's error."""
    what, then = as_sentence(message), as_sentence(hint)
    return Notice("refused", what, "", then, alert=status >= 500, status=status)


def unknown_client(asked: str, near: tuple[tuple[str, str], ...]) -> Notice:
    then = "The nearest names:" if near else ""
    return replace(UNKNOWN_CLIENT.of(asked=asked), next=then, links=near)


def examples() -> list[Notice]:
    """One of each, for the page that explains them."""
    rhythm = "A file came every 7 days; at least two are missing."
    issue = "orders: the values are about 1,000 times as large as before"
    trouble = "The run of 24 Nov failed in ingestion: permission denied."
    return [
        NO_MODEL.of(rows=26, labelled=6),
        NO_LIST,
        PROVISIONAL.of(version=16),
        CANNOT_RANK,
        OTHER_MODEL.of(listed=16, deployed=17),
        NOTHING_TO_SCORE.of(note="clients whose last row says that they stayed"),
        NO_OUTCOMES.of(
            why="The first list is too young: a client counts once its outcome is known."
        ),
        cannot_tell(12, 30, 410),
        NO_DECISION,
        HISTORY_DAMAGED.of(path="state/history.sqlite", why="File is not a database."),
        PAUSED_BY_HAND.of(version=15, since="on 24 Nov 2026 09:30 UTC"),
        PAUSED_BY_ISSUE.of(sentence=issue, file="orders.csv"),
        NEVER_RUN,
        LATE.of(ago="2 hours ago", rhythm="every 10 minutes"),
        ONE_SNAPSHOT,
        replace(
            NO_HITS.of(asked="band high, name with “quilon”"), links=(("Clear the filter", "."),)
        ),
        STALE.of(data="3 Nov 2026", old="21 days ago", rhythm=rhythm),
        LAST_RUN_FAILED.of(trouble=trouble, data="3 Nov 2026"),
        unknown_client("Quilon Instrument", (("Quillon Instruments", "."),)),
        DAMAGED.of(what="model.json does not match its digest", hint=""),
        NOT_ALLOWED,
    ]
