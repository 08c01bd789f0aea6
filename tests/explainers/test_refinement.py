"""Line search and sparsity pass: always an answer, and fewer features changed."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import mlp, search

from jaxcf import Constraints, Explainer, FittedExplainer, KDTree, Refinement, Status


@lru_cache
def staircase() -> FittedExplainer:
    """A model whose decision has no gradient anywhere, as of a decision tree."""

    def predict(x: jax.Array) -> jax.Array:
        above = (jnp.floor(4 * x[:, 0]) + jnp.floor(4 * x[:, 1]) >= 3).astype(jnp.float32)
        return jnp.stack([0.9 - 0.8 * above, 0.1 + 0.8 * above], axis=1)

    return Explainer(
        predict,
        objective="A",
        prototypes=KDTree(),
        search=search(),
        refinement=Refinement(line_search=True, sparsify=True),
        feature_range=(0.0, 1.0),
    ).fit(rows(200))


def rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (n, 4)).astype(np.float32)


def test_a_model_without_gradient_is_explained_for_every_row():
    x = rows(50, seed=1)
    result = staircase().explain(x)
    assert result.found.all()
    assert (result.scores["line_search"] == 1).all()
    assert (result.counterfactual_class != result.original_class).all()
    # Only the first two features matter, so no other change survives the sparsity pass.
    np.testing.assert_array_equal(result.counterfactual[:, 2:], x[:, 2:])


def test_the_line_search_keeps_to_the_rules():
    x = rows(50, seed=2)
    frozen = np.zeros(x.shape, bool)
    frozen[:25, 0] = True
    result = staircase().explain(x, constraints=Constraints(frozen=frozen, step=0.25))
    np.testing.assert_array_equal(result.counterfactual[frozen], x[frozen])
    moved = result.counterfactual != x
    multiples = result.counterfactual[moved] / 0.25
    np.testing.assert_allclose(multiples, np.round(multiples), atol=1e-5)
    assert set(result.status) <= {Status.FOUND, Status.NEVER_MOVED, Status.NOT_FOUND}
    assert result.found[25:].all()


def test_it_finds_the_class_asked_for():
    x = rows(30, seed=3)
    result = staircase().explain(x, target=1)
    assert (result.counterfactual_class[result.found] == 1).all()
    own = result.original_class == 1
    assert (result.status[own] == Status.ALREADY_IN_TARGET).all()
    assert result.found[~own].all()


@lru_cache
def sparse_and_not() -> tuple:
    return tuple(
        mlp()
        .fit(search=search(stop="budget"), refinement=Refinement(sparsify=sparsify))
        .explain(mlp().x)
        for sparsify in (True, False)
    )


def test_the_sparsity_pass_changes_fewer_features_and_keeps_the_decision():
    sparse, full = sparse_and_not()
    np.testing.assert_array_equal(sparse.found, full.found)
    assert (sparse.l0 <= full.l0).all()
    assert sparse.l0.sum() < full.l0.sum()
    np.testing.assert_array_equal(sparse.scores["reset_features"], full.l0 - sparse.l0)
    np.testing.assert_allclose(sparse.scores["reset_l1"], full.l1 - sparse.l1, atol=1e-5)
    decided = mlp().probabilities(sparse.counterfactual).argmax(axis=1)
    assert (decided != sparse.original_class)[sparse.found].all()


def test_what_the_sparsity_pass_leaves_is_the_search_s_own_value():
    sparse, full = sparse_and_not()
    changed = sparse.counterfactual != sparse.original
    np.testing.assert_array_equal(sparse.counterfactual[changed], full.counterfactual[changed])


def test_refinement_gives_single_rows_what_it_gives_the_batch():
    x = rows(6, seed=4)
    together = staircase().explain(x)
    for row in range(len(x)):
        alone = staircase().explain(x[row : row + 1])
        np.testing.assert_allclose(alone.counterfactual[0], together.counterfactual[row], atol=1e-6)


def test_an_encoder_and_a_line_search_are_refused_together():
    with pytest.raises(ValueError, match="line search would begin at training rows"):
        mlp().explainer(refinement=Refinement(line_search=True))


@pytest.mark.parametrize("name", ["neighbours", "bisections"])
def test_refinement_refuses_numbers_below_one(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        Refinement(**{name: 0})  # type: ignore[arg-type]
