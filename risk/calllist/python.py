"""What `from risk import predict, clients, explain` gives: the deployed model in a notebook.

Each takes the config.json of a project and answers from what is deployed there; nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from risk.calllist.explain import Explanation, explain_client
from risk.calllist.types import load_list, read_list
from risk.config import Config, PipelineError, load
from risk.data.reader import read_rows
from risk.data.schema import schema_of
from risk.data.snapshot import read_snapshot
from risk.model.deployed import Deployed, read_deployed
from risk.model.measures import THRESHOLD
from risk.model.profile import Rows

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Table = Path | str | Sequence[Mapping[str, Any]]


def predict(rows: Table | pd.DataFrame | Any, config: Path | str = "config.json") -> pd.DataFrame:
    """`client`, `risk` (0 to 1) and `prediction` (1 leaves) for each row, in their order.

    rows: a file of any kind that the input may be, a pandas or polars DataFrame, or a list of
    dictionaries. PipelineError says which row or column is no good.
    """
    import pandas as pd

    settings = load(config)
    deployed = read_deployed(settings)
    if isinstance(rows, Path | str):
        table = rows_in_file(settings, deployed, Path(rows))
    else:
        # Numbers of a frame are written with a point, whatever the company's files have.
        plain = replace(settings.csv, delimiter=",", encoding="", decimal=".", sheet="")
        columns = replace(settings.columns, formats={})
        if hasattr(rows, "write_csv"):  # polars; to_pandas() would ask for one more package
            text = rows.write_csv()
        else:
            text = pd.DataFrame(rows).to_csv(index=False)
        data = text.encode()
        table = rows_in(replace(settings, csv=plain, columns=columns), deployed, data, "rows")
    risks = risks_of(settings, deployed, table)
    found = {"client": table[settings.columns.id], "risk": risks}
    return pd.DataFrame(found | {"prediction": (risks >= THRESHOLD).astype(int)})


def clients(config: Path | str = "config.json") -> pd.DataFrame:
    """The list as clients_at_risk.csv has it, the highest risk first."""
    import pandas as pd

    return pd.DataFrame(dict(load_list(load(config)).spread()))


def explain(client: str, config: Path | str = "config.json") -> Explanation:
    """One client's risk, reasons, place on the list and history, by its id or its name."""
    return explained(load(config), client)[0]


def explained(config: Config, client: str) -> tuple[Explanation, str]:
    """(what is known of the client, how people call it or "")."""
    deployed, snapshot, listing = read_deployed(config), read_snapshot(config), read_list(config)
    made_of = (deployed.version, snapshot.version.number)
    if listing and (listing.model_version, listing.data_version) != made_of:
        listing = None  # a list of another model or other rows would contradict the history
    listed = listing.find(client) if listing else None
    found = explain_client(deployed, snapshot, listed.client if listed else client, listing)
    return found, (listed.name or "") if listed else ""


def risks_of(config: Config, deployed: Deployed, rows: Rows) -> np.ndarray:
    """The risk of each row, with what the store knows of their clients before."""
    client = config.columns.id
    if deployed.model.reads_earlier and any(rows[client]):
        rows = rows | deployed.model.earlier_in(rows, read_snapshot(config).rows, client)
    return deployed.model.probabilities(rows)


def rows_in_file(config: Config, deployed: Deployed, file: Path) -> Rows:
    """The rows of somebody's file; PipelineError for the first that is no good."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise PipelineError(f"cannot read {file}: {error.strerror}") from None
    return rows_in(config, deployed, data, str(file))


def rows_in(config: Config, deployed: Deployed, data: bytes, file: str) -> Rows:
    # By the model's kinds: by this file alone a column might be of another.
    schema = schema_of(config, dict(deployed.model.columns))
    # A prediction needs neither id nor label; limit: the first bad row ends it anyway.
    name = Path(file).name
    reading = read_rows(data, name, schema, config.csv, needed=frozenset(), limit=False)
    if reading.refused:
        raise PipelineError(f"{file}: {reading.refused}")
    if reading.errors:
        first, n = reading.errors[0], len(reading.errors)
        where = (
            f"{file}: {n} bad rows, the first on line {first.line}: {first.column or 'the line'}"
        )
        raise PipelineError(f"{where} {first.rule} ({first.value}); mend them and ask again")
    return reading.values
