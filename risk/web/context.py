"""What the pages read: the list, the release, the runs, each remembered until its file changes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlencode

from risk.calllist.types import CallList, ListedClient, load_list
from risk.config import Config, PipelineError
from risk.data.schema import Schema
from risk.data.snapshot import Snapshot, read_snapshot
from risk.files import read_optional_json
from risk.model.profile import Rows
from risk.record.contacts import newest_contacts
from risk.record.outcomes import Outcomes, parse_outcomes
from risk.releases import current_version
from risk.run.record import is_late, trouble
from risk.web import notices
from risk.web.deployed import DeployedModel, deployed_key, file_stamp, load_deployed
from risk.web.notices import Notice, ShowInstead
from risk.web.svg import top_of
from risk.words import age, ago, day, stamp

if TYPE_CHECKING:
    # Loading it with the rows takes 0.5 s and 45 MB a process; Today does without.
    import polars as pl


T = TypeVar("T")


class CachedValue:
    """A value that is made once for a key; for another key it is made anew, never given.

    The lock is held while it is made: of many calls after a deployment one loads the model.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: tuple[Any, Any] | None = None

    def get(self, key: Any, make: Callable[[], T]) -> T:
        with self._lock:
            if self._held is None or self._held[0] != key:
                self._held = key, make()
            return cast(T, self._held[1])


class PageContext:
    """Everything that a page or an endpoint may look at; it writes nothing."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._values: dict[Any, CachedValue] = {}

    def _cached(self, name: Any, key: Any, make: Callable[[], T]) -> T:
        # setdefault: two threads that come at once get one lock and not two.
        return self._values.setdefault(name, CachedValue()).get(key, make)

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    def file(self, path: Path) -> dict[str, Any]:
        """The JSON object in the file, {} where there is none; read again after a change."""
        return self._cached(path, file_stamp(path), lambda: read_optional_json(path))

    def made(self, name: str, of: Path, make: Callable[[], T]) -> T:
        """What a page makes of a file, under a name of its own; made again after a change."""
        return self._cached(name, file_stamp(of), make)

    def deployed(self) -> DeployedModel:
        """The release that is current now; PipelineError where there is none, or a damaged one."""
        key = deployed_key(self.config)
        return self._cached("release", key, lambda: load_deployed(self.config))

    def call_list(self) -> CallList:
        """The list as reporting.py wrote it; PipelineError where it is absent or damaged."""
        return self.made("list", self.config.clients_json, lambda: load_list(self.config))

    def listing(self) -> CallList:
        """The same for a page; ShowInstead where there is none to show, with the reason."""
        try:
            return self.call_list()
        except PipelineError as error:
            raise self._instead(error, exists=self.config.clients_json.exists()) from None

    def release(self) -> DeployedModel:
        """The deployed release; ShowInstead where it is absent or damaged."""
        try:
            return self.deployed()
        except PipelineError as error:
            exists = current_version(self.config) is not None
            raise self._instead(error, exists=exists) from None

    def _instead(self, error: PipelineError, *, exists: bool) -> ShowInstead:
        """What stands in the place of a page whose list or model is damaged, or not there yet."""
        if exists:
            return ShowInstead(_damaged(self.config, error))
        if current_version(self.config) is not None:
            return ShowInstead(notices.NO_LIST)
        summary = self.file(self.config.summary)
        column = summary.get("columns", {}).get(self.config.columns.target, {})
        rows, labelled = summary.get("rows", 0), column.get("count", 0)
        return ShowInstead(notices.NO_MODEL.of(rows=rows, labelled=labelled))

    def outcomes(self) -> Outcomes:
        """What came of earlier lists."""
        return parse_outcomes(self.file(self.config.outcomes))

    def clients(self) -> tuple[ListedClient, ...]:
        """The clients of the list with their contact state as it is now."""
        listing = self.listing()

        def with_contacts() -> tuple[ListedClient, ...]:
            try:
                now = newest_contacts(self.config)
            except PipelineError:  # the notes are damaged: as the list has it
                return tuple(listing.clients)
            return tuple(
                replace(c, contact=now.get(c.client)) if c.contact or c.client in now else c
                for c in listing.clients
            )

        # The day is in the key since a snooze ends by itself on its day.
        # Contacts are kept in the score history's file.
        key = (listing, file_stamp(self.config.score_history), self.now.date())
        return self._cached("clients", key, with_contacts)

    def client(self, name: str) -> ListedClient | None:
        """The client of this id on the list, else the only one of this name; None for neither."""
        clients = self.clients()
        named = [client for client in clients if client.name == name]
        own = next((client for client in clients if client.client == name), None)
        return own or (named[0] if len(named) == 1 else None)

    @staticmethod
    def client_address(name: str) -> str:
        """The address of the client's page, below the root."""
        return f"client?{urlencode({'name': name})}"

    def rows(self) -> tuple[pl.DataFrame, Schema] | None:
        """(the ingested rows, their schema); None while an ingestion is changing them."""
        key = file_stamp(self.config.store_state)
        try:
            found: Snapshot = self._cached("rows", key, lambda: read_snapshot(self.config))
        except PipelineError:
            return None
        return found.rows, found.schema

    def with_earlier(self, rows: Rows, deployed: DeployedModel) -> Rows:
        """Rows that somebody sent, with what the store knows of their clients before, where the
        model asks for it."""
        client = deployed.schema.named("id")
        if not deployed.model.reads_earlier or not any(rows[client]):
            return rows
        stored = self.rows()
        return rows | deployed.model.earlier_in(rows, stored[0], client) if stored else rows

    def top(self) -> int:
        """The upper end of the scale that all curves of the list share, in percent."""
        listing = self.listing()
        return self._cached("top", listing, lambda: top_of(listing.column("history")))

    def snapshot_days(self) -> list[date]:
        """The days of which there is a file, oldest first; undated files have none."""
        files = self.file(self.config.store_state).get("files", {})
        days = {text for entry in files.values() for text in entry.get("dates", []) if text}
        return [date.fromisoformat(text) for text in sorted(days)]

    def broken(self) -> Notice | None:
        """Why the deployed release cannot be used while the list still can."""
        try:
            self.deployed()
        except PipelineError as error:
            return _damaged(self.config, error)
        return None

    def provisional(self) -> list[Notice]:
        """Whether the deployed model still has to prove itself; none where that is not known."""
        decision = self.file(self.config.decision)
        version = current_version(self.config)
        unproven = (decision.get("details") or {}).get("provisional")
        if version is None or not (unproven or decision.get("action") == "first"):
            return []
        return [notices.PROVISIONAL.of(version=version)]

    def trouble(self) -> str:
        """What is wrong with the last run, "" if nothing."""
        return trouble(self.config)

    def heartbeat(self) -> datetime | None:
        """When a run ended well last, None where none has."""
        try:
            return datetime.fromtimestamp(self.config.heartbeat.stat().st_mtime, UTC)
        except OSError:
            return None

    def age_of(self, beat: datetime) -> str:
        return ago(max((self.now - beat).total_seconds(), 0))  # a file's clock may be ahead of ours

    def is_late(self, beat: datetime) -> bool:
        return is_late(self.config, (self.now - beat).total_seconds() / 60)

    def run_stamp(self) -> tuple[str, bool]:
        """(when the last good run ended, whether that is too long ago), for every page's head."""
        beat = self.heartbeat()
        if beat is None:
            return "No run has ended well yet", False
        late = self.is_late(beat)
        return f"{'Late: last' if late else 'Last'} run {beat:%H:%M} UTC, {self.age_of(beat)}", late

    def basis(self) -> list[str]:
        """What every page stands on, for its foot: the data's date, the model and its age."""
        found: list[str] = []
        with contextlib.suppress(PipelineError, ShowInstead):
            found.append(f"Data of {data_date(self.listing())}")
        with contextlib.suppress(PipelineError, OSError):
            release = self.deployed()
            since = stamp(release.manifest["deployed_at"])
            found.append(f"Model {release.version}, deployed {since}")
        return found


def _damaged(config: Config, error: PipelineError) -> Notice:
    """The notice about an artifact that cannot be read; paths as seen from the project's folder."""
    what, _, hint = str(error).replace(f"{config.root}/", "").partition("; ")
    return notices.DAMAGED.of(what=what, hint=f"Or: {hint}." if hint else "")


def data_date(listing: CallList) -> str:
    """The day of the newest row on the list; of undated rows the time of scoring."""
    return day(listing.data_date) if listing.data_date else stamp(listing.scored_at)


def data_age(listing: CallList, now: datetime) -> str:
    return age(listing.data_date or listing.scored_at, now)
