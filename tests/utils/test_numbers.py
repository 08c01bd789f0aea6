"""Numbers as options: what passes, and what is said of the rest."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcf import (
    BlackBox,
    CentralDifferences,
    EngineOptions,
    KDTree,
    KMeans,
    NearestMean,
    Objective,
    RandomDirections,
    Refinement,
    SearchOptions,
    solvers,
)
from jaxcf.utils.numbers import check_number, check_whole

WHOLE: list[tuple[Any, str]] = [
    (SearchOptions, "max_steps"),
    (SearchOptions, "weight_rounds"),
    (SearchOptions, "patience"),
    (EngineOptions, "lanes"),
    (EngineOptions, "lanes_per_group"),
    (EngineOptions, "steps_per_chunk"),
    (NearestMean, "k"),
    (KDTree, "k"),
    (KDTree, "leaf_size"),
    (KMeans, "k"),
    (KMeans, "seed"),
    (Refinement, "neighbours"),
    (Refinement, "bisections"),
    (CentralDifferences, "every"),
    (RandomDirections, "count"),
    (RandomDirections, "seed"),
    (partial(BlackBox, np.sin), "num_classes"),
    (partial(BlackBox, np.sin, 2), "max_rows_per_call"),
]
WHOLE_NAMES = [f"{getattr(make, '__name__', 'BlackBox')}.{name}" for make, name in WHOLE]


@pytest.mark.parametrize(("make", "name"), WHOLE, ids=WHOLE_NAMES)
@pytest.mark.parametrize("value", [1.5, 2.0, True, np.True_, "3", np.ones(2)], ids=repr)
@pytest.mark.usefixtures("without_type_checks")
def test_what_is_no_whole_number_is_named(make, name, value):
    with pytest.raises(TypeError, match=f"{name} must be a whole number, got .*; pass an int"):
        make(**{name: value})


@pytest.mark.parametrize(("make", "name"), WHOLE, ids=WHOLE_NAMES)
def test_what_is_too_small_is_named(make, name):
    with pytest.raises(ValueError, match=f"{name} must be at least [012], got -1"):
        make(**{name: -1})


WEIGHTS = ("l1_weight", "l2_weight", "reconstruction_weight", "prototype_weight")
NUMBERS: list[tuple[Any, str, float]] = [
    *((Objective, name, 1) for name in WEIGHTS),
    (Objective, "margin", 0.5),
    (Objective, "confidence", 0.5),
    (SearchOptions, "prediction_weight", 1),
    (SearchOptions, "tolerance", 1),
    (SearchOptions, "weight_growth", 1),
    (solvers.Fista, "learning_rate", 1),
    (solvers.adam, "learning_rate", 0.5),
    (solvers.adam, "momentum", 0.5),
    (solvers.normalized, "momentum", 0.5),
    (solvers.gradient_descent, "momentum", 0.5),
]
NUMBER_NAMES = [f"{make.__name__}.{name}" for make, name, _ in NUMBERS]


@pytest.mark.parametrize(("make", "name", "good"), NUMBERS, ids=NUMBER_NAMES)
@pytest.mark.parametrize("value", ["0.8", True, None, 1j], ids=repr)
@pytest.mark.usefixtures("without_type_checks")
def test_what_is_no_number_is_named(make, name, good, value):
    make(**{name: good})
    with pytest.raises(TypeError, match=rf"{name} must be a number .*, got .*{value}"):
        make(**{name: value})


@pytest.mark.parametrize(("make", "name", "good"), NUMBERS, ids=NUMBER_NAMES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, np.float32(-0.5)], ids=repr)
@pytest.mark.usefixtures("without_type_checks")
def test_what_is_out_of_range_is_named(make, name, good, value):
    make(**{name: np.float32(good)})
    with pytest.raises(ValueError, match=rf"{name} must be .*, got {value}"):
        make(**{name: value})


def test_a_confidence_in_per_cent_is_told_apart():
    for value in (75, 1, jnp.float32(1.0)):
        with pytest.raises(ValueError, match=r"confidence must be >= 0 and < 1, .* 75 % is 0\.75"):
            Objective(confidence=value)


def test_own_terms_may_have_any_finite_weight():
    def term(candidate):
        return candidate.point.sum()

    assert Objective().with_term("mine", term, -2.0).extra_weights == (-2.0,)
    with pytest.raises(ValueError, match="the weight of the term 'mine' must be finite, got nan"):
        Objective().with_term("mine", term, float("nan"))


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2), jnp.int32(2)], ids=repr)
def test_whole_numbers_pass(value):
    check_whole("count", value)


@pytest.mark.parametrize(
    "value", [0, 0.5, np.float64(0.5), np.int8(0), jnp.float32(0.5), np.array(0.5)], ids=repr
)
def test_numbers_in_range_pass(value):
    check_number("share", value, least=0, below=1)


def test_objectives_hold_whatever_jax_puts_into_them():
    objective = Objective.named("D", l1_weight=0.5).with_term("own", lambda c: c.point.sum(), 0.1)

    def total(objective):
        return sum(jax.tree.leaves(objective)) ** 2

    # Traced, differentiated (to what may be negative), mapped, and as other trees.
    made = jax.jit(lambda weight: Objective(l1_weight=weight, margin=weight))(jnp.float32(-3))
    assert float(made.l1_weight) == -3
    gradient = jax.grad(lambda objective: -total(objective))(objective)
    assert float(gradient.margin) < 0
    weights = jnp.arange(3.0)
    mapped = jax.vmap(lambda weight: Objective(prototype_weight=weight).prototype_weight)(weights)
    assert np.asarray(mapped).tolist() == [0, 1, 2]
    many = jax.tree.map(lambda leaf: jnp.full(4, leaf), objective)
    assert np.shape(jax.vmap(total)(many)) == (4,)
    assert jax.tree.map(lambda leaf: "x", objective).l1_weight == "x"
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(many)]
    assert paths == [
        ".margin",
        ".confidence",
        *(f".{name}" for name in WEIGHTS),
        ".extra_weights[0]",
    ]
