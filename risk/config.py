"""config.json -> one frozen Config, and the one error that is meant for people.

Each key is declared once, as a field of its class: name, default, what it may be, what it means.
docs/configuration.md's tables are made of the declarations (`make tables`).
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from risk.settings import (
    FEATURES,
    FILE,
    FLAG,
    FOLDER,
    FOLDERS,
    LIST,
    NEEDED,
    OBJECT,
    TEXT,
    WEB_ADDRESS,
    PathBelow,
    Place,
    choice,
    key,
    keys_of,
    number,
    number_or,
    section,
    strangers,
    unique_entries,
    unknown_words,
)

HOME = Path(__file__).resolve().parent.parent
DEFAULT_CONFIG = HOME / "config.json"
RESERVED = (
    "_date", "_line", "_duplicate", "_data_version", "_replaced", "_order", "_row", "_position",
    "_label_version", "_is_current", "_window_end",
)  # fmt: skip


class PipelineError(Exception):
    """What is wrong, where, and what to do: shown to a person as one line, never a traceback."""

    code = 1


class Busy(PipelineError):
    """Somebody else holds the lock (exit code 75, "try again later")."""

    code = 75  # EX_TEMPFAIL of sysexits.h


@dataclass(frozen=True)
class Columns:
    """Which column plays which role; `kinds` holds the types that the config declares."""

    id: str = key("corporation", TEXT, "who the client is; never empty")
    features: tuple[str, ...] = key(
        ["lastmonth_activity", "lastyear_activity", "number_of_employees"],
        FEATURES,
        "what the model sees: a list of names, or an object that gives each name the kind "
        '`"number"` or `"text"`',
    )
    target: str = key("exited", TEXT, "1 left, 0 stayed, empty not known yet")
    date: str = key("", TEXT, "the row's date; without it a date in the file's path")
    name: str = key("", TEXT, "how people call the client; shown instead of the id")
    value: str = key("", TEXT, "what the client is worth (a number)")
    owner: str = key("", TEXT, "who looks after the client")
    show: tuple[str, ...] = key(
        [], LIST, "passed through to the list, the CSV and the pages, never learned from"
    )
    non_negative: tuple[str, ...] = key(
        ["lastmonth_activity", "lastyear_activity", "number_of_employees"],
        LIST,
        "numbers that cannot be below 0 (default: those of the three that are features)",
    )
    target_values: dict[str, int] = key(
        {},
        OBJECT,
        'other words for 1 and 0, as `{"Yes": 1, "No": 0}`; upper and lower case count',
    )
    formats: dict[str, str] = key(
        {},
        OBJECT,
        "how a column's numbers or dates are written; see [Your data](your-data.md)",
    )
    kinds: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, raw: Mapping[str, object], place: Place) -> Columns:
        values = _read_section(cls, raw, place)
        features, value = values["features"], values["value"]
        if "non_negative" not in raw:  # the default's names are the example's columns
            values["non_negative"] = tuple(n for n in values["non_negative"] if n in features)
        # What may not be below 0, or is money, is a number, whatever its cells look like.
        numbers = [n for n in (*values["non_negative"], value) if n in features]
        declared = features if isinstance(features, dict) else {}
        kinds = dict.fromkeys(numbers, "number") | declared
        columns = cls(**values | {"features": tuple(features)}, kinds=kinds)
        _check_target_values(columns.target_values, place.where)
        _check_columns(columns, place.where)
        return columns


def _check_target_values(words: Mapping[str, object], where: str) -> None:
    for word, value in words.items():
        if type(value) is not int or value not in (0, 1):
            raise PipelineError(f"{where}.target_values: {word!r} must stand for 1 or 0")
        if not word or word != word.strip():
            raise PipelineError(
                f"{where}.target_values: {word!r} is empty or has a space at an end; cells are "
                "stripped, and an empty one means that the label is not known yet"
            )
    if words and set(words.values()) != {0, 1}:
        raise PipelineError(f"{where}.target_values must name a word for 1 and a word for 0")


def _check_columns(columns: Columns, where: str) -> None:
    if not columns.id or not columns.target:
        raise PipelineError(f"{where}: id and target must be named")
    for role in ("id", "name", "target", "date"):
        name = getattr(columns, role)
        if name and name in columns.features:
            raise PipelineError(
                f"{where}.features: {name!r} is the {role} column; a model that sees it learns "
                "nothing about other clients: take it out"
            )
    if len(set(columns.features)) < len(columns.features):
        raise PipelineError(f"{where}.features: a name stands there twice")
    named = (columns.id, columns.name, columns.target, columns.date, columns.value, columns.owner)
    roles = [name for name in (*named, *columns.show) if name]
    if len(set(roles)) < len(roles):
        raise PipelineError(
            f"{where}: one column is given two roles among id, name, target, date, value, owner, "
            "show"
        )
    for name in columns.non_negative:
        if name not in (*columns.features, columns.value):
            raise PipelineError(f"{where}.non_negative: {name!r} is not a feature or the value")
    for name in (*columns.non_negative, columns.value):
        if columns.kinds.get(name) == "text":
            raise PipelineError(
                f"{where}: {name!r} is declared a text, but non_negative and value are numbers"
            )
    for name in (*roles, *columns.features):
        if name != name.strip():
            raise PipelineError(f"{where}: {name!r} has a space at an end; headers are stripped")
        if name in RESERVED:
            raise PipelineError(f"{where}: {name!r} is the store's own name; rename the column")


@dataclass(frozen=True)
class Csv:
    """How the files to ingest and to test with are written."""

    delimiter: str = key(
        "", TEXT, "one character between the cells; empty: found in each file by itself"
    )
    encoding: str = key(
        "", TEXT, "for files that are not UTF-8, as Python names it; empty: found in each"
    )
    decimal: str = key(
        ".", TEXT, "the decimal sign of numbers that `columns.formats` says nothing of, `.` or `,`"
    )
    sheet: str = key("", TEXT, "which sheet of an .xlsx is read; empty: the first")

    @classmethod
    def of(cls, raw: Mapping[str, object], place: Place) -> Csv:
        csv, where = cls(**_read_section(cls, raw, place)), place.where
        usable = csv.delimiter == "\t" or (csv.delimiter.isprintable() and csv.delimiter != '"')
        if csv.delimiter and (len(csv.delimiter) != 1 or not usable or csv.delimiter.isalnum()):
            raise PipelineError(
                f"{where}.delimiter must be one character such as , or ; or \\t, "
                f"not {csv.delimiter!r}"
            )
        if csv.decimal not in (".", ",") or csv.decimal == csv.delimiter:
            raise PipelineError(f"{where}.decimal must be '.' or ',' and not the delimiter")
        try:
            usable = not csv.encoding or "\n".encode(csv.encoding) == b"\n"
        except (LookupError, UnicodeError):
            usable = False
        if not usable:
            raise PipelineError(
                f"{where}.encoding: {csv.encoding!r} is unknown or not a superset of ASCII; "
                "save the files as utf-8"
            )
        return csv


# One address and nothing that could begin another, a display name or a header.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+")
_HOST = re.compile(r"[A-Za-z0-9.:_-]+")


@dataclass(frozen=True)
class Mail:
    """Who is written to, and by which server (no host: nobody); user and password are elsewhere."""

    host: str = key("", TEXT, "the mail server (SMTP); empty: no mail")
    port: int = key(587, number(1, 65535, whole=True), "its port")
    tls: str = key(
        "starttls",
        choice("starttls", "tls", "none"),
        "`starttls`, `tls` from the start (port 465), or `none`",
    )
    sender: str = key("", TEXT, "the address that the mail is from", name="from")
    to: tuple[str, ...] = key([], LIST, "who gets the digest of the call list")
    operators: tuple[str, ...] = key([], LIST, "who is told what needs an operator")
    hour: int = key(7, number(0, 23, whole=True), "the hour of the digest, UTC")
    names: bool = key(True, FLAG, "whether clients are named in what is sent, the webhook included")
    owners: dict[str, str] = key(
        {}, OBJECT, "owner to address: who gets the digest of an owner's clients alone"
    )

    @classmethod
    def of(cls, raw: Mapping[str, object], place: Place) -> Mail:
        mail, where = cls(**_read_section(cls, raw, place)), place.where
        own = (mail.sender,) if mail.sender else ()
        for address in (*own, *mail.to, *mail.operators, *mail.owners.values()):
            if not (isinstance(address, str) and _ADDRESS.fullmatch(address)):
                raise PipelineError(
                    f"{where}: {address!r} is no address; write it as name@example.com"
                )
        if mail.host and not _HOST.fullmatch(mail.host):
            raise PipelineError(f"{where}.host must be a server's name alone, not {mail.host!r}")
        if mail.host and not (mail.sender and (mail.to or mail.operators or mail.owners)):
            raise PipelineError(
                f"{where}: a host needs `from`, and `to`, `owners` or `operators`, beside it"
            )
        return mail


@dataclass(frozen=True)
class Config:
    """Every setting, and every path that more than one file needs."""

    path: Path
    root: Path
    input_folder: Path = key(
        NEEDED, FOLDER, "the files to ingest, with sub-folders", "input_folder_path"
    )
    output_folder: Path = key(
        NEEDED, FOLDER, "finaldata.csv, the store and the quarantine", "output_folder_path"
    )
    test_folder: Path = key(
        NEEDED, FOLDER, "labelled rows that are never trained on", "test_data_path"
    )
    model_folder: Path = key(
        NEEDED, FOLDER, "the trained model, its score and the reports", "output_model_path"
    )
    production_folder: Path = key(
        NEEDED, FOLDER, "the deployed release; a folder of its own", "prod_deployment_path"
    )
    state_folder: Path = key(
        "state/",
        FOLDER,
        "lock, run record, run log, decisions, score history, pauses, times",
        "state_path",
    )
    log_format: str = key(
        "text", choice("text", "json"), "lines of fullprocess.log: `text`, or `json` for a program"
    )
    log_folder: Path = key("logs/", FOLDER, "log files; safe to delete", "log_path")
    columns: Columns = key({}, section(Columns.of), "which column is what; see [Columns](#columns)")
    csv: Csv = key({}, section(Csv.of), "how the files are written; see [Files](#files)")
    horizon_days: int = key(
        0,
        number(0, 36500, whole=True),
        "a row of date t is trained on or judged only after t + this many days",
    )
    labels: str = key(
        "given",
        choice("given", "status"),
        "what the target column says: `given`, whether the client left after the row's date; "
        "`status`, whether it has left by then, and labels are made from the later files",
    )
    label_window_days: int = key(
        0,
        number(0, 3650, whole=True),
        "with `status`: how long after its date a client's leaving counts (0: until the next "
        "snapshot)",
    )
    vanished: str = key(
        "unknown",
        choice("left", "unknown"),
        "with `status`: what it means that a client is in no later file",
    )
    model: str = key(
        "default",
        choice("default", "original"),
        "`default`, or `original`: the published exercise's recipe",
    )
    policy: str = key(
        "fast",
        choice("fast", "certified", "raw", "always", "never"),
        "when to redeploy: `fast` or `certified` by evidence, `raw` (F1 fell), `always`, `never`",
    )
    run_every_minutes: float = key(
        10,
        number_or("by hand", 1),
        "how often a run is expected; two and a half times as long without a good one is late. "
        '`"by hand"`: never',
    )
    run_limit_minutes: float = key(60, number(0.01), "a longer run is ended, with its children")
    host: str = key("127.0.0.1", TEXT, "address the API listens on; others need a token")
    port: int = key(8000, number(0, 65535, whole=True), "port the API listens on; 0: any free one")
    api_url: str = key("", TEXT, "where apicalls.py finds the API (default: host and port)")
    allowed_paths: tuple[Path, ...] = key(
        [], FOLDERS, "further folders whose files /prediction may read"
    )
    max_body_mb: float = key(16, number(0.001), "largest request body, in megabytes")
    max_rows: int = key(100_000, number(1, whole=True), "most rows one /prediction call may hold")
    capacity: int = key(
        0,
        number(whole=True),
        "how many clients can be called (0: a tenth of them, at most 50)",
    )
    contact_cost: float = key(0, number(), "what one call costs")
    client_value: float = key(
        0, number(), "what keeping a client is worth, where `columns.value` does not say"
    )
    success_rate: float = key(0.3, number(), "the share of leaving clients that a call keeps")
    score_log_days: int = key(
        400,
        number(1, 36500, whole=True),
        "how long it is kept what the list predicted of each client",
    )
    least_outcomes: int = key(
        30, number(10, whole=True), "fewer outcomes than these claim nothing about the list"
    )
    contacts_path: Path | None = key(
        "",
        FILE,
        "a CSV of contacted clients, see [clients.md](clients.md#contacts); not in the input or "
        "the test data",
    )
    max_predictions: int = key(
        8, number(1, whole=True), "predictions computed at once in one process"
    )
    public_url: str = key("", WEB_ADDRESS, "where people reach the pages; the link in what is sent")
    mail: Mail = key(
        {}, section(Mail.of), "who is written to, and by which server; see [Mail](#mail)"
    )
    webhook_url: str = key(
        "", WEB_ADDRESS, "a web address that is told too, see [alerts.md](alerts.md)"
    )
    ping_url: str = key(
        "",
        WEB_ADDRESS,
        "asked when a run starts (/start), ends well, or fails (/fail): healthchecks and alike",
    )
    ignored: tuple[str, ...] = ()

    finaldata = PathBelow("output_folder", "finaldata.csv")
    ingested_files = PathBelow("output_folder", "ingestedfiles.txt")
    store_state = PathBelow("output_folder", "state.json")
    store_intent = PathBelow("output_folder", "intent.json")
    segments = PathBelow("output_folder", "segments")
    summary = PathBelow("output_folder", "summary.json")
    quarantine = PathBelow("output_folder", "quarantine")
    model_pickle = PathBelow("model_folder", "trainedmodel.pkl")
    model_reference = PathBelow("model_folder", "reference.json")
    model_json = PathBelow("model_folder", "model.json")
    score = PathBelow("model_folder", "latestscore.txt")
    score_json = PathBelow("model_folder", "latestscore.json")
    clients_csv = PathBelow("model_folder", "clients_at_risk.csv")
    out_of_fold = PathBelow("model_folder", "out_of_fold.json")
    clients_sheet = PathBelow("model_folder", "clients_at_risk.xlsx")
    clients_json = PathBelow("model_folder", "clients_at_risk.json")
    outcomes = PathBelow("model_folder", "outcomes.json")
    confusion_matrix = PathBelow("model_folder", "confusion_matrix.png")
    report_html = PathBelow("model_folder", "report.html")
    report_pdf = PathBelow("model_folder", "report.pdf")
    api_returns = PathBelow("model_folder", "apireturns.txt")
    lock = PathBelow("state_folder", "lock")
    run_marker = PathBelow("state_folder", "run.json")
    evidence = PathBelow("state_folder", "evidence.json")
    history = PathBelow("state_folder", "history.sqlite")
    decision = PathBelow("state_folder", "decision.json")
    drift_state = PathBelow("state_folder", "drift.json")
    score_history = PathBelow("state_folder", "clients.sqlite")
    alerts = PathBelow("state_folder", "alerts.json")
    heartbeat = PathBelow("state_folder", "heartbeat")
    run_log = PathBelow("state_folder", "run_log")
    deployment_state = PathBelow("state_folder", "deployment.json")
    timings = PathBelow("state_folder", "timings.json")
    packages = PathBelow("state_folder", "packages.json")

    @property
    def written_folders(self) -> tuple[Path, ...]:
        return (
            self.output_folder,
            self.model_folder,
            self.production_folder,
            self.state_folder,
            self.log_folder,
        )

    @property
    def url(self) -> str:
        return self.api_url or f"http://{self.host}:{self.port}"

    @property
    def ignored_note(self) -> str:
        """What stands in the config without any effect; "" where nothing does."""
        names = ", ".join(map(repr, self.ignored))
        return f"{self.path.name}: not needed and ignored: {names}" if names else ""

    def shown(self, path: Path) -> str:
        """The path as a person at the config's folder would type it."""
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)


def load(path: Path | str) -> Config:
    """The settings in a config.json; PipelineError names the file, the key and what to write."""
    path = Path(path).absolute()
    root = path.parent.resolve()
    raw = _parsed(path)
    values = _read_section(Config, raw, Place(str(path), root))
    config = Config(path, root, **values, ignored=tuple(strangers(Config, raw)[1]))
    _check_folders(config)
    return config


def _parsed(path: Path) -> dict[str, object]:
    try:
        # utf-8-sig: editors on Windows put a mark before the first byte.
        raw = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=unique_entries)
    except OSError as error:
        raise PipelineError(f"cannot read {path}: {error.strerror}; give --config PATH") from None
    except (ValueError, RecursionError) as error:
        raise PipelineError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(raw, dict):
        wanted = ", ".join(k.name for k in keys_of(Config).values() if k.default is NEEDED)
        raise PipelineError(f"{path}: expected one JSON object with the entries {wanted}")
    return raw


def _read_section(kind: type, raw: Mapping[str, object], place: Place) -> dict[str, Any]:
    """Field -> its value, of every key of the section."""
    keys, where = keys_of(kind), place.where
    faults, values = unknown_words(strangers(kind, raw)[0], kind), {}
    for one, entry in keys.items():
        value = raw.get(entry.name, entry.default)
        if value is NEEDED:
            faults.append(f"the entry {entry.name!r} ({entry.meaning}) is missing")
        elif not entry.kind.fits(value):
            faults.append(f"{entry.name} must be {entry.kind.wanted}, not {value!r}")
        else:
            try:
                values[one] = entry.kind.read(value, Place(f"{where}: {entry.name}", place.root))
            except PipelineError as error:
                faults.append(str(error).removeprefix(f"{where}: "))
    if faults:  # all at once: who mends a config wants one round, not seven
        raise PipelineError(f"{where}: {'; '.join(faults)}")
    return values


def _check_folders(config: Config) -> None:
    """Refuse folders that would feed the pipeline its own output, or mix what must stay apart."""
    sources = {"input_folder_path": config.input_folder, "test_data_path": config.test_folder}
    for name, source in sources.items():
        for written in config.written_folders:
            if written.is_relative_to(source):
                raise PipelineError(
                    f"{config.path}: {config.shown(written) or written} is written by the pipeline "
                    f"and may not lie in {name}"
                )
    one, other = config.test_folder, config.input_folder
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise PipelineError(
            f"{config.path}: test_data_path and input_folder_path lie in each other; the model "
            "would be tested on what it was trained on"
        )
    contacts = config.contacts_path
    for name, folder in sources.items():
        if contacts and contacts.is_relative_to(folder):
            raise PipelineError(
                f"{config.path}: contacts_path lies in {name}, whose files are read as clients' "
                "rows; put it elsewhere"
            )
    if config.production_folder in (config.output_folder, config.model_folder):
        raise PipelineError(
            f"{config.path}: prod_deployment_path must be a folder of its own: it shows files of "
            "the same names as the others hold"
        )
    if config.state_folder.is_relative_to(config.log_folder):
        raise PipelineError(
            f"{config.path}: state_path lies in log_path; logs are deleted now and then, the state "
            "never"
        )


@dataclass(frozen=True)
class Outcome:
    """What a stage did: a text for a person, values for a program, and the exit code.

    details: what -v adds to the text. attention: sentences about what somebody has to look at.
    """

    text: str
    data: dict[str, Any] = field(default_factory=dict)
    worked: bool = True
    code: int = 0
    details: str = ""
    attention: tuple[str, ...] = ()


def is_loopback(host: str) -> bool:
    """Whether the host's name or address means this machine alone."""
    try:
        # [::1] and fe80::1%eth0, as addresses of IPv6 are written in a URL or with their interface
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() == "localhost"
