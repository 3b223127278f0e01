"""Notes on clients as calls bring them: by the pages' forms and by POST /contacts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from flask import Request

from risk.calllist.types import ListedClient
from risk.config import Config
from risk.record.contacts import BadContact, Contact, add_contact, contacts_of, newest_contacts
from risk.web.context import PageContext
from risk.web.notices import ShowInstead
from risk.web.problem import Problem, excerpt, refuse_unknown_names

FIELDS = ("client", "state", "until", "by", "note")


def sent_note(call: Request) -> dict[str, str]:
    """The fields of a note sent as JSON, "" for those that it leaves out; Problem for others."""
    # A foreign site's page can make a browser send a form or a text, JSON only if we agreed.
    if not call.is_json:
        hint = 'send {"client": "...", "state": "contacted"} as application/json'
        raise Problem(415, "unsupported_type", "a note is sent as JSON", hint)
    refuse_foreign_page(call)
    try:
        found = json.loads(call.get_data())
    except (ValueError, RecursionError) as error:
        what = f"the body is not JSON: {excerpt(str(error))}"
        raise Problem(400, "bad_json", what, f"send an object with {', '.join(FIELDS)}") from None
    wrong = not isinstance(found, dict) or [key for key in found if key not in FIELDS]
    if wrong or not all(isinstance(text, str | None) for text in found.values()):
        names = f": {excerpt(', '.join(wrong))}" if isinstance(wrong, list) and wrong else ""
        what = f"a note is an object of texts{names and f', and knows no entry{names}'}"
        raise Problem(400, "bad_note", what, f"its entries are {', '.join(FIELDS)}")
    return {name: found.get(name) or "" for name in FIELDS}


def refuse_foreign_page(call: Request) -> None:
    """Problem 403 for a call that a browser makes for another site's page."""
    origin, site = call.headers.get("Origin"), call.headers.get("Sec-Fetch-Site")
    # Either header is enough: old browsers send no Sec-Fetch-Site, some send no Origin.
    foreign = (origin is not None and urlsplit(origin).netloc != call.host) or (
        site not in (None, "same-origin")
    )
    if foreign:
        what = "the form was not sent from this site's own page"
        raise Problem(403, "foreign_form", what, "open the client's page here and send its form")


def add_note(context: PageContext, fields: Mapping[str, str]) -> Contact:
    """Keep the note and return it; Problem where the client or an entry is no good."""
    name = fields["client"]
    listed = listed_client(context, name)
    if listed is None and not _has_rows(context, name):
        # A note on a misspelt name would be kept and shown nowhere.
        what, hint = f"no client is called {excerpt(name)!r}", "GET /clients?q= finds by a part"
        raise Problem(404, "no_such_client", what, hint)
    given = {key: fields[key] for key in FIELDS[1:]}
    try:
        return add_contact(context.config, listed.client if listed else name, **given)
    except BadContact as bad:
        hint = "mend that entry and send it again; nothing was kept"
        raise Problem(422, "bad_contact", f"{bad.field}: {bad.why}", hint) from None


def listed_client(context: PageContext, name: str) -> ListedClient | None:
    """The client as the list has it; None for no such one, and without a list."""
    with contextlib.suppress(ShowInstead):
        return context.client(name)
    return None


def _has_rows(context: PageContext, client: str) -> bool:
    """Whether the rows know a client that is not on the list."""
    found = context.rows()
    if found is None:
        return False
    rows, schema = found
    return bool((rows[schema.named("id")] == client).any())


def noted_in(config: Config, given: Mapping[str, str]) -> list[Contact]:
    """The newest note on each client that has one, or with ?client= every note on that one."""
    refuse_unknown_names(given, ("client",))
    if "client" in given:
        return contacts_of(config, given["client"])
    return list(newest_contacts(config).values())
