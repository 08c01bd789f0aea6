"""What features must be to each other, as the search is brought near it."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxcf.constraints import Grid, snap
from jaxcf.relations import Relations, project

NOTHING = np.zeros(0, np.float32)


def linear(weights: Any, limit: Any, equal: Any = False) -> Relations:
    """One sum over all features."""
    weights = np.array([weights], np.float32)
    one: Any = (np.arange(weights.size)[None], weights, np.array([limit], np.float32))
    places: Any = NOTHING.astype(np.int32)
    implication: Any = (places, NOTHING, NOTHING, places, NOTHING, NOTHING, NOTHING[:, None])
    return Relations(*one, np.array([equal]), *implication)  # type: ignore


@given(st.integers(0, 10_000), st.booleans())
def test_a_sum_comes_out_within_the_bounds(seed, equal):
    rng = np.random.default_rng(seed)
    weights = rng.choice([-2, -1, 1, 2], 4)
    inside = rng.random(4)  # some point keeps to it
    point = rng.random(4).astype(np.float32)
    found = np.asarray(
        project(
            jnp.asarray(point), jnp.zeros(4), jnp.ones(4), linear(weights, weights @ inside, equal)
        )
    )
    beyond, before = (weights @ one - weights @ inside for one in (found, point))
    if not equal:
        beyond, before = max(beyond, 0), max(before, 0)
    assert ((found >= 0) & (found <= 1)).all()
    assert abs(beyond) <= 1e-5
    assert before > 0 or (equal and before != 0) or (found == point).all()


def test_what_may_not_move_is_left_where_it_is():
    point, ends = jnp.array([0.8, 0.2]), (jnp.array([0.8, 0.0]), jnp.array([0.8, 1.0]))
    assert np.allclose(project(point, *ends, linear([1, -1], 0)), [0.8, 0.8])


def test_what_follows_narrows_the_grid():
    place = np.zeros(1, np.int32)
    empty: Any = np.zeros((0, 1))
    ends = np.array([0.5], np.float32), np.array([1.0], np.float32)
    implication: Any = (place, *ends, place + 1, *ends, np.full((1, 1), np.inf, np.float32))
    relations = Relations(empty.astype(int), empty, NOTHING, NOTHING.astype(bool), *implication)  # type: ignore
    grid = Grid(jnp.zeros(2), jnp.zeros(2), jnp.full((2, 1), jnp.inf), relations)
    for given_point, expected in (([0.6, 0.2], [0.6, 0.5]), ([0.4, 0.2], [0.4, 0.2])):
        found = snap(jnp.array(given_point), jnp.zeros(2), jnp.zeros(2), jnp.ones(2), grid)
        assert np.allclose(found, expected)
