"""What the scripts share, a room for each question; docs/architecture.md shows them."""

import os
import sys

__version__ = "0.2.0"

PYTHON = ("predict", "clients", "explain")  # of risk.calllist.python, docs/python.md


def __getattr__(name):  # type: ignore[no-untyped-def]
    """`from risk import predict`: the package's face lies above its rooms, and loads them late."""
    if name in PYTHON:
        import importlib

        return getattr(importlib.import_module("risk.calllist.python"), name)
    raise AttributeError(f"module 'risk' has no attribute {name!r}")


def explain_missing(kind, error, trace):  # type: ignore[no-untyped-def]
    """In place of a traceback: another Python than the one that has the packages was started."""
    name = getattr(error, "name", None) or ""
    if not issubclass(kind, ModuleNotFoundError) or name.partition(".")[0] in ("", "risk"):
        return sys.__excepthook__(kind, error, trace)
    import shlex  # an idle run does without

    home = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    python = os.path.join(home, ".venv", "bin", "python")
    # A script is typed again as it was, with the Python that has the packages, once it is there.
    again = shlex.join([python, os.path.realpath(sys.argv[0]), *sys.argv[1:]])
    made = os.access(python, os.X_OK) and sys.prefix != os.path.join(home, ".venv")
    make = shlex.join(["make", "-C", home, "run"])
    print(
        f"error: {sys.executable or 'this Python'} has no {name}; type: {again if made else make}",
        file=sys.stderr,
    )


# Before the first import that can fail: the stages import their packages as they are imported.
sys.excepthook = explain_missing
