"""What holds for every objective x solver x prototype kind.

The first part runs on the full product, as far as prototypes matter; its properties share one
compiled program per case (four lanes, the same shapes). The second part needs another program for
each property and runs on a covering subset, every objective and every solver once and every
prototype kind twice: compiling is what takes the time.
"""

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    IDLE_FEATURE,
    KINDS,
    OBJECTIVES,
    SOLVERS,
    assert_joined_same,
    assert_same_answers,
    compilations,
    mlp,
    objective,
    search,
    solver,
    type_checks,
)

from jaxcf import (
    Constraints,
    EngineOptions,
    Explainer,
    Explanations,
    FittedExplainer,
    Status,
    data,
    models,
)
from jaxcf.models.networks import layers


class Case(NamedTuple):
    objective: str
    solver: str
    kind: str

    def __str__(self) -> str:
        return "-".join(self)


# A and B look at no prototypes: the kinds take turns there.
PRODUCT = [
    Case(o, s, k)
    for o in OBJECTIVES
    for j, s in enumerate(SOLVERS)
    for i, k in enumerate(KINDS)
    if o not in "AB" or i == j % len(KINDS)
]
# Every objective with every solver, and each of both with every kind of prototypes.
PAIRS = [
    Case(o, s, list(KINDS)[(i + j) % len(KINDS)])
    for i, o in enumerate(OBJECTIVES)
    for j, s in enumerate(SOLVERS)
]
SUBSET = [
    Case(name, SOLVERS[(row + 2) % len(SOLVERS)], list(KINDS)[(row + 2) % len(KINDS)])
    for row, name in enumerate(OBJECTIVES)
]


# Fixtures of module scope, so that pytest runs all tests of one case after another: the programs
# of a case are compiled once and needn't all be kept.
@pytest.fixture(scope="module", params=PRODUCT, ids=str)
def case(request):
    # Types are checked in a part of the product, which meets every function; it takes a while.
    with type_checks(request.param in SUBSET):
        yield request.param


@pytest.fixture(scope="module", params=PAIRS, ids=str)
def pair(request) -> Case:
    return request.param


@pytest.fixture(scope="module", params=SUBSET, ids=str)
def chosen(request) -> Case:
    return request.param


def explainer(case: Case, *, record_history: bool = True) -> Explainer:
    return mlp().explainer(
        # Rows in a k-d tree are the prototypes of models without an encoder; where no term looks
        # at prototypes it may stay, which saves a program.
        encoder=case.kind != "kdtree" or case.objective in "AB",
        objective=objective(case.objective),
        prototypes=KINDS[case.kind],
        search=search(case.solver, record_history=record_history),
    )


@lru_cache(maxsize=1)
def fitted(case: Case) -> FittedExplainer:
    return explainer(case).fit(mlp().x_train)


@lru_cache(maxsize=1)
def explained(case: Case) -> Explanations:
    return fitted(case).explain(mlp().x)


# --- on the full product -------------------------------------------------------------------


def test_every_row_has_its_answer_and_a_status(case):
    x, result = mlp().x, explained(case)
    assert len(result) == len(x)
    np.testing.assert_array_equal(result.original, x)
    assert np.isin(result.status, (Status.FOUND, Status.NOT_FOUND, Status.NEVER_MOVED)).all()
    assert all(result.messages)
    assert np.isfinite(result.counterfactual).all()
    assert (result.original_class == mlp().probabilities(x).argmax(axis=1)).all()
    assert (result.target_class != result.original_class).all()
    assert (result.target_class >= 0).all()
    assert (result.steps <= 20).all()
    assert ((result.steps == 20) | result.found).all()
    np.testing.assert_array_equal(result.prediction_weight, 4.0)


def test_found_rows_change_class_when_predicted_again_from_the_file(case, tmp_path):
    explained(case).save(tmp_path / "answers.npz")
    result = Explanations.load(tmp_path / "answers.npz")
    predicted = mlp().probabilities(result.counterfactual).argmax(axis=1)
    np.testing.assert_array_equal(predicted != result.original_class, result.found)
    np.testing.assert_array_equal(predicted, result.counterfactual_class)


def test_each_objective_and_each_solver_finds_something():
    # Else the properties of found rows would hold for want of any.
    for case in SUBSET:
        assert explained(case).found.any(), f"{case} found nothing"


def test_ranges_and_frozen_features_hold_exactly_for_every_row(case):
    x = mlp().x
    rng = np.random.default_rng(0)
    lower = x - rng.uniform(0, 0.3, x.shape).astype(np.float32)
    upper = x + rng.uniform(0, 0.3, x.shape).astype(np.float32)
    frozen = rng.random(x.shape) < 0.3
    lower, upper = np.where(frozen, x, lower), np.where(frozen, x, upper)
    found = fitted(case).explain(x, constraints=Constraints(lower, upper)).counterfactual
    assert (found >= lower).all()
    assert (found <= upper).all()
    assert found[frozen].tobytes() == x[frozen].tobytes()


def test_one_range_for_all_rows_holds_exactly(case):
    x = mlp().x
    found = fitted(case).explain(x, constraints=Constraints(-0.95, np.full(5, 0.8, np.float32)))
    inside = (x <= np.float32(0.8)).all(axis=1)
    np.testing.assert_array_equal(found.status == Status.OUT_OF_RANGE, ~inside)
    assert (found.counterfactual[inside] >= np.float32(-0.95)).all()
    assert (found.counterfactual[inside] <= np.float32(0.8)).all()


def test_a_feature_that_means_nothing_stays_bit_identical_under_proximal_solvers(case):
    result = explained(case)
    same = result.counterfactual[:, IDLE_FEATURE] == mlp().x[:, IDLE_FEATURE]
    if solver(case.solver).proximal:
        assert same.all()
        assert (result.l0 < result.original.shape[1]).all()
    elif case.objective in ("E", "F") and case.kind == "kdtree":
        # The control: the report's subgradient variant does drag it along.
        assert not same.all()


def test_a_batch_is_a_loop_over_single_rows(pair):
    singles = [fitted(pair).explain(row[None]) for row in mlp().x]
    assert_joined_same(singles, explained(pair))


def test_the_order_of_rows_changes_nothing(case):
    order = np.array([3, 0, 5, 1, 4, 2])
    assert_same_answers(fitted(case).explain(mlp().x[order]), explained(case)[order])


def test_streaming_gives_the_same_answers_as_explaining(pair):
    x = mlp().x
    parts = list(fitted(pair).stream([x[:5], x[5:5], x[5:]]))
    assert [len(part) for part in parts] == [5, 0, 1]
    assert_joined_same(parts, explained(pair))


def test_history_is_recorded_until_the_end_and_ends_where_the_answer_was_taken(case):
    result = explained(case)
    assert tuple(result.history) == objective(case.objective).term_names
    # A search of k updates looks at k + 1 points.
    reached = np.arange(21) <= result.steps[:, None]
    for name, values in result.history.items():
        np.testing.assert_array_equal(np.isfinite(values), reached, err_msg=name)
    first = sum(values[:, 0] for name, values in result.history.items() if name in ("l1", "l2"))
    np.testing.assert_array_equal(first, 0.0)


# --- on a covering subset ------------------------------------------------------------------


@pytest.mark.parametrize("layout", [(1, 1), (6, 2)], ids=str)
def test_the_number_of_lanes_idle_lanes_and_groups_change_nothing(chosen, layout):
    engine = EngineOptions(lanes=layout[0], lanes_per_group=layout[1], steps_per_chunk=3)
    assert_same_answers(
        fitted(chosen).with_options(engine=engine).explain(mlp().x), explained(chosen)
    )


def test_two_devices_give_the_answers_of_one(chosen):
    engine = EngineOptions(lanes=4, lanes_per_group=2, devices=tuple(jax.devices()[:2]))
    assert len(jax.devices()) >= 2
    assert_same_answers(
        fitted(chosen).with_options(engine=engine).explain(mlp().x), explained(chosen)
    )


@pytest.mark.usefixtures("without_type_checks")  # numpy arrays stay numpy arrays without jit
def test_compiled_and_uncompiled_code_agree(chosen):
    expected = explained(chosen)
    row = expected.steps.argmin()  # uncompiled steps take half a second each
    with jax.disable_jit():
        actual = fitted(chosen).explain(mlp().x[row : row + 1])
    assert_same_answers(actual, expected[row])


def test_a_sweep_of_everything_traced_compiles_nothing_anew(chosen):
    ready = explainer(chosen, record_history=False).fit(mlp().x_train)
    x = mlp().x
    swept = []

    def run(objective=None, search=None, **call):
        swept.append(ready.with_options(objective=objective, search=search).explain(x, **call))

    with compilations() as compiled:
        run()
        assert compiled
        once = len(compiled)
        _sweep(ready, x, run)
        assert len(compiled) == once
    # And the sweep did reach the search.
    assert len({answers.counterfactual.tobytes() for answers in swept}) > 5


def _sweep(ready, x, run):
    for weight in (0, 1, 0.25, np.float64(0.5), np.float32(2.0), jnp.float32(3.0)):
        names = ("l1_weight", "l2_weight", "reconstruction_weight", "prototype_weight")
        run(replace(ready.objective, **dict.fromkeys(names, weight)))
    for margin in (0, 0.2):
        run(replace(ready.objective, margin=margin))
    for changes in (
        {"prediction_weight": 10},
        {"prediction_weight": 0.5},
        {"max_steps": 5},
        {"max_steps": np.int64(31)},
        {"weight_rounds": 3},
        {"weight_growth": 1.2},
        {"tolerance": 0.1, "patience": 3},
    ):
        run(search=replace(ready.search, **changes))
    run(target=1)
    run(target=np.array([0, 1, 2, 0, 1, 2]))
    run(target=[[0, 1], [1], [2], [0], [1, 2], [2]])
    run(constraints=Constraints(-2, 2))
    run(constraints=Constraints(-np.ones(5), np.full(5, np.inf)))
    run(constraints=Constraints(x - 0.1, x + 0.2))


# --- with the networks that are shipped ------------------------------------------------------


class Placed(NamedTuple):
    """Where the networks run, and how they were traced."""

    num_devices: int
    backend: str = "cpu"
    stock: bool = False


@lru_cache(maxsize=1)
def shipped() -> tuple[Explainer, np.ndarray, np.ndarray]:
    digits = data.load("digits")
    functions = models.pretrained("digits").functions()
    few = search("adam", max_steps=15, prediction_weight=10.0)
    return Explainer(**functions, search=few), digits.x_train[:300], digits.x_test[:12]


def answers_of_the_networks(placed: Placed, monkeypatch) -> Explanations:
    ready, x_train, x = shipped()
    layout = {
        "lanes": 8,
        "lanes_per_group": 4,
        "devices": tuple(jax.devices()[: placed.num_devices]),
    }
    jax.clear_caches()  # of the same networks, traced otherwise
    with monkeypatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: placed.backend)
        if placed.stock:
            patch.setattr(layers, "_choose", lambda cpu, other, *inputs: other(*inputs))
        return replace(ready, engine=EngineOptions(**layout)).fit(x_train).explain(x)


@pytest.fixture(scope="module")
def on_one_cpu() -> Explanations:
    with pytest.MonkeyPatch.context() as monkeypatch:
        return answers_of_the_networks(Placed(1), monkeypatch)


@pytest.mark.parametrize(
    "placed",
    [
        Placed(4),
        # As a program for several kinds of devices, of which this one takes the layers for CPUs.
        Placed(4, backend="gpu"),
        Placed(1, backend="gpu", stock=True),
    ],
    ids=["four CPUs", "four devices of any kind", "an accelerator's layers"],
)
def test_the_shipped_networks_give_the_same_answers_wherever_they_run(
    placed, on_one_cpu, monkeypatch
):
    assert len(set(on_one_cpu.steps.tolist())) > 3
    assert on_one_cpu.found.sum() > 3
    assert_same_answers(answers_of_the_networks(placed, monkeypatch), on_one_cpu)
