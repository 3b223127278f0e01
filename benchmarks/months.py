"""A company's months, export by export through the real scripts, judged by who really left.

    python benchmarks/months.py                 two small companies (1.7 minutes of processor time)
    python benchmarks/months.py --full          all ten (half an hour)
    python benchmarks/months.py --full --seed 7 others of the same kinds
    python benchmarks/months.py --only change   one of them, every month shown

Each company is made up from a seed, so that every client's risk is known. Its first export goes to
`ingestion.py --init`, each later one into sourcedata/, and after each `fullprocess.py --now` runs.
Shown is the AUC of the lists against who left within the window, beside those of: the true risks;
a plain logistic regression (logarithms) and a plain HistGradientBoosting, fitted month by month on
rightly made labels that were known by then; the same regression that is also given each number's
change since the month before; and `"labels": "given"`, which reads the status as the label. Then
the share of the called who left beside that of all, the lists made, the least share of outcomes
that were counted by the run at which they could be known, and the months in which as many of the
called left as the list's own 95 % band said.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parent.parent
SEED = 2026
DAYS = [
    datetime.date(2025, month + 1, 1) - datetime.timedelta(days=1) for month in range(1, 10)
]  # nine exports, 31 January to 30 September
BURN_IN, FUTURES = 8, 200
SEGMENTS, PLANS = ("SMB", "Mid-market", "Enterprise"), ("Monthly", "Yearly", "Three years")
NUMBERS = ("employees", "seats", "logins", "year", "tickets", "overdue", "nps", "tenure")


@dataclass(frozen=True)
class Form:
    """How a company's CRM writes its export. names: the headers of some columns."""

    delimiter: str = ","
    encoding: str = "utf-8"
    date: str = "%Y-%m-%d"
    left: str = "Yes"
    stayed: str = "No"
    decimals: str = "."
    suffix: str = "csv"
    names: dict[str, str] = field(default_factory=dict)

    def header(self, column: str) -> str:
        return self.names.get(column, HEADERS[column])


HEADERS = {
    "id": "Account ID", "name": "Account Name", "owner": "Account Manager", "value": "ARR",
    "segment": "Segment", "plan": "Plan", "employees": "Employees", "seats": "Seats",
    "logins": "Logins last month", "year": "Logins last year", "tickets": "Open tickets",
    "overdue": "Invoices overdue", "nps": "NPS", "tenure": "Months a customer",
    "renewal": "Renewal date", "left": "Churned",
}  # fmt: skip
GERMAN = Form(
    ";", "cp1252", "%d.%m.%Y", "Gekündigt", "Aktiv", ",",
    names={
        "id": "Kundennummer", "name": "Firma", "owner": "Betreuer", "value": "Jahresumsatz",
        "segment": "Größe", "plan": "Vertrag", "employees": "Mitarbeiter", "seats": "Lizenzen",
        "logins": "Anmeldungen im Monat", "tickets": "Offene Tickets", "nps": "Zufriedenheit",
        "tenure": "Monate Kunde", "renewal": "Verlängerung", "left": "Status",
    },
)  # fmt: skip
TABS = Form(
    "\t", "utf-16", "%d/%m/%Y", "Cancelled", "Active", suffix="tsv", names={"left": "Status"}
)


def fall(now: Clients) -> np.ndarray:
    """Of this month's logins against the mean month of the year, as a log ratio."""
    return np.log((now.logins[:, -1] + 1) / (now.logins.mean(axis=1) + 1))


def by_fall(now: Clients) -> np.ndarray:
    return -2.2 * np.minimum(fall(now), 0.3) - 0.4 * now.size + 0.3 * np.minimum(now.tickets, 5)


def by_intensity(now: Clients) -> np.ndarray:
    return -1.0 * np.log((now.logins[:, -1] + 1) / (now.seats + 1)) - 0.2 * now.size


def by_threshold(now: Clients) -> np.ndarray:
    young = np.maximum(0, 12 - now.tenure) / 12
    return 1.6 * (fall(now) < -0.6) + 0.9 * np.minimum(now.overdue, 2) + 1.2 * young


def by_plan(now: Clients) -> np.ndarray:
    level = np.array([1.0, 0.0, -0.9])[now.plan]
    return level - 0.03 * (now.nps - 30) - 1.2 * np.minimum(fall(now), 0.3)


def by_change(now: Clients) -> np.ndarray:
    change = np.log((now.logins[:, -1] + 1) / (now.logins[:, -2] + 1))
    return -2.4 * np.clip(change, -2, 0.3) - 0.3 * now.size


@dataclass(frozen=True)
class Company:
    """What kind of company, and how it exports.

    drive: its clients' log-odds of leaving up to the intercept, which gives a monthly `rate`.
    columns: the features of its export. leavers: "stay" in the export with the word for left and
    no activity, "vanish" from it, or are "late": they vanish, as those do who moved to a partner
    (a share of `moving` a month), and a file of outcomes comes two months after. window: in
    months. decades: how far sizes reach.
    calm: first months in which nobody leaves. returning: share of the lost that come back a month.
    """

    name: str
    drive: Callable[[Clients], np.ndarray]
    columns: tuple[str, ...]
    clients: int = 420
    rate: float = 0.09
    leavers: str = "stay"
    window: int = 1
    decades: float = 2.6
    calm: int = 0
    returning: float = 0.0
    moving: float = 0.0
    form: Form = Form()
    seed: int = 0
    months: int = len(DAYS)

    @property
    def delay(self) -> int:
        """After how many months the outcome of a row can be known."""
        return 2 if self.leavers == "late" else self.window


USAGE = ("segment", "employees", "seats", "logins", "year", "tickets")
COMPANIES = (
    Company("stay", by_fall, USAGE),
    Company("vanish", by_fall, (*USAGE, "plan", "nps"), 350, leavers="vanish"),
    Company("late outcomes", by_intensity, USAGE[:5], 480, leavers="late", moving=0.03),
    Company("few clients", by_fall, USAGE, 90, rate=0.1),
    Company("quarter", by_threshold, (*USAGE, "overdue", "tenure"), 420, 0.04, window=3),
    Company(
        "other words", by_plan, ("segment", "plan", "employees", "logins", "nps", "tenure"), 450,
        form=GERMAN,
    ),
    Company("wide sizes", by_intensity, USAGE[:4], 400, decades=5.0, form=TABS),
    Company("change", by_change, ("segment", "employees", "seats", "logins", "tickets"), 450),
    Company("calm at first", by_fall, USAGE, 400, calm=3),
    Company("returning", by_threshold, (*USAGE, "overdue", "tenure"), returning=0.12),
)  # fmt: skip
QUICK = (replace(COMPANIES[0], clients=250, months=5), replace(COMPANIES[1], clients=250, months=5))


@dataclass
class Clients:
    """Clients at one month end, one entry each; logins: clients x the last 12 months."""

    number: np.ndarray
    size: np.ndarray
    employees: np.ndarray
    seats: np.ndarray
    habit: np.ndarray
    mood: np.ndarray
    plan: np.ndarray
    nps: np.ndarray
    tenure: np.ndarray
    renewal: np.ndarray
    tickets: np.ndarray
    overdue: np.ndarray
    logins: np.ndarray
    left: np.ndarray

    def only(self, chosen: np.ndarray) -> Clients:
        return Clients(**{name: getattr(self, name)[chosen] for name in self.__dict__})

    def joined_by(self, others: Clients) -> Clients:
        pairs = {name: (getattr(self, name), getattr(others, name)) for name in self.__dict__}
        return Clients(**{name: np.concatenate(pair) for name, pair in pairs.items()})


def newcomers(rng: np.random.Generator, company: Company, first: int, n: int) -> Clients:
    size = rng.normal(0, 1, n)
    spread = company.decades * np.log(10) / 4
    employees = np.maximum(1, np.rint(np.exp(4.2 + spread * size)))
    share = np.clip(np.exp(rng.normal(-1.2, 0.6, n)), 0.02, 1)
    seats = np.maximum(1, np.rint(employees * share))
    found = Clients(
        number=np.arange(first, first + n),
        size=size,
        employees=employees,
        seats=seats,
        habit=np.exp(rng.normal(2, 0.5, n)),
        mood=np.zeros(n),
        plan=rng.choice(3, n, p=[0.4, 0.4, 0.2]),
        nps=np.clip(rng.normal(30, 25, n), -100, 100).round(),
        tenure=rng.integers(0, 60, n).astype(float),
        renewal=rng.integers(1, 13, n),
        tickets=np.zeros(n),
        overdue=np.zeros(n),
        logins=np.zeros((n, 12)),
        left=np.zeros(n, dtype=bool),
    )
    for _ in range(12):
        found = month_later(rng, found)
    return replace(found, tenure=found.tenure - 12)


def month_later(rng: np.random.Generator, now: Clients) -> Clients:
    """The same a month on: .75 of the mood stays, one in ten has a setback; the lost do nothing."""
    n = now.mood.size
    mood = 0.75 * now.mood + rng.normal(0.08, 0.25, n) - 1.1 * (rng.random(n) < 0.1)
    logins = np.where(now.left, 0, rng.poisson(now.seats * now.habit * np.exp(mood)))
    return replace(
        now,
        mood=mood,
        logins=np.column_stack([now.logins[:, 1:], logins]),
        tickets=np.where(now.left, 0, rng.poisson(np.exp(0.1 - 0.5 * mood))),
        overdue=np.where(now.left, 0, rng.poisson(0.25, n)),
        tenure=now.tenure + 1,
        nps=np.clip(now.nps + rng.normal(0, 4, n), -100, 100).round(),
    )


def risk(company: Company, now: Clients, intercept: float) -> np.ndarray:
    """The chance to leave in the month after."""
    return 1 / (1 + np.exp(-(intercept + company.drive(now))))


def intercept_of(company: Company, now: Clients) -> float:
    """The intercept at which the mean of the risks is the company's rate."""
    tried = np.linspace(-12, 8, 401)
    return float(
        tried[np.argmin([abs(risk(company, now, a).mean() - company.rate) for a in tried])]
    )


@dataclass
class Month:
    """One export and its truth. features: of its clients, who are still clients; key: their ids;
    risk: of leaving within the window; left: whether they did. gone: rows of those who had left."""

    day: datetime.date
    clients: Clients
    gone: Clients
    features: pd.DataFrame
    risk: np.ndarray
    left: np.ndarray

    @property
    def key(self) -> list[str]:
        return [f"A-{number}" for number in self.clients.number]


def months_of(company: Company) -> list[Month]:
    """The company's months, those who leave after the last among them."""
    rng = np.random.default_rng([company.seed, *company.name.encode()])
    now = newcomers(rng, company, 100_000, company.clients)
    intercept = intercept_of(company, now)
    first, made, leavings = 100_000 + company.clients, [], []
    fresh = max(1, round(company.clients * company.rate * 0.9))
    for at in range(-BURN_IN, company.months + company.window - 1):
        calm = company.calm > 0 and at < company.calm - 1
        now_risk = np.zeros(now.left.size) if calm else risk(company, now, intercept)
        if 0 <= at < company.months:
            made.append(_month(company, DAYS[at], now, intercept, calm=calm))
        leaves = ~now.left & (rng.random(now.left.size) < now_risk)
        if at >= 0:
            leavings.append(set(now.number[leaves].tolist()))
        back = now.left & (rng.random(now.left.size) < company.returning)
        moves = rng.random(now.left.size) < company.moving
        now = month_later(rng, replace(now, left=(now.left | leaves) & ~back))
        now = now.only(now.left | ~moves)
        keeps_all = at >= -2 or company.calm  # a CRM keeps the lost of a while
        now = now if keeps_all else now.only(~now.left)
        count = 4 if company.calm and at < company.calm else fresh
        now, first = now.joined_by(newcomers(rng, company, first, count)), first + count
    for at, month in enumerate(made):
        gone = set().union(*leavings[at : at + company.window])
        month.left = np.array([number in gone for number in month.clients.number.tolist()], int)
    return made


def _month(
    company: Company, day: datetime.date, now: Clients, intercept: float, *, calm: bool
) -> Month:
    clients = now.only(~now.left)
    true = np.zeros(clients.size.size) if calm else within_window(company, clients, intercept)
    return Month(day, clients, now.only(now.left), features(company, clients), true, true)


def within_window(company: Company, now: Clients, intercept: float) -> np.ndarray:
    """The risk of leaving within the window; over several months the mean of 200 drawn futures."""
    if company.window == 1:
        return risk(company, now, intercept)
    rng, total = np.random.default_rng(company.seed), np.zeros(now.size.size)
    for _ in range(FUTURES):
        later, stays = now, np.ones(now.size.size)
        for _ in range(company.window):
            stays *= 1 - risk(company, later, intercept)
            later = month_later(rng, later)
        total += (1 - stays) / FUTURES
    return total


def features(company: Company, now: Clients) -> pd.DataFrame:
    """The columns of the export as a data scientist would hold them."""
    sizes = [now.employees < 100, now.employees < 1000]
    whole = {
        "segment": np.select(sizes, SEGMENTS[:2], SEGMENTS[2]),
        "plan": np.array(PLANS)[now.plan],
        "employees": now.employees,
        "seats": now.seats,
        "logins": now.logins[:, -1],
        "year": now.logins.sum(axis=1),
        "tickets": now.tickets,
        "overdue": now.overdue,
        # A third never answers.
        "nps": np.where(now.number % 3 == 0, np.nan, now.nps),
        "tenure": now.tenure,
    }  # fmt: skip
    return pd.DataFrame({name: whole[name] for name in company.columns})


def write_export(company: Company, month: Month, folder: Path) -> None:
    """The month's export as the CRM writes it."""
    form, stays = company.form, company.leavers == "stay"
    head = ["id", "name", "owner", "value", *company.columns, "renewal", "left"]
    listed = _rows(company, month.clients, month.day, form.stayed)
    lost = _rows(company, month.gone, month.day, form.left) if stays else []
    path = folder / f"accounts_{month.day}.{form.suffix}"
    _write(path, form, [form.header(name) for name in head], sorted(listed + lost))


def _rows(company: Company, now: Clients, day: datetime.date, word: str) -> list[list[str]]:
    form, found = company.form, []
    for at, cells in enumerate(features(company, now).itertuples(index=False)):
        number, month = int(now.number[at]), int(now.renewal[at])
        renewal = datetime.date(day.year + (month <= day.month), month, 1).strftime(form.date)
        value = f"{now.seats[at] * 150:.2f}".replace(".", form.decimals)
        own = [c if isinstance(c, str) else "" if c != c else f"{c:.0f}" for c in cells]
        row = [f"A-{number}", f"Client {number} Ltd", ("Ann Bell", "Bo Carr")[number % 2], value]
        found.append([*row, *own, renewal, word])
    return found


def write_outcomes(company: Company, month: Month, folder: Path) -> None:
    """Who of a month's clients left, in a file of its own."""
    words = [company.form.left if one else company.form.stayed for one in month.left]
    head = [company.form.header("id"), company.form.header("left")]
    rows = [list(pair) for pair in zip(month.key, words, strict=True)]
    _write(folder / f"outcomes_{month.day}.csv", company.form, head, rows)


def _write(path: Path, form: Form, head: list[str], rows: list[list[str]]) -> None:
    with path.open("w", encoding=form.encoding, newline="") as file:
        writer = csv.writer(file, delimiter=form.delimiter)
        writer.writerow(head)
        writer.writerows(rows)


@dataclass
class Lists:
    """The lists a project made. risks: for each month the risk of every client, None where it made
    no list. called: (called, of whom left). counted: the least share of known outcomes. held: in
    how many months as many of the called left as the list's own band says."""

    risks: list[np.ndarray | None] = field(default_factory=list)
    called: tuple[int, int] = (0, 0)
    counted: float = 1.0
    held: int = 0
    fault: str = ""

    @property
    def made(self) -> int:
        return sum(one is not None for one in self.risks)


def walk(company: Company, months: list[Month], labels: str) -> Lists:
    """The company's exports one after the other through the real scripts."""
    found = Lists()
    with tempfile.TemporaryDirectory() as scratch:
        exports, project = Path(scratch) / "exports", Path(scratch) / "project"
        exports.mkdir()
        for at, month in enumerate(months):
            write_export(company, month, exports if not at else project / "sourcedata")
            if company.leavers == "late" and at >= company.delay:
                write_outcomes(company, months[at - company.delay], project / "sourcedata")
            try:
                if not at:
                    init(company, exports, project, labels)
                run("fullprocess.py", "--config", str(project / "config.json"), "--now")
            except subprocess.CalledProcessError as error:
                found.fault = error.stderr.strip().splitlines()[-1]
                return found
            read_list(company, months, at, project / "models", found)
    return found


def init(company: Company, exports: Path, project: Path, labels: str) -> None:
    how = ["--labels", labels]
    run("ingestion.py", "--init", str(project), *map(str, exports.iterdir()), *how)
    changes: dict[str, object] = {}
    if company.window > 1:
        changes["label_window_days"] = 30 * company.window
    if company.leavers == "late":  # who is in no later file may have moved to a partner
        changes["vanished"] = "unknown"
    file = project / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def run(*words: str) -> None:
    command = [sys.executable, str(ROOT / words[0]), *words[1:]]
    offline = os.environ | {"PIP_NO_INDEX": "1"}
    subprocess.run(command, check=True, env=offline, capture_output=True, text=True)


def read_list(company: Company, months: list[Month], at: int, models: Path, found: Lists) -> None:
    """Add the list of the month, if there is one, to what was found."""
    file, month = models / "clients_at_risk.json", months[at]
    made = json.loads(file.read_text()) if file.exists() else {"clients": []}
    rows = {one["client"]: one for one in made["clients"] if one["date"] == str(month.day)}
    if not rows:
        found.risks.append(None)
        return
    found.risks.append(
        np.array([rows[key]["risk"] if key in rows else np.nan for key in month.key])
    )
    called = np.array([key in rows and rows[key]["call"] for key in month.key])
    found.called = (
        found.called[0] + int(called.sum()),
        found.called[1] + int(month.left[called].sum()),
    )
    band = made["expected"]["found"]
    found.held += band["low"] <= month.left[called].sum() <= band["high"]
    # Each client of a list whose outcome can be known by now.
    due = sum(
        months[before].left.size
        for before in range(at + 1 - company.delay)
        if found.risks[before] is not None
    )
    if due:
        known = json.loads((models / "outcomes.json").read_text())["known"]
        found.counted = min(found.counted, known / due)


def plain(company: Company, months: list[Month], at: int) -> dict[str, np.ndarray]:
    """The risks of a month's clients by the models that everybody would fit on the rightly made
    labels that are known by then."""
    known = range(at + 1 - company.delay)
    y = np.concatenate([months[before].left for before in known])
    whole = [months[before].features for before in (*known, at)]
    changes = [change(months, before) for before in (*known, at)]
    rows = pd.concat(whole, ignore_index=True)
    numbers = rows.select_dtypes("number")
    texts = pd.get_dummies(rows.select_dtypes(exclude="number")).to_numpy(float)
    logs = np.sign(numbers) * np.log1p(np.abs(numbers))
    logs = logs.fillna(logs[: y.size].median()).to_numpy()
    designs = {
        "LR": np.column_stack([logs, texts]),
        "boosting": np.column_stack([numbers, texts]),
        "LR+": np.column_stack([logs, texts, np.concatenate(changes)]),
    }
    return {name: _fitted(name, Z, y) for name, Z in designs.items()}


def _fitted(name: str, Z: np.ndarray, y: np.ndarray) -> np.ndarray:
    if name == "boosting":
        with threadpool_limits(1):  # so few rows are slower in several threads
            model = HistGradientBoostingClassifier(random_state=0).fit(Z[: y.size], y)
        return model.predict_proba(Z[y.size :])[:, 1]
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return regression.fit(Z[: y.size], y).predict_proba(Z[y.size :])[:, 1]


def change(months: list[Month], at: int) -> np.ndarray:
    """The numbers' logarithms less those of the month before; 0 for who is new."""

    def logs(month: Month) -> pd.DataFrame:
        numbers = month.features.select_dtypes("number").set_axis(month.key)
        return np.sign(numbers) * np.log1p(np.abs(numbers))

    now = logs(months[at])
    before = logs(months[at - 1]).reindex(now.index) if at else now
    return (now - before).fillna(0.0).to_numpy()


@dataclass
class Result:
    """What came of one company. rows: a frame of all judged clients (month, left, and a risk by
    each way); given: AUC of reading the status as the label, nan where that was refused."""

    company: Company
    rows: pd.DataFrame
    lists: Lists
    possible: int
    given: float

    def auc(self, name: str) -> float:
        return float(roc_auc_score(self.rows["left"], self.rows[name]))


def judge(company: Company, lists: Lists, given: Lists, months: list[Month]) -> Result:
    parts, possible, by_given = [], 0, []
    for at in range(company.delay, len(months)):
        month = months[at]
        if sum(months[before].left.sum() for before in range(at + 1 - company.delay)) < 3:
            continue  # nothing can be learned from yet
        possible += 1
        own = lists.risks[at] if at < len(lists.risks) else None
        if own is not None:
            risks = {"list": own, "truth": month.risk, **plain(company, months, at)}
            parts.append(pd.DataFrame({"month": at, "left": month.left, **risks}))
        other = given.risks[at] if at < len(given.risks) else None
        if other is not None:
            by_given.append(pd.DataFrame({"left": month.left, "risk": other}).dropna())
    if lists.fault or not parts:
        raise SystemExit(f"{company.name}: {lists.fault or 'no list was made'}")
    rows, todays = pd.concat(parts), pd.concat(by_given) if by_given else None
    area = np.nan if todays is None else float(roc_auc_score(todays["left"], todays["risk"]))
    missing = int(rows["list"].isna().sum())
    if missing:
        print(f"{company.name}: {missing} clients are on no list", flush=True)
    return Result(company, rows.dropna(), lists, possible, area)


COLUMNS = ("list", "truth", "LR", "boosting", "LR+")


def show(result: Result) -> None:
    called, left = result.lists.called
    areas = "".join(f"{result.auc(name):9.3f}" for name in COLUMNS)
    made = f"{result.rows['month'].nunique()} of {result.possible}"
    print(
        f"{result.company.name:15}{areas}{result.given:9.3f}{left / max(called, 1):9.2f}"
        f"{result.rows['left'].mean():6.2f}{made:>8}"
        f"{result.lists.counted:9.2f}{result.lists.held:4} of {result.lists.made}",
        flush=True,
    )


def show_months(result: Result) -> None:
    for at, rows in result.rows.groupby("month"):
        areas = (roc_auc_score(rows["left"], rows[name]) for name in COLUMNS)
        cells = "".join(f"{area:9.3f}" for area in areas)
        print(f"  {DAYS[at]}   {cells}   {rows['left'].sum()} of {len(rows)} left", flush=True)


def total(results: list[Result]) -> None:
    """The means over the companies, and how many are where they should be."""
    means = "".join(f"{np.mean([one.auc(name) for one in results]):9.3f}" for name in COLUMNS)
    given = np.nanmean([one.given for one in results])
    called, left = np.sum([one.lists.called for one in results], axis=0)
    rate = np.mean([one.rows["left"].mean() for one in results])
    print(f"{'mean':15}{means}{given:9.3f}{left / max(called, 1):9.2f}{rate:6.2f}")
    short = [one.auc("list") - max(one.auc("LR"), one.auc("boosting")) for one in results]
    print(
        f"within .02 of the better of LR and boosting: {sum(gap > -0.02 for gap in short)} of "
        f"{len(results)}; every outcome counted in time: "
        f"{sum(one.lists.counted >= 1 for one in results)} of {len(results)}; months in which the "
        f"band held how many of the called left: {sum(one.lists.held for one in results)} of "
        f"{sum(one.lists.made for one in results)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="all ten companies, nine months each")
    parser.add_argument("--only", help="the company of that name alone, month by month")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--no-given", action="store_true", help='without "labels": "given"')
    asked = parser.parse_args()
    chosen = COMPANIES if asked.full or asked.only else QUICK
    chosen = [replace(one, seed=asked.seed) for one in chosen if asked.only in (None, one.name)]
    print(f"seed {asked.seed}, {len(chosen)} companies: AUC of")
    words = ("", *COLUMNS, "given", "called", "all", "lists", "counted", "band")
    print("".join(f"{w:>{n}}" for w, n in zip(words, (15, *[9] * 7, 6, 8, 9, 8), strict=True)))
    results = []
    with ThreadPoolExecutor(2) as pool:
        made = [months_of(company) for company in chosen]
        jobs = [
            [
                pool.submit(walk, company, months, labels)
                for labels in ("status", "given")
                if labels == "status" or not (asked.no_given or company.leavers != "stay")
            ]
            for company, months in zip(chosen, made, strict=True)
        ]
        for company, months, own in zip(chosen, made, jobs, strict=True):
            lists, given = own[0].result(), own[1].result() if own[1:] else Lists()
            results.append(judge(company, lists, given, months))
            show(results[-1])
            if asked.only:
                show_months(results[-1])
    total(results)


if __name__ == "__main__":
    main()
