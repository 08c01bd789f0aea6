"""A closer look at some rows: the way of the search, the prototype, real rows near its end."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf import storage

FORMAT = "jaxcf.details"
SCHEMA_VERSION = 1

# What each array holds, as numpy's letters, and its dimensions where instances don't add to them.
_ARRAYS = {
    "rows": ("iu", 1),
    "evaluations": ("iu", 2),
    "path": ("f", None),
    "prototype": ("f", None),
    "nearest": ("f", None),
    "nearest_row": ("iu", 2),
}
_LOSSES = "losses/"


@dataclass(frozen=True)
class Details:
    """A closer look at some rows of explanations. All arrays are numpy.

    Made by `FittedExplainer.details` and `FittedTableExplainer.details`; of a table, everything is
    in coordinates (`TableExplanations.values_at` gives their values).

    Attributes:
        rows: `[m]`, which rows of the explanations these are.
        evaluations: `[m, p]`, at which evaluation the search was at each point of `path`, counted
            from 0, the original itself; -1 where padded.
        path: `[m, p, *shape]`, points of the search from the original to the one it kept, before
            any refinement; NaN where padded.
        losses: each weighted loss term at every evaluation, `[m, evaluations]`, NaN where not
            reached.
        prototype: `[m, *shape]`, the prototype in the space of the rows: decoded where there is a
            decoder, itself where prototypes are rows; NaN where there is none, or no way back.
        nearest: `[m, k, *shape]`, the training rows of the counterfactual's class nearest to it,
            nearest first, by distance in the space of the prototypes; NaN where padded.
        nearest_row: `[m, k]`, their numbers among the training rows; -1 where padded.

    Examples:
        >>> rows, x = np.array([4]), np.zeros((1, 2, 3), np.float32)
        >>> details = Details(rows, np.array([[0, 7]]), x, {}, x[:, 0], x, np.array([[1, 2]]))
        >>> details
        Details(rows=[4])
    """

    rows: Int[np.ndarray, " m"]
    evaluations: Int[np.ndarray, "m p"]
    path: Float[np.ndarray, "m p *shape"]
    losses: Mapping[str, Float[np.ndarray, "m evaluations"]]
    prototype: Float[np.ndarray, "m *shape"]
    nearest: Float[np.ndarray, "m k *shape"]
    nearest_row: Int[np.ndarray, "m k"]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Details(rows={self.rows.tolist()})"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one npz file, at once or not at all, without pickle."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {f"{_LOSSES}{name}": values for name, values in self.losses.items()}
        storage.write_arrays(path, arrays, {"format": FORMAT, "schema_version": SCHEMA_VERSION})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Details":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it isn't such a file, is damaged, or of another schema version.
        """
        arrays, metadata = storage.read_arrays(path)
        storage.check_format(path, metadata, FORMAT, SCHEMA_VERSION)
        storage.check_names(path, arrays, tuple(_ARRAYS))
        storage.check_lengths(path, arrays)
        for name, array in arrays.items():
            if name not in _ARRAYS and not name.startswith(_LOSSES):
                raise ValueError(f"{path} is damaged: unknown array {name!r}")
            storage.check_array(path, name, array, *_ARRAYS.get(name, ("f", 2)))
        _check_shapes(path, arrays)
        losses = {
            name.removeprefix(_LOSSES): array
            for name, array in arrays.items()
            if name.startswith(_LOSSES)
        }
        return cls(**{name: arrays[name] for name in _ARRAYS}, losses=losses)


def _check_shapes(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    m, *shape = arrays["prototype"].shape
    p, k = arrays["evaluations"].shape[1], arrays["nearest_row"].shape[1]
    expected = {
        "rows": (m,),
        "evaluations": (m, p),
        "path": (m, p, *shape),
        "nearest": (m, k, *shape),
        "nearest_row": (m, k),
    }
    losses = [name for name in arrays if name.startswith(_LOSSES)]
    expected |= dict.fromkeys(losses, arrays[losses[0]].shape if losses else ())
    for name, wanted in expected.items():
        if arrays[name].shape != wanted:
            raise ValueError(
                f"{path} is damaged: {name} has shape {arrays[name].shape} where the other arrays "
                f"want {wanted}"
            )


def representative_rows(
    found: Bool[np.ndarray, " n"], original_class: Int[np.ndarray, " n"], count: int
) -> Int[np.ndarray, " k"]:
    """Up to `count` rows: found ones first, taking turns over the original classes.

    Examples:
        >>> representative_rows(np.array([True] * 4), np.array([0, 0, 1, 1]), 2).tolist()
        [0, 2]
    """
    turn = np.zeros(len(found), int)
    for label in np.unique(original_class):
        for group in (found, ~found):
            members = np.flatnonzero((original_class == label) & group)
            turn[members] = np.arange(len(members))
    chosen = np.sort(np.lexsort((original_class, turn, ~found))[:count])
    return chosen[np.argsort(original_class[chosen], kind="stable")]
