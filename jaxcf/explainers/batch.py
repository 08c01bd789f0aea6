"""One batch of rows on its way: prepared for the search, filled as rows end, described at last.

Rows that can't be searched never reach the engine: they get a status and keep their place.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxcf import metrics
from jaxcf.constraints import FeasibleSets
from jaxcf.explainers.acceptance import AcceptanceTest
from jaxcf.explainers.appraisal import Appraisal
from jaxcf.explainers.candidates import Pool
from jaxcf.explainers.final_form import FinalForm
from jaxcf.explainers.guide_answers import GuideAnswers
from jaxcf.explainers.refinement import Refinement, line_search, tighten
from jaxcf.explainers.snapping import Snapping, snap_rows
from jaxcf.explainers.state import FittedState
from jaxcf.explainers.targets import Target, Targets, read_targets
from jaxcf.explainers.tightening import nearest_answers
from jaxcf.metrics import distances
from jaxcf.objective import PROTOTYPE, Instance, Objective, in_float32
from jaxcf.predictors.blackbox import Failures
from jaxcf.predictors.guides import black_boxes
from jaxcf.predictors.inference import (
    ask_anew,
    encode_all,
    predict_and_encode,
    predict_and_measure,
)
from jaxcf.prototypes.alternatives import Candidates, candidates_of, with_alternatives
from jaxcf.prototypes.trust import scores_of
from jaxcf.results.explanations import Explanations
from jaxcf.search.engine import Finished, Pending
from jaxcf.search.status import GIVEN_BACK, Status
from jaxcf.utils.batching import batch_size
from jaxcf.utils.threads import Workers, cores

# Rows that are predicted, encoded and given prototypes together, ahead of their search.
_PREPARED_TOGETHER = 4096

# What rounding has taken back is moved on so far, times its change.
_FARTHER = (1.01, 1.02, 1.05)

# Rows whose features are looked at together, and how many numbers they have at most. A third of
# the time of 1,024 doesn't go by their number; of 2,048 a job of many rows takes 0.1 GB more.
_REFINED_TOGETHER = 1536
_NUMBERS_REFINED_TOGETHER = 2**17

# Looked at feature by feature a row asks hundreds of questions: in batches as small as its own a
# single row of Adult took 88 ms instead of 24.
_LEAST_ASKED_TOGETHER = 256

# Copies begin at so many training rows for a row that nothing else has found, and at so many at
# once. Of 38 rows under random rules 16 find 5, and 64 find 6.
_COPIES_FOR_MISSED = 64
_COPIES_TOGETHER = 4096

# Fewer aren't shared out among cores.
_LEAST_REFINED_TOGETHER = 512


class Batch(NamedTuple):
    """Searches to be made, with what is asked of each.

    Attributes:
        x: `[n, *shape]`.
        targets: the classes asked for.
        any_other: whether that was any class but the original.
        feasible: the rules of each.
        source_row: `[n]`, the row of the caller's that each belongs to.
        alternative: `[n]`, 0 for a row's first search; others are led to other prototypes.
        final_form: in which rows come in and go out, and the model is asked about both.
    """

    x: np.ndarray
    targets: Targets
    any_other: bool
    feasible: FeasibleSets
    source_row: np.ndarray
    alternative: np.ndarray
    final_form: FinalForm | None = None


def make_batch(
    x: np.ndarray,
    target: Target | Literal["each"],
    feasible: FeasibleSets,
    num_classes: int,
    num_alternatives: int = 1,
    final_form: FinalForm | None = None,
) -> Batch:
    """The searches that rows ask for: one each, or one per class, or several alternatives.

    Args:
        x: `[n, *shape]`.
        target: what `read_targets` takes, or "each": every class, in a search of its own.
        feasible: the rules of the rows.
        num_classes: of the model.
        num_alternatives: searches per row and target, led by different prototypes, >= 1.
        final_form: in which rows come in and go out; None for the points themselves.

    Returns:
        The searches, those of one row next to each other.
    """
    n = len(x)
    each = isinstance(target, str) and target == "each"
    per_row = (num_classes if each else 1) * num_alternatives
    source_row = np.repeat(np.arange(n), per_row)
    alternative = np.arange(len(source_row)) % num_alternatives
    if each:
        target = np.arange(len(source_row)) // num_alternatives % num_classes
        targets = read_targets(target, len(source_row), num_classes)
    else:
        targets = Targets(*(a[source_row] for a in read_targets(target, n, num_classes)))
    if per_row > 1:
        x, feasible = x[source_row], feasible.repeat(source_row)
    return Batch(x, targets, target is None, feasible, source_row, alternative, final_form)


class BatchSearch:
    """A batch whose rows are being searched: its arrays, filled row by row."""

    def __init__(
        self,
        state: FittedState,
        batch: Batch,
        first_row: int,
        failures: Failures,
        workers: Workers,
    ) -> None:
        self.first_row = first_row
        self._state = state
        self._failures = failures
        self._workers = workers
        self._confidence = float(state.objective.confidence)
        self._x = batch.x
        self._feasible = batch.feasible
        self._batch = batch
        n = len(batch.x)
        self.counterfactual = batch.x.copy()
        self.status = np.full(n, Status.IDLE, np.int8)
        self.steps = np.zeros(n, np.int32)
        self.predictions = np.zeros(n, np.int64)
        self.prediction_weight = np.full(n, np.nan, np.float32)
        self.original_class = np.full(n, -1, np.int32)
        self.original_probabilities = np.full((n, state.num_classes), np.nan, np.float32)
        self.target_class = np.full(n, -1, np.int32)
        self.targets = batch.targets.allowed.copy()
        self.prototype = np.zeros((n, *state.latent_shape), np.float32)
        self.history: np.ndarray | None = None
        self.path: np.ndarray | None = None
        self.probabilities = np.full_like(self.original_probabilities, np.nan)
        self._guides: GuideAnswers | None = None
        if state.guides is not None:
            self._guides = GuideAnswers(state.guides, n, state.num_classes)
        self.losses = {name: np.full(n, np.nan, np.float32) for name in state.objective.term_names}
        self.trust_scores = np.full(n, np.nan, np.float32)
        self.scores: dict[str, np.ndarray] = {}
        self.refused = 0
        self.already_in_target = 0
        self._refined = False
        self._cut_short = np.zeros(n, bool)
        self._in_final_form = batch.final_form is None
        self._looked_at = np.zeros(n, bool)
        self._keeps_to = np.ones(n, bool)
        self._prepared = False
        self._searched = 0
        self._mark_invalid_rows()

    def _mark_invalid_rows(self) -> None:
        flat_axes = tuple(range(1, self._x.ndim))
        finite = np.isfinite(self._x).all(axis=flat_axes)
        for start in range(0, len(self._x), _PREPARED_TOGETHER):
            piece = slice(start, start + _PREPARED_TOGETHER)
            feasible = self._feasible.of(piece)
            self.status[piece][feasible.fixed] = Status.NOTHING_MAY_CHANGE
            self.status[piece][feasible.outside] = Status.OUT_OF_RANGE
        self.status[self._batch.targets.unknown] = Status.UNKNOWN_TARGET
        self.status[~finite] = Status.INVALID_INPUT

    def prepare(self) -> Iterator[Pending]:
        """Predict, encode and choose prototypes, a piece at a time; yield what can be searched."""
        for start in range(0, len(self._x), _PREPARED_TOGETHER):
            piece = np.arange(start, min(start + _PREPARED_TOGETHER, len(self._x)))
            rows = piece[self.status[piece] != Status.INVALID_INPUT]
            rows = self._prepare_rows(rows) if len(rows) else rows
            self.refused += len(piece) - len(rows)
            if len(rows):
                yield self._pending(rows)
        self._prepared = True

    def prepare_again(self) -> Iterator[Pending]:
        """The same for rows that the model had no answer for, as if it had never been asked."""
        lost = np.flatnonzero(self.status == Status.MODEL_NOT_FINITE)
        self.status[lost] = Status.IDLE
        self.counterfactual[lost] = self._x[lost]
        self.targets[lost] = self._batch.targets.allowed[lost]
        self.steps[lost], self.prediction_weight[lost] = 0, np.nan
        for start in range(0, len(lost), _PREPARED_TOGETHER):
            rows = self._prepare_rows(lost[start : start + _PREPARED_TOGETHER])
            if len(rows):
                yield self._pending(rows)

    def _pending(self, rows: np.ndarray) -> Pending:
        self._searched += len(rows)
        return Pending(rows + self.first_row, self._instances(rows))

    @property
    def complete(self) -> bool:
        """Whether every row that can be searched has been."""
        return self._prepared and not self._searched

    @cached_property
    def _candidates(self) -> Candidates:
        # once for all pieces of the batch: k-means over a large table takes seconds
        num_alternatives = int(self._batch.alternative.max()) + 1
        return candidates_of(self._state.prototypes, num_alternatives)

    def _prepare_rows(self, rows: np.ndarray) -> np.ndarray:
        """Predict, encode and choose prototypes for rows; return those that can be searched."""
        state = self._state
        final_form = self._batch.final_form
        if final_form is None:
            probabilities, encodings = predict_and_encode(
                state.models, state.params, self._x[rows], self._failures
            )
        else:
            sources = self._batch.source_row[rows]
            originals = final_form.originals(sources)
            probabilities = final_form.predict(originals, sources, self._failures)
            encodings = encode_all(state.models, state.params, self._x[rows])
        self.predictions[rows] += self._asked
        if self._guides is not None:
            self._guides.ask(self._guides.original, rows, self._x[rows], self._failures)
        finite = np.isfinite(probabilities).all(axis=1)
        finite &= np.isfinite(encodings.reshape(len(rows), -1)).all(axis=1)
        encodings = np.where(finite.reshape(-1, *[1] * (encodings.ndim - 1)), encodings, 0)
        original_class = _argmax(probabilities)
        if self._batch.any_other:
            self.targets[rows, original_class] = False
        allowed, alternative = self.targets[rows], self._batch.alternative[rows]
        selection = state.prototypes.select(encodings, allowed)
        if alternative.any():
            selection = with_alternatives(
                selection, self._candidates, encodings, allowed, alternative
            )

        status = np.full(len(rows), Status.RUNNING, np.int8)
        target_class, unled = selection.target_class, selection.target_class < 0
        if PROTOTYPE in state.objective.terms:
            status[unled] = Status.NO_PROTOTYPE
        else:  # no term is led by one; a caller's own that looks at it must notice
            selection.prototype[unled] = np.nan
            one_class = unled & (allowed.sum(axis=1) == 1)
            target_class = np.where(one_class, allowed.argmax(axis=1), target_class)
        sure = probabilities[np.arange(len(rows)), original_class] > self._confidence
        status[self.targets[rows, original_class] & sure] = Status.ALREADY_IN_TARGET
        status[~finite] = Status.MODEL_NOT_FINITE
        self.status[rows] = np.where(self.status[rows] == Status.IDLE, status, self.status[rows])
        self.original_probabilities[rows] = probabilities
        self.original_class[rows] = np.where(finite, original_class, -1)
        self.prototype[rows] = selection.prototype
        self.target_class[rows] = target_class
        self.already_in_target += int((self.status[rows] == Status.ALREADY_IN_TARGET).sum())
        return rows[self.status[rows] == Status.RUNNING]

    @property
    def _asked(self) -> Any:
        """How often the rows last asked about were asked of a model outside JAX."""
        return self._failures.asked if self._state.models.black_box is not None else 0

    def _instances(self, rows: np.ndarray) -> Instance:
        return Instance.of_rows(
            self._x[rows],
            self.original_class[rows],
            self.targets[rows],
            self.prototype[rows],
            self._feasible.of(rows)[:3],
        )

    def accept(self, finished: Finished) -> None:
        """Take over rows that have ended, or were stopped once they had found something."""
        rows = finished.rows - self.first_row
        self.counterfactual[rows] = finished.counterfactual
        self._cut_short[rows] = finished.status == Status.RUNNING
        self.status[rows] = np.where(self._cut_short[rows], Status.FOUND, finished.status)
        self.steps[rows] = finished.steps
        self.predictions[rows] += finished.predictions
        self.prediction_weight[rows] = finished.prediction_weight
        self.history = self._record(self.history, rows, finished.history)
        self.path = self._record(self.path, rows, finished.path)
        self._searched -= len(rows)

    def _record(
        self, kept: np.ndarray | None, rows: np.ndarray, recorded: np.ndarray
    ) -> np.ndarray | None:
        """Take over what was recorded at each evaluation; nothing where nothing was asked for."""
        if not recorded.shape[1]:
            return None
        if kept is None:
            kept = np.full((len(self._x), *recorded.shape[1:]), np.nan, np.float32)
        kept[rows] = recorded
        return kept

    def look(self, *, in_pieces: bool) -> None:
        """Ask the models once more what the rows that have ended are; goes on where it was left.

        Args:
            in_pieces: whether whoever interrupts it keeps most of what the models said, found rows
                first. A black box is then asked for no more rows at once than a batch has.
        """
        final_form, box = self._batch.final_form, self._state.models.black_box
        if final_form is not None and not self._in_final_form:
            exact = final_form.exact(self.counterfactual, self._batch.source_row)
            self.counterfactual = final_form.points(exact, self._batch.source_row)
            # What isn't searched keeps to no relation, and is given back as it is.
            self.counterfactual[self._given_back] = self._x[self._given_back]
            self._in_final_form = True
        objective = in_float32(self._state.objective)
        described = self.original_class >= 0
        # That of the batches in which all of them were prepared: it compiles nothing anew.
        size = batch_size(int(described.sum()), self._state.shape)
        rows = np.flatnonzero(described & ~self._unended & ~self._looked_at)
        most = size
        if in_pieces:
            rows = rows[np.argsort(self.status[rows] != Status.FOUND, kind="stable")]
            most = min(size, (box and box.max_rows_per_call) or size)
        elif box is not None or final_form is not None:
            most = max(1, len(rows))
        for start in range(0, len(rows), most):
            self._look_at(objective, rows[start : start + most], size)
        if not in_pieces and box is None:
            moved = self._move_on(rows)
            if len(moved):
                self._look_at(objective, moved, size)
        if len(rows):
            self._last_look(rows)

    def _move_on(self, rows: np.ndarray) -> np.ndarray:
        """Move what rounding has taken back a little farther the same way; which rows that helps.

        Programs of other batches round otherwise, on a GPU by a thousandth of a probability: a
        search that ends on the boundary may end on either side of it.
        """
        lost = rows[(self.status[rows] == Status.FOUND) & ~self._confirmed[rows]]
        moved, accepts = [], self._accepts
        for factor in _FARTHER:
            if not len(lost):
                break
            x, targets = self._x[lost], self.targets[lost]
            bounds = self._feasible.of(lost)[:3]
            ahead = x + np.float32(factor) * (self.counterfactual[lost] - x)
            ahead = snap_rows(ahead, x, bounds, accepts.size)
            exact = accepts.exact(ahead, lost)
            held = accepts.judge(exact, ahead, targets, lost).accepted
            if held.any():
                self.counterfactual[lost[held]] = accepts.points(exact[held], lost[held])
            moved.append(lost[held])
            lost = lost[~held]
        return np.sort(np.concatenate(moved)) if moved else lost

    @property
    def _unended(self) -> np.ndarray:
        return np.isin(self.status, (Status.IDLE, Status.RUNNING))

    @property
    def _given_back(self) -> np.ndarray:
        return np.isin(self.status, GIVEN_BACK)

    def _look_at(self, objective: Objective, rows: np.ndarray, size: int) -> None:
        """What the model says of counterfactuals in their final form, and their loss terms."""
        state, final_form = self._state, self._batch.final_form
        instances = self._instances(rows)._replace(grid=None)  # no loss term looks at it
        points, weight = self.counterfactual[rows], self.prediction_weight[rows]
        weight[np.isnan(weight)] = np.float32(state.search.prediction_weight)
        known = guided = None
        if self._guides is not None:
            answers = self._guides.counterfactual
            guided = self._guides.ask(answers, rows, points, self._failures, size)
        if final_form is not None:
            exact = final_form.exact(points, self._batch.source_row[rows])
            given_back = self._given_back[rows]
            exact[given_back] = final_form.originals(self._batch.source_row[rows[given_back]])
            known = final_form.predict(exact, self._batch.source_row[rows], self._failures)
            if final_form.has_relations:
                self._keeps_to[rows] = final_form.holds(exact, self._batch.source_row[rows])
        probabilities, terms = predict_and_measure(
            state.models,
            state.params,
            objective,
            instances,
            points,
            weight,
            self._failures,
            known,
            size,
            state.guides,
            guided,
        )
        self.predictions[rows] += self._asked
        self.probabilities[rows] = probabilities
        self._score_trust(rows, size)
        for name, values in terms.items():
            self.losses[name][rows] = values
        self._looked_at[rows] = True

    def explanations(self, settings: dict[str, Any]) -> Explanations:
        """Every row as it stands; only what was looked at and confirmed is called found."""
        self._confirm()
        n = len(self._x)
        if len(np.unique(self._batch.source_row)) < n:
            self.scores["diversity"] = self._diversity()
        if black_boxes(self._state.models, self._state.guides):
            asked = self.predictions + (0 if self._guides is None else self._guides.predictions)
            self.scores["predictions"] = asked.astype(np.float64)
        unfinished = self._cut_short | (self.status == Status.INTERRUPTED)
        if unfinished.any():
            self.scores["interrupted"] = unfinished.astype(np.float32)
        if self._guides is not None:
            self.scores |= self._guides.scores(_argmax(self.probabilities))
        counterfactual_class = np.where(
            np.isfinite(self.probabilities).all(axis=1), _argmax(self.probabilities), -1
        ).astype(np.int32)
        history = {
            name: self.history[:, :, index]
            for index, name in enumerate(self.losses)
            if self.history is not None
        }
        return Explanations(
            original=self._x,
            counterfactual=self.counterfactual,
            status=self.status,
            source_row=self._batch.source_row,
            original_class=self.original_class,
            original_probabilities=self.original_probabilities,
            counterfactual_class=counterfactual_class,
            probabilities=self.probabilities,
            target_class=self.target_class,
            prototype=self.prototype,
            steps=self.steps,
            prediction_weight=self.prediction_weight,
            losses=self.losses,
            scores=self.scores,
            history=history,
            path=self.path,
            guide_original_probabilities=self._guides and self._guides.original,
            guide_probabilities=self._guides and self._guides.counterfactual,
            settings=settings,
        )

    def _last_look(self, rows: np.ndarray) -> None:
        """What the caller's function says by itself, should it have changed under the search."""
        state, said = self._state, self.probabilities[rows]
        points = self.counterfactual[rows]
        asked = ask_anew(state.models, state.params, points, said)
        if asked is None:
            return
        others = (_argmax(asked) != _argmax(said)) | ~np.isfinite(asked).all(axis=1)
        warnings.warn(
            f"predict changed since fit, or does one thing when it is called and another when it "
            f"is traced: it decides otherwise for {int(others.sum())} of {len(rows)} rows than the "
            "search was told. These probabilities are its own, and found rows that they don't "
            "confirm are NOT_CONFIRMED. If values held there have changed (the weights of a module "
            "or a closure), call fit again, or pass them as params=",
            RuntimeWarning,
            stacklevel=2,
        )
        self.probabilities[rows] = asked
        self._score_trust(rows, batch_size(len(rows), self._state.shape))

    def _score_trust(self, rows: np.ndarray, size: int) -> None:
        """Measure the counterfactuals, in the classes that the model decides for."""
        state = self._state
        if state.trust is not None:
            encodings = encode_all(state.models, state.params, self.counterfactual[rows], size)
            originals, new_class = self.original_class[rows], _argmax(self.probabilities[rows])
            self.trust_scores[rows] = scores_of(state.trust, encodings, originals, new_class, size)

    def refine(self) -> None:
        """Look for what the search has missed, and reset what the decision doesn't need."""
        state, accepts = self._state, self._accepts
        if state.refinement.line_search:
            rows = np.flatnonzero(self._missed)
            if len(rows):
                point, reached, target_class = line_search(
                    accepts,
                    state.prototypes,
                    self._feasible,
                    self.targets[rows],
                    rows,
                    state.refinement,
                )
                self.counterfactual[rows[reached]] = point[reached]
                self.target_class[rows[reached]] = target_class[reached]
                self.status[rows[reached]] = Status.FOUND
                self.scores["line_search"] = np.zeros(len(self._x), np.float32)
                self.scores["line_search"][rows[reached]] = 1
        if state.refinement.brings_nearer:
            before = self.counterfactual.copy()
            if state.refinement.tighten:
                self._tighten(accepts)
            if state.refinement.by_features:
                for alternative in range(int(self._batch.alternative.max(initial=0)) + 1):
                    self._bring_nearer(accepts, alternative)
            self._measure_reset(before)
        self._refined = True

    @property
    def _accepts(self) -> AcceptanceTest:
        state, final_form = self._state, self._batch.final_form
        return AcceptanceTest(
            state.models,
            state.params,
            state.guides,
            state.objective,
            self._failures,
            state.shape,
            self.predictions,
            self.original_class,
            state.trust,
            final_form,
            self._batch.source_row,
            state.thresholds if final_form is None else final_form.thresholds,
        )

    @property
    def _missed(self) -> np.ndarray:
        return np.isin(self.status, (Status.NOT_FOUND, Status.NEVER_MOVED))

    def _tighten(self, accepts: AcceptanceTest) -> None:
        rows = np.flatnonzero(self.status == Status.FOUND)
        if len(rows):
            self.counterfactual[rows] = tighten(
                accepts,
                self._feasible,
                self.counterfactual[rows],
                self.targets[rows],
                rows,
                self._state.refinement,
            )

    def _measure_reset(self, before: np.ndarray) -> None:
        """How much has been put back since the search."""
        found = self.status == Status.FOUND
        for name, measure in (("reset_features", metrics.l0), ("reset_l1", metrics.l1)):
            moved = (array[found] - self._x[found] for array in (before, self.counterfactual))
            self.scores[name] = np.zeros(len(found), np.float32)
            self.scores[name][found] = np.subtract(*map(measure, moved))

    def _bring_nearer(self, accepts: AcceptanceTest, alternative: int) -> None:
        """Find the best counterfactual of each row, looking at features one by one."""
        refinement = self._state.refinement
        wanted = self.status == Status.FOUND
        if refinement.begins_anew:
            wanted |= self._missed
        rows = np.flatnonzero(wanted & (self._batch.alternative == alternative))
        accepts = replace(accepts, least=_LEAST_ASKED_TOGETHER)
        self._look_for(accepts, alternative, rows, refinement)
        missed = rows[self._missed[rows]]
        if refinement.copies and not alternative and len(missed):
            # One that is accepted under the rules is enough; of others each is asked about once.
            many = replace(refinement, copies=_COPIES_FOR_MISSED, values=0)
            self._look_for(accepts, alternative, missed, many)

    def _look_for(
        self,
        accepts: AcceptanceTest,
        alternative: int,
        rows: np.ndarray,
        refinement: Refinement,
    ) -> None:
        """Find the best counterfactual of each of some rows, and take them over."""
        features, copies = math.prod(self._x.shape[1:]), max(1, refinement.copies)
        most = _NUMBERS_REFINED_TOGETHER // features, _COPIES_TOGETHER // copies
        together = max(1, min(_REFINED_TOGETHER, *most))
        nearest = partial(self._nearest, accepts, alternative, refinement)
        # A model outside JAX is asked in the caller's thread: there Ctrl-C reaches it.
        if black_boxes(self._state.models, self._state.guides):
            found = ((some, nearest(some)) for some in _pieces(rows, together))
        else:
            # Pieces of one size, as many for every core.
            rounds = -(-len(rows) // (together * cores()))
            share = -(-len(rows) // max(1, rounds * cores()))
            size = min(together, max(_LEAST_REFINED_TOGETHER, share))
            found = self._workers.side_by_side(nearest, _pieces(rows, size))
        with closing(found):
            for some, best in found:
                self._take_over(some, best, alternative)

    def _take_over(self, rows: np.ndarray, best: Pool, alternative: int) -> None:
        """Answers to rows in place of those of the search."""
        found = rows[self.status[rows] == Status.FOUND]
        ended = rows[best.owner]
        self.counterfactual[ended] = best.point.reshape(-1, *self._x.shape[1:])
        self.status[ended] = Status.FOUND
        lost = np.setdiff1d(found, ended)
        self.status[lost] = Status.NO_OTHER if alternative else Status.NOT_FOUND

    def _nearest(
        self,
        accepts: AcceptanceTest,
        alternative: int,
        refinement: Refinement,
        rows: np.ndarray,
    ) -> Pool:
        """The best counterfactuals of some rows, by their places; nothing is written."""
        state, x = self._state, self._x[rows]
        snapping = Snapping.of(x, self._feasible.of(rows), accepts.size)
        targets, cost = self.targets[rows], state.change_cost
        appraisal = Appraisal.of(accepts, x, targets, rows, cost, snapping)
        found = np.flatnonzero(self.status[rows] == Status.FOUND)
        if alternative:  # those of one row lie next to each other
            earlier = rows[:, None] - np.arange(1, alternative + 1)
            there = self.status[earlier] == Status.FOUND
            owner, others = np.nonzero(there)[0], earlier[there]
            appraisal = replace(appraisal, taken=appraisal.pool(owner, self.counterfactual[others]))
        answers = appraisal.pool(found, self.counterfactual[rows[found]])
        if accepts.has_relations:  # the search keeps to them nearly
            answers = answers.of(np.flatnonzero(appraisal.judge(answers).accepted))
        return nearest_answers(
            appraisal,
            answers,
            state.training_rows,
            state.walked_values if refinement.values else None,
            refinement,
            alternative,
        )

    def _diversity(self) -> np.ndarray:
        """Of each row's counterfactuals, the same for all of them; NaN where fewer than two."""
        values = np.full(len(self._x), np.nan, np.float32)
        found = np.flatnonzero(self.status == Status.FOUND)
        sources = self._batch.source_row
        for group in np.split(found, np.flatnonzero(np.diff(sources[found])) + 1):
            if len(group) > 1:
                values[group] = metrics.diversity(self.counterfactual[group])
        return values

    def _confirm(self) -> None:
        """Take back what the model's last word doesn't bear out, or wasn't asked for any more."""
        status, probabilities = self.status, self.probabilities
        unfinished = self._unended | (status == Status.FOUND) & ~self._looked_at
        if not self._refined:  # an interrupt came before
            refinement = self._state.refinement
            unfinished |= self._missed & refinement.line_search
            self._cut_short |= (status == Status.FOUND) & refinement.brings_nearer
        status[unfinished] = Status.INTERRUPTED
        # What wasn't moved is what it was.
        same = (distances.flat(self.counterfactual) == distances.flat(self._x)).all(axis=1)
        untouched = ~self._looked_at & same & (self.original_class >= 0)
        untouched |= self._given_back
        probabilities[untouched] = self.original_probabilities[untouched]
        if self._guides is not None:
            self._guides.counterfactual[untouched] = self._guides.original[untouched]
        found = np.flatnonzero(status == Status.FOUND)
        # A service may have failed meanwhile: no answer confirms nothing.
        status[found[~self._confirmed[found]]] = Status.NOT_CONFIRMED
        if self._state.trust is not None:
            self.scores["trust"] = self.trust_scores
        held_up = self._missed & self._looked_at & self._convinced & ~self._guides_agree
        status[held_up] = Status.GUIDE_NOT_CONVINCED
        status[self._repeated] = Status.NO_OTHER

    @property
    def _repeated(self) -> np.ndarray:
        """Which counterfactuals are, to the bit, one of the same row before it."""
        found, points = self.status == Status.FOUND, distances.flat(self.counterfactual)
        repeated = np.zeros(len(found), bool)
        alternative = self._batch.alternative
        for back in range(1, int(alternative.max(initial=0)) + 1):  # they lie next to each other
            row = np.flatnonzero(found & (alternative >= back))
            row = row[found[row - back]]
            repeated[row] |= (points[row] == points[row - back]).all(axis=1)
        return repeated

    @property
    def _confirmed(self) -> np.ndarray:
        """Which rows are counterfactuals by all that the last look says of them."""
        confirmed, trust = self._convinced & self._guides_agree & self._keeps_to, self._state.trust
        if trust is not None:
            confirmed &= self.trust_scores > np.float32(trust.threshold)
        return confirmed

    @property
    def _convinced(self) -> np.ndarray:
        """Which counterfactuals the model decides a target class for, as surely as asked for."""
        decided, rows = _argmax(self.probabilities), np.arange(len(self._x))
        convinced = np.isfinite(self.probabilities).all(axis=1) & self.targets[rows, decided]
        return convinced & (self.probabilities[rows, decided] > self._confidence)

    @property
    def _guides_agree(self) -> np.ndarray:
        """On which counterfactuals enough guides decide as the model does, and are as sure."""
        if self._guides is None:
            return np.ones(len(self._x), bool)
        return self._guides.agree(_argmax(self.probabilities))


def _pieces(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _argmax(probabilities: np.ndarray) -> np.ndarray:
    return np.argmax(np.nan_to_num(probabilities, nan=-1.0), axis=1)
