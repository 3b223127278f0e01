"""The pages' routes: who gets a page and who gets JSON, states and refusals, the one POST.

A page is an address, a template and a view: a function of context and query that returns what
the template lays out. docs/pages.md says how one is added.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Request, Response, g, render_template, request
from werkzeug.datastructures import MultiDict

from risk import __version__
from risk.config import HOME
from risk.record.contacts import LONGEST, OPEN
from risk.script import typed_anywhere
from risk.web import client, decisions, notices, status, today, trust
from risk.web.callers import Caller, name_on_note, refuse_reader
from risk.web.context import PageContext
from risk.web.notes import FIELDS, add_note, listed_client, refuse_foreign_page
from risk.web.notices import Notice, ShowInstead
from risk.web.problem import Problem

STATIC = {"page.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
# default-src covers none of form-action, frame-ancestors and base-uri: each is named.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
# With no-referrer a browser sends `Origin: null` along with a form, even to its own site.
PAGE_HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}
OWNER, YEAR = "owner", 365 * 86_400  # a cookie, and for how long it is kept
BY = "by"  # the cookie of who notes contacts
Values = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """One page; label: its word in the navigation, "" for none; under: its place there then."""

    path: str
    template: str
    label: str
    view: Callable[[PageContext, MultiDict[str, str]], Values]
    under: str = ""


# Addresses beside the pages' own that belong to them.
PARTS = ("/today.csv", "/report.pdf", "/contact", "/static/<name>")
PAGES = (
    Page("/", "today.html", "Today", today.view),
    Page("/trust", "trust.html", "Trust", trust.view),
    Page("/decisions", "decisions.html", "Decisions", decisions.view),
    Page("/status", "status.html", "Status", status.view),
    Page("/client", "client.html", "", client.view, under="/"),
    Page("/help", "help.html", "", lambda *_: {}),
    Page("/states", "states.html", "", lambda context, _: {"examples": notices.examples()}),
)


def wants_page(call: Request) -> bool:
    """Whether the caller names HTML, as every browser does; curl's */* does not."""
    accepted = call.accept_mimetypes
    named = any(kind == "text/html" and quality > 0 for kind, quality in accepted)
    return named and accepted["text/html"] >= accepted["application/json"]


class Pages:
    """The pages of one context, as Flask's views."""

    def __init__(self, context: PageContext) -> None:
        self.context = context
        # What the forms' tokens are made of: gunicorn.conf.py's for all workers, else a new one.
        self._secret = (os.environ.get("RISK_PAGE_SECRET") or secrets.token_hex(32)).encode()

    def join(self, app: Flask) -> None:
        """Add every page but `/`, which the API's index hands over, and what pages need."""
        app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
        config = self.context.config.path
        app.jinja_env.globals.update(
            token=self.token,
            version=__version__,
            typed=lambda words: typed_anywhere(words, config),
        )
        # Ahead of the token's check: the page of a 401 tells its time too.
        app.before_request(lambda: setattr(g, "began", time.perf_counter()))
        for page in PAGES[1:]:
            # page=page: without it each lambda would show the loop's last page.
            app.add_url_rule(page.path, page.template, lambda page=page: self.show(page))
        app.add_url_rule("/for/<path:owner>", "owner", self.today)
        app.add_url_rule("/today.csv", "today.csv", self.table)
        app.add_url_rule("/report.pdf", "report.pdf", self.report)
        app.add_url_rule("/contact", "contact", self.contact, methods=["POST"])
        app.add_url_rule("/static/<name>", "static", _static)

    def today(self, owner: str | None = None) -> Response:
        """The list; of the owner whose list was looked at last, where the address names none."""
        args = MultiDict(request.args)
        asked = args.get("owner") if owner is None else owner
        if asked is None:
            args.setdefault("owner", request.cookies.get(OWNER, ""))
            return self.show(PAGES[0], args)
        args["owner"] = asked
        response = self.show(PAGES[0], args)
        if asked and response.status_code == 200:
            response.set_cookie(OWNER, asked, YEAR, httponly=True, samesite="Lax")
        elif not asked:
            response.delete_cookie(OWNER)
        return response

    def show(self, page: Page, args: MultiDict[str, str] | None = None) -> Response:
        """The page, or the one notice that stands in its place."""
        try:
            values = page.view(self.context, request.args if args is None else args)
            return self.drawn(page.template, page.path, values)
        except ShowInstead as found:
            return self.notice(found.notice, page.path)

    def notice(self, notice: Notice, path: str = "") -> Response:
        response = self.drawn("notice.html", path, {"notice": notice})
        response.status_code = notice.status
        return response

    def refusal(self, problem: Problem) -> Response:
        """An error of the API as a page."""
        if problem.status == 401:
            return self.notice(notices.NOT_ALLOWED)
        if problem.code == "not_found":
            return self.notice(notices.NO_PAGE)
        return self.notice(notices.refused(problem.status, problem.message, problem.hint))

    def drawn(self, template: str, path: str, values: Values) -> Response:
        """The template, with what every page has: navigation, stamp of the last run, foot."""
        alone = "notice" in values  # a notice says all there is to know, to a stranger too
        run, late = ("", False) if alone else self.context.run_stamp()
        basis = [] if alone else self.context.basis()
        # The stylesheet's address, with the foot that it puts on prints, changes when it does.
        changed = (HOME / "static" / "page.css").stat().st_mtime_ns
        style = urlencode({"v": f"{changed:x}"[-10:], "foot": ", ".join(basis)})
        shell = {
            "pages": [page for page in PAGES if page.label],
            "path": path,
            "under": next((page.under for page in PAGES if page.path == path), ""),
            "root": f"{request.script_root}/",
            "style": f"static/page.css?{style}",
            "run": run,
            "late": late,
            "may_write": g.get("caller", Caller()).writes,
            "who": "" if alone else _who(),
            "who_is_sure": g.get("caller", Caller()).sure,
            "basis": basis,
            # A function, called at the template's end: drawing counts too.
            "milliseconds": lambda: max(round(1000 * (time.perf_counter() - g.began)), 1),
        }
        response = Response(render_template(template, **shell, **values))
        response.headers.update(PAGE_HEADERS)
        # One address has a page for browsers and JSON for programs.
        response.headers["Vary"] = "Accept"
        return response

    def table(self) -> Response:
        """What `/` shows, as CSV for a spreadsheet."""
        try:
            text = today.csv_text(self.context, request.args)
        except ShowInstead as found:
            return self.notice(found.notice)
        # Without the mark at its start Excel takes UTF-8 for the local code page.
        response = Response(text.encode("utf-8-sig"), mimetype="text/csv")
        response.headers["Content-Disposition"] = "attachment; filename=clients_at_risk.csv"
        return response

    def report(self) -> Response:
        """The report of the present list, as reporting.py wrote it beside the list."""
        try:
            raw = self.context.config.report_pdf.read_bytes()
        except OSError:
            what, hint = "there is no report yet", "run fullprocess.py, or reporting.py"
            raise Problem(404, "no_report", what, hint) from None
        response = Response(raw, mimetype="application/pdf")
        response.headers["Content-Disposition"] = "attachment; filename=clients_at_risk.pdf"
        return response

    def token(self) -> str:
        """What a form of ours carries and a stranger's page cannot know."""
        return hmac.new(self._secret, b"contact", hashlib.sha256).hexdigest()[:32]

    def contact(self) -> Response:
        """Keep the note that a form sends, and go back to where it was sent from.

        `undo` in place of `name` takes the client's state back. Without a client the form only says
        who is sitting there.
        """
        form, who = request.form, _who()
        _refuse_forged(request, self.token())
        by, undone = form.get("by", who), form.get("undo", "")
        client, to = undone or form.get("name", ""), form.get("back", "")
        if client or "by" not in form:
            refuse_reader(g.caller)
            fields = {name: form.get(name, "") for name in FIELDS}
            fields |= {"client": client, "by": name_on_note(g.caller, by)}
            add_note(self.context, fields | ({"state": OPEN} if undone else {}))
        response = Response(status=303)  # the browser GETs the list: a reload sends no form again
        place = today.back(to, client, listed_client(self.context, client))
        response.headers["Location"] = f"{request.script_root}/{place}"
        response.headers.update(PAGE_HEADERS)
        if "by" in form:  # an emptied field is remembered too
            told = form["by"].strip()[: LONGEST["by"]]
            response.set_cookie(BY, told, YEAR, httponly=True, samesite="Lax")
        return response


def _who() -> str:
    """Whoever is calling: by the token, by the name beside it, by what a form said once."""
    caller: Caller = g.get("caller", Caller())
    return caller.name or request.cookies.get(BY, "")


def _refuse_forged(call: Request, token: str) -> None:
    """Problem 403 unless the form was sent from one of our own pages."""
    refuse_foreign_page(call)
    if not {"Origin", "Sec-Fetch-Site"} & set(call.headers.keys()):
        what = "the form was not sent from this site's own page"
        raise Problem(403, "foreign_form", what, "open the client's page here and send its form")
    if not hmac.compare_digest(call.form.get("token", "").encode(), token.encode()):
        what = "the form is of a server that has been restarted since"
        hint = "go back, load the page again and send its form; nothing was changed"
        raise Problem(403, "old_form", what, hint)


def _static(name: str) -> Response:
    """The stylesheet or the icon; kept by the browser, since a change changes the address."""
    if name not in STATIC:
        raise Problem(404, "not_found", "there is no such file", "GET / lists the endpoints")
    raw = (HOME / "static" / name).read_bytes()
    if name == "page.css":
        # The foot of every printed page: only a stylesheet can put it there, and without inline
        # styles it has to come with the one that there is. No other rule gets in.
        plain = re.sub(r"[^\w :,.]", "", request.args.get("foot", ""))[:200]
        raw += (
            f'@page {{ @bottom-left {{ content: "{plain}"; font: 8pt sans-serif; }} }}\n'.encode()
        )
    response = Response(raw, content_type=STATIC[name])
    response.headers["Cache-Control"] = "private, max-age=86400"
    return response
