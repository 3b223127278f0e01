"""What the scripts share, a room for each question; docs/architecture.md shows them."""

import sys

__version__ = "0.2.0"


def explain_missing(kind, error, trace):  # type: ignore[no-untyped-def]
    """In place of a traceback: another Python than the one that has the packages was started."""
    name = getattr(error, "name", None) or ""
    if not issubclass(kind, ModuleNotFoundError) or name.partition(".")[0] in ("", "risk"):
        return sys.__excepthook__(kind, error, trace)
    print(
        f"error: {sys.executable or 'this Python'} has no {name}; run it with .venv/bin/python "
        "(its user must be allowed to), or make run, which installs what is needed",
        file=sys.stderr,
    )


# Before the first import that can fail: the stages import their packages as they are imported.
sys.excepthook = explain_missing
