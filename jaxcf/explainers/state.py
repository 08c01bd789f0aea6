"""What a fitted explainer consists of, and the one place that says which options go together."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from jaxcf.constraints import FeatureRange
from jaxcf.explainers.costs import ChangeCost, costs_of
from jaxcf.explainers.refinement import Refinement
from jaxcf.explainers.training_rows import TrainingRows
from jaxcf.objective import PROTOTYPE, RECONSTRUCTION, Instance, Objective
from jaxcf.predictors.functions import ModelFunctions, check_params, check_unchanged
from jaxcf.predictors.guides import Guides
from jaxcf.predictors.preprocess import Preprocess, as_pixels
from jaxcf.predictors.trees import Thresholds, thresholds_of
from jaxcf.prototypes.fitted import FittedPrototypes
from jaxcf.prototypes.kinds import PrototypeKind
from jaxcf.prototypes.trust import Trust, trust_of
from jaxcf.search.options import EngineOptions, SearchOptions
from jaxcf.search.trial import check_solver, check_terms, check_terms_unchanged, solver_digest
from jaxcf.utils.forks import check_not_forked
from jaxcf.utils.json_files import plain
from jaxcf.utils.numbers import check_number
from jaxcf.utils.validation import check_names, check_shape, column_names

# So many moves of a row are weighed at most: features of wide rows are moved to fewer values.
_MOST_MOVES = 512


@dataclass(frozen=True, eq=False)
class FittedState:
    """Everything that a call needs to know: checked models, options, prototypes.

    However it is made or changed (`dataclasses.replace` included), its options go together.

    Attributes:
        models: the caller's functions.
        params: what they take first, if they do.
        guides: other models that have to agree, if there are any.
        objective: what is minimised.
        prototypes: the class prototypes.
        search: how one instance is searched.
        trust_threshold: what a counterfactual's trust score must exceed; None asks for none.
        refinement: what is tried after the search.
        engine: how the work is laid out.
        num_classes: of the model.
        training_class: `[n]`, the class that each training row stands for: what the model decides,
            or its label where those were given; -1 where the model isn't as sure as it must be.
        shape: `*shape` of one instance.
        answered_rows: `[k, *shape]`, a few training rows, for which the model is known to have an
            answer.
        latent_shape: `*latent` of one encoding.
        feature_range: lower and upper, arrays that broadcast to `*shape`, and whether they were
            asked for.
        seconds: that `fit` took.
        trained_on: which training rows these were, see `described_array`.
        answers: `[k, classes]` each, what models outside JAX said of a few training rows, NaN where
            they said nothing; by their numbers in `black_boxes`.
        feature_names: of the columns of the DataFrame that was given to `fit`; None of arrays.
        unordered: `[*shape]`, features whose values are codes without an order; None for none.
        preprocess: how rows become pixels, and these what the model takes; None for rows as they
            are.

    Raises:
        TypeError: if an option is of a wrong kind, the solver can't be used, or a term of the
            caller's own isn't a function from a candidate to a number.
        ValueError: if the options don't go together, see `check_options`.
    """

    models: ModelFunctions
    params: Any
    guides: Guides | None
    objective: Objective
    prototypes: FittedPrototypes
    search: SearchOptions
    trust_threshold: float | None
    refinement: Refinement
    engine: EngineOptions
    num_classes: int
    training_class: np.ndarray
    shape: tuple[int, ...]
    answered_rows: np.ndarray
    latent_shape: tuple[int, ...]
    feature_range: FeatureRange
    seconds: float
    trained_on: str
    answers: Mapping[int, np.ndarray]
    feature_names: tuple[str, ...] | None = None
    unordered: np.ndarray | None = None
    preprocess: Preprocess | None = None

    def __post_init__(self) -> None:
        check_options(
            self.models,
            self.objective,
            self.prototypes.kind,
            self.search,
            self.trust_threshold,
            self.refinement,
            self.engine,
        )
        costs_of(self.refinement.costs, self.feature_names, self.shape)  # raises if they don't fit
        check_solver(self.search.solver, self._instance)
        objective = check_terms(self.objective, self._instance, **self._told)
        object.__setattr__(self, "objective", objective)
        if PROTOTYPE in self.objective.terms and self.prototypes.lacking is not None:
            raise ValueError(
                f"the objective has a prototype term, but {self.prototypes.lacking}; objectives A "
                "and B do without prototypes"
            )
        if self.trust_threshold is not None and not any(map(len, self.prototypes.members)):
            raise ValueError(
                "trust scores compare with the training rows of each class, but "
                f"{self.prototypes.lacking}; or pass trust_threshold=None"
            )

    @property
    def _instance(self) -> Instance:
        return Instance.shapes(self.shape, self.latent_shape, self.num_classes)

    @property
    def _told(self) -> dict[str, Any]:
        """What of the models a term of the caller's own is told."""
        num_guides = 0 if self.guides is None else len(self.guides.names)
        return {"has_autoencoder": self.models.has_autoencoder, "num_guides": num_guides}

    @property
    def solver_digest(self) -> str:
        """What the solver does, as another process would find it."""
        return solver_digest(self.search.solver, self._instance)

    def check_current(self) -> None:
        """Check that the models, and the objective's own terms, are still those that were fitted.

        Raises:
            ValueError: if params have been deleted, or terms or functions without params hold other
                values.
            RuntimeError: if nothing can be computed in this process, see `check_not_forked`.
        """
        check_not_forked()
        check_params(self.params)
        check_unchanged(self.models, self.params, self.shape)
        if self.guides is not None:
            self.guides.check_current(self.shape)
        check_terms_unchanged(self.objective, self._instance, **self._told)

    def rows(self, x: Any) -> np.ndarray:
        """Rows as the caller has them, checked against those of `fit`, as they are searched.

        Raises:
            TypeError: if they aren't numbers.
            ValueError: if they have another shape, or columns of other names.
        """
        check_names(column_names(x), self.feature_names)
        return check_shape(as_pixels("x", x, self.preprocess), self.shape)

    @cached_property
    def trust(self) -> Trust | None:
        """What trust scores are measured against, if they are asked for."""
        if self.trust_threshold is None:
            return None
        return trust_of(self.prototypes, self.trust_threshold)

    @cached_property
    def training_rows(self) -> TrainingRows | None:
        """The training rows of each class, where there are any and they lie in input space."""
        members = self.prototypes.members
        if self.models.encode is not None or not any(map(len, members)):
            return None
        unordered = np.zeros(self.shape, bool) if self.unordered is None else self.unordered
        return TrainingRows(members, unordered.ravel())

    @cached_property
    def thresholds(self) -> Thresholds | None:
        """The thresholds of the model's trees, if it is made of some and takes rows as they are."""
        box = None if self.preprocess is not None else self.models.black_box
        found = None if box is None else thresholds_of(box.predict)
        return found if found is not None and len(found) == math.prod(self.shape) else None

    @cached_property
    def walked_values(self) -> np.ndarray | None:
        """The values that the refinement moves features to, if it does: the same in every batch."""
        training, count = self.training_rows, self.refinement.values
        if training is None or not count:
            return None
        most = max(1, _MOST_MOVES // math.prod(self.shape))
        return training.values(min(count, most))

    @cached_property
    def change_cost(self) -> ChangeCost:
        """Which of several counterfactuals of a row is the best."""
        weight = costs_of(self.refinement.costs, self.feature_names, self.shape)
        training = self.training_rows
        if training is None:
            return ChangeCost(
                self.refinement.cost, np.ones(len(weight)), np.zeros(len(weight), bool), weight
            )
        return ChangeCost(self.refinement.cost, training.unit, training.unordered, weight)

    @property
    def method_settings(self) -> dict[str, Any]:
        """What decides how every row is searched, as plain values for records."""
        kind = self.prototypes.kind
        settings = {
            "objective": self.objective.settings(),
            "prototypes": {"kind": kind.name} | vars(kind),
            "search": self.search.settings(),
        }
        if self.guides is not None:
            settings["guides"] = self.guides.settings()
        if self.preprocess is not None:
            settings["preprocess"] = vars(self.preprocess)
        return plain(settings)


_TO_TRAINING_ROWS = {"line_search": "line search", "copies": "copies", "values": "values"}


def check_options(
    models: ModelFunctions,
    objective: Objective,
    kind: PrototypeKind,
    search: SearchOptions,
    trust_threshold: float | None,
    refinement: Refinement,
    engine: EngineOptions,
) -> None:
    """Check that the options of an explainer go with its functions and with each other.

    Args:
        models: the caller's functions.
        objective: what is minimised.
        kind: of the prototypes.
        search: how one instance is searched.
        trust_threshold: what a trust score must exceed, if anything.
        refinement: what is tried after the search.
        engine: how the work is laid out.

    Raises:
        TypeError: if one is of a wrong kind.
        ValueError: if they don't; the message says which, and what to do.
    """
    given: tuple[tuple[str, object, type], ...] = (
        ("objective", objective, Objective),
        ("search", search, SearchOptions),
        ("refinement", refinement, Refinement),
        ("engine", engine, EngineOptions),
    )
    for name, option, wanted in given:
        if not isinstance(option, wanted):
            raise TypeError(
                f"{name} must be {wanted.__name__}, got {type(option).__name__}; pass "
                f"{wanted.__name__}(...)"
            )
    if not isinstance(kind, PrototypeKind) or isinstance(kind, type):
        raise TypeError(
            "prototypes must be a name or a kind such as NearestMean(k=15), got "
            f"{f'the class {kind.__name__}' if isinstance(kind, type) else type(kind).__name__}"
        )
    objective.check_scalars()
    if models.black_box is not None:
        models.black_box.check_options(models.output, engine.devices)
    if trust_threshold is not None:
        check_number("trust_threshold", trust_threshold, least=0, hint="; None asks for none")
    if RECONSTRUCTION in objective.terms and not models.has_autoencoder:
        raise ValueError(
            "the objective has a reconstruction term (B, D, F) but no reconstruct function "
            "was given; pass reconstruct=, or objective='C', or drop the term with "
            "Objective.without('reconstruction')"
        )
    if kind.in_input_space and models.encode is not None and PROTOTYPE in objective.terms:
        raise ValueError(
            f"prototypes of kind {kind.name!r} lie in input space but an encode function was "
            "given; leave encode out, or choose 'nearest' or 'kmeans'"
        )
    to_rows = [what for name, what in _TO_TRAINING_ROWS.items() if getattr(refinement, name)]
    if to_rows and models.encode is not None:
        raise ValueError(
            f"the refinement's {', '.join(to_rows)} would begin at training rows in input space, "
            "but an encode function was given; leave encode out, or leave these out"
        )
