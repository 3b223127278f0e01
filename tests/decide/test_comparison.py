"""One look: judged by what was said before, then fitted anew; who is crowned and who is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mixed import COLUMNS, fitted, mixed

from risk.decide import comparison as contests
from risk.decide.comparison import (
    CERTIFIED_CHALLENGERS,
    RECALIBRATED,
    Comparison,
    ComparisonResult,
    Forecasts,
    apply_judgement,
    batch_of,
    candidate_keys,
    compare,
    folds_of,
    forecast,
    model_to_deploy,
    newest_rows,
    promote,
    start_comparison,
    visibly_moved,
    weighted_ensemble,
)
from risk.decide.evidence import (
    IDENTITY,
    NEWEST,
    RULE,
    Counters,
    Judgement,
    ensemble_weights,
    fit_recalibration,
    judge_certified,
    judge_fast,
    mean_recalibration,
    risks,
)
from risk.model.candidates import Candidates, LabelledRows
from risk.model.ensemble import recalibrate
from risk.model.model import Model
from risk.model.pipelines import rows_of_frame

PER_LOOK = 350
POLICIES = ("fast", "certified")


def known_after(looks: int, *, shifts: dict[int, float] | None = None) -> LabelledRows:
    """Rows of so many looks, the newest aged 0; each client has a row in each of them."""
    parts = [mixed(PER_LOOK, seed=at, shift=(shifts or {}).get(at, 0.0)) for at in range(looks)]
    features = pd.concat([frame for frame, _ in parts], ignore_index=True)
    labels = np.concatenate([y for _, y in parts])
    ages = np.repeat(np.arange(looks)[::-1], PER_LOOK)
    clients = np.array([f"c{at % PER_LOOK}" for at in range(labels.size)], dtype=object)
    return LabelledRows("default", dict(COLUMNS), features, labels, clients, ages)


def newest_of(known: LabelledRows) -> np.ndarray:
    return np.flatnonzero(known.ages == 0)


def started(policy: str, looks: int = 2, former: dict[str, Model] | None = None) -> Comparison:
    """A contest whose champion is of an older seed than its experts."""
    champion = fitted(300, seed=70)
    return start_comparison(
        policy, champion, "version 4", Candidates(known_after(looks)), former or {}
    )


def met(contest: Comparison, known: LabelledRows) -> Forecasts:
    """What the contest says of the newest rows."""
    newest = newest_of(known)
    return forecast(contest, known.rows(newest), newest.size)


def looked(
    contest: Comparison, known: LabelledRows, said: Forecasts | None = None
) -> ComparisonResult:
    return compare(contest, Candidates(known), newest_of(known), said or met(contest, known))


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
    """The rows after one more look."""
    return known_after(3)


# ---------------------------------------------------------------- opened


def test_a_new_champion_is_served_as_it_is_and_nothing_is_staked(fast: Comparison) -> None:
    assert fast.layer == IDENTITY and fast.served == fast.champion
    scores = (0.0,) * 4
    assert fast.standing == Counters(scores, rows=2 * PER_LOOK, rows_then=2 * PER_LOOK)
    assert list(fast.experts) == ["all", "half"]
    assert fast.own[0] == IDENTITY != fast.own[1]
    assert fast.terms and list(fast.former) == ["version 3", "version 2"]


def test_certified_opens_with_its_three_fits_and_no_layer(certified: Comparison) -> None:
    assert list(certified.experts) == ["all", "last", "last3"]
    assert certified.standing.experts == (0.0,) * 6 and certified.layer == IDENTITY


def test_a_contest_opens_by_the_rule_that_it_is_given() -> None:
    rule = replace(RULE, layer_rows=PER_LOOK * 2 + 1)

    new = start_comparison("fast", fitted(300), "version 1", Candidates(known_after(2)), {}, rule)

    assert new.own == (IDENTITY, IDENTITY)
    assert set(new.layers.values()) == {(IDENTITY, IDENTITY)}


def test_layers_are_fitted_on_the_newest_rows_alone(fast: Comparison) -> None:
    known = known_after(2)
    newest = newest_of(known)

    for model, (plain, layer) in [
        (fast.champion, fast.own),
        *((fast.experts[n], fast.layers[n]) for n in fast.experts),
    ]:
        log_odds = model.log_odds_of(known.rows(newest), newest.size)
        assert plain == IDENTITY
        assert layer == pytest.approx(fit_recalibration(log_odds, known.labels[newest], RULE.prior))


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
def test_the_newest_rows_are_those_of_whole_looks(
    ages: list[int], least: int, found: list[int]
) -> None:
    assert newest_rows(np.array(ages, dtype=np.int64), least).tolist() == found


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
def test_a_layer_that_nobody_would_see_stays(new: Any, found: Any) -> None:
    assert visibly_moved((0.1, 1.0), new) == found


# ---------------------------------------------------------------- forecasts and batches


def with_layer(contest: Comparison) -> Comparison:
    """The contest with a layer and unequal scores, so that every forecast differs."""
    scores = tuple(0.3 * at for at in range(len(contest.standing.experts)))
    standing = replace(contest.standing, experts=scores, own=(0.4, 0.1))
    return replace(contest, layer=(0.3, 0.9), standing=standing)


def test_every_forecast_is_that_of_its_model(fast: Comparison, third: LabelledRows) -> None:
    contest = with_layer(fast)
    table = rows_of_frame(third.features.iloc[newest_of(third)], COLUMNS)

    said = met(contest, third)

    expected = {
        "served": contest.served,
        "rival challenger": contest.challenger,
        **{f"own {n}": recalibrate(contest.champion, contest.own[n]) for n in (0, 1)},
        **{f"former {name}": model for name, model in contest.former.items()},
        **{
            f"{name} {n}": recalibrate(contest.experts[name], contest.layers[name][n])
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
    assert rivals == {f"rival {name}" for name in (*CERTIFIED_CHALLENGERS, RECALIBRATED)}
    for name, expert in CERTIFIED_CHALLENGERS.items():
        assert np.array_equal(said[f"rival {name}"], said[f"{expert} 0"])
    assert np.array_equal(said[f"rival {RECALIBRATED}"], said["own 1"])
    assert np.array_equal(said["served"], said["own 0"])


def test_the_challenger_is_the_blend_of_the_layers_by_their_scores(fast: Comparison) -> None:
    contest = with_layer(fast)
    table = rows_of_frame(mixed(100, seed=50)[0], COLUMNS)
    layered = [
        recalibrate(contest.experts[name], layer)
        for name in ("all", "half")
        for layer in contest.layers[name]
    ]

    found = weighted_ensemble(contest.experts, contest.layers, contest.standing).log_odds(table)

    shares = ensemble_weights((0.0, 0.3, 0.6, 0.9))
    mean = sum(s * m.log_odds(table) for s, m in zip(shares, layered, strict=True))
    assert found == pytest.approx(np.asarray(mean), abs=1e-12)
    assert len(contest.challenger.terms) == len(contest.experts["all"].terms)


def test_a_batch_has_the_experts_in_the_order_of_their_scores(fast: Comparison) -> None:
    names = [
        "served",
        "own 0",
        "own 1",
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

    batch = batch_of(fast, y, said, clients, None)

    assert candidate_keys(fast) == ["all 0", "all 1", "half 0", "half 1"]
    assert [x[0] for x in batch.experts] == [4.0, 6.0, 5.0, 3.0]
    assert (batch.served[0], [x[0] for x in batch.own]) == (0.0, [1.0, 2.0])
    assert {name: x[0] for name, x in batch.challengers.items()} == {"challenger": 7.0}
    assert {name: x[0] for name, x in batch.former.items()} == {
        "version 2": 8.0,
        "version 3": 9.0,
    }
    assert sorted(batch.halves.tolist()) == [0, 1]  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", [object, np.int64])
def test_all_rows_of_a_client_are_in_one_half_and_the_halves_are_alike(kind: type) -> None:
    rng = np.random.default_rng(0)
    names = rng.integers(0, 101, 500)
    clients = np.array([f"client {at}" for at in names], dtype=object) if kind is object else names

    halves = folds_of(clients)

    of_client = {client: set(halves[clients == client].tolist()) for client in set(clients)}
    assert {len(found) for found in of_client.values()} == {1}
    counted = sum(next(iter(found)) for found in of_client.values())
    assert abs(counted - len(of_client) / 2) <= 0.5
    order = rng.permutation(500)
    assert np.array_equal(folds_of(clients[order]), halves[order])


def test_halves_do_not_follow_the_order_of_the_names() -> None:
    halves = folds_of(np.array([f"{at:04d}" for at in range(400)]))

    assert 80 < np.sum(halves[:200]) < 120
    assert 150 < np.sum(halves[1:] != halves[:-1]) < 250


# ---------------------------------------------------------------- one look


@pytest.mark.parametrize("policy", POLICIES)
def test_a_look_judges_what_was_said_and_nothing_else(
    policy: str, fast: Comparison, certified: Comparison, third: LabelledRows
) -> None:
    contest = fast if policy == "fast" else certified
    newest = newest_of(third)
    said = met(contest, third)

    outcome = looked(contest, third, said)

    y, clients = third.labels[newest], third.clients[newest]
    cross = contests.cross_fitted(list(contest.terms), third, newest, folds_of(clients))
    step = judge_fast if policy == "fast" else judge_certified
    batch = batch_of(contest, y, said, clients, cross if policy == "fast" else None)
    standing, judgement = step(contest.standing, batch)
    assert outcome.judgement == judgement
    assert outcome.refitted.standing == replace(standing, rows=third.labels.size)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_refit_has_no_influence_on_the_judgement(
    policy: str, fast: Comparison, certified: Comparison, third: LabelledRows
) -> None:
    contest = fast if policy == "fast" else certified
    labels = np.where(third.ages > 0, 1 - third.labels, third.labels)
    said = met(contest, third)

    plain, other = (
        looked(contest, third, said),
        looked(contest, replace(third, labels=labels), said),
    )

    assert other.judgement == plain.judgement
    assert other.refitted.experts["all"] != plain.refitted.experts["all"]


def test_every_model_is_fitted_anew_after_the_judgement(
    fast: Comparison, third: LabelledRows
) -> None:
    outcome = looked(fast, third)

    experts = Candidates(third)
    assert outcome.contest.experts == {name: experts.model(name) for name in ("all", "half")}
    assert outcome.contest.terms == tuple(experts.terms)
    assert outcome.contest.experts["all"] != fast.experts["all"]


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
    assert outcome.contest.standing.rows == third.labels.size  # those not bet on are learned from


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_look_comes_out_the_same(
    policy: str, fast: Comparison, certified: Comparison, third: LabelledRows
) -> None:
    contest = fast if policy == "fast" else certified

    assert looked(contest, third) == looked(contest, third)


def test_the_forecasts_of_then_are_judged_and_not_those_of_now(
    fast: Comparison, third: LabelledRows
) -> None:
    now = met(fast, third)
    then = now | {"rival challenger": -now["rival challenger"]}

    outcome = looked(fast, third, then)

    y = third.labels[newest_of(third)]
    brier = float(np.mean((risks(then["rival challenger"]) - y) ** 2))
    assert outcome.judgement.evidence[0].brier == pytest.approx(brier)


# ---------------------------------------------------------------- what the judgement makes of it


def test_without_a_deployment_only_the_layer_moves(fast: Comparison, third: LabelledRows) -> None:
    outcome = apply_judgement(fast, fast, verdict("none"), Candidates(third), RULE)

    own = outcome.contest.own
    assert outcome.action == "recalibrate" and outcome.judged is None
    assert outcome.contest.layer == mean_recalibration(own, fast.standing.own) != IDENTITY
    assert (
        outcome.model == outcome.contest.served == recalibrate(fast.champion, outcome.contest.layer)
    )
    assert (outcome.contest.champion, outcome.contest.name) == (fast.champion, "version 4")
    assert outcome.contest.former == fast.former


@pytest.mark.parametrize(
    ("away", "action"), [(0.0, "none"), (0.019, "none"), (0.03, "recalibrate")]
)
def test_a_layer_that_hardly_moves_is_nothing_to_deploy(
    fast: Comparison, third: LabelledRows, away: float, action: str
) -> None:
    a, c = apply_judgement(fast, fast, verdict("none"), Candidates(third), RULE).contest.layer
    before = replace(fast, layer=(a + away, c))

    outcome = apply_judgement(before, before, verdict("none"), Candidates(third), RULE)

    assert outcome.action == action and (outcome.model is None) == (action == "none")
    assert outcome.contest.layer == ((a, c) if action == "recalibrate" else before.layer)


def test_certified_serves_its_champion_as_it_was_proven(
    certified: Comparison, third: LabelledRows
) -> None:
    outcome = apply_judgement(certified, certified, verdict("none"), Candidates(third), RULE)

    assert (outcome.action, outcome.model, outcome.contest.layer) == ("none", None, IDENTITY)
    assert outcome.contest.own[1] != IDENTITY


@pytest.mark.parametrize("action", ["promote", "scheduled retrain"])
def test_a_swap_deploys_the_refit_and_names_the_model_that_was_bet_on(
    fast: Comparison, third: LabelledRows, action: str
) -> None:
    after = with_layer(fast)

    outcome = apply_judgement(after, fast, verdict(action, "challenger"), Candidates(third), RULE)

    fresh = outcome.refitted
    assert outcome.contest.champion == weighted_ensemble(
        fresh.experts, fresh.layers, after.standing
    )
    assert outcome.judged == fast.challenger != outcome.contest.champion
    assert outcome.model == outcome.contest.served
    assert outcome.contest.former == {
        "version 4": fast.champion,
        "version 3": fast.former["version 3"],
    }
    assert outcome.contest.standing.stakes == {}
    assert outcome.contest.standing.deployments == 1
    assert outcome.refitted.champion == fast.champion
    assert outcome.refitted.standing.deployments == 0


def test_a_jump_deploys_the_fit_on_the_newest_rows(fast: Comparison, third: LabelledRows) -> None:
    outcome = apply_judgement(fast, fast, verdict("switch", NEWEST), Candidates(third), RULE)

    assert outcome.contest.champion == Candidates(third).model("last")
    assert outcome.judged is None
    assert list(outcome.contest.former) == ["version 4", "version 3"]


def test_going_back_takes_the_former_champion_out_of_the_former_ones(
    fast: Comparison, third: LabelledRows
) -> None:
    outcome = apply_judgement(fast, fast, verdict("revert", "version 2"), Candidates(third), RULE)

    assert outcome.contest.champion == fast.former["version 2"]
    assert outcome.contest.name == "version 2" and outcome.judged is None
    assert outcome.contest.former == {
        "version 4": fast.champion,
        "version 3": fast.former["version 3"],
    }


@pytest.mark.parametrize("target", list(CERTIFIED_CHALLENGERS))
def test_a_certified_swap_deploys_the_refit_of_its_rival(
    certified: Comparison, third: LabelledRows, target: str
) -> None:
    outcome = apply_judgement(
        certified, certified, verdict("promote", target), Candidates(third), RULE
    )

    assert outcome.contest.champion == Candidates(third).model(CERTIFIED_CHALLENGERS[target])
    assert outcome.judged == certified.experts[CERTIFIED_CHALLENGERS[target]]
    assert outcome.contest.former == {"version 4": certified.champion}
    assert outcome.contest.standing.swaps == 1


def test_a_certified_recalibration_keeps_the_ranking(
    certified: Comparison, third: LabelledRows
) -> None:
    outcome = apply_judgement(
        certified, certified, verdict("promote", RECALIBRATED), Candidates(third), RULE
    )

    champion = certified.champion
    assert outcome.contest.champion == recalibrate(champion, outcome.refitted.own[1])
    assert outcome.judged == recalibrate(champion, certified.own[1])
    assert outcome.refitted.own[1] != certified.own[1]


def test_a_certified_rollback_swaps_the_two_champions(
    certified: Comparison, third: LabelledRows
) -> None:
    outcome = apply_judgement(
        certified, certified, verdict("roll back", "version 3"), Candidates(third), RULE
    )

    assert outcome.contest.name == "version 3"
    assert outcome.contest.champion == certified.former["version 3"]
    assert outcome.contest.former == {"version 4": certified.champion}


def test_the_judged_model_can_be_crowned_in_place_of_a_refused_refit(
    fast: Comparison, third: LabelledRows
) -> None:
    said = verdict("promote", "challenger")
    outcome = apply_judgement(fast, fast, said, Candidates(third), RULE)
    model, judged = model_to_deploy(outcome.refitted, fast, said, Candidates(third))
    assert judged is not None and model == outcome.contest.champion

    new = promote(outcome.refitted, judged, said, Candidates(third), RULE)

    assert new.champion == judged
    assert (new.former, new.standing) == (outcome.contest.former, outcome.contest.standing)


@pytest.mark.parametrize(("policy", "most"), [("fast", 2), ("certified", 1)])
def test_former_champions_are_kept_within_limits_the_newest_first(
    policy: str, most: int, third: LabelledRows
) -> None:
    contest, experts, target = started(policy), Candidates(third), "challenger"

    for version in range(5, 9):
        new = promote(contest, fitted(200, seed=version), verdict("promote", target), experts, RULE)
        contest = replace(new, name=f"version {version}")

    assert list(contest.former) == [f"version {at}" for at in (7, 6)][:most]
    for name, model in contest.former.items():
        assert model == fitted(200, seed=int(name[8:]))


def test_a_name_never_stands_for_two_models(third: LabelledRows) -> None:
    contest, experts = started("fast"), Candidates(third)
    models = {"version 4": contest.champion}
    for version in (5, 6):
        new = promote(contest, fitted(200, seed=version), verdict("promote", ""), experts, RULE)
        contest = replace(new, name=f"version {version}")
        models[contest.name] = contest.champion

    for target in ("version 4", "version 5", "version 4", "version 6"):
        contest = promote(contest, models[target], verdict("revert", target), experts, RULE)
        assert contest.name == target not in contest.former
        held = contest.former | {contest.name: contest.champion}
        assert held.keys() == models.keys()
        assert all(held[name] == models[name] for name in held)


def test_the_champion_of_now_is_kept_where_a_former_one_bears_its_name(third: LabelledRows) -> None:
    contest = started("fast", former={"version 4": fitted(200, seed=1)})

    new = promote(contest, fitted(200, seed=2), verdict("promote", ""), Candidates(third), RULE)

    assert new.former == {"version 4": contest.champion}


# ---------------------------------------------------------------- several looks


def test_a_world_that_turns_over_is_jumped_to_and_back_again() -> None:
    contest, experts = None, None
    actions = []
    for looks in range(1, 8):
        known = known_after(looks)
        turned = (known.ages < looks - 3) & (known.ages >= looks - 5)  # the fourth and fifth look
        known = replace(known, labels=np.where(turned, 1 - known.labels, known.labels))
        experts = Candidates(known)
        if contest is None:
            contest = start_comparison("fast", experts.model("all"), "version 1", experts, {})
            continue
        outcome = looked(contest, known)
        contest = outcome.contest
        if outcome.action in ("promote", "scheduled retrain", "switch"):
            contest = replace(contest, name=f"version {len(actions) + 2}")
        actions.append(outcome.action)

    assert actions[2] == "switch" and actions[4] == "revert"
    assert "switch" not in actions[:2] and "revert" not in actions[:2]
    assert contest is not None and contest.name not in contest.former
