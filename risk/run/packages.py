"""Which installed packages have newer versions, as pip says at most once a day."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import TypedDict, cast

from risk.config import Config
from risk.files import StateFile, utc_now, write_atomic
from risk.words import aligned

ASK_AGAIN_HOURS = 24
PIP_SECONDS = 60


class Outdated(TypedDict):
    package: str
    version: str
    latest: str
    type: str


class Packages(TypedDict):
    """What pip said. status: known or unknown, with the reason for that."""

    status: str
    measured_at: str | None
    outdated: list[Outdated]
    reason: str


NEVER_ASKED = Packages(
    status="unknown", measured_at=None, outdated=[], reason="never looked up; run diagnostics.py"
)


def last_packages(config: Config) -> Packages:
    """What was looked up last; nobody is asked."""
    found = packages_file(config).read_or_empty()
    return cast(Packages, found) if found.keys() == NEVER_ASKED.keys() else NEVER_ASKED


def refresh_packages(config: Config) -> Packages:
    """What is known of today, looked up if the last time was a day ago."""
    known = last_packages(config)
    if _hours_since(known["measured_at"]) < ASK_AGAIN_HOURS:
        return known
    found = ask_pip()
    packages_file(config).write(found)
    write_atomic(config.log_folder / "outdated.txt", packages_table(found) + "\n")
    return found


def packages_file(config: Config) -> StateFile:
    return StateFile(config.packages, 1)


def _hours_since(stamp: str | None) -> float:
    try:
        hours = (datetime.now(UTC) - datetime.fromisoformat(stamp or "")).total_seconds() / 3600
    except (ValueError, TypeError):
        return float("inf")
    return hours if hours >= 0 else float("inf")  # a clock that was set back


def ask_pip() -> Packages:
    """What pip says; "unknown" with the reason when it cannot say."""
    reason, outdated = "", []
    try:
        # pip lists nothing as outdated when the index cannot be reached, so that it is asked first
        # for the versions of one package, which fails then.
        if _pip("index", "versions", "pip").returncode:
            reason = "the package index cannot be reached, or pip is not installed"
        else:
            outdated = [
                Outdated(
                    package=p["name"],
                    version=p["version"],
                    latest=p["latest_version"],
                    type=p["latest_filetype"],
                )
                for p in json.loads(_pip("list", "--outdated", "--format=json").stdout)
            ]
    except subprocess.TimeoutExpired:
        reason = f"pip did not answer within {PIP_SECONDS} s"
    except (OSError, ValueError, KeyError, TypeError):
        reason = "pip's answer could not be read"
    status = "unknown" if reason else "known"
    return Packages(status=status, measured_at=utc_now(), outdated=outdated, reason=reason)


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    quick = ("--disable-pip-version-check", "--no-input", "--retries", "0", "--timeout", "5")
    return subprocess.run(
        [sys.executable, "-m", "pip", *arguments, *quick],
        capture_output=True,
        text=True,
        timeout=PIP_SECONDS,
        stdin=subprocess.DEVNULL,  # pip may ask for a password, and nobody is there
    )


def packages_line(found: Packages) -> str:
    """The number of outdated packages, or why it is not known."""
    if found["status"] == "known":
        return f"outdated packages: {len(found['outdated'])}"
    return f"outdated packages: unknown ({found['reason']})"


def packages_table(found: Packages) -> str:
    """The outdated packages as a table, with when that was looked up."""
    head = f"outdated packages as of {found['measured_at']}"
    if found["status"] == "unknown":
        return f"{head}: unknown ({found['reason']})"
    rows = [("package", "version", "latest", "type")]
    rows += [(p["package"], p["version"], p["latest"], p["type"]) for p in found["outdated"]]
    lines = [f"  {line}" for line in aligned(rows, right=set())]
    return "\n".join([f"{head}:", *lines]) if found["outdated"] else f"{head}: none"
