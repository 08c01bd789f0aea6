"""No answer is no class, and bytes are numbers: in every metric that asks or measures."""

import numpy as np
import pytest

from jaxcf import metrics

ROWS = np.zeros((2, 8, 8, 1), np.float32)
FIRST, SECOND = np.array([0, 0]), np.array([1, 1])


def nobody_knows(x):
    return np.full((len(x), 3), np.nan)


def test_who_says_nan_decides_for_no_class():
    assert not metrics.validity(nobody_knows, ROWS, np.ones((2, 3), bool)).any()
    said = metrics.verdicts({"judge": nobody_knows}, ROWS, FIRST, SECOND)
    assert not said.oracle_score.any()
    assert not said.stays_original.any()
    for survived in metrics.survival(nobody_knows, ROWS, FIRST).values():
        assert not survived.any()


def test_a_row_without_a_class_agrees_with_nobody():
    nobody = np.array([-1, -1])
    said = metrics.verdicts({"judge": nobody_knows}, ROWS, nobody, nobody)
    assert not said.new.any()


@pytest.mark.parametrize(
    "answer", [lambda x: x.reshape(len(x), -1)[:, :1], lambda x: x.reshape(len(x), -1)[:, 0]]
)
def test_an_answer_of_one_class_is_refused(answer):
    with pytest.raises(ValueError, match="two classes at least"):
        metrics.validity(answer, ROWS, np.ones((2, 2), bool))
    with pytest.raises(ValueError, match="two classes at least"):
        metrics.verdicts({"judge": answer}, ROWS, FIRST, SECOND)
    with pytest.raises(ValueError, match="two classes at least"):
        metrics.survival(answer, ROWS, FIRST)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float16, np.float64])
def test_images_of_any_type_are_measured_alike(kind):
    x = np.random.default_rng(0).integers(0, 250, (3, 4, 4)).astype(kind)
    plain = x.astype(np.float32)

    def scores(images):
        return metrics.interpretability(
            images,
            np.array([0, 0, 1]),
            np.array([1, 1, 0]),
            reconstruct=lambda z: np.asarray(z, np.float32) * 0.9,
            class_reconstruct=[lambda z, k=k: np.asarray(z, np.float32) * k for k in (0.5, 0.8)],
        )

    for one, other in zip(scores(x), scores(plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    for measure in (metrics.l0, metrics.l1, metrics.l2, metrics.elastic_net, metrics.diversity):
        np.testing.assert_allclose(measure(x), measure(plain), rtol=1e-5)
