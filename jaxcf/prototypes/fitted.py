"""The prototypes of every class of a model, and the choice of target (eq. 2).

Source: arXiv 1907.02584, equations 1 and 2.
"""

import math
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.prototypes.kinds import ClassPrototypes, PrototypeKind
from jaxcf.utils.neighbours import Neighbours

# Queries against one class at a time: bounds memory whatever the number of queries.
_QUERIES_AT_ONCE = 2048


class Selection(NamedTuple):
    """The prototypes chosen for some rows.

    Attributes:
        prototype: `[n, *latent]`; zeros where there is none.
        target_class: `[n]`, the class it belongs to; -1 where no allowed class has a prototype.
        distances: `[n, classes]`, to every class's prototype; infinite where a class has none.
    """

    prototype: Float[np.ndarray, "n *latent"]
    target_class: Int[np.ndarray, " n"]
    distances: Float[np.ndarray, "n classes"]


@dataclass(frozen=True, eq=False)
class FittedPrototypes:
    """Prototypes of every class that has training rows.

    Attributes:
        kind: how they were made.
        classes: one entry per class, None for a class without prototypes.
        members: the flat encodings of each class's training rows.
        shape: `*latent`, of one encoding.
        lacking: why a search led by prototypes can't be made with these, in a sentence; None
            where it can.
    """

    kind: PrototypeKind
    classes: tuple[ClassPrototypes | None, ...]
    members: tuple[np.ndarray, ...]
    shape: tuple[int, ...]
    lacking: str | None = None

    def select(
        self, encodings: Float[np.ndarray, "n *latent"], allowed: Bool[np.ndarray, "n classes"]
    ) -> Selection:
        r"""Choose each row's target class and its prototype (eq. 2).

        $$j = \underset{i \in \text{allowed}}{\text{arg min}}
          \ \|\text{ENC}(x_0) - \text{proto}_i\|_2$$

        Args:
            encodings: `[n, *latent]`, of the rows to be explained.
            allowed: `[n, classes]`, which classes each row may go to.

        Returns:
            Prototype, class and the distance to every class; the first class wins a tie.
        """
        flat = np.asarray(encodings, np.float32).reshape(len(encodings), math.prod(self.shape))
        prototype = np.zeros_like(flat)
        target = np.full(len(flat), -1, np.int32)
        distances = np.full((len(flat), len(self.classes)), np.inf, np.float32)
        for start in range(0, len(flat), _QUERIES_AT_ONCE):
            rows = slice(start, start + _QUERIES_AT_ONCE)
            self._select_some(
                flat[rows], allowed[rows], prototype[rows], target[rows], distances[rows]
            )
        return Selection(prototype.reshape(len(flat), *self.shape), target, distances)

    def nearest_members(
        self, encodings: Float[np.ndarray, "n *latent"], class_index: int, count: int
    ) -> Int[np.ndarray, "n count"]:
        """The training rows of a class nearest to each encoding, nearest first.

        Args:
            encodings: `[n, *latent]`.
            class_index: a class with training rows.
            count: how many, >= 1; fewer where the class has fewer rows.

        Returns:
            `[n, count]`, their places among the `members` of the class.
        """
        members = self.members[class_index]
        flat = np.asarray(encodings, np.float32).reshape(len(encodings), -1)
        return Neighbours(members).query(flat, min(count, len(members)))[1]

    def _select_some(
        self,
        encodings: np.ndarray,
        allowed: np.ndarray,
        prototype: np.ndarray,
        target: np.ndarray,
        distances: np.ndarray,
    ) -> None:
        best = np.full(len(encodings), np.inf, np.float32)
        for index, one in enumerate(self.classes):
            if one is None or not len(encodings):
                continue
            nearest = one.query(encodings)
            distances[:, index] = nearest.distance
            better = allowed[:, index] & (distances[:, index] < best)
            best[better] = distances[better, index]
            prototype[better] = nearest.prototype[better]
            target[better] = index


def fit(
    kind: PrototypeKind,
    encodings: Float[np.ndarray, "n *latent"],
    predicted_classes: Int[np.ndarray, " n"],
    num_classes: int,
    *,
    sure_rows: str | None = None,
    needed: bool = True,
) -> FittedPrototypes:
    """Build the prototypes of every class.

    Args:
        kind: `NearestMean`, `KDTree` or `KMeans`, or one's own.
        encodings: `[n, *latent]` of the training rows (the rows themselves without an encoder).
        predicted_classes: `[n]`, the classes the MODEL predicts for them: the paper's choice,
            since it is the model that is explained. Other labels may be passed.
        num_classes: how many classes there are.
        sure_rows: what to call the rows, for messages, where they are only those that the model is
            sure of; None where they are all training rows.
        needed: whether prototypes are wanted now. If not, `lacking` keeps what stands against it.

    Returns:
        The fitted prototypes. A class without rows has none, and a warning says so.

    Raises:
        ValueError: if encodings aren't finite; where prototypes are needed also if no class has
            rows, or the kind asks for more neighbours than a class has rows.

    Examples:
        >>> import numpy as np
        >>> from jaxcf.prototypes.kinds import NearestMean
        >>> encodings = np.array([[0.0], [1.0], [10.0], [11.0]])
        >>> fitted = fit(NearestMean(k=2), encodings, np.array([0, 0, 1, 1]), 2)
        >>> chosen = fitted.select(np.array([[0.2]]), np.array([[False, True]]))
        >>> int(chosen.target_class[0]), float(chosen.prototype[0, 0])
        (1, 10.5)
    """
    encodings = np.asarray(encodings, np.float32)
    if len(encodings) != len(predicted_classes):
        raise ValueError(
            f"{len(encodings)} encodings need as many classes, got {len(predicted_classes)}"
        )
    flat = encodings.reshape(len(encodings), math.prod(encodings.shape[1:]))
    if not np.isfinite(flat).all():
        bad = np.flatnonzero(~np.isfinite(flat).all(axis=1))
        raise ValueError(
            f"{len(bad)} training rows have encodings that are not finite, the first is row "
            f"{bad[0]}; remove those rows or check the encoder"
        )
    members = [flat[predicted_classes == index] for index in range(num_classes)]
    missing = [index for index, rows in enumerate(members) if not len(rows)]
    lacking = None
    if len(missing) == num_classes:
        lacking = f"prototypes are made of {sure_rows or 'training rows'}, and there are none"
        if sure_rows is not None:
            lacking += ": lower the confidence, or pass more training rows"
    classes: list[ClassPrototypes | None] = []
    for index, rows in enumerate(members):
        try:
            classes.append(kind.fit_class(rows, index) if len(rows) else None)
        except ValueError as error:
            classes.append(None)
            lacking = lacking or f"{error}{f'; these are {sure_rows}' if sure_rows else ''}"
    if needed and lacking is not None:
        raise ValueError(lacking)
    if needed and missing:
        who, what = "no training row is", "pass training rows of every class"
        if sure_rows is not None:
            who = f"none of the {sure_rows} are"
            what = "lower the confidence, or pass more training rows,"
        warnings.warn(
            f"{who} of the classes {missing}, by what the model predicts or the labels given: "
            f"they have no prototype and are no target; {what} to change that",
            stacklevel=2,
        )
    return FittedPrototypes(kind, tuple(classes), tuple(members), encodings.shape[1:], lacking)
