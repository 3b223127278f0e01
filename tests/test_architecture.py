"""What the layout promises: who imports whom, imports that do nothing, pins, docs that keep up."""

from __future__ import annotations

import ast
import graphlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.checkout import ROOT, kept_files

GROUND = {
    "risk",
    *(f"risk.{name}" for name in "config files records releases script settings words".split()),
}
STAGES = {"ingestion", "training", "scoring", "deployment", "diagnostics", "reporting", "apicalls"}
# From the ground up: a room imports from those before it, and from itself.
ROOMS = ["data", "model", "drift", "decide", "record", "calllist", "run", "alerts", "web", "report"]
PACKAGES = {f"risk.{room}": at for at, room in enumerate(ROOMS, 1)}
STAGE_FLOOR = len(ROOMS) + 1
ENTRIES = {"app": STAGE_FLOOR + 1, "fullprocess": STAGE_FLOOR + 1, "wsgi": STAGE_FLOOR + 2}
SCRIPTS = sorted(STAGES | {"app", "fullprocess"})
IDLE = {"os", "sys", "json", "fcntl", "__future__"}
HEAVY = {"matplotlib", "pandas", "polars", "scipy", "seaborn", "sklearn"}
LAYOUT = """
    .ci/run CHANGELOG.md CONTRIBUTING.md LICENSE Makefile README.md apicalls.py app.py config.json
    cronjob.txt deployment.py diagnostics.py docs/api.md docs/architecture.md docs/configuration.md
    docs/operations.md environment.yml fullprocess.py fullprocess.sh gunicorn.conf.py ingestion.py
    practice.json pyproject.toml reporting.py requirements-dev.txt requirements.txt
    risk/files.py risk/config.py scoring.py testdata/testdata.csv training.py wsgi.py
""".split()


@cache
def modules() -> dict[str, ast.Module]:
    """Module name -> its syntax tree, for the scripts and the risk package."""
    files = [*ROOT.glob("*.py"), *ROOT.glob("risk/**/*.py")]
    found = {}
    for file in (file for file in files if "." not in file.stem):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(file.read_bytes())
    return found


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name taken from it or "") of every import, those inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def ours(tree: ast.AST) -> set[str]:
    """The modules of this project that the tree imports."""
    taken = {
        f"{module}.{name}" if f"{module}.{name}" in modules() else module
        for module, name in imports(tree)
    }
    return taken & set(modules())


def package(module: str) -> str:
    return "ground" if module in GROUND else ".".join(module.split(".")[:2])


def floor(module: str) -> int:
    if module in STAGES:
        return STAGE_FLOOR
    return 0 if module in GROUND else ENTRIES.get(module) or PACKAGES[package(module)]


def may_import(importer: str, imported: str) -> bool:
    """Downwards, or inside one package; app takes no stage, wsgi app alone."""
    if importer == "wsgi":
        return imported == "app"
    if importer == "app" and imported in STAGES:
        return False
    return floor(imported) < floor(importer) or package(imported) == package(importer)


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("training", "risk.model.fit", True),
        ("training", "scoring", False),
        ("risk.data.store", "risk.data.schema", True),
        ("risk.data.store", "risk.model.terms", False),
        ("risk.calllist.ranking", "risk.decide.policies", True),
        ("risk.config", "risk.data.schema", False),
        ("risk.script", "risk.files", True),
        ("fullprocess", "reporting", True),
        ("fullprocess", "app", False),
        ("app", "risk.web.api", True),
        ("app", "scoring", False),
        ("wsgi", "app", True),
        ("wsgi", "scoring", False),
    ],
)
def test_the_floors_are_as_drawn(importer, imported, allowed):
    assert may_import(importer, imported) is allowed


def test_every_module_imports_downwards_only():
    wrong = [
        f"{importer} imports {imported}"
        for importer, tree in modules().items()
        for imported in sorted(ours(tree))
        if not may_import(importer, imported)
    ]
    assert wrong == []


def test_no_two_modules_import_each_other():
    graph = {name: ours(tree) - {name} for name, tree in modules().items()}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(graph)


def test_imports_are_absolute():
    relative = [
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_the_ground_floor_needs_the_standard_library_alone():
    foreign = [
        (name, module)
        for name in sorted(GROUND)
        for module, _ in imports(modules()[name])
        if module.split(".")[0] not in sys.stdlib_module_names | {"risk"}
    ]
    assert foreign == []


def test_the_driver_imports_four_small_modules_before_it_knows_that_there_is_work():
    top = {
        name: [
            node for node in modules()[name].body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        for name in ("fullprocess", "risk.run.idle", "risk.run", "risk")
    }
    taken = {module for nodes in top.values() for node in nodes for module, _ in imports(node)}
    assert taken <= IDLE | {"risk.run.idle"}


@cache
def definitions(module: str) -> dict[str, ast.AST]:
    """Functions and classes at the top of a module, by name."""
    return {
        node.name: node
        for node in modules()[module].body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


def references(module: str, tree: ast.AST) -> set[tuple[str, str]]:
    """(module of ours, name) of everything the tree mentions."""
    aliases: dict[str, tuple[str, str]] = {name: (module, name) for name in definitions(module)}
    for source, name in imports(modules()[module]):
        if f"{source}.{name}" in modules():
            aliases[name] = (f"{source}.{name}", "")
        elif source in modules():
            aliases[name or source] = (source, name)
    found = set()
    local = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            source, name = aliases.get(node.value.id, ("", ""))
            found.add((source, name or node.attr))
        elif isinstance(node, ast.Name) and node.id in aliases.keys() - local:
            found.add(aliases[node.id])
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call):
            # some_file(config).write(...): a StateFile is known by what is done with it.
            found.add(("risk.files", f"StateFile.{node.attr}"))
    return {(source, name) for source, name in found if source and name}


def reached(module: str, name: str) -> set[tuple[str, str]]:
    """All that a function mentions, and what that mentions, and so on."""
    done: set[tuple[str, str]] = set()
    open_ = {(module, name)}
    while open_:
        source, name = open_.pop()
        done.add((source, name))
        if name in definitions(source) and name != "StateFile":
            open_ |= references(source, definitions(source)[name]) - done
    return done


WRITERS = {
    ("risk.files", name)
    for name in (
        "write_atomic",
        "write_json",
        "StateFile.write",
        "atomic_file",
        "make_folder",
        "copy_file",
        "project_lock",
        "remove_temporary_files",
    )
} | {("risk.releases", name) for name in ("build_release", "make_current", "prune")}


def test_a_stage_that_writes_is_seen_to_write():
    assert reached("training", "train") & WRITERS
    assert reached("deployment", "stage") >= {
        ("risk.releases", "make_current"),
        ("risk.files", "StateFile.write"),
        ("risk.files", "copy_file"),
    }


def test_what_the_api_takes_from_other_rooms_writes_nothing():
    mentioned = references("risk.web.api", modules()["risk.web.api"])
    taken = {pair for pair in mentioned if package(pair[0]) not in ("risk.web", "ground")}
    writing = {(*pair, writer[1]) for pair in taken for writer in reached(*pair) & WRITERS}
    assert ("risk.model.score", "score_of") in taken
    assert writing == set()


IMPORT_ALL = """
import importlib, json, os, sys
root, names, heavy = sys.argv[1], sys.argv[2].split(), set(sys.argv[3].split())
sys.argv = ["x", "--bogus"]
sys.path.insert(0, root)
effects, loaded, current = [], {}, None
ACTS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.scandir", "os.utime",
        "os.truncate", "subprocess.Popen", "os.fork", "os.system", "socket.bind", "socket.connect"}
def watch(event, details):
    if event == "open" and not isinstance(details[0], int):
        path = os.path.abspath(os.fsdecode(details[0]))
        writes = details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        mine = path.startswith(root + os.sep) and not path.startswith(sys.prefix + os.sep)
        if writes or mine and not path.endswith((".py", ".pyc")):
            effects.append(f"{current}: open {path}")
    elif event in ACTS:
        effects.append(f"{current}: {event} {details[0]}")
sys.addaudithook(watch)
for current in names:
    before = heavy & set(sys.modules)
    importlib.import_module(current)
    loaded[current] = sorted((heavy & set(sys.modules)) - before)
print(json.dumps({"effects": effects, "loaded": loaded}))
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What happened while a fresh process imported every module, those with terms last."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    last = ["risk.model.additive"]
    names = [*sorted(set(modules()) - set(last)), *last]
    words = [str(ROOT), " ".join(names), " ".join(HEAVY)]
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", IMPORT_ALL, *words],
        cwd=elsewhere,
        env={"PATH": os.environ["PATH"], "HOME": str(elsewhere)},
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert list(elsewhere.iterdir()) == []
    return json.loads(done.stdout)


def test_importing_any_module_reads_no_file_makes_no_folder_and_parses_no_argument(imported):
    assert imported["effects"] == []


def test_only_the_scikit_learn_classes_load_a_heavy_library_at_import(imported):
    heavy = {name: found for name, found in imported["loaded"].items() if found}
    assert set(heavy) == {"risk.model.additive"}
    assert "sklearn" in heavy["risk.model.additive"]


def test_every_file_that_has_to_be_there_is_there():
    assert [name for name in LAYOUT if not (ROOT / name).is_file()] == []


def test_what_is_run_by_name_can_be_executed():
    assert os.access(ROOT / "fullprocess.sh", os.X_OK)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()


def test_no_file_names_a_folder_of_one_machine():
    homes = "|".join(["work", "farm", "root", "home"])
    machine = re.compile(rf"(?:^|[\"'=:`( ])/(?:{homes})/", re.M)
    found = [
        f"{name}: {match[0]}"
        for name in kept_files()
        for match in machine.finditer((ROOT / name).read_text("utf-8", "replace"))
    ]
    assert found == []


def test_nothing_that_the_pipeline_writes_is_kept_by_git():
    generated = (
        "ingesteddata/",
        "models/",
        "practicemodels/",
        "production_deployment/",
        "state/",
        "logs/",
    )
    assert [name for name in kept_files() if name.startswith(generated)] == []


def pins(name: str = "requirements.txt") -> dict[str, str]:
    """Package -> version; a line that is no exact pin fails."""
    lines = re.findall(r"^[^#\n-].*", (ROOT / name).read_text(), re.M)
    found = [re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)", line) for line in lines]
    assert all(found), f"{name}: not an exact pin: {lines[found.index(None)]}"
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def test_the_runtime_is_at_most_forty_packages_each_pinned():
    assert 0 < len(pins()) <= 40


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_nothing_unpinned_comes_in_with_a_pinned_package(name):
    pinned = pins() | pins(name)
    needed = {
        canonicalize_name(need.name)
        for package in pinned
        for need in map(Requirement, importlib.metadata.requires(package) or [])
        if need.marker is None or need.marker.evaluate({"extra": ""})
    }
    assert needed <= set(pinned)


def test_what_is_installed_is_what_is_pinned():
    pinned = pins() | pins("requirements-dev.txt")
    assert {name: importlib.metadata.version(name) for name in pinned} == pinned


def test_requirements_name_the_packages_that_the_code_imports():
    head = "".join(re.findall(r"^#(.*)", (ROOT / "requirements.txt").read_text(), re.M))
    named = re.search(r"Used directly: (.*?)\.", head)
    assert named
    imported = {module.split(".")[0] for tree in modules().values() for module, _ in imports(tree)}
    foreign = imported - sys.stdlib_module_names - set(modules())
    owners = importlib.metadata.packages_distributions()
    direct = {canonicalize_name(owners[name][0]) for name in foreign} | {"gunicorn"}
    assert {canonicalize_name(name.strip()) for name in named[1].split(",")} == direct


def test_conda_users_get_the_same_pins():
    listed = re.findall(r"^ +- (.*)$", (ROOT / "environment.yml").read_text(), re.M)
    assert listed == ["conda-forge", "python>=3.11", "pip", "pip:", "-r requirements.txt"]


@cache
def docs() -> str:
    own = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
    files = [*own, *sorted((ROOT / "docs").glob("*.md"))]
    return "\n".join(file.read_text() for file in files)


def make_targets() -> list[str]:
    return re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("target", [name for name in make_targets() if name != "help"])
def test_the_docs_tell_every_make_target(target):
    assert f"make {target}" in docs()


def test_the_readme_tells_every_script():
    readme = (ROOT / "README.md").read_text()
    assert [name for name in SCRIPTS if f"{name}.py" not in readme] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_docs_tell_every_option_of(script):
    shown = subprocess.run(
        [sys.executable, str(ROOT / f"{script}.py"), "--help"],
        text=True,
        capture_output=True,
        check=True,
        cwd="/",
        timeout=60,
    ).stdout
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", shown)) - {"--help"}
    common = {"--config", "--json", "--verbose", "--version"}
    assert options >= common
    lines = [line for line in docs().splitlines() if f"{script}.py" in line]
    missing = {option for option in options - common if not any(option in ln for ln in lines)}
    missing |= {option for option in common - {"--verbose"} if option not in docs()}
    assert missing == set()


def _rooms() -> list[str]:
    return sorted(
        folder.name for folder in (ROOT / "risk").iterdir() if (folder / "__init__.py").exists()
    )


def test_the_rooms_are_those_of_the_floors():
    assert _rooms() == sorted(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_answers_and_where_to_begin(room):
    tree = modules()[f"risk.{room}"]
    said = ast.get_docstring(tree) or ""

    assert len(tree.body) == 1
    begin = re.findall(r"Begin with (\w+\.py)", said)
    assert begin and (ROOT / "risk" / room / begin[0]).exists()
    assert len(re.findall(r"[.?](?=\s|$)", said)) == 2


# Each module of a kind has these: the stages, the scripts with options, the pages.
OF_A_KIND = {"stage", "options", "main", "view"}


def test_a_name_says_one_thing():
    where: dict[str, list[str]] = {}
    for module in modules():
        for name in definitions(module):
            where.setdefault(name, []).append(module)
    often = {n: found for n, found in where.items() if len(found) > 2 and n not in OF_A_KIND}
    assert often == {}


def test_what_somebody_wants_to_change_is_where_contributing_says():
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (.*?) \| (.*?) \|$", contributing, re.M)[2:]
    named = [name for _, where in rows for name in re.findall(r"`([\w/]+\.\w+)`", where)]

    assert len(rows) >= 20
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_glossary_has_every_word_of_the_decisions_table():
    from risk.decide import decision

    glossary = (ROOT / "docs/glossary.md").read_text()
    rows = re.findall(r"^\| ([^|]+?) \| [^|]+ \|$", glossary, re.M)
    entries = {word for row in rows for word in row.lower().split(", ")}
    # What the page says beyond plain words, where the evidence is opened.
    terms = {"e-value", "threshold", "challenger", "evaluation", "recalibrated", "new outcomes"}
    actions = [
        decision.action_word(getattr(decision, name))
        for name in ("FIRST RETRAIN RECALIBRATE PROMOTE SCHEDULED SWITCH REVERT ROLL_BACK").split()
    ]

    assert terms <= entries
    assert set(actions) <= entries
    assert len(glossary.splitlines()) <= 50


def page_template(name: str) -> str:
    return (ROOT / "templates" / f"{name}.html").read_text()
