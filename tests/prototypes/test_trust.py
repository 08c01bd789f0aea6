"""The trust score, as a result and as a threshold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import KINDS, mlp, search

from jaxcf import Explainer, KDTree, NearestMean, Refinement, Status
from jaxcf.prototypes.trust import Trust, trust_scores


def by_hand(fitted, result) -> np.ndarray:
    """The score of each counterfactual, said with plain loops."""
    encode = fitted.models.encode or (lambda x: x)
    encodings = np.asarray(encode(jnp.asarray(result.counterfactual))).reshape(len(result), -1)
    scores = []
    for row, encoding in enumerate(encodings):
        ends = []
        for label in (result.original_class[row], result.counterfactual_class[row]):
            members = fitted.prototypes.members[label]
            if fitted.models.encode is not None:
                members = members.mean(axis=0, keepdims=True)
            ends.append(np.linalg.norm(members - encoding, axis=1).min())
        scores.append(ends[0] / (ends[1] + 1e-10))
    return np.array(scores)


@pytest.mark.parametrize("kind", KINDS)
def test_the_score_is_what_its_definition_says(kind):
    fitted = mlp().fit(encoder=kind != "kdtree", prototypes=KINDS[kind], trust_threshold=0.0)
    result = fitted.explain(mlp().x)
    np.testing.assert_allclose(result.scores["trust"], by_hand(fitted, result), rtol=2e-3)


@pytest.mark.parametrize("encoder", [True, False])
@pytest.mark.parametrize("stop", ["first_flip", "budget"])
def test_every_counterfactual_exceeds_the_threshold(encoder, stop):
    kind = NearestMean(k=3) if encoder else KDTree()
    options = {"encoder": encoder, "prototypes": kind, "search": search(stop=stop, max_steps=80)}
    plain = mlp().fit(**options, trust_threshold=0.0).explain(mlp().x)
    threshold = float(np.median(plain.scores["trust"][plain.found]))
    strict = mlp().fit(**options, trust_threshold=threshold).explain(mlp().x)
    assert (strict.scores["trust"][strict.found] > threshold).all()
    assert strict.found.any()
    # The search goes on where the first flip isn't trusted.
    if stop == "first_flip":
        unsure = plain.found & (plain.scores["trust"] <= threshold) & strict.found
        assert (strict.steps[unsure] > plain.steps[unsure]).all()


def test_refinement_keeps_to_the_threshold():
    fitted = mlp().fit(
        encoder=False,
        prototypes=KDTree(),
        trust_threshold=1.0,
        refinement=Refinement(line_search=True, sparsify=True),
    )
    result = fitted.explain(mlp().x)
    assert (result.scores["trust"][result.found] > 1.0).all()
    assert not (result.status == Status.NOT_CONFIRMED).any()


def test_classes_without_points_are_not_trusted():
    trust = Trust(jnp.array([[0.0]]), jnp.array([0]), 0.0)
    scores = trust_scores(trust, jnp.array([[1.0], [1.0]]), jnp.array([0, 1]), jnp.array([1, 0]))
    assert scores.tolist() == [0.0, np.inf]


def test_a_negative_threshold_is_refused():
    with pytest.raises(ValueError, match="trust_threshold must be >= 0"):
        mlp().explainer(trust_threshold=-1.0)


@pytest.mark.parametrize("offset", [0.0, 10.0, 2000.0, 1e5])
def test_scores_of_features_far_from_zero_are_exact(offset):
    generator = np.random.default_rng(0)
    # In eighths, which float32 holds at any of these offsets.
    x = (np.round(generator.normal(size=(60, 3)) * 64) / 8 + offset).astype(np.float32)
    weight = np.array([[2.0, -2.0], [1.0, 0.0], [0.0, 1.0]])
    explainer = Explainer(
        lambda rows: jax.nn.softmax((rows - offset) @ weight),
        prototypes=KDTree(),
        trust_threshold=0.0,
    )
    fitted = explainer.fit(x)
    trust, old = fitted.trust, np.zeros(len(x), int)
    assert trust is not None
    first, second = (members.astype(np.float64) for members in fitted.prototypes.members)
    expected = [
        np.linalg.norm(first - row, axis=1).min()
        / (np.linalg.norm(second - row, axis=1).min() + 1e-10)
        for row in x
    ]
    np.testing.assert_allclose(trust_scores(trust, x, old, 1 - old), expected, rtol=1e-4)
