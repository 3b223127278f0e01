"""The ridge fit is scikit-learn's logistic regression, in one piece or over chunks of rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info, threadpool_limits

from risk.model import fit as fitting
from risk.model import newton
from risk.model.sampling import sample_of


def rows(n: int, columns: int, seed: int = 0, rate: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    """Columns of unlike scale that lean on one another, and labels that depend on them."""
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, columns)) @ rng.normal(size=(columns, columns)) / columns**0.5
    Z *= np.logspace(-1, 1, columns)
    eta = np.log(rate / (1 - rate)) + Z[:, 0] * 5 - Z[:, -1] / 10
    return Z, (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(np.int64)


def published(Z: np.ndarray, y: np.ndarray, C: float = 1.0) -> np.ndarray:
    fitted = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-10, max_iter=200).fit(Z, y)
    return np.concatenate([fitted.intercept_, fitted.coef_[0]])


def objective(Z: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    eta = weights[0] + Z @ weights[1:]
    return float(np.sum(np.logaddexp(0, eta) - y * eta) + weights[1:] @ weights[1:] / 2)


@pytest.mark.parametrize(
    ("n", "columns", "rate"), [(26, 3, 0.4), (26, 40, 0.5), (999, 8, 0.4), (5001, 20, 0.02)]
)
def test_the_ridge_equals_scikit_learns_logistic_regression(
    n: int, columns: int, rate: float
) -> None:
    Z, y = rows(n, columns, rate=rate)
    assert np.abs(newton.ridge(Z, y) - published(Z, y)).max() < 1e-6


def test_the_ridge_from_another_start_ends_at_the_same_weights() -> None:
    Z, y = rows(2000, 6)
    far = np.array([4.0, -3.0, 3.0, -3.0, 3.0, -3.0, 3.0])
    assert np.abs(newton.ridge(Z, y, start=far) - published(Z, y)).max() < 1e-6
    assert np.array_equal(newton.ridge(Z, y, start=np.zeros(3)), newton.ridge(Z, y))


@pytest.mark.parametrize("size", [1, 700, 1000, 5000])
def test_the_ridge_of_parts_made_anew_equals_the_ridge(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newton, "_MADE_ROWS", size)
    Z, y = rows(2500 if size > 1 else 60, 5)
    found = newton.ridge(lambda part: Z[part].copy(), y)
    assert np.abs(found - newton.ridge(Z, y)).max() < 1e-8


def test_threads_add_up_in_the_same_order_each_time() -> None:
    Z, y = rows(20_000, 5)
    found = {newton.ridge(Z, y).tobytes() for _ in range(5)}
    assert len(found) == 1


@pytest.mark.parametrize("n", [1, 999, 1000, 1001, 2500])
def test_the_hessian_by_blocks_is_the_sum_over_all_rows(n: int) -> None:
    Z, _ = rows(n, 4)
    roots = np.random.default_rng(1).random(n)
    whole = np.column_stack([np.ones(n), Z])
    expected = (whole * roots[:, None] ** 2).T @ whole
    assert newton._hessian_of(Z, roots) == pytest.approx(expected, rel=1e-12, abs=1e-9)


def test_the_gradient_is_the_slope_of_the_loss_and_the_hessian_that_of_the_gradient() -> None:
    Z, y = rows(300, 3)
    weights, step = np.array([0.3, -0.2, 0.5, 0.1]), 1e-5
    _, gradient, hessian = newton.sums(Z, y, weights)
    for at, move in enumerate(np.eye(4) * step):
        ahead, behind = newton.sums(Z, y, weights + move), newton.sums(Z, y, weights - move)
        assert (ahead[0] - behind[0]) / (2 * step) == pytest.approx(gradient[at], rel=1e-5)
        assert (ahead[1] - behind[1]) / (2 * step) == pytest.approx(hessian[at], rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_separable_rows_end_at_the_finite_minimum(scale: float) -> None:
    Z = np.linspace(-1, 1, 200)[:, None] * scale
    y = (Z[:, 0] > 0).astype(np.int64)
    found = newton.ridge(Z, y)
    assert np.all(np.isfinite(found))
    assert objective(Z, y, found) <= objective(Z, y, published(Z, y)) + 1e-6


@pytest.mark.parametrize("label", [0, 1])
def test_labels_of_one_class_give_a_certain_answer_and_finite_weights(label: int) -> None:
    Z, _ = rows(100, 4)
    found = newton.ridge(Z, np.full(100, label))
    risk = 1 / (1 + np.exp(-newton.log_odds_of(Z, found)))
    assert np.all(np.isfinite(found)) and np.abs(risk - label).max() < 1e-4


def test_constant_and_duplicate_columns_share_what_one_column_would_take() -> None:
    Z, y = rows(500, 1)
    found = newton.ridge(np.column_stack([Z, Z, np.zeros(500)]), y)
    single = newton.ridge(Z * 2**0.5, y)
    assert found[1] == pytest.approx(found[2]) and found[3] == 0.0
    assert found[1] * 2 == pytest.approx(single[1] * 2**0.5, abs=1e-6)


def test_no_columns_leave_the_share_of_exits() -> None:
    y = np.array([1, 0, 0, 0])
    assert newton.ridge(np.zeros((4, 0)), y) == pytest.approx([np.log(1 / 3)], abs=1e-6)


KINDS = {"a": "number", "b": "number", "c": "number", "t": "text"}


def table(n: int, shift: float = -1.0) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    X["t"] = pd.Series(rng.choice(["u", "v", None], n), dtype=object)
    odds = np.exp(shift + X["a"] + (X["t"] == "u"))
    return X, (rng.random(n) < odds / (1 + odds)).astype(np.int64)


def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if 3,500 rows were many."""
    monkeypatch.setattr(fitting, "_CHUNK_ROWS", 1000)
    monkeypatch.setattr(newton, "_MADE_ROWS", 400)


def test_a_fit_over_many_rows_equals_the_whole_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = table(3500)
    whole = fitting.fit("default", KINDS, X, y)
    in_parts(monkeypatch)
    parts = fitting.fit("default", KINDS, X, y)
    assert parts[0].terms_ == whole[0].terms_ and parts[-1].C == 1.0
    exact = published(whole[0].transform(X), y)
    assert np.abs(np.append(parts[-1].intercept_, parts[-1].coef_[0]) - exact).max() < 1e-6
    # scikit-learn's own tolerance (1e-4) is what keeps the two from agreeing to the same digits
    assert np.abs(parts.predict_proba(X) - whole.predict_proba(X)).max() < 1e-3
    assert parts[-1].get_params() == whole[-1].get_params() and fitting.has_converged(parts)
    assert parts.classes_.tolist() == [0, 1] and parts[-1].n_features_in_ == exact.size - 1


def test_a_samples_fit_is_held_as_weakly_in_proportion_as_one_of_all_rows() -> None:
    X, y = table(900)
    made = fitting.fit("default", KINDS, X, y)
    Z = made[0].transform(X)
    found = fitting.ridge_weights(made[0].terms_, made[0].raw(X), y, root=2.0)
    assert np.abs(found - published(Z, y, C=4.0)).max() < 1e-6


@pytest.mark.parametrize("exits", [4, 12, 20, 150])
def test_exits_that_no_sample_meets_are_learned_from(
    monkeypatch: pytest.MonkeyPatch, exits: int
) -> None:
    X, _ = table(3500)
    in_parts(monkeypatch)
    y = np.zeros(3500, dtype=np.int64)
    monkeypatch.setattr(fitting, "_START_ROWS", 500)
    unseen = np.setdiff1d(np.arange(3500), sample_of(3500, fitting._START_ROWS))
    y[unseen[np.argsort(-X["a"].to_numpy()[unseen])[:exits]]] = 1
    fitted = fitting.fit("default", KINDS, X, y)
    exact = published(fitted[0].transform(X), y)
    found = np.append(fitted[-1].intercept_, fitted[-1].coef_[0])
    assert found == pytest.approx(exact, rel=1e-6, abs=1e-6)


def test_a_fit_has_one_blas_thread_and_gives_the_others_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    plain = newton._hessian_of
    monkeypatch.setattr(
        newton, "_hessian_of", lambda *given: seen.append(blas_threads()) or plain(*given)
    )
    with threadpool_limits(2, user_api="blas"):
        fitting.fit("default", KINDS, *table(600))
        assert blas_threads() == {2}
    assert seen and all(threads == {1} for threads in seen)


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
