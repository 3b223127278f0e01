"""Settings: where folders are, what is refused and how, and that the document is right."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import FIVE, ROOT

from docs.tables import with_tables
from risk.config import RESERVED, Columns, Config, Csv, Mail, PipelineError, load
from risk.settings import NEEDED, keys_of

DOC = (ROOT / "docs/configuration.md").read_text()


def written(folder: Path, **entries: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(FIVE | entries))
    return path


# ------------------------------------------------------------ the document


def test_the_documents_tables_are_those_of_the_declarations() -> None:
    assert with_tables(DOC) == DOC, "type: .venv/bin/python docs/tables.py"


def test_every_key_with_a_default_takes_it(tmp_path: Path) -> None:
    """No declaration contradicts itself: what stands for nothing written passes its own check."""
    given = {key.name: key.default for key in keys_of(Config).values() if key.default is not NEEDED}
    for section, keys in (("columns", Columns), ("csv", Csv), ("mail", Mail)):
        given[section] = {key.name: key.default for key in keys_of(keys).values()}
    assert load(written(tmp_path, **given)) == load(written(tmp_path))


EXAMPLES = re.findall(r"```json\n(.*?)```", DOC, re.S)


@pytest.mark.parametrize("at", range(len(EXAMPLES)))
def test_every_example_in_the_document_is_a_config(tmp_path: Path, at: int) -> None:
    (tmp_path / "config.json").write_text(EXAMPLES[at])
    load(tmp_path / "config.json")


def test_the_document_has_its_examples() -> None:
    assert len(EXAMPLES) == 6
    assert json.loads(EXAMPLES[0]) == FIVE
    assert json.loads(EXAMPLES[5]) == json.loads((ROOT / "practice.json").read_text())


# ------------------------------------------------------------ what is read


def test_five_entries_are_enough(tmp_path: Path) -> None:
    config = load(written(tmp_path))
    assert (config.input_folder, config.finaldata) == (
        tmp_path / "sourcedata",
        tmp_path / "ingesteddata/finaldata.csv",
    )
    assert (config.state_folder, config.log_folder) == (tmp_path / "state", tmp_path / "logs")
    assert config.columns.features == (
        "lastmonth_activity",
        "lastyear_activity",
        "number_of_employees",
    )
    assert config.columns.non_negative == config.columns.features
    assert (config.horizon_days, config.port, config.policy) == (0, 8000, "fast")


@pytest.mark.parametrize("name", ["config.json", "practice.json"])
def test_the_configs_that_ship_are_right(name: str) -> None:
    config = load(ROOT / name)
    inside = "practicemodels" if name == "practice.json" else "."
    assert all(folder.is_relative_to(ROOT / inside) for folder in config.written_folders)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("in/", "{here}/in"),
        ("in", "{here}/in"),
        ("/in/", "{here}/in"),
        ("/in/deep/", "{here}/in/deep"),
        ("./in", "{here}/in"),
        ("../in/", "{above}/in"),
        ("/srv/in", "/srv/in"),
        ("//srv//in//", "{here}/srv/in"),
        ("in put/", "{here}/in put"),
    ],
)
def test_a_folder_is_found_from_the_configs_own(tmp_path: Path, text: str, place: str) -> None:
    config = load(written(tmp_path, input_folder_path=text))
    assert str(config.input_folder) == place.format(here=tmp_path, above=tmp_path.parent)


def test_the_current_directory_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    assert load(Path(tmp_path.name, "config.json")).input_folder == tmp_path / "sourcedata"


def test_a_byte_order_mark_before_the_config_is_read_over(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(FIVE).encode())
    assert load(tmp_path / "config.json").port == 8000


def test_numbers_are_known_from_the_columns_that_must_be_some(tmp_path: Path) -> None:
    columns = {"features": ["plan", "use", "worth"], "non_negative": ["use"], "value": "worth"}
    assert load(written(tmp_path, columns=columns)).columns.kinds == {
        "use": "number",
        "worth": "number",
    }
    declared = {"features": {"plan": "text", "use": "number"}}
    config = load(written(tmp_path, columns=declared))
    assert config.columns.kinds == {"plan": "text", "use": "number"}
    assert config.columns.non_negative == ()


# ------------------------------------------------------------ what is refused

WRONG = {
    "an unknown key": ({"prot": 1}, r"config\.json: unknown entry 'prot'; did you mean 'port'\?"),
    "an unknown column part": (
        {"columns": {"targets": "x"}},
        r"columns: .*'targets'.*mean 'target'\?",
    ),
    "an unknown csv key": ({"csv": {"delimeter": ";"}}, r"csv: .*'delimeter'.*mean 'delimiter'\?"),
    "a folder that is a number": (
        {"input_folder_path": 7},
        "input_folder_path must be a folder's name",
    ),
    "a folder without a name": (
        {"output_folder_path": " "},
        "output_folder_path must be a folder's name",
    ),
    "a folder with a nul": ({"state_path": "a\0b"}, "state_path must be a folder's name"),
    "a home folder": ({"input_folder_path": "~/data"}, "without ~"),
    "a text for a number": (
        {"port": "8000"},
        "port must be a whole number from 0 to 65535, not '8000'",
    ),
    "true for a number": ({"horizon_days": True}, "horizon_days must be a whole number"),
    "a port too high": ({"port": 65536}, "port must be"),
    "a negative horizon": ({"horizon_days": -1}, "horizon_days must be"),
    "an endless horizon": ({"horizon_days": 10**12}, "from 0 to 36500"),
    "a fraction": ({"max_rows": 1.5}, "max_rows must be"),
    "a limit of 0": ({"run_limit_minutes": 0}, "run_limit_minutes must be a number from 0.01"),
    "an infinite limit": ({"run_limit_minutes": float("inf")}, "run_limit_minutes must be"),
    "no number": ({"max_body_mb": float("nan")}, "max_body_mb must be"),
    "an unknown model": (
        {"model": "forest"},
        "model must be 'default' or 'original', not 'forest'",
    ),
    "a list for a policy": ({"policy": ["raw"]}, "policy must be 'fast' or 'certified' or"),
    "columns in a list": ({"columns": []}, "columns must be an object"),
    "a text for a list": ({"allowed_paths": "/srv"}, "allowed_paths must be a list of texts"),
    "no features": ({"columns": {"features": []}}, "features must be a list of column names"),
    "an unknown kind": ({"columns": {"features": {"a": "int"}}}, "features must be"),
    "a feature without a name": ({"columns": {"features": [""]}}, "features must be"),
    "a repeated feature": ({"columns": {"features": ["a", "a"]}}, "a name stands there twice"),
    "the id among the features": (
        {"columns": {"features": ["corporation"]}},
        "'corporation' is the id column",
    ),
    "the target among the features": (
        {"columns": {"features": ["exited"]}},
        "'exited' is the target column",
    ),
    "the date among the features": (
        {"columns": {"features": ["day"], "date": "day"}},
        "'day' is the date column",
    ),
    "no id": ({"columns": {"id": ""}}, "id and target must be named"),
    "one column for two parts": ({"columns": {"date": "corporation"}}, "given two roles"),
    "the value as the owner": ({"columns": {"value": "x", "owner": "x"}}, "given two roles"),
    "a bound for no feature": (
        {"columns": {"non_negative": ["x"]}},
        "'x' is not a feature or the value",
    ),
    "a bound for a text": (
        {"columns": {"features": {"a": "text"}, "non_negative": ["a"]}},
        "'a' is declared a text",
    ),
    "a value that is a text": (
        {"columns": {"features": {"a": "text"}, "value": "a"}},
        "'a' is declared a text",
    ),
    "a name with a space": ({"columns": {"target": " exited"}}, "' exited' has a space at an end"),
    "a name of the store's": (
        {"columns": {"features": ["_data_version"]}},
        "'_data_version' is the store's own name",
    ),
    "a target word for 2": (
        {"columns": {"target_values": {"Yes": 2, "No": 0}}},
        "'Yes' must stand for 1 or 0",
    ),
    "a target word for true": (
        {"columns": {"target_values": {"Yes": True, "No": 0}}},
        "'Yes' must stand",
    ),
    "one target word": (
        {"columns": {"target_values": {"Yes": 1}}},
        "a word for 1 and a word for 0",
    ),
    "an empty target word": (
        {"columns": {"target_values": {"": 0, "Yes": 1}}},
        "'' is empty or has a space",
    ),
    "a long delimiter": ({"csv": {"delimiter": ", "}}, "delimiter must be one character"),
    "a quote as delimiter": ({"csv": {"delimiter": '"'}}, "delimiter must be one character"),
    "a letter as delimiter": ({"csv": {"delimiter": "e"}}, "delimiter must be one character"),
    "a nul as delimiter": ({"csv": {"delimiter": "\0"}}, "delimiter must be one character"),
    "two commas": ({"csv": {"delimiter": ",", "decimal": ","}}, "decimal must be '.' or ','"),
    "an unknown encoding": ({"csv": {"encoding": "utf-9"}}, "'utf-9' is unknown"),
    "a wide encoding": ({"csv": {"encoding": "utf-16"}}, "not a superset of ASCII"),
    "an unknown entry of mail": ({"mail": {"user": "x"}}, "mail: unknown entry 'user'"),
    "a mail without a sender": (
        {"mail": {"host": "h", "to": ["a@b.c"]}},
        "mail: a host needs `from`, and `to`, `owners` or `operators`",
    ),
    "a mail to nobody": ({"mail": {"host": "h", "from": "a@b.c"}}, "mail: a host needs `from`"),
    "an address that adds a header": (
        {"mail": {"to": ["a@b.c\nBcc: d@e.f"]}},
        r"'a@b.c\\nBcc: d@e.f' is no address",
    ),
    "a name beside an address": ({"mail": {"from": "Ann <a@b.c>"}}, "'Ann <a@b.c>' is no address"),
    "a server with a path": (
        {"mail": {"host": "smtp://h", "from": "a@b.c", "to": ["a@b.c"]}},
        "mail.host must be a server's name alone",
    ),
    "an unknown kind of TLS": ({"mail": {"tls": "ssl"}}, "tls must be 'starttls' or 'tls' or"),
    "an hour of 24": ({"mail": {"hour": 24}}, "hour must be a whole number from 0 to 23"),
    "a word for a yes": ({"mail": {"names": "no"}}, "names must be true or false"),
    "a webhook to a file": ({"webhook_url": "file:///x"}, "webhook_url must be an address"),
    "a webhook with a user": ({"webhook_url": "https://a:b@c/"}, "without a user in it"),
    "a webhook that splits": ({"webhook_url": "http://a/\r\nX: y"}, "webhook_url must be"),
    "a webhook to a port that is none": ({"webhook_url": "http://a:99999/"}, "webhook_url must"),
    "a page without a host": ({"public_url": "https:///x"}, "public_url must be an address"),
    "the output in the input": (
        {"output_folder_path": "sourcedata/out"},
        "may not lie in input_folder_path",
    ),
    "the input as the output": (
        {"output_folder_path": "sourcedata"},
        "may not lie in input_folder_path",
    ),
    "the state in the test data": ({"state_path": "testdata/s"}, "may not lie in test_data_path"),
    "the logs above the input": ({"input_folder_path": "."}, "may not lie in input_folder_path"),
    "the test data in the input": ({"test_data_path": "sourcedata/test"}, "lie in each other"),
    "the input in the test data": ({"input_folder_path": "testdata/in"}, "lie in each other"),
    "the deployment as the models": ({"prod_deployment_path": "models"}, "a folder of its own"),
    "the deployment as the store": (
        {"prod_deployment_path": "ingesteddata"},
        "a folder of its own",
    ),
    "the state in the logs": ({"state_path": "logs/state"}, "state_path lies in log_path"),
}


@pytest.mark.parametrize(("entries", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_entry_stops_with_the_file_and_what_to_write(
    tmp_path: Path, entries: dict[str, Any], message: str
) -> None:
    path = written(tmp_path, **entries)
    with pytest.raises(PipelineError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path, prot=1, zebra=2, port="8000", policy="brave", csv={"delimeter": ";", "decimal": 3}
    )
    with pytest.raises(PipelineError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: unknown entries 'prot', 'zebra'; did you mean 'port' by 'prot'?; "
        "take 'zebra' out; csv: unknown entry 'delimeter'; did you mean 'delimiter'?; decimal must "
        "be a text, not 3; policy must be 'fast' or 'certified' or 'raw' or 'always' or 'never', "
        "not 'brave'; port must be a whole number from 0 to 65535, not '8000'"
    )


EXERCISE = {
    "logs_folder_path": "/logs/",
    "cleaned_data": "clean.csv",
    "label": "exited",
    "static": "static",
    "input_file_extension": "csv",
    "final_data_name": "finaldata.csv",
    "model_name": "trainedmodel.pkl",
    "url": "http://127.0.0.1:8000/",
    "num_features": [],
}  # as public copies have them


def test_entries_of_the_exercises_configs_are_passed_over_with_a_note(tmp_path: Path) -> None:
    config = load(written(tmp_path, **EXERCISE))
    assert config.ignored == tuple(EXERCISE)
    assert config.ignored_note.startswith("config.json: not needed and ignored: 'logs_folder_path'")
    assert load(written(tmp_path)).ignored_note == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("horizon", "take it out"),  # nothing is near enough to be meant
        ("logs_path", "did you mean 'log_path'?"),
        ("input_folder", "did you mean 'input_folder_path'?"),
        ("", "take it out"),
        ("features", "put 'features' into 'columns'"),
        ("delimiter", "put 'delimiter' into 'csv'"),
    ],
)
def test_an_entry_that_somebody_may_believe_in_is_refused(
    tmp_path: Path, name: str, words: str
) -> None:
    with pytest.raises(PipelineError) as caught:
        load(written(tmp_path, **{name: 1}))
    assert str(caught.value).endswith(f"unknown entry {name!r}; {words}")


@pytest.mark.parametrize("key", FIVE)
def test_a_missing_folder_is_named(tmp_path: Path, key: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({name: text for name, text in FIVE.items() if name != key}))
    with pytest.raises(PipelineError, match=f"the entry '{key}' .* is missing"):
        load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "expected one JSON object"),
        ("null", "expected one JSON object"),
        ('{"port": 1, "port": 2}', "'port' stands there twice"),
        ('{"csv": {"decimal": ".", "decimal": ","}}', "'decimal' stands there twice"),
        ("[" * 100_000, "not valid JSON"),
        ("{'port': 1}", "not valid JSON"),
        ("\xff", "not valid JSON"),
    ],
)
def test_what_is_no_config_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(PipelineError, match=message):
        load(path)


def test_a_config_that_is_not_there_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="No such file or directory; give --config PATH"):
        load(tmp_path / "config.json")


def test_the_stores_own_names_are_all_reserved(tmp_path: Path) -> None:
    from risk.data.frames import frame_types
    from risk.data.schema import schema_of

    types = frame_types(schema_of(load(written(tmp_path))))
    assert {name for name in types if name.startswith("_")} <= set(RESERVED)


# ------------------------------------------------------------ the scripts


SCRIPTS = sorted(
    p.name
    for p in ROOT.glob("*.py")
    if re.search(r'if __name__ == "__main__":\n(.*\n)*?.*\brun\(', p.read_text())
)


def test_all_stages_are_scripts() -> None:
    assert {"ingestion.py", "training.py", "scoring.py", "deployment.py"} <= set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_works_from_anywhere_and_says_which_folders_it_uses(
    tmp_path: Path, script: str
) -> None:
    path = written(tmp_path, port=0)
    command = [
        "/usr/bin/env",
        "-i",
        sys.executable,
        str(ROOT / script),
        "--config",
        str(path),
        "-v",
    ]
    with subprocess.Popen(
        command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        # What the script does then is not the question here; a server would never end.
        told = list(itertools.islice(process.stderr, 8))
        process.terminate()
    folders = [f"{key} {tmp_path / folder}\n" for key, folder in FIVE.items()]
    own = [f"state_path {tmp_path}/state\n", f"log_path {tmp_path}/logs\n"]
    assert told == [f"config {path}\n", *folders, *own]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_refuses_a_wrong_config_in_one_line(tmp_path: Path, script: str) -> None:
    written(tmp_path, prot=1)
    done = subprocess.run(
        [sys.executable, str(ROOT / script), "--config", str(tmp_path / "config.json")],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: {tmp_path}/config.json: unknown entry 'prot'; did you mean 'port'?\n"
    )
