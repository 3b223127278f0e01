"""One evaluation: judged by what was predicted, then fitted anew; who is promoted, who is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mixed import COLUMNS, fitted, mixed

from risk.decide import comparison as comparisons
from risk.decide.comparison import (
    _CERTIFIED_CHALLENGERS,
    _RECALIBRATED,
    Comparison,
    ComparisonResult,
    Forecasts,
    _apply_judgement,
    _batch_of,
    _newest_rows,
    _visibly_moved,
    compare,
    folds_of,
    forecast,
    model_to_deploy,
    promote,
    start_comparison,
)
from risk.decide.evidence import (
    IDENTITY,
    RULE,
    _fit_recalibration,
    ensemble_weights,
    mean_recalibration,
    risks,
)
from risk.decide.judgement import NEWEST, Counters, Judgement, judge_certified, judge_fast
from risk.model.candidates import Candidates, LabelledRows
from risk.model.ensemble import recalibrate
from risk.model.model import Model
from risk.model.pipelines import rows_of_frame

PER_LOOK = 350
POLICIES = ("fast", "certified")


def known_after(evaluations: int, *, shifts: dict[int, float] | None = None) -> LabelledRows:
    """Rows of so many evaluations, the newest aged 0; each client has a row in each of them."""
    parts = [
        mixed(PER_LOOK, seed=at, shift=(shifts or {}).get(at, 0.0)) for at in range(evaluations)
    ]
    features = pd.concat([frame for frame, _ in parts], ignore_index=True)
    labels = np.concatenate([y for _, y in parts])
    ages = np.repeat(np.arange(evaluations)[::-1], PER_LOOK)
    clients = np.array([f"c{at % PER_LOOK}" for at in range(labels.size)], dtype=object)
    return LabelledRows("default", dict(COLUMNS), features, labels, clients, ages)


def newest_of(known: LabelledRows) -> np.ndarray:
    return np.flatnonzero(known.ages == 0)


def started(
    policy: str, evaluations: int = 2, former: dict[str, Model] | None = None
) -> Comparison:
    """A comparison whose champion is of an older seed than its candidates."""
    champion = fitted(300, seed=70)
    return start_comparison(
        policy, champion, "version 4", Candidates(known_after(evaluations)), former or {}
    )


def met(comparison: Comparison, known: LabelledRows) -> Forecasts:
    """What the comparison says of the newest rows."""
    newest = newest_of(known)
    return forecast(comparison, known.rows(newest), newest.size)


def looked(
    comparison: Comparison, known: LabelledRows, said: Forecasts | None = None
) -> ComparisonResult:
    return compare(comparison, Candidates(known), newest_of(known), said or met(comparison, known))


def verdict(action: str, target: str = "") -> Judgement:
    return Judgement(action, target, "because", (), {})


@pytest.fixture(scope="module")
def fast() -> Comparison:
    former = {"version 3": fitted(300, seed=71), "version 2": fitted(300, seed=72)}
    return started("fast", former=former)


@pytest.fixture(scope="module")
def certified() -> Comparison:
    return started("certified", former={"version 3": fitted(300, seed=71)})


@pytest.fixture(scope="module")
def third() -> LabelledRows:
    """The rows after one more evaluation."""
    return known_after(3)


def test_a_new_champion_is_deployed_as_it_is_and_nothing_is_bet(fast: Comparison) -> None:
    assert fast.recalibration == IDENTITY and fast.deployed == fast.champion
    scores = (0.0,) * 4
    assert fast.counters == Counters(scores, rows=2 * PER_LOOK, rows_at_deployment=2 * PER_LOOK)
    assert list(fast.candidates) == ["all", "half"]
    assert fast.champion_recalibrations[0] == IDENTITY != fast.champion_recalibrations[1]
    assert fast.terms and list(fast.former) == ["version 3", "version 2"]


def test_certified_opens_with_its_three_fits_and_no_recalibration(certified: Comparison) -> None:
    assert list(certified.candidates) == ["all", "last", "last3"]
    assert certified.counters.candidate_scores == (0.0,) * 6 and certified.recalibration == IDENTITY


def test_a_comparison_opens_by_the_rule_that_it_is_given() -> None:
    rule = replace(RULE, recalibration_rows=PER_LOOK * 2 + 1)

    new = start_comparison("fast", fitted(300), "version 1", Candidates(known_after(2)), {}, rule)

    assert new.champion_recalibrations == (IDENTITY, IDENTITY)
    assert set(new.recalibrations.values()) == {(IDENTITY, IDENTITY)}


def test_recalibrations_are_fitted_on_the_newest_rows_alone(fast: Comparison) -> None:
    known = known_after(2)
    newest = newest_of(known)

    for model, (plain, recalibration) in [
        (fast.champion, fast.champion_recalibrations),
        *((fast.candidates[n], fast.recalibrations[n]) for n in fast.candidates),
    ]:
        log_odds = model.log_odds_of(known.rows(newest), newest.size)
        assert plain == IDENTITY
        assert recalibration == pytest.approx(
            _fit_recalibration(log_odds, known.labels[newest], RULE.prior)
        )


@pytest.mark.parametrize(
    ("ages", "least", "found"),
    [
        ([2, 1, 0, 0, 1], 2, [2, 3]),
        ([2, 1, 0, 0, 1], 3, [1, 2, 3, 4]),
        ([2, 1, 0, 0, 1], 5, [0, 1, 2, 3, 4]),
        ([2, 1, 0, 0, 1], 9, [0, 1, 2, 3, 4]),
        ([5, 5, 3], 1, [2]),
        ([], 3, []),
    ],
)
def test_the_newest_rows_are_those_of_whole_evaluations(
    ages: list[int], least: int, found: list[int]
) -> None:
    assert _newest_rows(np.array(ages, dtype=np.int64), least).tolist() == found


@pytest.mark.parametrize(
    ("new", "found"),
    [
        ((0.119, 1.0), (0.1, 1.0)),
        ((0.1, 0.981), (0.1, 1.0)),
        ((0.121, 1.0), (0.121, 1.0)),
        ((0.1, 1.021), (0.1, 1.021)),
        ((0.115, 0.979), (0.115, 0.979)),
    ],
)
def test_a_recalibration_that_nobody_would_see_stays(new: Any, found: Any) -> None:
    assert _visibly_moved((0.1, 1.0), new) == found


def with_layer(comparison: Comparison) -> Comparison:
    """The comparison with a recalibration and unequal scores, so that every forecast differs."""
    scores = tuple(0.3 * at for at in range(len(comparison.counters.candidate_scores)))
    counters = replace(comparison.counters, candidate_scores=scores, champion_scores=(0.4, 0.1))
    return replace(comparison, recalibration=(0.3, 0.9), counters=counters)


def test_every_forecast_is_that_of_its_model(fast: Comparison, third: LabelledRows) -> None:
    comparison = with_layer(fast)
    table = rows_of_frame(third.features.iloc[newest_of(third)], COLUMNS)

    said = met(comparison, third)

    expected = {
        "deployed": comparison.deployed,
        "rival challenger": comparison.challenger,
        **{
            f"champion {n}": recalibrate(comparison.champion, comparison.champion_recalibrations[n])
            for n in (0, 1)
        },
        **{f"former {name}": model for name, model in comparison.former.items()},
        **{
            f"{name} {n}": recalibrate(
                comparison.candidates[name], comparison.recalibrations[name][n]
            )
            for name in ("all", "half")
            for n in (0, 1)
        },
    }
    assert said.keys() == expected.keys()
    for name, model in expected.items():
        assert said[name] == pytest.approx(model.log_odds(table), rel=1e-12, abs=1e-12)
    assert len({values.tobytes() for values in said.values()}) == len(said)


def test_the_rivals_of_certified_are_the_bare_fits_and_the_recalibrated_champion(
    certified: Comparison, third: LabelledRows
) -> None:
    said = met(certified, third)

    rivals = {key for key in said if key.startswith("rival ")}
    assert rivals == {f"rival {name}" for name in (*_CERTIFIED_CHALLENGERS, _RECALIBRATED)}
    for name, candidate in _CERTIFIED_CHALLENGERS.items():
        assert np.array_equal(said[f"rival {name}"], said[f"{candidate} 0"])
    assert np.array_equal(said[f"rival {_RECALIBRATED}"], said["champion 1"])
    assert np.array_equal(said["deployed"], said["champion 0"])


def test_the_challenger_is_the_ensemble_of_the_recalibrations_by_their_scores(
    fast: Comparison,
) -> None:
    comparison = with_layer(fast)
    table = rows_of_frame(mixed(100, seed=50)[0], COLUMNS)
    layered = [
        recalibrate(comparison.candidates[name], recalibration)
        for name in ("all", "half")
        for recalibration in comparison.recalibrations[name]
    ]

    found = comparison.challenger.log_odds(table)

    shares = ensemble_weights((0.0, 0.3, 0.6, 0.9))
    mean = sum(s * m.log_odds(table) for s, m in zip(shares, layered, strict=True))
    assert found == pytest.approx(np.asarray(mean), abs=1e-12)
    assert len(comparison.challenger.terms) == len(comparison.candidates["all"].terms)


def test_a_batch_has_the_candidates_in_the_order_of_their_scores(fast: Comparison) -> None:
    names = [
        "deployed",
        "champion 0",
        "champion 1",
        "half 1",
        "all 0",
        "half 0",
        "all 1",
        "rival challenger",
        "former version 2",
        "former version 3",
    ]
    said = {name: np.full(2, float(at)) for at, name in enumerate(names)}
    y, clients = np.array([0, 1]), np.array(["a", "b"])

    batch = _batch_of(fast, y, said, clients, None)

    assert fast.candidate_keys == ["all 0", "all 1", "half 0", "half 1"]
    assert [x[0] for x in batch.candidates] == [4.0, 6.0, 5.0, 3.0]
    assert (batch.deployed[0], [x[0] for x in batch.champion]) == (0.0, [1.0, 2.0])
    assert {name: x[0] for name, x in batch.challengers.items()} == {"challenger": 7.0}
    assert {name: x[0] for name, x in batch.former.items()} == {
        "version 2": 8.0,
        "version 3": 9.0,
    }
    assert sorted(batch.folds.tolist()) == [0, 1]  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", [object, np.int64])
def test_all_rows_of_a_client_are_in_one_fold_and_the_folds_are_alike(kind: type) -> None:
    rng = np.random.default_rng(0)
    names = rng.integers(0, 101, 500)
    clients = np.array([f"client {at}" for at in names], dtype=object) if kind is object else names

    folds = folds_of(clients)

    of_client = {client: set(folds[clients == client].tolist()) for client in set(clients)}
    assert {len(found) for found in of_client.values()} == {1}
    counted = sum(next(iter(found)) for found in of_client.values())
    assert abs(counted - len(of_client) / 2) <= 0.5
    order = rng.permutation(500)
    assert np.array_equal(folds_of(clients[order]), folds[order])


def test_folds_do_not_follow_the_order_of_the_names() -> None:
    folds = folds_of(np.array([f"{at:04d}" for at in range(400)]))

    assert 80 < np.sum(folds[:200]) < 120
    assert 150 < np.sum(folds[1:] != folds[:-1]) < 250


@pytest.mark.parametrize("policy", POLICIES)
def test_an_evaluation_judges_what_was_said_and_nothing_else(
    policy: str, fast: Comparison, certified: Comparison, third: LabelledRows
) -> None:
    comparison = fast if policy == "fast" else certified
    newest = newest_of(third)
    said = met(comparison, third)

    outcome = looked(comparison, third, said)

    y, clients = third.labels[newest], third.clients[newest]
    cross = comparisons.cross_fitted(list(comparison.terms), third, newest, folds_of(clients))
    step = judge_fast if policy == "fast" else judge_certified
    batch = _batch_of(comparison, y, said, clients, cross if policy == "fast" else None)
    counters, judgement = step(comparison.counters, batch)
    assert outcome.judgement == judgement
    assert outcome.refit.counters == replace(counters, rows=third.labels.size)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_refit_has_no_influence_on_the_judgement(
    policy: str, fast: Comparison, certified: Comparison, third: LabelledRows
) -> None:
    comparison = fast if policy == "fast" else certified
    labels = np.where(third.ages > 0, 1 - third.labels, third.labels)
    said = met(comparison, third)

    plain, other = (
        looked(comparison, third, said),
        looked(comparison, replace(third, labels=labels), said),
    )

    assert other.judgement == plain.judgement
    assert other.refit.candidates["all"] != plain.refit.candidates["all"]


def test_every_model_is_fitted_anew_after_the_judgement(
    fast: Comparison, third: LabelledRows
) -> None:
    outcome = looked(fast, third)

    candidates = Candidates(third)
    assert outcome.comparison.candidates == {
        name: candidates.model(name) for name in ("all", "half")
    }
    assert outcome.comparison.terms == tuple(candidates.terms)
    assert outcome.comparison.candidates["all"] != fast.candidates["all"]


@pytest.mark.parametrize(("rows", "named"), [(149, False), (150, True)])
def test_the_fit_on_the_newest_rows_is_asked_only_where_there_are_enough(
    fast: Comparison, third: LabelledRows, rows: int, named: bool
) -> None:
    newest = newest_of(third)[:rows]
    said = forecast(fast, third.rows(newest), rows)

    outcome = compare(fast, Candidates(third), newest, said)

    names = [one.name for one in outcome.judgement.evidence]
    assert names == ["challenger", "version 3", "version 2"] + [NEWEST] * named
    assert outcome.judgement.details["rows_since_deployment"] == rows
    assert (
        outcome.comparison.counters.rows == third.labels.size
    )  # those not bet on are learned from


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_evaluation_comes_out_the_same(
    policy: str, fast: Comparison, certified: Comparison, third: LabelledRows
) -> None:
    comparison = fast if policy == "fast" else certified

    assert looked(comparison, third) == looked(comparison, third)


def test_the_forecasts_of_then_are_judged_and_not_those_of_now(
    fast: Comparison, third: LabelledRows
) -> None:
    now = met(fast, third)
    then = now | {"rival challenger": -now["rival challenger"]}

    outcome = looked(fast, third, then)

    y = third.labels[newest_of(third)]
    brier = float(np.mean((risks(then["rival challenger"]) - y) ** 2))
    assert outcome.judgement.evidence[0].brier == pytest.approx(brier)


def test_without_a_deployment_only_the_recalibration_moves(
    fast: Comparison, third: LabelledRows
) -> None:
    outcome = _apply_judgement(fast, fast, verdict("none"), Candidates(third), RULE)

    own = outcome.comparison.champion_recalibrations
    assert outcome.action == "recalibrate" and outcome.judged is None
    assert (
        outcome.comparison.recalibration
        == mean_recalibration(own, fast.counters.champion_scores)
        != IDENTITY
    )
    assert (
        outcome.model
        == outcome.comparison.deployed
        == recalibrate(fast.champion, outcome.comparison.recalibration)
    )
    assert (outcome.comparison.champion, outcome.comparison.name) == (fast.champion, "version 4")
    assert outcome.comparison.former == fast.former


@pytest.mark.parametrize(
    ("away", "action"), [(0.0, "none"), (0.019, "none"), (0.03, "recalibrate")]
)
def test_a_recalibration_that_hardly_moves_is_nothing_to_deploy(
    fast: Comparison, third: LabelledRows, away: float, action: str
) -> None:
    a, c = _apply_judgement(
        fast, fast, verdict("none"), Candidates(third), RULE
    ).comparison.recalibration
    before = replace(fast, recalibration=(a + away, c))

    outcome = _apply_judgement(before, before, verdict("none"), Candidates(third), RULE)

    assert outcome.action == action and (outcome.model is None) == (action == "none")
    assert outcome.comparison.recalibration == (
        (a, c) if action == "recalibrate" else before.recalibration
    )


def test_certified_deploys_its_champion_as_it_was_proven(
    certified: Comparison, third: LabelledRows
) -> None:
    outcome = _apply_judgement(certified, certified, verdict("none"), Candidates(third), RULE)

    assert (outcome.action, outcome.model, outcome.comparison.recalibration) == (
        "none",
        None,
        IDENTITY,
    )
    assert outcome.comparison.champion_recalibrations[1] != IDENTITY


@pytest.mark.parametrize("action", ["promote", "scheduled retrain"])
def test_a_promotion_deploys_the_refit_and_names_the_model_that_was_bet_on(
    fast: Comparison, third: LabelledRows, action: str
) -> None:
    after = with_layer(fast)

    outcome = _apply_judgement(after, fast, verdict(action, "challenger"), Candidates(third), RULE)

    fresh = outcome.refit
    assert outcome.comparison.champion == replace(fresh, counters=after.counters).challenger
    assert outcome.judged == fast.challenger != outcome.comparison.champion
    assert outcome.model == outcome.comparison.deployed
    assert outcome.comparison.former == {
        "version 4": fast.champion,
        "version 3": fast.former["version 3"],
    }
    assert outcome.comparison.counters.martingales == {}
    assert outcome.comparison.counters.deployments == 1
    assert outcome.refit.champion == fast.champion
    assert outcome.refit.counters.deployments == 0


def test_a_switch_deploys_the_fit_on_the_newest_rows(fast: Comparison, third: LabelledRows) -> None:
    outcome = _apply_judgement(fast, fast, verdict("switch", NEWEST), Candidates(third), RULE)

    assert outcome.comparison.champion == Candidates(third).model("last")
    assert outcome.judged is None
    assert list(outcome.comparison.former) == ["version 4", "version 3"]


def test_going_back_takes_the_former_champion_out_of_the_former_ones(
    fast: Comparison, third: LabelledRows
) -> None:
    outcome = _apply_judgement(fast, fast, verdict("revert", "version 2"), Candidates(third), RULE)

    assert outcome.comparison.champion == fast.former["version 2"]
    assert outcome.comparison.name == "version 2" and outcome.judged is None
    assert outcome.comparison.former == {
        "version 4": fast.champion,
        "version 3": fast.former["version 3"],
    }


@pytest.mark.parametrize("target", list(_CERTIFIED_CHALLENGERS))
def test_a_certified_promotion_deploys_the_refit_of_its_rival(
    certified: Comparison, third: LabelledRows, target: str
) -> None:
    outcome = _apply_judgement(
        certified, certified, verdict("promote", target), Candidates(third), RULE
    )

    assert outcome.comparison.champion == Candidates(third).model(_CERTIFIED_CHALLENGERS[target])
    assert outcome.judged == certified.candidates[_CERTIFIED_CHALLENGERS[target]]
    assert outcome.comparison.former == {"version 4": certified.champion}
    assert outcome.comparison.counters.promotions == 1


def test_a_certified_recalibration_keeps_the_ranking(
    certified: Comparison, third: LabelledRows
) -> None:
    outcome = _apply_judgement(
        certified, certified, verdict("promote", _RECALIBRATED), Candidates(third), RULE
    )

    champion, new = certified.champion, outcome.refit.champion_recalibrations[1]
    assert outcome.comparison.champion == recalibrate(champion, new)
    assert outcome.judged == recalibrate(champion, certified.champion_recalibrations[1])
    assert new != certified.champion_recalibrations[1]


def test_a_certified_rollback_swaps_the_two_champions(
    certified: Comparison, third: LabelledRows
) -> None:
    outcome = _apply_judgement(
        certified, certified, verdict("roll back", "version 3"), Candidates(third), RULE
    )

    assert outcome.comparison.name == "version 3"
    assert outcome.comparison.champion == certified.former["version 3"]
    assert outcome.comparison.former == {"version 4": certified.champion}


def test_the_judged_model_can_be_promoted_in_place_of_a_refused_refit(
    fast: Comparison, third: LabelledRows
) -> None:
    said = verdict("promote", "challenger")
    outcome = _apply_judgement(fast, fast, said, Candidates(third), RULE)
    model, judged = model_to_deploy(outcome.refit, fast, said, Candidates(third))
    assert judged is not None and model == outcome.comparison.champion

    new = promote(outcome.refit, judged, said, Candidates(third), RULE)

    assert new.champion == judged
    assert (new.former, new.counters) == (outcome.comparison.former, outcome.comparison.counters)


@pytest.mark.parametrize(("policy", "most"), [("fast", 2), ("certified", 1)])
def test_former_champions_are_kept_within_limits_the_newest_first(
    policy: str, most: int, third: LabelledRows
) -> None:
    comparison, candidates, target = started(policy), Candidates(third), "challenger"

    for version in range(5, 9):
        new = promote(
            comparison, fitted(200, seed=version), verdict("promote", target), candidates, RULE
        )
        comparison = replace(new, name=f"version {version}")

    assert list(comparison.former) == [f"version {at}" for at in (7, 6)][:most]
    for name, model in comparison.former.items():
        assert model == fitted(200, seed=int(name[8:]))


def test_a_name_never_stands_for_two_models(third: LabelledRows) -> None:
    comparison, candidates = started("fast"), Candidates(third)
    models = {"version 4": comparison.champion}
    for version in (5, 6):
        new = promote(
            comparison, fitted(200, seed=version), verdict("promote", ""), candidates, RULE
        )
        comparison = replace(new, name=f"version {version}")
        models[comparison.name] = comparison.champion

    for target in ("version 4", "version 5", "version 4", "version 6"):
        comparison = promote(
            comparison, models[target], verdict("revert", target), candidates, RULE
        )
        assert comparison.name == target not in comparison.former
        held = comparison.former | {comparison.name: comparison.champion}
        assert held.keys() == models.keys()
        assert all(held[name] == models[name] for name in held)


def test_the_champion_of_now_is_kept_where_a_former_one_bears_its_name(third: LabelledRows) -> None:
    comparison = started("fast", former={"version 4": fitted(200, seed=1)})

    new = promote(comparison, fitted(200, seed=2), verdict("promote", ""), Candidates(third), RULE)

    assert new.former == {"version 4": comparison.champion}


def test_a_world_that_turns_over_is_switched_to_and_back_again() -> None:
    comparison, candidates = None, None
    actions = []
    for evaluations in range(1, 8):
        known = known_after(evaluations)
        turned = (known.ages < evaluations - 3) & (
            known.ages >= evaluations - 5
        )  # the fourth and fifth evaluation
        known = replace(known, labels=np.where(turned, 1 - known.labels, known.labels))
        candidates = Candidates(known)
        if comparison is None:
            comparison = start_comparison(
                "fast", candidates.model("all"), "version 1", candidates, {}
            )
            continue
        outcome = looked(comparison, known)
        comparison = outcome.comparison
        if outcome.action in ("promote", "scheduled retrain", "switch"):
            comparison = replace(comparison, name=f"version {len(actions) + 2}")
        actions.append(outcome.action)

    assert actions[2] == "switch" and actions[4] == "revert"
    assert "switch" not in actions[:2] and "revert" not in actions[:2]
    assert comparison is not None and comparison.name not in comparison.former
