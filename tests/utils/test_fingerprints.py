"""Fingerprints: of the numbers alone, in every process the same."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxcf import models
from jaxcf.models import Judge
from jaxcf.models.networks.judge_networks import StridedClassifier
from jaxcf.utils.fingerprints import fingerprint


def test_weights_are_known_whatever_they_are_called_and_wherever_they_lie():
    weights = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3), "key": jax.random.key(0)}
    known = fingerprint(weights)
    assert known == fingerprint({"network": weights})
    assert known == fingerprint(jax.tree.map(lambda one: one + 0 if one.ndim else one, weights))
    others = (
        weights | {"bias": jnp.zeros(3).at[1].set(1e-7)},
        weights | {"bias": np.zeros(3)},  # of another type
        weights | {"kernel": jnp.ones((3, 2))},
        weights | {"key": jax.random.key(1)},
    )
    assert len({known, *map(fingerprint, others)}) == 5


def test_a_judge_is_found_among_guides_by_its_weights():
    network = StridedClassifier((8, 8, 1), 10, widths=(4,), rngs=nnx.Rngs(0))
    judge = Judge("strided", network, 0.1, {})
    assert judge.fingerprint == fingerprint({"as a guide": nnx.state(network)})
    assert judge.fingerprint != fingerprint(models.pretrained_guide("digits").functions()["params"])
