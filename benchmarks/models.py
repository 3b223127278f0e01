"""The default recipe against plain logistic regression and boosted trees, on many tables.

    python benchmarks/models.py           made-up tables, and the real ones in RISK_REAL_DATA
    python benchmarks/models.py --quick   two splits, small tables only
    python benchmarks/models.py --big     also 1,000,000 x 4: the fit times, three turns
    python benchmarks/models.py --ebm     also explainable boosting, where `interpret` is installed

For each table and split (seeds 0, 1, ...) every model is fitted on the same rows and judged on the
same others.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from risk.model import fit as fitting
from risk.model.logistic import expit
from risk.model.measures import auc, brier, calibration, log_loss

Fit = Callable[[pd.DataFrame, np.ndarray], Callable[[pd.DataFrame], np.ndarray]]
REAL = {
    "telco": ("telco/telco_churn.csv", "customer"),
    "cdnow": ("cdnow/batches_rich/cdnow_1997-09-30.csv", "corporation"),
    "mlc_churn": ("tables/mlc_churn.csv", ""),
    "hr_attrition": ("tables/hr_attrition.csv", ""),
    "lending": ("tables/lending.csv", ""),
    "creditscoring": ("tables/creditscoring.csv", ""),
}
MADE = [
    ("linear", 400),
    ("linear", 4000),
    ("steps", 4000),
    ("smooth", 4000),
    ("trees", 4000),
    ("local", 4000),
    ("rare", 10_000),
    ("levels", 10_000),
    ("local", 100_000),
]
TEST_ROWS = 10_000
BIG_TURNS = 3


def real_table(name: str) -> tuple[pd.DataFrame, np.ndarray] | None:
    """A real table's features and labels; None where it is not at hand."""
    file, client = REAL[name]
    path = Path(os.environ.get("RISK_REAL_DATA", ""), file)
    if not os.environ.get("RISK_REAL_DATA") or not path.exists():
        return None
    frame = pd.read_csv(path)
    y = frame.pop("exited").to_numpy(np.int64)
    frame = frame.drop(columns=client or frame.columns[0])
    return texts_as_objects(frame), y


def texts_as_objects(frame: pd.DataFrame) -> pd.DataFrame:
    """Texts as objects with None for a blank, the form in which the pipeline hands them over."""
    return pd.DataFrame(
        {
            name: column.astype(np.float64)
            if pd.api.types.is_numeric_dtype(column)
            else pd.Series([None if pd.isna(v) else str(v) for v in column], dtype=object)
            for name, column in frame.items()
        }
    )


def made_table(kind: str, rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Eight numbers (one skewed, one a count) and a text, labelled by the kind's rule."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 8))
    x[:, 1], x[:, 2] = np.exp(x[:, 1]), np.round(np.abs(x[:, 2]) * 3)
    level = rng.integers(0, 2000 if kind == "levels" else 5, rows)
    score = RULES[kind](x, level, rng)
    y = (rng.random(rows) < expit(score)).astype(np.int64)
    frame = pd.DataFrame({f"x{n}": x[:, n] for n in range(8)})
    frame["group"] = pd.Series([f"g{n}" for n in level], dtype=object)
    return frame, y


def _linear(x: np.ndarray, level: np.ndarray, _: Any) -> np.ndarray:
    return x[:, 0] + 0.5 * np.log(x[:, 1]) - 0.3 * x[:, 3] + 0.4 * (level == 1)


def _steps(x: np.ndarray, level: np.ndarray, _: Any) -> np.ndarray:
    joint = 2 * (x[:, 4] < -0.5) * (x[:, 5] < 0) * (level != 2) - 1.5 * (x[:, 1] > 2) * (
        x[:, 3] > 0
    )
    return 2 * (x[:, 0] > 0.5) + joint + 1.2 * (np.abs(x[:, 6]) < 0.5) - 1


def _smooth(x: np.ndarray, level: np.ndarray, _: Any) -> np.ndarray:
    return np.sin(2 * x[:, 0]) + x[:, 3] * x[:, 4] + 0.5 * np.cos(2 * x[:, 5]) * x[:, 6]


def _trees(x: np.ndarray, level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    score = np.zeros(len(x))
    for _ in range(30):
        columns, leaves = rng.integers(0, 8, 3), 0.6 * rng.normal(size=8)
        sides = [x[:, c] > np.quantile(x[:, c], rng.uniform(0.15, 0.85)) for c in columns]
        score += leaves[sides[0] * 4 + sides[1] * 2 + sides[2]]
    return score - score.mean()


def _local(x: np.ndarray, level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    score = np.full(len(x), -1.0)
    for _ in range(25):
        pair = rng.choice(8, 2, replace=False)
        near = [np.abs(x[:, c] - x[rng.integers(len(x)), c]) < 0.35 * x[:, c].std() for c in pair]
        score += rng.choice([-3, 3]) * near[0] * near[1]
    return score


def _rare(x: np.ndarray, level: np.ndarray, _: Any) -> np.ndarray:
    return -5.2 + 0.9 * x[:, 0] + 1.2 * (x[:, 3] > 1) * (x[:, 4] > 0)


def _levels(x: np.ndarray, level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return -0.5 + 0.8 * x[:, 0] + rng.normal(size=2000)[level]


RULES: dict[str, Callable[..., np.ndarray]] = {
    "linear": _linear,
    "steps": _steps,
    "smooth": _smooth,
    "trees": _trees,
    "local": _local,
    "rare": _rare,
    "levels": _levels,
}


def kinds(X: pd.DataFrame) -> dict[str, str]:
    return {name: "text" if X[name].dtype == object else "number" for name in X}


def ours(X: pd.DataFrame, y: np.ndarray) -> Callable[[pd.DataFrame], np.ndarray]:
    fitted = fitting.fit("default", kinds(X), X, y)
    return lambda new: fitted.predict_proba(new)[:, 1]


def plain(X: pd.DataFrame, y: np.ndarray) -> Callable[[pd.DataFrame], np.ndarray]:
    """Clipped, filled, standardised numbers and one column per level, C = 1."""
    from sklearn.linear_model import LogisticRegression

    from risk.model.additive import AdditiveTerms
    from risk.model.model import numbers_and_texts

    # Without an exit there are too few for curves: the plain terms.
    terms = AdditiveTerms(*numbers_and_texts(kinds(X))).fit(X, np.zeros(len(X)))
    fitted = LogisticRegression(max_iter=1000).fit(terms.transform(X), y)
    return lambda new: fitted.predict_proba(terms.transform(new))[:, 1]


def boosted(X: pd.DataFrame, y: np.ndarray) -> Callable[[pd.DataFrame], np.ndarray]:
    """HistGradientBoosting as it comes, categories as categories (its limit: 255 of them)."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    texts = [name for name, kind in kinds(X).items() if kind == "text"]
    levels = {name: X[name].value_counts().index[:250] for name in texts}

    def prepared(new: pd.DataFrame) -> pd.DataFrame:
        return new.assign(
            **{
                n: pd.Categorical(new[n].where(new[n].isin(levels[n]), None), levels[n])
                for n in texts
            }
        )

    model = HistGradientBoostingClassifier(random_state=0, categorical_features="from_dtype")
    model.fit(prepared(X), y)
    return lambda new: model.predict_proba(prepared(new))[:, 1]


def explainable(X: pd.DataFrame, y: np.ndarray) -> Callable[[pd.DataFrame], np.ndarray]:
    """interpret's explainable boosting machine as it comes, on one core, texts as categories."""
    from interpret.glassbox import ExplainableBoostingClassifier

    types = ["nominal" if kind == "text" else "continuous" for kind in kinds(X).values()]
    model = ExplainableBoostingClassifier(feature_types=types, random_state=0, n_jobs=1).fit(X, y)
    return lambda new: model.predict_proba(new)[:, 1]


def models(ebm: bool) -> dict[str, Fit]:
    known: dict[str, Fit] = {"plain": plain, "boosted": boosted, "ours": ours}
    if not ebm:
        return known
    try:
        import interpret  # noqa: F401
    except ImportError:
        print("explainable boosting: left out, the package interpret is not installed\n")
        return known
    return known | {"explainable": explainable}


def split(table: tuple[pd.DataFrame, np.ndarray], seed: int) -> tuple[Any, Any]:
    from sklearn.model_selection import train_test_split

    X, y = table
    parts = train_test_split(X, y, test_size=0.2, stratify=y, random_state=seed)
    return (parts[0], parts[2]), (parts[1], parts[3])


def measured(fit: Fit, train: Any, test: Any) -> list[float]:
    """[AUC, Brier, log loss, calibration slope, fit seconds]."""
    started = time.perf_counter()
    predict = fit(*train)
    seconds = time.perf_counter() - started
    p, y = predict(test[0]), test[1]
    slope = calibration(y, p)["slope"]
    return [
        auc(y, p) or np.nan,
        brier(y, p),
        log_loss(y, p),
        slope["value"] if slope else np.nan,
        seconds,
    ]


def compare(
    name: str, pairs: list[tuple[Any, Any]], known: dict[str, Fit]
) -> dict[str, np.ndarray]:
    """Each model's measures, shape (splits, 5), printed as one line per model."""
    found = {
        model: np.array([measured(fit, *pair) for pair in pairs]) for model, fit in known.items()
    }
    for model, rows in found.items():
        a, b, loss, slope, seconds = rows.mean(axis=0)
        print(
            f"| {name} | {model} | {a:.4f} {gap(rows, found['boosted'], 0)} | {b:.4f} "
            f"{gap(rows, found['boosted'], 1)} | {loss:.4f} | {slope:.2f} | {seconds:.2f} |",
            flush=True,
        )
    return found


def gap(rows: np.ndarray, base: np.ndarray, column: int) -> str:
    """The mean difference to the boosted trees on the same splits, with a 95 % t interval."""
    from scipy import stats

    d = rows[:, column] - base[:, column]
    if len(d) < 2 or not d.any():
        return ""
    half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return f"({d.mean():+.4f} ± {half:.4f})"


def tables(splits: int, quick: bool) -> dict[str, list[tuple[Any, Any]]]:
    """The splits of every table, made ones drawn anew for each seed."""
    found: dict[str, list[tuple[Any, Any]]] = {}
    for name in REAL:
        table = real_table(name)
        if table is None:
            print(f"{name}: left out, set RISK_REAL_DATA to the folder that holds {REAL[name][0]}")
        else:
            found[name] = [split(table, seed) for seed in range(splits)]
    for kind, rows in MADE:
        if not quick or rows <= 4000:
            found[f"{kind} {rows}"] = [
                halves(made_table(kind, rows + TEST_ROWS, s), rows) for s in range(splits)
            ]
    return found


def halves(table: tuple[pd.DataFrame, np.ndarray], rows: int) -> tuple[Any, Any]:
    X, y = table
    rest = X.iloc[rows:].reset_index(drop=True)
    return (X.iloc[:rows], y[:rows]), (rest, y[rows:])


def big() -> None:
    """Fit times on a million rows of four columns, in turns; the first turn warms up."""
    X, y = made_table("local", 1_000_000, 0)
    X = X[["x0", "x1", "x2", "x3"]]
    for turn in range(BIG_TURNS + 1):
        for name, fit in (("boosted", boosted), ("ours", ours)):
            started, worked = time.perf_counter(), time.process_time()
            fit(X, y)
            seconds, work = time.perf_counter() - started, time.process_time() - worked
            if turn:
                print(f"1,000,000 x 4, {name}: {seconds:.2f} s, of processors {work:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--big", action="store_true")
    parser.add_argument("--ebm", action="store_true")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="TABLE", help="these tables alone")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    known = models(chosen.ebm)
    print("| table | model | AUC (to boosted) | Brier (to boosted) | log loss | slope | fit s |")
    print("|---|---|---|---|---|---|---|")
    wanted = tables(2 if chosen.quick else chosen.splits, chosen.quick)
    if chosen.only and not set(chosen.only) <= set(wanted):
        parser.error(f"--only takes some of: {', '.join(wanted)}")
    found = [
        compare(name, pairs, known)
        for name, pairs in wanted.items()
        if not chosen.only or name in chosen.only
    ]
    for model in known:
        mean = np.mean([rows[model].mean(axis=0) for rows in found], axis=0)
        print(
            f"| mean of {len(found)} | {model} | {mean[0]:.4f} | {mean[1]:.4f} | {mean[2]:.4f} "
            f"| {mean[3]:.2f} | {mean[4]:.2f} |"
        )
    if chosen.big:
        big()


if __name__ == "__main__":
    main()
