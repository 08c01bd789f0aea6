"""Features one by one: the fewest, the nearest, the cheapest; under every rule, for every row."""

import threading
from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import search

from jaxcf import BlackBox, Constraints, Explainer, KDTree, Refinement, SearchOptions, Status
from jaxcf.explainers import batch
from jaxcf.explainers.costs import By
from jaxcf.tabular import FittedTableExplainer, Rule, TableExplainer
from jaxcf.utils import threads

NAMES = ("strong", *(f"weak{place}" for place in range(5)))


def rows(n: int, seed: int) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, np.random.default_rng(seed).uniform(0, 1, (len(NAMES), n)), strict=True))


def above(x: jax.Array) -> jax.Array:
    return 4 * (x[:, 0] - 0.5) + 0.25 * (x[:, 1:].sum(axis=1) - 2.5)


def decide(x: jax.Array) -> jax.Array:
    return jax.nn.softmax(jnp.stack([-4 * above(x), 4 * above(x)], axis=1))


@lru_cache
def ready(cost: By = "nearest") -> FittedTableExplainer:
    refinement = Refinement.for_tables(cost)
    return TableExplainer(decide, refinement=refinement).fit(rows(200, 0))


def decided(fitted: FittedTableExplainer, table: dict[str, np.ndarray]) -> np.ndarray:
    schema = fitted.coding.schema
    return np.asarray(decide(jnp.asarray(schema.encode(schema.read(table))))).argmax(axis=1)


@pytest.mark.parametrize("cost", ["nearest", "sparsest"])
def test_one_column_changes_where_one_would_do(cost):
    table = rows(60, 1)
    result = ready(cost).explain(table)
    assert result.found.all()
    assert (result.changed.sum(axis=1) == 1).all()


def test_nothing_is_left_to_put_back_or_to_shrink():
    table = rows(60, 2)
    near = np.full(60, 0.02)
    limits = Rule(lower=table["strong"] - near, upper=table["strong"] + near)
    result = ready().explain(table, rules={"strong": limits})
    given = result.found
    assert given.sum() > 5
    assert result.changed[given].sum(axis=1).max() > 1
    for name in NAMES:
        changed = given & (result.counterfactual[name] != table[name])
        back = {one: column.copy() for one, column in result.counterfactual.items()}
        back[name] = table[name] + 0.98 * (back[name] - table[name])
        assert (decided(ready(), back)[changed] == result.original_class[changed]).all()


def test_each_cost_is_least_where_it_is_asked_for():
    table = rows(40, 3)
    results = {cost: ready(cost).explain(table) for cost in ("nearest", "sparsest", "plausible")}
    state = ready().of_coordinates
    assert state.training_rows is not None
    measured = {}
    for name, result in results.items():
        assert result.found.all()
        core = result.core
        moves = state.change_cost.moves(core.original, core.counterfactual).sum(axis=1)
        away = state.training_rows.distance(core.counterfactual, core.counterfactual_class)
        measured[name] = (moves, result.changed.sum(axis=1), away)
    for place, name in enumerate(("nearest", "sparsest", "plausible")):
        least = measured[name][place]
        assert all(least.mean() <= 1.001 * one[place].mean() for one in measured.values())
    np.testing.assert_allclose(measured["plausible"][2], 0, atol=1e-6)  # a training row's own


def test_what_helps_most_at_first_needn_t_be_part_of_the_answer():
    def two_ways(x: jax.Array) -> jax.Array:
        lure, far, first, second = (x[:, place] for place in range(4))
        dear = 0.45 * jnp.clip(lure / 0.1, 0, 1) + 0.56 * far
        first, second = jnp.clip(first / 0.25, 0, 1), jnp.clip(second / 0.25, 0, 1)
        score = 10 * (jnp.maximum(dear, 0.3 * first + 0.75 * first * second) - 0.99)
        return jax.nn.softmax(jnp.stack([-score, score], axis=1))

    # Without a search, whose answer would do.
    walks = Refinement(values=17, sparsify=True, shrink=True)
    explainer = TableExplainer(two_ways, search=SearchOptions(max_steps=1), refinement=walks)
    low = {name: 0.02 * column for name, column in rows(20, 10).items()}
    result = explainer.fit(rows(200, 0)).explain(low)
    assert result.found.all()
    cheap = [False, False, True, True, False, False]
    assert (result.changed == cheap).all(axis=1).mean() > 0.5


def test_what_costs_more_is_changed_less():
    table = rows(40, 4)
    usual = ready().explain(table)
    dear = ready().with_options(refinement=Refinement.for_tables(costs={"strong": 1000}))
    result = dear.explain(table)
    assert result.found.all()
    moved, before = (
        np.abs(one.counterfactual["strong"] - table["strong"]) for one in (result, usual)
    )
    assert (moved <= before + 1e-9).all()
    assert moved.mean() < before.mean()
    with pytest.raises(ValueError, match="no such column"):
        ready().with_options(refinement=Refinement(costs={"other": 2}))
    with pytest.raises(ValueError, match="must be positive and finite"):
        Refinement(costs={"strong": 0})


@pytest.mark.parametrize("largest", [200_000, 10_000_000])
def test_the_change_given_is_the_change_needed_whatever_the_largest_value_is(largest):
    pay = np.exp(np.random.default_rng(0).normal(10.5, 0.6, 200)).astype(int)
    pay[0] = largest

    def ask(table):
        granted = 1 - 1 / (1 + (table["pay"] / 36000) ** 9)
        return np.stack([1 - granted, granted], axis=1)

    fitted = TableExplainer(BlackBox(ask, 2), takes="table").fit({"pay": pay})
    result = fitted.explain({"pay": pay[:50]}, target=1)
    needed = 36000 - pay[:50][result.found]
    given = result.counterfactual["pay"][result.found] - pay[:50][result.found]
    assert len(needed) > 10
    # 1 % more, and what a decision asks for so that it doesn't hang on rounding
    assert (given <= 1.01 * needed + 10).all()


def test_rows_get_alone_what_they_get_in_company():
    table = rows(12, 5)
    together = ready().explain(table)
    for row in (0, 5, 11):
        alone = ready().explain({name: column[row : row + 1] for name, column in table.items()})
        for name in NAMES:
            np.testing.assert_allclose(
                alone.counterfactual[name][0], together.counterfactual[name][row], atol=1e-5
            )


def test_another_few_rows_are_asked_about_by_the_programs_at_hand():
    sizes: list[int] = []

    def watched(x: jax.Array) -> jax.Array:
        sizes.append(len(x))
        return decide(x)

    fitted = TableExplainer(watched).fit(rows(60, 0))
    sizes.clear()
    for n in (1, 3, 11):
        assert fitted.explain(rows(n, 5)).found.all()
        # A row asks hundreds of questions: in batches of one they would be as many calls.
        assert (max(sizes) >= 256) == (n == 1)
        sizes.clear()


def test_rows_get_from_several_threads_what_they_get_from_one(monkeypatch):
    table = rows(60, 6)
    alone = ready().explain(table)
    monkeypatch.setattr(batch, "_LEAST_REFINED_TOGETHER", 8)
    for module in (batch, threads):
        monkeypatch.setattr(module, "cores", lambda: 3)
    shared = ready().explain(table)
    np.testing.assert_array_equal(shared.status, alone.status)
    np.testing.assert_allclose(shared.values, alone.values, atol=1e-5)


def test_a_model_outside_jax_is_asked_in_the_thread_of_the_caller(monkeypatch):
    monkeypatch.setattr(batch, "_LEAST_REFINED_TOGETHER", 8)
    for module in (batch, threads):
        monkeypatch.setattr(module, "cores", lambda: 3)
    x = np.random.default_rng(3).uniform(0, 1, (30, 3)).astype(np.float32)
    asked_in: list[threading.Thread] = []
    stepped([], asked_in, copies=2).fit(x).explain(x)
    assert set(asked_in) == {threading.main_thread()}


def test_a_value_that_was_refused_is_not_asked_about_again():
    table = {"points": np.tile(np.arange(11.0), 4)}

    def predict(x: np.ndarray) -> np.ndarray:
        up = (x[:, 0] > 0.55).astype(float)
        return np.stack([0.9 - 0.8 * up, 0.1 + 0.8 * up], axis=1)

    fitted = TableExplainer(BlackBox(predict, 2), objective="E").fit(table)
    asked = []
    for bisections in (5, 30):  # of eleven values five halvings leave one
        refinement = replace(Refinement.for_tables(), bisections=bisections)
        result = fitted.with_options(refinement=refinement).explain(table)
        asked.append(result.scores["predictions"].tolist())
    assert asked[0] == asked[1]


def staircase(x: np.ndarray) -> np.ndarray:
    up = (np.floor(4 * x[:, 0]) + np.floor(4 * x[:, 1]) >= 3).astype(float)
    return np.stack([0.9 - 0.8 * up, 0.1 + 0.8 * up], axis=1)


def stepped(
    asked: list[int], asked_in: list[threading.Thread] | None = None, **refinement
) -> Explainer:
    def predict(x: np.ndarray) -> np.ndarray:
        asked.append(len(x))
        if asked_in is not None:
            asked_in.append(threading.current_thread())
        return staircase(x)

    return Explainer(
        BlackBox(predict, 2),
        objective="E",
        prototypes=KDTree(),
        search=search(max_steps=1),
        refinement=Refinement(sparsify=True, shrink=True, **refinement),
        feature_range=(0.0, 1.0),
    )


def test_rows_that_the_search_has_missed_are_found_from_training_rows():
    x = np.random.default_rng(1).uniform(0, 1, (60, 3)).astype(np.float32)
    asked: list[int] = []
    fitted = stepped(asked, copies=2, values=5).fit(x)
    searched = fitted.with_options(refinement=Refinement()).explain(x)
    assert not searched.found[30:].all()
    frozen = np.zeros(x.shape, bool)
    frozen[:30, 0] = True
    rules = Constraints(frozen=frozen, step=0.125)
    result = fitted.explain(x, constraints=rules)
    np.testing.assert_array_equal(result.counterfactual[frozen], x[frozen])
    moved = result.counterfactual != x
    multiples = result.counterfactual[moved] / 0.125
    np.testing.assert_allclose(multiples, np.round(multiples), atol=1e-5)
    assert result.found[30:].all()
    assert not moved[result.found][:, 2].any()  # the model never looks at it
    assert (result.counterfactual_class != result.original_class)[result.found].all()


def test_a_row_that_only_a_far_training_row_answers_is_found():
    groups = [f"g{place:02}" for place in range(30)]
    levels = np.random.default_rng(1).permutation(np.linspace(0.02, 0.98, 30)).round(3)

    def needles(table: Any) -> np.ndarray:  # each group is granted at a score of its own alone
        own = np.array([levels[groups.index(one)] for one in table["group"]])
        granted = (np.abs(np.asarray(table["score"], float) - own) < 1e-6).astype(float)
        return np.stack([1 - granted, granted], axis=1)

    score = np.random.default_rng(2).uniform(0, 1, 300).round(3)
    table = {
        "group": np.array(groups * 11),
        "score": np.concatenate([levels, score]),
    }
    fitted = TableExplainer(BlackBox(needles, 2), takes="table").fit(table)
    far = np.abs(levels - 0.5) > 0.4
    rows = {"group": np.array(groups)[far], "score": 1 - levels[far]}
    result = fitted.explain(rows, rules={"group": Rule(frozen=True)})
    assert far.sum() > 3
    assert result.found.all()
    np.testing.assert_allclose(result.counterfactual["score"], levels[far])


def test_a_black_box_is_asked_for_all_rows_at_once():
    x = np.random.default_rng(2).uniform(0, 1, (80, 3)).astype(np.float32)
    asked: list[int] = []
    fitted = stepped(asked, copies=2, values=5).fit(x)
    calls = []
    for count in (20, 80):
        asked.clear()
        result = fitted.explain(x[:count])
        calls.append(len(asked))
        assert result.scores["predictions"].sum() <= sum(asked)
    assert calls[1] < 1.5 * calls[0]


def test_alternatives_change_other_columns_or_go_other_ways():
    table = rows(15, 6)
    result = ready().explain(table, num_alternatives=8)
    ways = np.sign(result.values - result.original_values)
    for row in range(15):
        mine = ways[(result.source_row == row) & result.found]
        assert len(np.unique(mine, axis=0)) == len(mine) >= 2
    first = ready().explain(table)
    np.testing.assert_array_equal(result.values[::8], first.values)


def test_alternatives_that_can_t_be_had_aren_t_found():
    x = np.random.default_rng(4).uniform(0, 1, (10, 2)).astype(np.float32)
    explainer = Explainer(
        lambda x: jax.nn.softmax(jnp.stack([9 * (x[:, 0] - 0.5), 9 * (0.5 - x[:, 0])], axis=1)),
        objective="C",
        search=search(),
        refinement=Refinement(sparsify=True),
    )
    result = explainer.fit(x).explain(x, num_alternatives=3)
    np.testing.assert_array_equal(result.status[::3], Status.FOUND)
    # Only one feature matters, and it can go one way: there is one sparse answer.
    others = result.status[np.arange(30) % 3 > 0]
    assert set(np.unique(others)) <= {Status.NO_OTHER, Status.FOUND}
    assert (others == Status.NO_OTHER).any()


def test_trust_holds_on_every_way():
    x = np.random.default_rng(3).uniform(0, 1, (50, 3)).astype(np.float32)
    explainer = replace(stepped([], copies=4, values=5), trust_threshold=0.8)
    result = explainer.fit(x).explain(x)
    assert result.found.mean() > 0.5
    assert (result.scores["trust"][result.found] > 0.8).all()


def test_features_of_rows_in_an_encoder_s_space_can_t_be_copied():
    with pytest.raises(ValueError, match="copies, values would begin at training rows"):
        Explainer(
            decide,
            encode=lambda x: x[:, :1],
            prototypes="nearest",
            refinement=Refinement(copies=1, values=1),
        )
