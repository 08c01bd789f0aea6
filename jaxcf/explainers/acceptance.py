"""Whether points are counterfactuals, by the rule of the search, and how much they lack."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.decisions import Outputs, decision_margin, with_log_odds
from jaxcf.explainers.final_form import FinalForm
from jaxcf.objective import Objective
from jaxcf.predictors.blackbox import Failures
from jaxcf.predictors.functions import ModelFunctions
from jaxcf.predictors.guides import Guides, ask_guides
from jaxcf.predictors.inference import encode_all, predict, predict_and_encode
from jaxcf.predictors.trees import Thresholds
from jaxcf.prototypes.trust import Trust, scores_of
from jaxcf.utils.batching import LARGEST, batch_size, map_batches

_MANY = 4096


class Verdicts(NamedTuple):
    """What all models together say of some points.

    Attributes:
        accepted: `[m]`, which are counterfactuals.
        lacking: `[m]`, by how much log-odds they are no counterfactuals; infinite where a model has
            no answer.
    """

    accepted: Bool[np.ndarray, " m"]
    lacking: Float[np.ndarray, " m"]


@dataclass(frozen=True, eq=False)
class AcceptanceTest:
    """Whether points are counterfactuals, by the rule of the search.

    Args:
        models: the functions.
        params: what they take first, if they do.
        guides: other models that have to agree, if there are any.
        objective: for its margin and confidence.
        failures: told of what goes wrong when a black box is asked.
        shape: of one row.
        predictions: `[n]`, counts what each row of the batch has been asked for.
        original_class: `[n]`, of each row of the batch.
        trust: what trust scores are measured against, if they count.
        final_form: what points stand for, if that is more than the points; then it is asked about.
        source_row: `[n]`, the caller's row that each row of the batch belongs to.
        thresholds: of the model's trees, of each feature as it goes out; None of others.
        least: rows asked at once at least, where rows are small.
    """

    models: ModelFunctions
    params: Any
    guides: Guides | None
    objective: Objective
    failures: Failures
    shape: tuple[int, ...]
    predictions: Int[np.ndarray, " n"]
    original_class: Int[np.ndarray, " n"]
    trust: Trust | None
    final_form: FinalForm | None
    source_row: Int[np.ndarray, " n"]
    thresholds: Thresholds | None = None
    least: int = 1

    @property
    def size(self) -> int:
        """Rows asked at once: the batch's own, so that few of its rows compile nothing anew."""
        own = batch_size(len(self.predictions), self.shape)
        return max(own, self.least) if self._rows_are_small else own

    @property
    def _rows_are_small(self) -> bool:
        """Whether any number may be asked at once; large rows mayn't for good reason."""
        return batch_size(LARGEST, self.shape) == LARGEST

    @property
    def together(self) -> int | None:
        """Rows to ask about at once where there are many: what fits into a core's caches.

        None for a model outside JAX, which is asked as seldom as can be.
        """
        return None if self.models.black_box is not None else self._size_for(_MANY)

    def _size_for(self, count: int) -> int:
        """The same, but for questions of thousands of rows: calls of small batches add up."""
        return _MANY if count >= _MANY and self.size == LARGEST else self.size

    def __call__(
        self,
        x: Float[np.ndarray, "m *shape"],
        targets: Bool[np.ndarray, "m classes"],
        rows: Int[np.ndarray, " m"],
    ) -> Bool[np.ndarray, " m"]:
        """Which of the points all models decide a target class for, as surely as asked for.

        Args:
            x: `[m, *shape]`.
            targets: `[m, classes]`.
            rows: `[m]`, which rows of the batch the points belong to.
        """
        return self.judge(self.exact(x, rows), x, targets, rows).accepted

    def exact(
        self, x: Float[np.ndarray, "m *shape"], rows: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m *shape"]:
        """What points stand for: themselves, or the rows that go out."""
        if self.final_form is None:
            return x
        return self.final_form.exact(x, self.source_row[rows])

    @property
    def has_relations(self) -> bool:
        """Whether features must be something to each other."""
        return self.final_form is not None and self.final_form.has_relations

    def by_feature(
        self, x: Float[np.ndarray, "m *shape"], rows: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m *shape"]:
        """The same before features mind each other."""
        if self.final_form is None:
            return x
        return self.final_form.by_feature(x, self.source_row[rows])

    def of_feature(
        self,
        x: Float[np.ndarray, " m"],
        rows: Int[np.ndarray, " m"],
        feature: Int[np.ndarray, " m"],
    ) -> Float[np.ndarray, " m"]:
        """The same of one feature of each point."""
        if self.final_form is None:
            return x
        return self.final_form.of_feature(x, self.source_row[rows], feature)

    def mended(
        self,
        exact: Float[np.ndarray, "m *shape"],
        rows: Int[np.ndarray, " m"],
        held: Bool[np.ndarray, "m *shape"],
    ) -> Float[np.ndarray, "m *shape"]:
        """Other features moved until features are to each other what they must be."""
        if self.final_form is None:
            return exact
        return self.final_form.mended(exact, self.source_row[rows], held)

    def points(
        self, exact: Float[np.ndarray, "m *shape"], rows: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m *shape"]:
        """Where what points stand for lies."""
        if self.final_form is None:
            return exact
        return self.final_form.points(exact, self.source_row[rows])

    def point_of_feature(
        self,
        exact: Float[np.ndarray, " m"],
        rows: Int[np.ndarray, " m"],
        feature: Int[np.ndarray, " m"],
    ) -> Float[np.ndarray, " m"]:
        """The same of one feature of each."""
        if self.final_form is None:
            return exact
        return self.final_form.point_of_feature(exact, self.source_row[rows], feature)

    def probabilities(
        self,
        exact: Float[np.ndarray, "m *shape"],
        x: Float[np.ndarray, "m *shape"],
        rows: Int[np.ndarray, " m"],
    ) -> Float[np.ndarray, "m classes"]:
        """What the explained model says of the points.

        Args:
            exact: `[m, *shape]`, what the points stand for.
            x: `[m, *shape]`, the points.
            rows: `[m]`, which rows of the batch the points belong to.
        """
        return self._ask(exact, x, rows)[0]

    def _ask(
        self, exact: np.ndarray, x: np.ndarray, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Probabilities, and encodings where trust scores need them and they come with it."""
        encodings, size = None, self._size_for(len(x))
        if self.final_form is not None:
            probabilities = self.final_form.predict(
                exact, self.source_row[rows], self.failures, size
            )
        elif self.trust is None:
            probabilities = predict(self.models, self.params, x, self.failures, size)
        else:
            probabilities, encodings = predict_and_encode(
                self.models, self.params, x, self.failures, size
            )
        if self.models.black_box is not None:
            np.add.at(self.predictions, rows, self.failures.asked)
        return probabilities, encodings

    def judge(
        self,
        exact: Float[np.ndarray, "m *shape"],
        x: Float[np.ndarray, "m *shape"],
        targets: Bool[np.ndarray, "m classes"],
        rows: Int[np.ndarray, " m"],
    ) -> Verdicts:
        """What all models say of the points, and how far they are from deciding.

        Args:
            exact: `[m, *shape]`, what the points stand for.
            x: `[m, *shape]`, the points.
            targets: `[m, classes]`.
            rows: `[m]`, which rows of the batch the points belong to.
        """
        probabilities, encodings = self._ask(exact, x, rows)
        size = self._size_for(len(x))
        guides, guided = self.guides, []
        if guides is not None:
            said, counts = ask_guides(guides, x, self.failures, size)
            np.add.at(self.predictions, rows, counts)
            guided.append(said)
        confidence = np.float32(self.objective.confidence)

        def measure(probabilities: Any, targets: Any, *guided: Any) -> Any:
            guidance = None if guides is None else guides.guidance(*guided)
            outputs = Outputs(probabilities, guides=guidance)
            return _margins(self.objective.by_log_odds, confidence, outputs, targets)

        margin, lacking = map_batches(measure, probabilities, targets, *guided, size=size)
        # Log-odds ask a little more, so that no answer hangs on the company it was asked in.
        decided = np.asarray((margin < -np.float32(self.objective.margin)) & (lacking < 0))
        if self.final_form is not None and self.final_form.has_relations:
            decided &= self.final_form.holds(exact, self.source_row[rows])
        lacking = np.where(np.isnan(lacking), np.inf, lacking)
        if self.trust is None:
            return Verdicts(decided, lacking)
        if encodings is None:
            encodings = encode_all(self.models, self.params, x, size)
        new_class = probabilities.argmax(axis=1)
        scores = scores_of(self.trust, encodings, self.original_class[rows], new_class, size)
        return Verdicts(decided & (scores > np.float32(self.trust.threshold)), lacking)


@partial(jax.jit, static_argnums=0)
def _margins(by_log_odds: bool, confidence: Any, outputs: Outputs, targets: Any) -> Any:
    """How far models are from deciding, as the search measures it, and in log-odds."""
    margin_of = jax.vmap(partial(decision_margin, confidence=confidence))
    in_log_odds = margin_of(with_log_odds(outputs), targets)
    return in_log_odds if by_log_odds else margin_of(outputs, targets), in_log_odds
