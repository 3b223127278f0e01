"""Real customers at 13 month ends, from what people bought at a music shop in 1997 and 1998.

    python examples/customers.py FOLDER [--rich]

Writes FOLDER/cdnow_1997-03-31.csv to FOLDER/cdnow_1998-03-31.csv: the pipeline's five columns, or
eight features with --rich. The purchases come with the package lifetimes (requirements-dev.txt);
nothing is downloaded. README.md beside this file says how a snapshot is made.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from pathlib import Path

import pandas as pd

PACKAGE, VERSION = "lifetimes", "0.11.3"
# Not CDNOW_sample.txt, a tenth of the customers; the other two are sums without dates.
PURCHASES = "lifetimes/datasets/CDNOW_master.txt"
MONTH_ENDS = (
    "1997-03-31 1997-04-30 1997-05-31 1997-06-30 1997-07-31 1997-08-31 1997-09-30 1997-10-31 "
    "1997-11-30 1997-12-31 1998-01-31 1998-02-28 1998-03-31"
).split()
LABEL_MONTHS = 3  # so a label is known three files after its own
ACTIVE_MONTHS = 6  # who bought nothing for longer is no customer any more
FIVE = ["corporation", "lastmonth_activity", "lastyear_activity", "number_of_employees", "exited"]
MORE = ["orders", "usd_3m", "days_since_last", "tenure_days", "mean_order_usd"]
RICH = [*FIVE[:-1], *MORE, FIVE[-1]]


def purchase_file() -> Path:
    """Where the installed package keeps the purchases; FileNotFoundError says what to install.

    The package is never imported: it is from 2020, and its loader needs setuptools, which a new
    environment of Python 3.12 does not have.
    """
    try:
        installed = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise FileNotFoundError(
            f"the purchases come with {PACKAGE} {VERSION}, which is not installed; "
            "run `pip install -r requirements-dev.txt` first"
        ) from None
    path = Path(str(installed.locate_file(PURCHASES)))
    if not path.is_file():
        raise FileNotFoundError(
            f"{PACKAGE} {installed.version} has no {PURCHASES}; "
            f"run `pip install --force-reinstall {PACKAGE}=={VERSION}` first"
        )
    return path


def read_purchases(path: Path) -> pd.DataFrame:
    """One row per purchase: customer (text, zeros in front), date, cds, dollars."""
    return pd.read_csv(
        path,
        sep=r"\s+",
        header=0,
        names=["customer", "date", "cds", "dollars"],
        dtype={"customer": str},
        parse_dates=["date"],
        date_format="%Y%m%d",
    )


def months_before(dates: pd.Series, month_end: pd.Timestamp) -> pd.Series:
    """Calendar months from each date to the month end: 0 in its own month, negative after it."""
    return 12 * (month_end.year - dates.dt.year) + month_end.month - dates.dt.month


def snapshot(purchases: pd.DataFrame, day: str) -> pd.DataFrame:
    """The customers as they stood on a month end, by name, with all columns of RICH.

    The columns before `exited` see nothing bought after the day. `exited` is right only if the
    purchases reach three months past it. Money in dollars, rounded to cents.
    """
    month_end = pd.Timestamp(day)
    if not month_end.is_month_end:
        raise ValueError(f"{day} is not the end of a month; snapshots are made at month ends")
    ago = months_before(purchases["date"], month_end)
    past, months = purchases[ago >= 0], ago[ago >= 0]
    clients = features(past, months, month_end)
    later = purchases["customer"][ago.between(-LABEL_MONTHS, -1)]
    clients["exited"] = (~clients.index.isin(later)).astype(int)
    active = past["customer"][months < ACTIVE_MONTHS]
    return clients[clients.index.isin(active)].reset_index()[RICH]


def features(past: pd.DataFrame, months: pd.Series, month_end: pd.Timestamp) -> pd.DataFrame:
    """What the purchases up to the month end say of each customer who made one."""

    def spent(window: int) -> pd.Series:
        """Dollars in the last `window` calendar months."""
        recent = past["dollars"].where(months < window, 0.0)
        return recent.groupby(past["customer"]).sum().round(2)

    of_each = past.groupby("customer")
    made = {
        "lastmonth_activity": spent(1),
        "lastyear_activity": spent(12),
        "number_of_employees": of_each["cds"].sum(),
        "orders": of_each.size(),
        "usd_3m": spent(3),
        "days_since_last": (month_end - of_each["date"].max()).dt.days,
        "tenure_days": (month_end - of_each["date"].min()).dt.days,
        "mean_order_usd": of_each["dollars"].mean().round(2),
    }
    return pd.DataFrame(made).rename_axis("corporation")


def write_snapshots(folder: Path, *, rich: bool = False) -> list[Path]:
    """Write the 13 files, oldest first, and return their paths; the folder is made if need be."""
    purchases = read_purchases(purchase_file())
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for day in MONTH_ENDS:
        path = folder / f"cdnow_{day}.csv"
        clients = snapshot(purchases, day)[RICH if rich else FIVE]
        clients.to_csv(path, index=False, lineterminator="\n")
        written.append(path)
    return written


def main() -> None:
    head, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=head, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the 13 files go")
    parser.add_argument("--rich", action="store_true", help="eight features in place of three")
    chosen = parser.parse_args()
    try:
        written = write_snapshots(chosen.folder, rich=chosen.rich)
    except FileNotFoundError as missing:
        sys.exit(f"error: {missing}")
    print(f"wrote {len(written)} snapshots, {written[0].name} to {written[-1].name}")


if __name__ == "__main__":
    main()
