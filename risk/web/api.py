"""The API's endpoints: predictions, score, statistics, diagnostics, the list, health, metrics.

ROUTES says which method of Api answers which address; each takes what was asked from flask's
request and returns JSON of the release that is deployed now.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from flask import Response, g, request

from risk import __version__
from risk.calllist.types import ListedClient
from risk.config import HOME, PipelineError
from risk.data.holdout import TestRows, test_files
from risk.data.values import Rule, parse_number
from risk.files import Unreadable, utc_now
from risk.model.measures import THRESHOLD
from risk.model.score import score_of
from risk.releases import current_version
from risk.run.measured import ingested_rows, last_measured, statistics
from risk.web.callers import name_on_note, refuse_reader
from risk.web.context import CachedValue, PageContext
from risk.web.deployed import DeployedModel, file_stamp
from risk.web.metrics import RequestMeter, exposition
from risk.web.notes import add_note, noted_in, sent_note
from risk.web.pages import Pages, wants_page
from risk.web.problem import Problem, bad_parameter, refuse_unknown_names, whole_number
from risk.web.request import read_data_set, requested_data

CLIENT_FILTERS = ("top", "min_risk", "q", "owner", "min_value", "page", "per_page", "format")
MAX_CLIENTS = 1000
LIST_FACTS = ("basis", "note", "scored_at", "data_date", "average_risk", "cut", "bands", "expected")
SLOT_SECONDS = 1.0  # longer than a small prediction takes, shorter than a caller's patience
HEADERS = {
    # Errors quote what the caller sent: no browser may take them for a page.
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    # A new release answers the very next call: no cache may keep the old one's answer.
    "Cache-Control": "no-store",
}
SCORE_FIELDS = (
    *("f1", "f1_interval", "n", "basis", "threshold", "precision", "recall", "auc", "brier"),
    *("log_loss", "everybody_exits", "base_rate", "rows_set_aside", "scored_at"),
)


class Endpoint(NamedTuple):
    view: str
    methods: tuple[str, ...]
    about: str


BOTH = ("GET", "POST")
ROUTES = {
    "/": Endpoint("index", ("GET",), "this list"),
    "/prediction": Endpoint("prediction", BOTH, "the risk of each row of a data set"),
    "/scoring": Endpoint("scoring", BOTH, "the deployed model's F1 on the test data, now"),
    "/summarystats": Endpoint("summarystats", BOTH, "mean, median, deviation of each number"),
    "/diagnostics": Endpoint("diagnostics", BOTH, "timings, missing values, outdated packages"),
    "/clients": Endpoint("clients", ("GET",), "the clients at risk, the highest risk first"),
    "/contacts": Endpoint("contacts", BOTH, "whom somebody has called; POST notes one"),
    "/health": Endpoint("health", ("GET",), "whether a model is there and answers"),
    "/metrics": Endpoint("metrics", ("GET",), "numbers for Prometheus"),
    "/openapi.json": Endpoint("openapi", ("GET",), "this API as an OpenAPI document"),
}


class Api:
    """The views, on what the pages read as well."""

    def __init__(self, context: PageContext, pages: Pages, meter: RequestMeter) -> None:
        self.context, self.config, self.pages = context, context.config, pages
        self.meter = meter
        self._score = CachedValue()
        self._slots = threading.BoundedSemaphore(self.config.max_predictions)

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        """A place among the predictions that one process computes at once; 429 without one."""
        # All rows of a call are in memory; without a limit the callers would decide how much of it.
        if not self._slots.acquire(timeout=SLOT_SECONDS):
            what = "too many predictions are being computed"
            raise Problem(429, "busy", what, "try again in a second, or send fewer rows at once")
        try:
            yield
        finally:
            self._slots.release()

    def prediction(self) -> Response:
        # Before a slot is taken: who sends slowly keeps nobody else from predicting.
        wanted = requested_data(request)
        deployed = self.context.deployed()
        with self._slot():
            file, rows = read_data_set(wanted, deployed)
            rows = self.context.with_earlier(rows, deployed)
            risk = deployed.risks(rows)
        # Who sent no ids gets none back: a list of empty names would look like an answer.
        client = deployed.schema.named("id")
        known = {"clients": rows[client]} if any(rows[client]) else {}
        predictions = (risk >= THRESHOLD).astype(int).tolist()
        found = {"predictions": predictions, "probabilities": risk.tolist(), "threshold": THRESHOLD}
        return _answer(deployed.version, found | {"rows": risk.size, "file": file} | known)

    def scoring(self) -> Response:
        deployed = self.context.deployed()
        files = [(str(path), file_stamp(path)) for path in test_files(self.config)]
        # The digests beside the version: production may have been begun anew with version 1.
        key = deployed.manifest["files"], deployed.version, files
        found = self._score.get(key, lambda: _score_now(deployed))
        return _answer(deployed.version, {name: found.get(name) for name in SCORE_FIELDS})

    def summarystats(self) -> Response:
        deployed = self.context.deployed()
        # For its refusal alone: nobody is shown a summary of another format.
        ingested_rows(self.config)
        return _answer(deployed.version, statistics(self.config))

    def diagnostics(self) -> Response:
        return _answer(self.context.deployed().version, last_measured(self.config))

    def clients(self) -> Response:
        given = request.args
        refuse_unknown_names(given, CLIENT_FILTERS)
        wanted, form = _ClientFilter.of(given), given.get("format")
        if form not in (None, "csv", "json"):
            raise bad_parameter("format", form, "give csv or json")
        best = request.accept_mimetypes.best_match(["application/json", "text/csv"])
        listing = self.context.call_list()
        # A filter by what the list does not hold would find nobody, ever.
        for name, part in (("owner", "owner"), ("min_value", "value")):
            if name in given and part not in listing.shown:
                hint = f"config.json names no column for it: columns.{part}"
                hint = f"{hint}; set it and run ingestion.py --rebuild"
                raise bad_parameter(name, given[name], hint)
        matching = [c for c in listing.clients if wanted.keeps(c)][: wanted.top]
        first = (wanted.page - 1) * wanted.per_page
        shown = matching[first : first + wanted.per_page]
        version, about = listing.model_version, listing.about()
        if form == "csv" or (form is None and best == "text/csv"):
            # A file is for a spreadsheet: it holds everybody unless a page was asked for.
            paged = {"page", "per_page"} & set(given)
            text = replace(listing, clients=tuple(shown if paged else matching)).to_csv()
            response = Response(text, mimetype="text/csv")
            response.headers["Content-Disposition"] = "attachment; filename=clients_at_risk.csv"
            return name_version(response, version)
        found = {key: about[key] for key in LIST_FACTS} | {
            "total": len(matching),
            "page": wanted.page,
            "pages": -(-len(matching) // wanted.per_page),
            "shown": len(shown),
            "clients": [listing.client_json(client) for client in shown],
        }
        return _answer(version, found)

    def contacts(self) -> Response:
        version = current_version(self.config)
        if request.method == "POST":
            refuse_reader(g.caller)
            fields = sent_note(request)
            fields["by"] = name_on_note(g.caller, fields["by"])
            kept = add_note(self.context, fields)
            return _answer(version, {"contact": vars(kept)})
        found = [vars(one) for one in noted_in(self.config, request.args)]
        return _answer(version, {"contacts": found, "rows": len(found)})

    def health(self) -> Response:
        try:
            known = {"status": "ok", "version": __version__}
            return _answer(self.context.deployed().version, known)
        except (PipelineError, OSError) as error:
            # Asked without a token: nothing of the machine's paths in here.
            what = "damaged deployment"
            if isinstance(error, (Unreadable, OSError)):
                what = "unreadable deployment"
            elif current_version(self.config) is None:
                what = "no deployment"
            hint = "run fullprocess.py, or diagnostics.py --doctor"
            problem = Problem(503, "not_ready", f"there is no usable model: {what}", hint)
            return problem_answer(problem, status=what, model_version=None, version=__version__)

    def metrics(self) -> Response:
        text = exposition(self.context, self.meter)
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return name_version(Response(text, content_type=kind), current_version(self.config))

    def openapi(self) -> Response:
        raw = (HOME / "static" / "openapi.json").read_bytes()
        return Response(raw, mimetype="application/json")

    def index(self) -> Response:
        if wants_page(request):
            return self.pages.today()
        about = {
            path: {"methods": list(one.methods), "about": one.about} for path, one in ROUTES.items()
        }
        service = {"service": "Dynamic Risk Assessment System", "endpoints": about}
        return _answer(current_version(self.config), service)


def _score_now(deployed: DeployedModel) -> dict[str, Any]:
    """The measures on the test data now; without a labelled row there those of the release."""
    found = score_of(deployed.model, TestRows(deployed.config, deployed.model.columns))
    return deployed.score if found is None else found | {"scored_at": utc_now()}


@dataclass(frozen=True)
class _ClientFilter:
    """Which clients a call asks for, and which page of them; None and "" filter nothing."""

    top: int
    page: int
    per_page: int
    least_risk: float | None
    least_value: float | None
    part: str
    owner: str | None

    @classmethod
    def of(cls, given: Mapping[str, str]) -> _ClientFilter:
        """By a call's parameters; Problem 400 for nonsense."""
        per_page = whole_number(given, "per_page", MAX_CLIENTS)
        if per_page > MAX_CLIENTS:
            raise bad_parameter("per_page", str(per_page), f"give at most {MAX_CLIENTS}")
        return cls(
            top=whole_number(given, "top", sys.maxsize),
            page=whole_number(given, "page", 1),
            per_page=per_page,
            least_risk=_number_in(given, "min_risk", 0.0, 1.0, "give a number from 0 to 1"),
            least_value=_number_in(given, "min_value", -math.inf, math.inf, "give a number"),
            part=given.get("q", "").casefold(),
            owner=given.get("owner"),
        )

    def keeps(self, client: ListedClient) -> bool:
        value = client.value
        return (
            (self.least_risk is None or client.risk >= self.least_risk)
            and (self.least_value is None or (value is not None and value >= self.least_value))
            and (self.owner is None or (client.owner or "") == self.owner)
            and self.part in f"{client.called_name}\n{client.client}".casefold()
        )


def _number_in(
    given: Mapping[str, str], name: str, low: float, high: float, hint: str
) -> float | None:
    """The parameter as a number in the range, None without it; Problem 400 if nonsense."""
    text = given.get(name)
    if text is None:
        return None
    try:
        number = parse_number(text)
    except Rule:
        number = None
    if number is None or not low <= number <= high:
        raise bad_parameter(name, text, hint)
    return number


def _answer(version: int | None, found: dict[str, Any]) -> Response:
    """A JSON answer that says which model it is of."""
    return name_version(_json_answer({**found, "model_version": version}), version)


def name_version(response: Response, version: int | None) -> Response:
    if version is not None:
        response.headers["X-Model-Version"] = str(version)
    return response


def _json_answer(value: dict[str, Any]) -> Response:
    # NaN is no JSON: a strict parser would refuse the whole answer.
    return Response(json.dumps(value, allow_nan=False) + "\n", mimetype="application/json")


def problem_answer(problem: Problem, **beside: Any) -> Response:
    """Every JSON error is made here; beside: fields next to the error."""
    response = _json_answer(beside | problem.to_json())
    response.status_code = problem.status
    if problem.allow:
        response.headers["Allow"] = problem.allow
    if problem.status == 429:
        response.headers["Retry-After"] = "1"
    if problem.status == 401:
        # A browser asks for a password by Basic alone; it knows no Bearer.
        response.headers.add("WWW-Authenticate", 'Basic realm="risk", charset="UTF-8"')
        response.headers.add("WWW-Authenticate", 'Bearer realm="risk"')
    return response
