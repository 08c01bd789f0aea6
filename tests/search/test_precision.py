"""The search is float32 throughout, also where JAX and the caller's functions are float64."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import KINDS, SOLVERS, mlp, objective, search

from jaxcf import (
    BlackBox,
    Constraints,
    Explainer,
    NearestMean,
    Refinement,
    solvers,
)


@lru_cache
def functions(wide: bool) -> dict[str, Any]:
    """The mlp's, which answer in float64 where `wide`; made once, so that programs are shared."""
    dtype = np.float64 if wide else np.float32

    def own(candidate):
        return jnp.sum(jnp.square(candidate.perturbation)).astype(dtype)

    def logits(x):
        return jnp.log(mlp().predict(x).astype(dtype))

    return {
        "predict": logits,
        "encode": lambda x: mlp().encode(x).astype(dtype),
        "reconstruct": lambda x: mlp().reconstruct(x).astype(dtype),
        "output": "logits",
        "objective": objective("D").with_term("own", own, 0.1),
    }


def explained(wide: bool, options: dict[str, Any], **call: Any):
    """The mlp's rows, by models that answer in float64 where `wide`."""
    usual: dict[str, Any] = {
        "prototypes": NearestMean(k=3),
        "search": search(),
        "feature_range": (-1.0, 1.0),
    }
    with jax.enable_x64(wide):
        explainer = Explainer(**functions(wide) | usual | options)
        return explainer.fit(mlp().x_train).explain(mlp().x, **call)


def assert_answers_agree(options, **call):
    wide, usual = explained(True, options, **call), explained(False, options, **call)
    assert usual.found.any()
    np.testing.assert_array_equal(wide.status, usual.status)
    for name in ("counterfactual", "probabilities", "original_probabilities", "prototype"):
        array = getattr(wide, name)
        assert array.dtype == np.float32
        # Many steps, each rounded otherwise.
        np.testing.assert_allclose(array, getattr(usual, name), rtol=1e-3, atol=2e-4, err_msg=name)
    assert wide.losses.keys() == usual.losses.keys()


@pytest.mark.parametrize("rule", SOLVERS)
def test_every_solver_gives_the_same_answers_in_double_precision(rule):
    assert_answers_agree({"search": search(rule, stop="converged", record_history=True)})


@pytest.mark.parametrize(
    "options",
    [
        {"search": search(stop="budget", weight_growth=1.2, record_path=True)},
        {"search": search(stop="budget", weight_rounds=3)},
        {"trust_threshold": 0.1},
        {
            "encode": None,
            "prototypes": KINDS["kdtree"],
            "refinement": Refinement(line_search=True, sparsify=True),
        },
    ],
    ids=["budget", "rounds", "trust", "refinement"],
)
def test_every_way_to_search_gives_the_same_answers_in_double_precision(options):
    assert_answers_agree(options, constraints=Constraints(-0.95, 0.95))


def test_a_black_box_gives_the_same_answers_in_double_precision():
    def predict(x):
        return np.asarray(mlp().predict(x), np.float64)

    options = {"predict": BlackBox(predict, 3), "output": "probabilities"}
    assert_answers_agree(options | {"search": search(solvers.fista(0.05))})


def test_weights_in_double_precision_are_weights():
    weights = np.array([[3.0, -3.0], [1.0, -1.0]])
    x = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    found = []
    for wide in (True, False):
        with jax.enable_x64(wide):
            result = Explainer(lambda z: z @ weights, output="logits").fit(x).explain(x)
        found.append(result.found.all())
    assert found == [True, True]
