"""Settings -> one frozen Config, and the one error that is meant for people."""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HOME = Path(__file__).resolve().parent.parent

FOLDERS = {
    "input_folder_path": "CSV files to ingest, with sub-folders",
    "output_folder_path": "finaldata.csv, the store and the quarantine",
    "test_data_path": "labelled rows that are never trained on",
    "output_model_path": "the trained model, its score and the reports",
    "prod_deployment_path": "the deployed release",
}
MODELS = ("default", "original")
POLICIES = ("fast", "certified", "raw", "always", "never")


class PipelineError(Exception):
    """What is wrong, where, and what to do: shown to a person as one line, never a traceback."""

    code = 1


class Busy(PipelineError):
    """Somebody else holds the lock (exit code 75, "try again later")."""

    code = 75


@dataclass(frozen=True)
class Setting:
    """One optional key of config.json: its default, what it may be, and what it means."""

    default: Any
    kind: str
    meaning: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float = 1e9


SETTINGS = {
    "state_path": Setting(
        "state/", "folder", "lock, run marker, heartbeat, run log, hold, timings"
    ),
    "log_path": Setting("logs/", "folder", "log files; safe to delete"),
    "columns": Setting({}, "object", "which column is what; see the next table"),
    "csv": Setting({}, "object", "how the files are written; see the table after it"),
    "horizon_days": Setting(
        0,
        "whole",
        "a row of date t is trained on or judged only after t + this many days",
        low=0,
        high=36500,
    ),
    "model": Setting(
        "default", "choice", "`default`, or `original`: the published exercise's recipe", MODELS
    ),
    "policy": Setting(
        "fast",
        "choice",
        "when to redeploy: `fast` or `certified` by evidence, `raw` (F1 fell), `always`, `never`",
        POLICIES,
    ),
    "run_limit_minutes": Setting(
        60, "number", "a longer run is ended, with its children", low=0.01
    ),
    "host": Setting("127.0.0.1", "text", "address the API listens on; others need a token"),
    "port": Setting(8000, "whole", "port the API listens on (0: any free one)", low=0, high=65535),
    "api_url": Setting("", "text", "where apicalls.py finds the API (default: host and port)"),
    "allowed_paths": Setting([], "list", "further folders whose files /prediction may read"),
    "max_body_mb": Setting(16, "number", "largest request body, in megabytes", low=0.001),
    "max_rows": Setting(100_000, "whole", "most rows one /prediction call may hold", low=1),
    "capacity": Setting(
        0, "whole", "how many clients can be called (0: a tenth of them, at most 50)", low=0
    ),
    "contact_cost": Setting(0, "number", "what one call costs", low=0),
    "client_value": Setting(
        0, "number", "what keeping a client is worth, where `columns.value` does not say", low=0
    ),
    "success_rate": Setting(0.3, "number", "the share of leaving clients that a call keeps", low=0),
    "score_log_days": Setting(
        400, "whole", "how long it is kept what the list told each client", low=1, high=36500
    ),
    "least_outcomes": Setting(
        30, "whole", "fewer outcomes than these claim nothing about the list", low=10
    ),
    "contacts_path": Setting("", "text", "a CSV of contacted clients, see docs/clients.md"),
    "max_predictions": Setting(8, "whole", "predictions computed at once in one process", low=1),
    "public_url": Setting("", "text", "where people reach the pages; the link in what is sent"),
    "mail": Setting({}, "object", "who is written to, and by which server; see docs/alerts.md"),
    "webhook_url": Setting("", "text", "a web address that is told too, see docs/alerts.md"),
}
COLUMNS = {
    "id": Setting("corporation", "text", "who the client is; never empty"),
    "features": Setting(
        ["lastmonth_activity", "lastyear_activity", "number_of_employees"],
        "features",
        'what the model sees: a list of names, or `{"name": "number" or "text"}`',
    ),
    "target": Setting("exited", "text", "1 left, 0 stayed, empty not known yet"),
    "date": Setting("", "text", "the row's date; without it a date in the file's path"),
    "value": Setting("", "text", "what the client is worth (a number)"),
    "owner": Setting("", "text", "who looks after the client"),
    "non_negative": Setting(
        ["lastmonth_activity", "lastyear_activity", "number_of_employees"],
        "list",
        "numbers that cannot be below 0 (default: those of the three that are features)",
    ),
    "target_values": Setting({}, "object", 'other words for 1 and 0, as `{"Yes": 1, "No": 0}`'),
}
RESERVED = ("_date", "_line", "_duplicate", "_data_version", "_replaced", "_order", "_row")
CSV = {
    "delimiter": Setting(",", "text", "one character between the cells"),
    "encoding": Setting("utf-8", "text", "as Python names it"),
    "decimal": Setting(".", "text", "the decimal sign, `.` or `,`"),
}
TLS = ("starttls", "tls", "none")
MAIL = {
    "host": Setting("", "text", "the mail server (SMTP); empty: no mail"),
    "port": Setting(587, "whole", "its port", low=1, high=65535),
    "tls": Setting("starttls", "choice", "`starttls`, `tls` from the start, or `none`", TLS),
    "from": Setting("", "text", "the address that the mail is from"),
    "to": Setting([], "list", "who gets the digest of the call list"),
    "operators": Setting([], "list", "who is told what needs an operator"),
    "hour": Setting(7, "whole", "the hour of the digest, UTC", low=0, high=23),
    "names": Setting(True, "flag", "whether clients are named in what is sent"),
}


@dataclass(frozen=True)
class Columns:
    """Which column plays which part; `kinds` holds the types that the config declares."""

    id: str
    features: tuple[str, ...]
    target: str
    date: str
    value: str
    owner: str
    non_negative: tuple[str, ...]
    target_values: dict[str, int]
    kinds: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Csv:
    delimiter: str
    encoding: str
    decimal: str


@dataclass(frozen=True)
class Mail:
    """Who is written to, and by which server (no host: nobody); user and password are elsewhere."""

    host: str
    port: int
    tls: str
    sender: str
    to: tuple[str, ...]
    operators: tuple[str, ...]
    hour: int
    names: bool


@dataclass(frozen=True)
class Config:
    """Every setting, and every path that more than one file needs."""

    path: Path
    root: Path
    input_folder: Path
    output_folder: Path
    test_folder: Path
    model_folder: Path
    production_folder: Path
    state_folder: Path
    log_folder: Path
    columns: Columns
    csv: Csv
    horizon_days: int
    model: str
    policy: str
    run_limit_minutes: float
    host: str
    port: int
    api_url: str
    allowed_paths: tuple[Path, ...]
    max_body_mb: float
    max_rows: int
    capacity: int
    contact_cost: float
    client_value: float
    success_rate: float
    score_log_days: int
    least_outcomes: int
    contacts_path: Path | None
    max_predictions: int
    public_url: str
    mail: Mail
    webhook_url: str

    @property
    def finaldata(self) -> Path:
        return self.output_folder / "finaldata.csv"

    @property
    def ingested_files(self) -> Path:
        return self.output_folder / "ingestedfiles.txt"

    @property
    def store_state(self) -> Path:
        return self.output_folder / "state.json"

    @property
    def segments(self) -> Path:
        return self.output_folder / "segments"

    @property
    def summary(self) -> Path:
        return self.output_folder / "summary.json"

    @property
    def quarantine(self) -> Path:
        return self.output_folder / "quarantine"

    @property
    def model_pickle(self) -> Path:
        return self.model_folder / "trainedmodel.pkl"

    @property
    def model_reference(self) -> Path:
        return self.model_folder / "reference.json"

    @property
    def model_json(self) -> Path:
        return self.model_folder / "model.json"

    @property
    def score(self) -> Path:
        return self.model_folder / "latestscore.txt"

    @property
    def score_json(self) -> Path:
        return self.model_folder / "latestscore.json"

    @property
    def clients_csv(self) -> Path:
        return self.model_folder / "clients_at_risk.csv"

    @property
    def out_of_fold(self) -> Path:
        return self.model_folder / "out_of_fold.json"

    @property
    def clients_json(self) -> Path:
        return self.model_folder / "clients_at_risk.json"

    @property
    def outcomes(self) -> Path:
        return self.model_folder / "outcomes.json"

    @property
    def confusion_matrix(self) -> Path:
        return self.model_folder / "confusion_matrix.png"

    @property
    def report_html(self) -> Path:
        return self.model_folder / "report.html"

    @property
    def report_pdf(self) -> Path:
        return self.model_folder / "report.pdf"

    @property
    def api_returns(self) -> Path:
        return self.model_folder / "apireturns.txt"

    @property
    def lock(self) -> Path:
        return self.state_folder / "lock"

    @property
    def run_marker(self) -> Path:
        return self.state_folder / "run.json"

    @property
    def evidence(self) -> Path:
        return self.state_folder / "evidence.json"

    @property
    def history(self) -> Path:
        return self.state_folder / "history.sqlite"

    @property
    def decision(self) -> Path:
        return self.state_folder / "decision.json"

    @property
    def drift_state(self) -> Path:
        return self.state_folder / "drift.json"

    @property
    def score_history(self) -> Path:
        return self.state_folder / "clients.sqlite"

    @property
    def alerts(self) -> Path:
        return self.state_folder / "alerts.json"

    @property
    def heartbeat(self) -> Path:
        return self.state_folder / "heartbeat"

    @property
    def run_log(self) -> Path:
        return self.state_folder / "run_log"

    @property
    def deployment_state(self) -> Path:
        return self.state_folder / "deployment.json"

    @property
    def timings(self) -> Path:
        return self.state_folder / "timings.json"

    @property
    def packages(self) -> Path:
        return self.state_folder / "packages.json"

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

    def shown(self, path: Path) -> str:
        """The path as a person at the config's folder would type it."""
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)


def default_config_path() -> Path:
    return HOME / "config.json"


def resolve(root: Path, text: str) -> Path:
    """A folder of config.json; a slash at both ends means relative to it, as at the starter's."""
    relative = text.strip("/") if text.startswith("/") and text.endswith("/") else text
    return Path(root, relative).resolve()


def load(path: Path | str) -> Config:
    """The settings in a config.json; PipelineError names the file, the key and what to write."""
    path = Path(path).absolute()
    raw = _parsed(path)
    _known(raw, [*FOLDERS, *SETTINGS], path)
    missing = [key for key in FOLDERS if key not in raw]
    if missing:
        raise PipelineError(f"{path}: the entry {missing[0]!r} ({FOLDERS[missing[0]]}) is missing")
    root = path.parent.resolve()
    folders = {key: _folder(raw, key, root, path) for key in FOLDERS}
    plain = {key: _value(raw, key, s, str(path)) for key, s in SETTINGS.items()}
    config = Config(
        path=path,
        root=root,
        input_folder=folders["input_folder_path"],
        output_folder=folders["output_folder_path"],
        test_folder=folders["test_data_path"],
        model_folder=folders["output_model_path"],
        production_folder=folders["prod_deployment_path"],
        state_folder=resolve(root, plain["state_path"]),
        log_folder=resolve(root, plain["log_path"]),
        columns=_columns(plain["columns"], path),
        csv=_csv(plain["csv"], path),
        allowed_paths=tuple(resolve(root, text) for text in plain["allowed_paths"]),
        contacts_path=_contacts(plain["contacts_path"], root, path),
        mail=_mail(plain["mail"], path),
        public_url=_web_address("public_url", plain["public_url"], path),
        webhook_url=_web_address("webhook_url", plain["webhook_url"], path),
        **{key: plain[key] for key in SETTINGS if key in _OWN_FIELDS},
    )
    _apart(config)
    return config


_READ = (
    *("columns", "csv", "allowed_paths", "contacts_path"),
    *("mail", "public_url", "webhook_url"),
)
_OWN_FIELDS = {f.name for f in fields(Config) if f.name not in _READ}


def _parsed(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
    except OSError as error:
        raise PipelineError(f"cannot read {path}: {error.strerror}; give --config PATH") from None
    except (ValueError, RecursionError) as error:
        raise PipelineError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(raw, dict):
        wanted = ", ".join(FOLDERS)
        raise PipelineError(f"{path}: expected one JSON object with the entries {wanted}")
    return raw


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for position, (key, _) in enumerate(pairs):
        if key in dict(pairs[:position]):
            raise ValueError(f"the entry {key!r} stands there twice")
    return dict(pairs)


def _known(raw: dict[str, Any], names: list[str], where: object) -> None:
    for key in raw:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1, cutoff=0.0)
            raise PipelineError(f"{where}: unknown entry {key!r}; did you mean {near[0]!r}?")


def _folder(raw: dict[str, Any], key: str, root: Path, where: Path) -> Path:
    text = raw[key]
    if not _names_folder(text):
        raise PipelineError(f"{where}: {key} must be {_KINDS['folder']}, not {text!r}")
    return resolve(root, text)


def _names_folder(value: Any) -> bool:
    """A shell would expand ~, this software does not: a folder of that name is never meant."""
    return (
        isinstance(value, str)
        and bool(value.strip())
        and "\0" not in value
        and not value.startswith("~")
    )


def _contacts(text: str, root: Path, where: Path) -> Path | None:
    """The CSV of contacts; None where there is none."""
    if text and not _names_folder(text):
        raise PipelineError(f"{where}: contacts_path must be a file's path, not {text!r}")
    return resolve(root, text) if text else None


def _value(raw: dict[str, Any], key: str, setting: Setting, where: str) -> Any:
    value = raw.get(key, setting.default)
    if _fits(value, setting):
        return value
    wanted = " or ".join(repr(c) for c in setting.choices) or _KINDS[setting.kind]
    bound = f" from {setting.low} to {setting.high:.0f}" if setting.low is not None else ""
    raise PipelineError(f"{where}: {key} must be {wanted}{bound}, not {value!r}")


_KINDS = {
    "folder": "a folder's name (relative to this file, or absolute; without ~)",
    "text": "a text",
    "object": "an object {...}",
    "whole": "a whole number",
    "number": "a number",
    "flag": "true or false",
    "list": "a list of texts",
    "features": 'a list of column names, or {"name": "number" or "text"}',
}


def _fits(value: Any, setting: Setting) -> bool:
    match setting.kind:
        case "folder":
            return _names_folder(value)
        case "text":
            return isinstance(value, str)
        case "choice":
            return value in setting.choices
        case "flag":
            return isinstance(value, bool)
        case "object":
            return isinstance(value, dict)
        case "list":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case "whole":
            return type(value) is int and (setting.low or 0) <= value <= setting.high
        case "number":
            return type(value) in (int, float) and (setting.low or 0) <= value <= setting.high
        case _:
            return _names_features(value)


def _names_features(value: Any) -> bool:
    if isinstance(value, dict):
        kinds_right = all(kind in ("number", "text") for kind in value.values())
        return bool(value) and kinds_right and all(value)
    return isinstance(value, list) and bool(value) and all(isinstance(n, str) and n for n in value)


def _columns(raw: dict[str, Any], path: Path) -> Columns:
    where = f"{path}: columns"
    _known(raw, list(COLUMNS), where)
    values = {key: _value(raw, key, setting, where) for key, setting in COLUMNS.items()}
    features = values["features"]
    kinds = dict(features) if isinstance(features, dict) else {}
    if "non_negative" not in raw:
        values["non_negative"] = [n for n in values["non_negative"] if n in features]
    columns = Columns(
        id=values["id"],
        features=tuple(features),
        target=values["target"],
        date=values["date"],
        value=values["value"],
        owner=values["owner"],
        non_negative=tuple(values["non_negative"]),
        target_values=_target_values(values["target_values"], where),
        kinds={n: "number" for n in (*values["non_negative"], values["value"]) if n in features}
        | kinds,
    )
    _consistent(columns, where)
    return columns


def _target_values(raw: dict[str, Any], where: str) -> dict[str, int]:
    for word, value in raw.items():
        if type(value) is not int or value not in (0, 1):
            raise PipelineError(f"{where}.target_values: {word!r} must stand for 1 or 0")
        if not word or word != word.strip():
            raise PipelineError(
                f"{where}.target_values: {word!r} is empty or has a space at an end; cells are "
                "stripped, and an empty one means that the label is not known yet"
            )
    if raw and set(raw.values()) != {0, 1}:
        raise PipelineError(f"{where}.target_values must name a word for 1 and a word for 0")
    return dict(raw)


def _consistent(columns: Columns, where: str) -> None:
    if not columns.id or not columns.target:
        raise PipelineError(f"{where}: id and target must be named")
    for part in ("id", "target", "date"):
        name = getattr(columns, part)
        if name and name in columns.features:
            raise PipelineError(
                f"{where}.features: {name!r} is the {part} column; a model that sees it learns "
                "nothing about other clients: take it out"
            )
    if len(set(columns.features)) < len(columns.features):
        raise PipelineError(f"{where}.features: a name stands there twice")
    named = (columns.id, columns.target, columns.date, columns.value, columns.owner)
    parts = [name for name in named if name]
    if len(set(parts)) < len(parts):
        raise PipelineError(
            f"{where}: one column is given two parts among id, target, date, value, owner"
        )
    for name in columns.non_negative:
        if name not in (*columns.features, columns.value):
            raise PipelineError(f"{where}.non_negative: {name!r} is not a feature or the value")
    for name in (*columns.non_negative, columns.value):
        if columns.kinds.get(name) == "text":
            raise PipelineError(
                f"{where}: {name!r} is declared a text, but non_negative and value are numbers"
            )
    for name in (*parts, *columns.features):
        if name != name.strip():
            raise PipelineError(f"{where}: {name!r} has a space at an end; headers are stripped")
        if name in RESERVED:
            raise PipelineError(f"{where}: {name!r} is the store's own name; rename the column")


def _csv(raw: dict[str, Any], path: Path) -> Csv:
    where = f"{path}: csv"
    _known(raw, list(CSV), where)
    csv = Csv(**{key: _value(raw, key, setting, where) for key, setting in CSV.items()})
    usable = csv.delimiter == "\t" or (csv.delimiter.isprintable() and csv.delimiter != '"')
    if len(csv.delimiter) != 1 or not usable or csv.delimiter.isalnum():
        raise PipelineError(
            f"{where}.delimiter must be one character such as , or ; or \\t, not {csv.delimiter!r}"
        )
    if csv.decimal not in (".", ",") or csv.decimal == csv.delimiter:
        raise PipelineError(f"{where}.decimal must be '.' or ',' and not the delimiter")
    try:
        usable = "\n".encode(csv.encoding) == b"\n"
    except (LookupError, UnicodeError):
        usable = False
    if not usable:
        raise PipelineError(
            f"{where}.encoding: {csv.encoding!r} is unknown or not a superset of ASCII; "
            "save the files as utf-8"
        )
    return csv


def _mail(raw: dict[str, Any], path: Path) -> Mail:
    where = f"{path}: mail"
    _known(raw, list(MAIL), where)
    values = {key: _value(raw, key, setting, where) for key, setting in MAIL.items()}
    sender, to, operators = values.pop("from"), values.pop("to"), values.pop("operators")
    mail = Mail(sender=sender, to=tuple(to), operators=tuple(operators), **values)
    for address in (*([sender] if sender else []), *to, *operators):
        if not _ADDRESS.fullmatch(address):
            raise PipelineError(f"{where}: {address!r} is no address; write it as name@example.com")
    if mail.host and not _HOST.fullmatch(mail.host):
        raise PipelineError(f"{where}.host must be a server's name alone, not {mail.host!r}")
    if mail.host and not (sender and (to or operators)):
        raise PipelineError(f"{where}: a host needs `from`, and `to` or `operators`, beside it")
    return mail


# One address and nothing that could begin another, a display name or a header.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+")
_HOST = re.compile(r"[A-Za-z0-9.:_-]+")


def _web_address(key: str, text: str, path: Path) -> str:
    """The address; without user and password, which would be shown wherever it is."""
    try:
        parts = urlsplit(text)
        plain = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
        usable = bool(plain) and text.isascii() and parts.port != 0 and not parts.fragment
    except ValueError:
        usable = False
    if text and not (usable and text.isprintable() and " " not in text):
        raise PipelineError(
            f"{path}: {key} must be an address as https://example.com/path, without a user in it, "
            f"not {text!r}"
        )
    return text


def _apart(config: Config) -> None:
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
    """What a stage did: a text for a person, values for a program, and the exit code."""

    text: str
    data: dict[str, Any] = field(default_factory=dict)
    worked: bool = True
    code: int = 0


def is_loopback(host: str) -> bool:
    """Whether the host's name or address means this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() == "localhost"
