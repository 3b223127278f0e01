"""Which mistakes the tests catch: one line of the code broken at a time, at seeded random places.

    python benchmarks/mutations.py [--lines 30] [--seed 0] [--jobs 2] [--near]

Each mutant is the checkout in a folder of its own with one line changed: a comparison turned round,
`and` for `or`, a condition negated, a number off by one, a result lost, a call left out. The tests
of `make test` run on it, those of the room first, until one fails (--near: those alone, in a tenth
of the time: a lower bound).
"""

from __future__ import annotations

import argparse
import ast
import copy
import difflib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SWAPPED: dict[type, type] = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
}  # fmt: skip
# They check the tree itself: a mutant is not formatted, which says nothing of the code's sense.
LEFT_OUT = ("tests/test_architecture.py", "tests/test_make.py")
HOUR = 3600


@dataclass(frozen=True)
class Mutant:
    """One broken line: the module, its source as it is and as it is broken."""

    file: str
    before: str
    after: str

    @property
    def diff(self) -> str:
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), self.file, self.file, "", "", 0, ""
        )
        return "\n".join(list(lines)[2:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--near", action="store_true", help="the tests of the room alone")
    chosen = parser.parse_args()
    found = mutants(random.Random(chosen.seed), chosen.lines)
    with ThreadPoolExecutor(chosen.jobs) as pool:
        caught = []
        for mutant, failed in zip(
            found, pool.map(partial(first_failure, near_alone=chosen.near), found), strict=True
        ):
            caught.append(bool(failed))
            print(
                f"{'caught' if failed else 'PASSED'} {mutant.file} {failed}\n{mutant.diff}",
                flush=True,
            )
    print(f"{sum(caught)} of {len(caught)} broken lines caught (seed {chosen.seed})")


def mutants(draw: random.Random, lines: int) -> list[Mutant]:
    """So many broken lines, each line of code as likely as any other."""
    places = [(file, line) for file in _modules() for line in _lines_of_code(file)]
    draw.shuffle(places)
    found: list[Mutant] = []
    for file, line in places:
        made = _broken(file, line, draw)
        if made is not None:
            found.append(made)
        if len(found) == lines:
            break
    return found


def _modules() -> list[str]:
    files = [*ROOT.glob("*.py"), *ROOT.glob("risk/**/*.py")]
    return sorted(str(file.relative_to(ROOT)) for file in files)


def _lines_of_code(file: str) -> list[int]:
    tree = ast.parse((ROOT / file).read_bytes())
    inside = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return sorted({part.lineno for node in inside for part in node.body[1:]})


def _broken(file: str, line: int, draw: random.Random) -> Mutant | None:
    """The module with this line broken in one of the ways there are; None where there is none."""
    before = (ROOT / file).read_text()
    tree = ast.parse(before)
    statement = next(
        (n for n in ast.walk(tree) if isinstance(n, ast.stmt) and n.lineno == line), None
    )
    if statement is None:
        return None
    ways = list(_ways(statement))
    if not ways:
        return None
    broken = draw.choice(ways)
    indent = " " * statement.col_offset
    end = statement.end_lineno or line
    if hasattr(statement, "body"):  # an if, a loop, a with: its head alone is written anew
        end = statement.body[0].lineno - 1
        broken.body, broken.orelse = [ast.Pass()], []
        text = ast.unparse(ast.fix_missing_locations(broken)).rsplit("\n", 1)[0]
    else:
        text = ast.unparse(ast.fix_missing_locations(broken))
    lines = before.splitlines()
    lines[line - 1 : end] = [indent + part for part in text.splitlines()]
    after = "\n".join([*lines, ""])
    try:
        ast.parse(after)
    except SyntaxError:
        return None
    return Mutant(file, before, after)


def _ways(statement: ast.stmt) -> Iterator[ast.stmt]:
    """The statement broken in each way that it has; the parts of what it holds are left alone."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        yield ast.Pass()
    if isinstance(statement, ast.Return) and statement.value is not None:
        yield ast.Return(ast.Constant(None))
    if isinstance(statement, ast.If | ast.While):
        negated = copy.deepcopy(statement)
        negated.test = ast.UnaryOp(ast.Not(), negated.test)
        yield negated
    for at, _ in enumerate(_parts(statement)):
        other = copy.deepcopy(statement)
        if _turned(list(_parts(other))[at]):
            yield other


def _parts(statement: ast.stmt) -> Iterator[ast.AST]:
    """What stands in the statement's own lines, not in the body of a loop or an if."""
    held = ("body", "orelse", "finalbody", "handlers")
    for name, value in ast.iter_fields(statement):
        for node in value if isinstance(value, list) else [value]:
            if name not in held and isinstance(node, ast.AST):
                yield from ast.walk(node)


def _turned(node: ast.AST) -> bool:
    """Whether the node could be changed, and was."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPPED:
        node.ops[0] = SWAPPED[type(node.ops[0])]()
    elif isinstance(node, ast.BoolOp | ast.BinOp) and type(node.op) in SWAPPED:
        node.op = SWAPPED[type(node.op)]()
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        node.value += 1
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        node.value = not node.value
    else:
        return False
    return True


def first_failure(mutant: Mutant, *, near_alone: bool) -> str:
    """The first test that fails on the mutant, "" where all pass; a hang counts as a failure."""
    with tempfile.TemporaryDirectory() as scratch:
        copied = Path(scratch, "checkout")
        ignored = shutil.ignore_patterns(".venv*", ".git", "__pycache__", ".*_cache")
        shutil.copytree(ROOT, copied, symlinks=True, ignore=ignored)
        (copied / mutant.file).write_text(mutant.after)
        near, rest = _ordered(copied, mutant.file)
        return _run(copied, near) or ("" if near_alone else _run(copied, rest))


def _ordered(copied: Path, file: str) -> tuple[list[str], list[str]]:
    """(the tests of the module's room, or of the stage; all others)."""
    tests = sorted(str(p.relative_to(copied)) for p in copied.glob("tests/**/test_*.py"))
    tests = [test for test in tests if test not in LEFT_OUT]
    room = Path(file).parts[1] if file.startswith("risk/") else Path(file).stem
    near = [t for t in tests if t.startswith(f"tests/{room}/") or Path(room).stem in Path(t).stem]
    return near, [test for test in tests if test not in near]


def _run(copied: Path, tests: list[str]) -> str:
    if not tests:
        return ""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-m",
        "not torture",
        "-p",
        "no:cacheprovider",
    ]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*command, *tests],
            cwd=copied,
            text=True,
            capture_output=True,
            env=environment,
            timeout=HOUR,
        )
    except subprocess.TimeoutExpired:
        return "the tests hang"
    if not done.returncode:
        return ""
    named = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return named[0].partition(" - ")[0] if named else done.stdout[-300:] + done.stderr[-300:]


if __name__ == "__main__":
    main()
