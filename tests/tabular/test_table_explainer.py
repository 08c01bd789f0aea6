"""Tables from end to end: every row answered, in original units, under every rule."""

import pickle
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from helpers import compilations
from sklearn.linear_model import LogisticRegression

from jaxcf import (
    BlackBox,
    EngineOptions,
    KDTree,
    NearestMean,
    Objective,
    Refinement,
    SearchOptions,
    Status,
    report,
    solvers,
)
from jaxcf.tabular import (
    Categorical,
    FittedTableExplainer,
    Numeric,
    Ordinal,
    Rule,
    Schema,
    TableExplainer,
    TableExplanations,
)
from jaxcf.tabular.class_names import numbers_of

JOBS = ("clerk", "pilot", "sailor", "smith")
SIZES = ("small", "medium", "large")
CLASSES = ("declined", "granted")


@lru_cache
def frame(n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "income": rng.gamma(2.0, 900.0, n).round(2),
            "job": rng.choice(JOBS, n),
            "size": rng.choice(SIZES, n),
            "sex": rng.choice(["f", "m"], n),
            "branch": np.full(n, 7),
        }
    )


@lru_cache
def schema() -> Schema:
    return Schema.infer(frame(), ordinal={"size": SIZES})


WEIGHTS = np.array([2.5, 6.0, -1.2, 1.5, -0.5, 0.2, 0.8, 0.1, -0.1, 0.0], np.float32)


def predict(x: jax.Array) -> jax.Array:
    score = x @ jnp.asarray(WEIGHTS) - 3.0
    return jnp.stack([jax.nn.sigmoid(-score), jax.nn.sigmoid(score)], axis=1)


def predict_numpy(x: np.ndarray) -> np.ndarray:
    score = 1 / (1 + np.exp(-(x @ WEIGHTS - 3.0)))
    return np.stack([1 - score, score], axis=1)


def granted(values: np.ndarray) -> np.ndarray:
    return predict_numpy(schema().encode(values))[:, 1] > 0.5


@lru_cache
def fitted(**options: Any) -> FittedTableExplainer:
    # Many lanes: for a model as small as this, filling them takes longer than the steps.
    engine = EngineOptions(lanes=1024, lanes_per_group=512)
    explainer = TableExplainer(predict, schema(), class_names=CLASSES, engine=engine, **options)
    return explainer.fit(frame())


def rules_of(rng: np.random.Generator, table: pd.DataFrame) -> dict[str, Rule]:
    """Rules for every column, each row its own; about every sixth row breaks one as it is."""
    n = len(table)
    age = table["age"].to_numpy()
    masks = rng.random((12, n)) < 0.25
    rare = rng.random((3, n)) < 0.05
    ends = np.sort(rng.integers(10, 90, (2, n)), axis=0)
    ranks = np.array([SIZES.index(one) for one in table["size"]])
    names = np.array(SIZES, object)
    smallest, largest = rng.integers(0, 3, (2, n))
    jobs = np.array(JOBS) == table["job"].to_numpy(str)[:, None]
    return {
        "age": Rule(
            np.where(rare[0], ends[0], age - rng.integers(0, 20, n)),
            np.where(rare[0], ends[1], age + rng.integers(0, 20, n) + 0.5),
            masks[0],
            masks[1],
            masks[2],
            step=np.where(masks[3], 5, 0),
        ),
        "income": Rule(
            np.where(rare[1], 900.0, -np.inf),
            np.where(masks[4], 9000.0, np.inf),
            masks[5],
            step=np.where(masks[10], 250.0, np.where(masks[11], 0.5, 0.0)),
        ),
        "job": Rule(frozen=masks[6], allowed=(rng.random(jobs.shape) < 0.6) | jobs & ~rare[2:3].T),
        "size": Rule(
            names[np.minimum(smallest, ranks)],
            names[np.maximum(largest, ranks)],
            increase_only=masks[7],
            decrease_only=masks[8],
        ),
        "sex": Rule(frozen=masks[9]),
    }


def violations(rules: dict[str, Rule], before: pd.DataFrame, after: pd.DataFrame) -> np.ndarray:
    """Which rows break a rule, said independently of the code under test."""
    broken = np.array(after["branch"] != before["branch"])
    for name in ("age", "income", "size"):
        rule = rules[name]
        old, new = before[name], after[name]
        lower, upper = rule.lower, rule.upper
        if name == "size":
            old, new, lower, upper = (
                np.array([SIZES.index(one) for one in part]) for part in (old, new, lower, upper)
            )
        old, new = np.asarray(old), np.asarray(new)
        broken |= (new < lower) | (new > upper)
        broken |= np.asarray(rule.frozen) & (old != new)
        broken |= np.asarray(rule.increase_only) & (new < old)
        broken |= np.asarray(rule.decrease_only) & (new > old)
        step = np.asarray(rule.step)
        broken |= (step > 0) & (new != old) & (new % np.where(step > 0, step, 1) != 0)
    broken |= (after["age"] != after["age"].round()).to_numpy()
    places = [JOBS.index(job) for job in after["job"]]
    broken |= ~np.asarray(rules["job"].allowed)[np.arange(len(after)), places]
    for name in ("job", "sex"):
        broken |= np.asarray(rules[name].frozen) & (after[name] != before[name]).to_numpy()
    return broken


def test_every_row_gets_a_counterfactual_that_the_model_confirms_when_asked_directly():
    result = fitted().explain(frame())
    assert result.found.all()
    np.testing.assert_array_equal(
        granted(schema().read(result.counterfactual)), ~granted(schema().read(frame()))
    )
    assert result.counterfactual.dtypes.equals(frame().dtypes)
    # with the decimals that its column has
    income = result.counterfactual["income"]
    assert (income != frame()["income"]).mean() > 0.05
    assert (income == income.round(2)).all()


def test_ten_thousand_random_sets_of_rules_hold_exactly_in_original_units():
    many = frame(10_000, 1)
    rules = rules_of(np.random.default_rng(2), many)
    result = fitted().explain(many, rules=rules)
    outside = result.core.status == Status.OUT_OF_RANGE
    fixed = result.core.status == Status.NOTHING_MAY_CHANGE
    searched = ~outside & ~fixed
    assert not violations(rules, many, result.counterfactual)[searched].any()
    # A row is refused exactly where it breaks its rules as it is.
    np.testing.assert_array_equal(violations(rules, many, many), outside)
    refused = result[~searched]
    np.testing.assert_array_equal(refused.values, refused.original_values)
    assert searched.mean() > 0.8
    assert result.found[searched].mean() > 0.5
    decided = granted(result.values[result.found])
    np.testing.assert_array_equal(decided, ~granted(result.original_values[result.found]))


@pytest.mark.parametrize(
    ("solver", "stop"),
    [("fista", "budget"), ("subgradient_adam", "converged"), ("reference_fista", "first_flip")],
)
def test_rules_of_tables_hold_whatever_the_search(solver, stop):
    some = frame(500, 3)
    rules = rules_of(np.random.default_rng(5), some)
    options = SearchOptions(solver=solvers.named(solver), stop=stop, max_steps=60)
    result = fitted(search=options).explain(some, rules=rules)
    refused = np.isin(result.core.status, (Status.OUT_OF_RANGE, Status.NOTHING_MAY_CHANGE))
    assert not violations(rules, some, result.counterfactual)[~refused].any()
    assert result.found[~refused].mean() > 0.5


def test_a_step_is_counted_in_original_units():
    some = frame().head(100)
    rules = {"income": Rule(step=100), "age": Rule(step=10, increase_only=True)}
    others = {name: Rule(frozen=True) for name in ("job", "size", "sex")}
    result = fitted().explain(some, rules=rules | others)
    assert result.found.mean() > 0.5
    for name, step in (("income", 100), ("age", 10)):
        after = result.counterfactual[name].to_numpy()
        changed = after != some[name].to_numpy()
        assert changed.any()
        assert not (after[changed] % step).any()


def test_a_value_beside_the_grid_of_its_rule_may_stay():
    one = frame().head(1).assign(income=270.0, age=[30])
    rules = {"income": Rule(lower=250, upper=290, step=100), "job": Rule(frozen=True)}
    result = fitted().explain(one, rules=rules)
    assert result.core.status[0] != Status.OUT_OF_RANGE
    assert result.counterfactual["income"].iloc[0] == 270.0


def test_multiples_of_a_step_stay_within_what_the_training_rows_span():
    x = {"duration": np.arange(4, 73), "pay": np.linspace(0.98, 1.95, 69)}
    ready = TableExplainer(lambda x: jax.nn.softmax(jnp.stack([8 * x[:, 0], 3 + x[:, 1]], 1))).fit(
        x
    )

    def reached(rules: dict[str, Rule]) -> tuple[set[float], set[float]]:
        found = ready.explain(x, rules=rules)
        assert not (found.core.status == Status.NOT_CONFIRMED).any()
        moved = ((found.counterfactual[name], x[name]) for name in x)
        one, other = (set(np.asarray(new)[new != old].tolist()) for new, old in moved)
        return one, other

    # 0 and 100 lie outside, and so do 4 and 72 lie beside the grid.
    assert reached({"duration": Rule(step=100), "pay": Rule(frozen=True)}) == (set(), set())
    bounded = {"duration": Rule(step=100, lower=4), "pay": Rule(frozen=True)}
    assert reached(bounded) == (set(), set())
    # 0.98 is nearly 1, which lies within.
    durations, pays = reached({"duration": Rule(step=30), "pay": Rule(step=1)})
    assert durations == {30.0, 60.0}
    assert pays <= {1.0}


def test_the_first_step_of_a_table_without_any_compiles_nothing_anew():
    x = {"a": np.linspace(0, 1, 50), "b": np.linspace(1, 0, 50) ** 2}

    def above(x: jax.Array) -> jax.Array:
        return jax.nn.softmax(5 * jnp.stack([x[:, 0], 0.5 * jnp.ones(len(x))], axis=1))

    ready = TableExplainer(above).fit(x)
    ready.explain(x)
    with compilations() as compiled:
        stepped = ready.explain(x, rules={"a": Rule(step=0.1)}).counterfactual["a"]
    assert not compiled
    # 0.3, not 0.30000000000000004
    assert set(stepped[stepped != x["a"]]) <= {number / 10 for number in range(11)}


def test_a_pickled_explainer_of_a_table_gives_the_same_answers():
    some = frame().head(32)
    expected = fitted().explain(some)
    result = pickle.loads(pickle.dumps(fitted())).explain(some)
    pd.testing.assert_frame_equal(result.counterfactual, expected.counterfactual, check_exact=True)
    np.testing.assert_array_equal(result.core.probabilities, expected.core.probabilities)
    again = pickle.loads(pickle.dumps(expected))
    pd.testing.assert_frame_equal(again.counterfactual, expected.counterfactual, check_exact=True)


def test_a_model_of_a_table_that_was_retrained_in_place_is_explained_as_it_is():
    x = {"a": np.linspace(0, 1, 32), "b": np.linspace(1, 0, 32) ** 2}
    weights = np.array([[-9.0, 9.0], [0.0, 0.0]], np.float32)
    explainer = TableExplainer(
        lambda x: jax.nn.softmax((x - 0.5) @ weights), categories="mvdm", class_names=CLASSES
    )
    ready = explainer.fit(x)
    before = ready.explain(x)
    weights *= -1
    with pytest.raises(ValueError, match="predict changed since fit"):
        ready.explain(x)
    after = explainer.fit(x).explain(x)
    assert before.found.all()
    assert after.found.all()
    assert (after.core.original_class == 1 - before.core.original_class).all()
    assert (after.core.counterfactual_class == 1 - before.core.counterfactual_class).all()


@pytest.mark.parametrize("categories", ["abdm", "mvdm", "abdm-mvdm", "index"])
def test_every_way_to_learn_categories_answers(categories):
    result = fitted(categories=categories).explain(frame().head(40))
    assert result.found.all()
    order = fitted(categories=categories).coding.category_values.order("job")
    assert sorted(name for name, _ in order) == sorted(JOBS)


def test_other_rules_and_targets_compile_nothing_anew():
    some = frame().head(64)
    fitted().explain(some, rules=rules_of(np.random.default_rng(3), some))
    with compilations() as compiled:
        fitted().explain(some, rules=rules_of(np.random.default_rng(4), some), target="granted")
    assert not compiled


def test_targets_by_name_and_per_class():
    some = frame().head(30)
    result = fitted().explain(some, target="granted")
    own = granted(result.original_values)
    assert (result.core.status[own] == Status.ALREADY_IN_TARGET).all()
    assert granted(result.values[~own]).all()
    matrix = fitted().explain(some, target="each")
    assert len(matrix) == 60
    np.testing.assert_array_equal(matrix.core.source_row, np.repeat(np.arange(30), 2))
    with pytest.raises(ValueError, match="there is no class named 'maybe'"):
        fitted().explain(some, target="maybe")


def test_targets_by_name_row_by_row():
    some = frame().head(30)
    numbers = np.arange(30) % 2
    nameless = TableExplainer(predict, schema()).fit(frame())
    expected = nameless.explain(some, target=numbers)
    names = np.array(CLASSES)[numbers]
    for target in (names, names.tolist(), pd.Series(names), [{name} for name in names]):
        result = fitted().explain(some, target=target)
        np.testing.assert_array_equal(result.values, expected.values)
    unknown = [["granted"] * 29 + ["maybe"], [["granted", "declined"]] * 29 + [["maybe"]]]
    for target in unknown:
        status = fitted().explain(some, target=target).core.status
        assert status[-1] == Status.UNKNOWN_TARGET
        assert not (status[:-1] == Status.UNKNOWN_TARGET).any()
    mask = np.ones((30, 2), bool)
    assert (fitted().explain(some, target=mask).core.status == 3).all()
    with pytest.raises(TypeError, match=r"target of row 1 must be a class .* got None"):
        fitted().explain(some, target=["granted", *[None] * 29])
    with pytest.raises(ValueError, match="names the class 'granted'; class_names: none are given"):
        nameless.explain(some, target=["granted"] * 30)


@pytest.mark.parametrize("names", [(1, 2), np.array([1, 2]), np.array([1.0, 2.0])], ids=repr)
def test_a_class_called_by_a_number_is_looked_up_by_that_name(names):
    some = frame().head(20)
    called = TableExplainer(predict, schema(), class_names=names).fit(frame())
    first = fitted().explain(some, target="declined")
    mixed = fitted().explain(some, target=["granted", "declined"] * 10)
    for target, expected in (
        (1, first),
        (np.int64(1), first),
        (jnp.array(1), first),
        ([1] * 20, first),
        ([[1]] * 20, first),
        ([{1, 7}] * 20, None),
        ([2, 1] * 10, mixed),
        (np.array([2, 1] * 10), mixed),
        (jnp.array([2, 1] * 10), mixed),
        (pd.Series([2, 1] * 10), mixed),
    ):
        result = called.explain(some, target=target)
        if expected is None:
            assert (result.status == Status.UNKNOWN_TARGET).all()
        else:
            np.testing.assert_array_equal(result.values, expected.values)
    assert result.class_names == tuple(str(one) for one in np.asarray(names).tolist())
    with pytest.raises(ValueError, match="there is no class named 0; class_names: 1"):
        called.explain(some, target=0)
    with pytest.raises(ValueError, match="there is no class named True; class_names: 1"):
        called.explain(some, target=True)


def test_positions_are_for_classes_without_names():
    with pytest.raises(ValueError, match="there is no class named 1; class_names: 'declined', "):
        fitted().explain(frame().head(2), target=1)
    status = fitted().explain(frame().head(2), target=[0, 1]).status
    assert (status == Status.UNKNOWN_TARGET).all()


def test_classes_called_true_and_false_are_no_mask():
    some = frame().head(20)
    called = TableExplainer(predict, schema(), class_names=np.array([False, True])).fit(frame())
    expected = fitted().explain(some, target="granted")
    for target in (True, [True] * 20, np.ones(20, bool)):
        np.testing.assert_array_equal(called.explain(some, target=target).values, expected.values)
    mask = np.tile([False, True], (20, 1))
    np.testing.assert_array_equal(called.explain(some, target=mask).values, expected.values)


def test_an_array_of_names_serves_everywhere(tmp_path):
    called = TableExplainer(predict, schema(), class_names=np.array(CLASSES)).fit(frame())
    result = called.explain(frame().head(10), target="granted")
    assert set(result.to_pandas()["target_class"]) <= set(CLASSES)
    result.save(tmp_path / "table.npz")
    assert TableExplanations.load(tmp_path / "table.npz").class_names == CLASSES
    report.write(tmp_path / "report.html", result)
    assert result.plot.transitions() is not None
    assert "granted" in result._repr_html_()


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (("a",), ValueError, r"class_names holds 1 names \('a'\), but the model has 2 classes"),
        ((1, 2, 3), ValueError, r"class_names holds 3 names \(1, 2, 3\), but the model has 2"),
        (("a", "a"), ValueError, "class_names holds 'a' more than once"),
        ((1, "1"), ValueError, "class_names holds 1 more than once"),
        ((1, True), ValueError, "class_names holds 1 more than once"),
        ("ab", TypeError, "class_names is 'ab'; expected a sequence of names"),
        ((None, "a"), TypeError, "class_names holds None, a NoneType"),
        ((float("nan"), 1.0), TypeError, "class_names holds nan, a float"),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("without_type_checks")
def test_names_that_are_not_one_for_each_class_are_refused_at_fit(names, error, message):
    for model in (predict, BlackBox(predict_numpy, num_classes=2)):
        with pytest.raises(error, match=message):
            TableExplainer(model, schema(), class_names=names).fit(frame())


def test_alternatives_are_distinct_rows_under_the_same_rules():
    some = frame().head(20)
    result = fitted().explain(some, num_alternatives=3, rules={"age": Rule(frozen=True)})
    assert len(result) == 60
    ages = result.counterfactual["age"].to_numpy()
    np.testing.assert_array_equal(ages, np.repeat(some["age"].to_numpy(), 3))
    assert np.nanmax(result.core.scores["diversity"]) > 0


def test_confidence_and_trust_hold_for_tables():
    objective = Objective.named("C", confidence=0.8)
    result = fitted(objective=objective, trust_threshold=0.5).explain(frame().head(50))
    found = result.found
    assert found.any()
    assert (result.core.probabilities.max(axis=1)[found] > 0.8).all()
    assert (result.core.scores["trust"][found] > 0.5).all()


def test_the_trust_score_is_measured_in_coordinates():
    some = frame().head(20)
    ready = fitted(trust_threshold=0.0)
    result = ready.explain(some)
    values = schema().read(frame())
    known, new = (ready.coding.coordinates(part) for part in (values, result.values))
    distance = np.linalg.norm(new[:, None] - known, axis=2)
    own = granted(result.original_values)[:, None] == granted(values)
    nearest = (np.where(mask, distance, np.inf).min(axis=1) for mask in (own, ~own))
    np.testing.assert_allclose(
        result.core.scores["trust"], np.divide(*nearest), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_array_equal(result.to_pandas()["trust"], result.core.scores["trust"])


def test_rows_that_the_training_rows_hold_nothing_like_have_their_rule():
    declared = pd.Categorical(["x", "y"] * 200, categories=["x", "y", "unused"])
    table = frame().assign(kind=declared)

    def with_kind(x: jax.Array) -> jax.Array:
        return predict(x[:, : schema().width])

    rows = table.head(4).copy()
    rows.loc[0, "branch"] = 9
    rows.loc[1, "age"] = 300
    rows.loc[2, "kind"] = "unused"
    named = Schema.infer(table, ordinal={"size": SIZES})
    result = TableExplainer(with_kind, named).fit(table).explain(rows)
    assert result.found.all()
    after = result.counterfactual
    assert after["branch"].tolist() == [9, 7, 7, 7]
    assert np.asarray(frame()["age"]).min() <= np.asarray(after["age"])[1] <= 300
    assert after["kind"].iloc[2] == "unused"
    for what in (pd.Timestamp("2020-01-01"), pd.Timedelta(days=3)):
        with pytest.raises(TypeError, match=r"column 'since' has dtype .*convert it first"):
            Schema.infer(frame().assign(since=what))


def test_rows_that_cannot_be_read_say_why_and_spare_the_others():
    some = frame().head(6).copy()
    some["job"] = some["job"].astype(object)
    some.loc[1, "job"] = "ghost"
    some["income"] = some["income"].astype(float)
    some.loc[4, "income"] = np.nan
    result = fitted().explain(some)
    bad = result.core.status == Status.INVALID_INPUT
    assert bad.tolist() == [False, True, False, False, True, False]
    assert "'ghost'" in result.messages[1]
    assert "'income' is missing" in result.messages[4]
    alone = fitted().explain(frame().head(6))
    np.testing.assert_array_equal(result.values[~bad], alone.values[~bad])


def test_a_batch_is_its_rows_one_by_one():
    some = frame().head(8)
    together = fitted().explain(some)
    for row in range(len(some)):
        alone = fitted().explain(some.iloc[[row]])
        np.testing.assert_array_equal(alone.values[0], together.values[row])


def test_mappings_and_encoded_arrays_are_tables_too():
    as_mapping = {name: column.to_numpy() for name, column in frame().head(10).items()}
    expected = fitted().explain(frame().head(10))
    result = fitted().explain(as_mapping)
    np.testing.assert_array_equal(result.values, expected.values)
    assert isinstance(result.counterfactual, dict)
    encoded = schema().encode(schema().read(frame().head(10)))
    assert fitted().explain(encoded).counterfactual.shape == encoded.shape


def test_changes_are_told_in_original_units():
    result = fitted().explain(frame().head(12))
    for row in range(12):
        for change in result.changes(row):
            assert frame()[change.column].tolist()[row] == change.old
            assert result.counterfactual[change.column].tolist()[row] == change.new
        assert len(result.changes(row)) == result.changed[row].sum() > 0
    facts = result.to_pandas()
    assert set(facts["counterfactual_class"]) <= set(CLASSES)
    assert facts["job"].tolist() == result.counterfactual["job"].tolist()
    summary = result.summary()
    assert summary["changed"] == result.changed.sum(axis=1).mean()
    assert summary["changed_share"]["branch"] == 0
    assert summary["moved"]["branch"] is None
    assert repr(result[:3]) == "TableExplanations(n=3, found=3)"


def test_details_end_at_the_counterfactuals_under_the_same_rules():
    some = frame().head(80)
    rules = rules_of(np.random.default_rng(5), some)
    explainer = fitted(refinement=Refinement())
    explanations = explainer.explain(some, rules=rules, target="granted")
    found = np.flatnonzero(explanations.found)[::-2]
    assert len(found) >= 5
    details = explainer.trace(
        explanations[found], frame(), rows=slice(1, None), rules=rules, target="granted"
    )
    part = explanations[found[1:]]
    assert details.rows.tolist() == list(range(1, len(found)))
    last = (details.evaluations >= 0).sum(axis=1) - 1
    ends = part.values_at(details.path)[np.arange(len(last)), last]
    # Without the limits of the rules, numbers may differ by what float32 leaves of them.
    np.testing.assert_allclose(ends, part.values, rtol=1e-5)
    way = frame().iloc[details.nearest_row[:, 0]]
    assert granted(schema().read(way)).all()


def test_details_of_other_rows_rules_or_classes_are_refused():
    explainer = fitted()
    explanations = explainer.explain(frame().head(8), target="granted")
    fewer = {"age": Rule(lower=[20, 30])}
    with pytest.raises(ValueError, match="lower is for 2 rows, and there is a row"):
        explainer.trace(explanations, frame(), rules=fewer, target="granted")
    with pytest.raises(ValueError, match="x_train has shape"):
        explainer.trace(explanations, frame().head(9), target="granted")
    with pytest.raises(ValueError, match="there is no class named 'maybe'"):
        explainer.trace(explanations, frame(), target="maybe")


def test_a_rule_of_some_rows_is_that_of_each():
    rule = Rule(lower=[20, 30, 40], upper=50, frozen=[True, False, False], allowed=np.eye(3) > 0)
    part = rule.of_rows(np.array([2, 2, 0]))
    assert (part.lower.tolist(), part.upper) == ([40, 40, 20], 50)
    assert (np.asarray(part.frozen).tolist(), part.increase_only) == ([False, False, True], False)
    assert np.argmax(np.asarray(part.allowed), axis=1).tolist() == [2, 2, 0]
    named = Rule(lower=["small", "large"], upper="large", allowed=("clerk", "pilot"))
    part = named.of_rows(np.array([1]))
    assert (part.lower.tolist(), part.upper) == (["large"], "large")
    assert part.allowed == ("clerk", "pilot")


# --- models outside JAX ----------------------------------------------------------------------


def test_a_black_box_of_the_encoded_table_finds_about_the_same():
    box = BlackBox(predict_numpy, num_classes=2)
    result = TableExplainer(box, schema()).fit(frame()).explain(frame().head(60))
    assert result.found.all()
    inside = fitted().explain(frame().head(60))
    ratio = result.core.l1.mean() / inside.core.l1.mean()
    assert 0.5 < ratio < 2
    assert (result.core.scores["predictions"] > 0).all()


def test_mvdm_asks_a_black_box_no_more_rows_than_it_takes():
    most = []

    def ask(x: np.ndarray) -> np.ndarray:
        most.append(len(x))
        return predict_numpy(x)

    box = BlackBox(ask, num_classes=2, max_rows_per_call=64)
    ready = TableExplainer(box, schema(), categories="mvdm").fit(frame())
    assert max(most) == 64
    assert ready.coding == fitted(categories="mvdm").coding
    for broken in (lambda x: np.ones((len(x), 3)) / 3, lambda x: x.missing):
        with pytest.raises(ValueError, match=r"predict (returned shape|failed for each)"):
            TableExplainer(BlackBox(broken, 2), schema(), categories="mvdm").fit(frame())


def test_a_tree_model_of_the_table_itself_is_explained_for_every_row():
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    names = ["job", "size", "sex"]
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), names), remainder="passthrough"),
        GradientBoostingClassifier(n_estimators=20, random_state=0),
    ).fit(frame(), granted(schema().read(frame())))
    explainer = TableExplainer(
        BlackBox(model.predict_proba, num_classes=2), schema(), takes="table"
    ).fit(frame())
    result = explainer.explain(frame().head(60), rules={"sex": Rule(frozen=True)})
    assert result.found.mean() >= 0.95
    found = result.found
    before, after = (model.predict(part) for part in (frame().head(60), result.counterfactual))
    assert (before != after)[found].all()
    assert (result.counterfactual["sex"] == frame().head(60)["sex"]).all()


@pytest.mark.parametrize("end", ["lower", "upper"])
def test_one_limit_beyond_the_training_rows_is_that_of_its_row_alone(end):
    rows = frame().head(40)
    oldest, youngest = frame()["age"].max(), frame()["age"].min()
    beyond = oldest + 5 if end == "lower" else youngest - 5
    free = youngest if end == "lower" else oldest
    limit = np.where(np.arange(40) == 7, beyond, free)
    result = fitted().explain(rows, rules={"age": Rule(**{end: limit})})
    assert np.flatnonzero(result.status == Status.OUT_OF_RANGE).tolist() == [7]
    assert np.delete(result.found, 7).mean() > 0.9
    outside = fitted().explain(rows, rules={"age": Rule(**{end: beyond})})
    assert (outside.status == Status.OUT_OF_RANGE).all()
    moved = fitted().explain(rows, rules={"age": Rule(**{end: beyond}, move_in=True)})
    assert moved.found.any()
    assert (moved.counterfactual["age"][moved.found] == beyond).all()


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"wage": Rule(frozen=True)}, "there is no column 'wage'"),
        ({"job": Rule(lower=1)}, "'job' is categorical and has no order.*not lower="),
        ({"job": Rule(increase_only=True)}, "'job' is categorical and has no order"),
        ({"age": Rule(allowed=(20, 30))}, "'age' is numeric; its rule takes lower= and upper="),
        ({"age": Rule(lower=50, upper=20)}, "'age' has lower above upper"),
        ({"age": Rule(lower=np.nan)}, "lower of column 'age' holds NaN"),
        ({"age": Rule(lower=np.inf)}, "lower of column 'age' holds inf, which no number reaches"),
        ({"age": Rule(upper=[9, 9, 9, 9, -np.inf])}, "upper of column 'age' holds -inf"),
        ({"age": Rule(lower="old")}, "lower of column 'age' must be a number"),
        ({"age": Rule(frozen=[True, False])}, "frozen of column 'age' must be True or False"),
        ({"job": Rule(allowed=("clerk", "king"))}, "'job' has no category 'king'"),
        ({"job": Rule(allowed="clerk")}, "must be a collection of categories"),
        ({"job": Rule(allowed=np.ones((2, 3), bool))}, "mask of allowed categories"),
        ({"size": Rule(lower="huge")}, "'size' has no category 'huge'"),
        ({"size": Rule(step=1)}, "'size' holds categories; a step is for numbers"),
        ({"age": Rule(step=2.5)}, "'age' holds multiples of 1; the step of its rule must be one"),
        ({"age": Rule(step=-1)}, "step of column 'age' must be 0 or more"),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("without_type_checks")
def test_rules_that_do_not_fit_are_refused(rules, message):
    with pytest.raises(ValueError, match=message):
        fitted().explain(frame().head(5), rules=rules)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([Rule(frozen=True)], "must be a mapping from column names to Rule, got a list"),
        ({"age": (20, 60)}, r"rule for column 'age' must be a Rule, .* got \(20, 60\)"),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("without_type_checks")
def test_what_is_no_rule_is_refused(rules, message):
    with pytest.raises(TypeError, match=message):
        fitted().explain(frame().head(5), rules=rules)


def test_options_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="takes='table' is for models outside JAX"):
        TableExplainer(predict, takes="table")
    with pytest.raises(ValueError, match="reconstruction term"):
        TableExplainer(predict, objective="D")


def test_training_rows_that_cannot_be_read_are_an_error():
    bad = frame().copy()
    bad["job"] = np.where(np.arange(len(bad)) == 3, "ghost", bad["job"])
    with pytest.raises(ValueError, match=r"1 of 400 training rows can't be read, .* row 3:"):
        TableExplainer(predict, schema()).fit(bad)


def test_tables_of_numbers_need_no_categories():
    x = {"a": np.linspace(0, 1, 50), "b": np.linspace(1, 0, 50) ** 2}

    def above(x: jax.Array) -> jax.Array:
        return jax.nn.softmax(5 * jnp.stack([x[:, 0], 0.5 * jnp.ones(len(x))], axis=1))

    result = TableExplainer(above, prototypes=KDTree()).fit(x).explain(x)
    assert result.found.all()
    other = TableExplainer(
        above,
        Schema((Numeric("a", 0, 1), Numeric("b", 0, 1))),
        prototypes=NearestMean(k=3),
        search=SearchOptions(max_steps=100),
        refinement=Refinement(),
    )
    assert other.fit(x).explain(x).found.all()


def test_label_encoded_and_ordinal_columns_reach_the_model_as_codes():
    columns = (
        Categorical("job", JOBS, encoding="label"),
        Ordinal("size", SIZES),
        Numeric("age", 18, 80, step=1.0),
    )
    seen = []

    def ask(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        score = 1 / (1 + np.exp(-(x[:, 2] * 4 + x[:, 1] - 3)))
        return np.stack([1 - score, score], axis=1)

    table = {name: frame()[name].to_numpy() for name in ("job", "size", "age")}
    explainer = TableExplainer(BlackBox(ask, num_classes=2), Schema(columns)).fit(table)
    some = {name: column[:20] for name, column in table.items()}
    assert explainer.explain(some).found.all()
    asked = np.concatenate(seen)
    assert set(np.unique(asked[:, 0])) <= {0.0, 1.0, 2.0, 3.0}
    assert set(np.unique(asked[:, 1])) <= {0.0, 1.0, 2.0}


@pytest.mark.usefixtures("without_type_checks")
def test_names_of_classes_without_an_order_are_no_target():
    for target in ({"yes", "no"}, {"yes": "no"}, (one for one in ("yes", "no"))):
        with pytest.raises(TypeError, match=f"got {type(target).__name__}; for the same classes"):
            numbers_of(target, ("no", "yes"))
    mask = pd.DataFrame({"no": [True, False], "yes": [False, True]})
    assert numbers_of(mask, ("no", "yes")).tolist() == mask.to_numpy().tolist()


@pytest.mark.parametrize(
    "given",
    [
        lambda names: pd.Series(names, index=[7, 8]),
        lambda names: (one for one in names),
        lambda names: np.array(names, object),
        set,
    ],
)
def test_allowed_categories_are_known_in_any_collection(given):
    rows = frame().head(60)
    names = ["pilot", "sailor"]
    expected = fitted().explain(rows, rules={"job": Rule(allowed=names)})
    answered = fitted().explain(rows, rules={"job": Rule(allowed=given(names))})
    np.testing.assert_array_equal(answered.status, expected.status)
    np.testing.assert_array_equal(answered.values, expected.values)
    moved = answered.counterfactual.job[answered.found]
    assert set(moved) <= set(names)


def test_allowed_truth_values_are_names_as_the_column_has_them():
    generator = np.random.default_rng(0)
    table = pd.DataFrame({"member": generator.random(120) < 0.5, "pay": generator.normal(size=120)})
    model = LogisticRegression().fit(table, 2.0 * table.member + table.pay > 1)
    ready = TableExplainer(model).fit(table)

    def statuses(allowed):
        return ready.explain(
            table.head(30), rules={"member": Rule(allowed=allowed)}
        ).status.tolist()

    assert statuses(table.member.unique()) == statuses([True, False])
    assert statuses(np.array([True])) == statuses([True]) != statuses([False])


def test_a_class_called_each_is_told_from_every_class():
    named = TableExplainer(predict, class_names=("none", "each"), schema=schema()).fit(frame())
    with pytest.raises(ValueError, match="one of the classes has that name"):
        named.explain(frame().head(2), target="each")
    answered = named.explain(frame().head(8), target=["each"] * 8)
    assert len(answered) == 8
