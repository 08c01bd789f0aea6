"""What guides say of a batch's rows, filled as its rows are prepared and end."""

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.predictors.blackbox import Failures
from jaxcf.predictors.guides import Guides, ask_guides
from jaxcf.results.convinced import how_convinced


class GuideAnswers:
    """The guides' probabilities for originals and counterfactuals, and whom they convince.

    Args:
        guides: at least one.
        num_rows: of the batch.
        num_classes: of the models.

    Attributes:
        guides: as given.
        original: `[n, guides, classes]`, NaN where nobody was asked.
        counterfactual: likewise.
        predictions: `[n]`, how often black boxes among them were asked about each row.
    """

    def __init__(self, guides: Guides, num_rows: int, num_classes: int) -> None:
        self.guides = guides
        self.original = np.full((num_rows, len(guides.names), num_classes), np.nan, np.float32)
        self.counterfactual = self.original.copy()
        self.predictions = np.zeros(num_rows, np.int64)

    def ask(
        self,
        answers: Float[np.ndarray, "n guides classes"],
        rows: Int[np.ndarray, " m"],
        x: Float[np.ndarray, "m *shape"],
        failures: Failures,
        size: int | None = None,
    ) -> Float[np.ndarray, "m guides classes"]:
        """Ask about some points of these rows, and keep what is said.

        Args:
            answers: `original` or `counterfactual`.
            rows: `[m]`.
            x: `[m, *shape]`, at least one.
            failures: told of what goes wrong.
            size: of the batches.
        """
        said, counts = ask_guides(self.guides, x, failures, size)
        answers[rows] = said
        self.predictions[rows] += counts
        return said

    def agree(self, decided: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """On which counterfactuals enough of them decide for that class, and are as sure."""
        return self._convinced(decided)[1].sum(axis=1) >= int(self.guides.needed)

    def scores(self, decided: Int[np.ndarray, " n"]) -> dict[str, Float[np.ndarray, " n"]]:
        """What the least convinced gives that class, and the share of those who decide for it."""
        given, convinced = self._convinced(decided)
        known = np.isfinite(self.counterfactual).all(axis=(1, 2))
        scores = {
            "guide_probability": given.min(axis=1),
            "guides_convinced": convinced.mean(axis=1),
        }
        return {
            name: np.where(known, one, np.nan).astype(np.float32) for name, one in scores.items()
        }

    def _convinced(
        self, decided: np.ndarray
    ) -> tuple[Float[np.ndarray, "n guides"], Bool[np.ndarray, "n guides"]]:
        asked = np.asarray(self.guides.confidence).tolist()
        each = [
            how_convinced(self.counterfactual[:, number], decided, confidence)
            for number, confidence in enumerate(asked)
        ]
        given, convinced = zip(*each, strict=True)
        return np.stack(given, axis=1), np.stack(convinced, axis=1)
