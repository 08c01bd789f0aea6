"""Black boxes for the tests: a model that counts what it is asked for, and a problem with it."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxcf import BlackBox, CentralDifferences


class Counting:
    """A model that counts what it is asked for, and fails where it is told to."""

    def __init__(self, predict: Any, fault: Any = None) -> None:
        self._predict = jax.jit(predict)
        self._fault = fault
        self.calls: list[int] = []

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Probabilities, or what the fault makes of them."""
        assert isinstance(x, np.ndarray)
        assert x.dtype == np.float32
        self.calls.append(len(x))
        # Padded, so that rows don't depend on the size of their batch and few sizes are compiled.
        padded = np.zeros((1 << (len(x) - 1).bit_length(), *x.shape[1:]), np.float32)
        padded[: len(x)] = x
        probabilities = np.array(self._predict(padded))[: len(x)]
        return probabilities if self._fault is None else self._fault(x, probabilities)

    @property
    def rows(self) -> int:
        """Rows asked for so far."""
        return sum(self.calls)


def boxed(problem, gradient=None, *, max_rows_per_call=None, **options):
    """The problem with its model as a black box, fitted; and the model, its count at 0."""
    model = Counting(problem.predict)
    gradient = gradient or CentralDifferences()
    box = BlackBox(model, problem.num_classes, gradient, max_rows_per_call)
    fitted = replace(problem.explainer(**options), predict=box).fit(problem.x_train)
    model.calls.clear()
    return fitted, model


def plain(explanations):
    """Without the count, which models in JAX don't have."""
    assert list(explanations.scores) == ["predictions"]
    return replace(explanations, scores={})
