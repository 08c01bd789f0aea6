"""A closer look at some rows: the way of the search, the prototype, real rows near its end."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from jaxcf.utils.array_files import open_arrays, under, write_arrays
from jaxcf.utils.file_checks import ArrayHeader, ArrayRule, check_arrays, check_format, check_shapes

FORMAT = "jaxcf.details"

SCHEMA_VERSION = 1

_ARRAYS = {
    "rows": ArrayRule("iu", 1, lowest=0),
    "evaluations": ArrayRule("iu", 2, lowest=-1),
    "path": ArrayRule("f"),
    "prototype": ArrayRule("f"),
    "nearest": ArrayRule("f"),
    "nearest_row": ArrayRule("iu", 2, lowest=-1),
}
# Not in files of versions that kept none.
_OPTIONAL = {"probabilities": ArrayRule("f", 3)}
_LOSSES = "losses"


@dataclass(frozen=True, eq=False)
class Traces:
    """A closer look at some rows of explanations. All arrays are numpy.

    Made by `FittedExplainer.trace` and `FittedTableExplainer.trace`; of a table, everything is
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
        probabilities: `[m, p, classes]`, what the model says of each point of `path`; NaN where
            padded. None in files of versions that didn't ask.

    Examples:
        >>> rows, x = np.array([4]), np.zeros((1, 2, 3), np.float32)
        >>> traces = Traces(rows, np.array([[0, 7]]), x, {}, x[:, 0], x, np.array([[1, 2]]))
        >>> traces
        Traces(rows=[4])
    """

    rows: Int[np.ndarray, " m"]
    evaluations: Int[np.ndarray, "m p"]
    path: Float[np.ndarray, "m p *shape"]
    losses: Mapping[str, Float[np.ndarray, "m evaluations"]]
    prototype: Float[np.ndarray, "m *shape"]
    nearest: Float[np.ndarray, "m k *shape"]
    nearest_row: Int[np.ndarray, "m k"]
    probabilities: Float[np.ndarray, "m p classes"] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Traces(rows={self.rows.tolist()})"

    def save(self, path: str | os.PathLike[str], *, run: str | None = None) -> None:
        """Write everything to one npz file, at once or not at all, without pickle.

        Args:
            path: of the file.
            run: of which run it is a part, where several files are.
        """
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        if self.probabilities is not None:
            arrays["probabilities"] = self.probabilities
        arrays |= {f"{_LOSSES}/{name}": values for name, values in self.losses.items()}
        described = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "run": run}
        write_arrays(path, arrays, described)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Traces":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it isn't such a file, is damaged, or of another schema version.
        """
        with open_arrays(path) as file:
            check_format(path, file.metadata, FORMAT, SCHEMA_VERSION)
            arrays = file.read(_check_declared(path, file.headers))
        return cls(
            **{name: arrays[name] for name in _ARRAYS},
            losses=under(arrays, _LOSSES),
            probabilities=arrays.get("probabilities"),
        )


def _check_declared(
    path: str | os.PathLike[str], headers: Mapping[str, ArrayHeader]
) -> dict[str, ArrayRule]:
    """Check what the file declares before any of it is unpacked; the rules of the values."""
    tables = {_LOSSES: ArrayRule("f", 2)}
    rules = check_arrays(path, headers, _ARRAYS, _OPTIONAL, tables)
    m, *shape = headers["prototype"].shape
    p, k = headers["evaluations"].shape[1], headers["nearest_row"].shape[1]
    expected = {
        "rows": (m,),
        "evaluations": (m, p),
        "path": (m, p, *shape),
        "nearest": (m, k, *shape),
        "nearest_row": (m, k),
    }
    if "probabilities" in headers:
        expected["probabilities"] = (m, p, headers["probabilities"].shape[2])
    losses = [name for name in headers if name.startswith(f"{_LOSSES}/")]
    if losses:
        expected |= dict.fromkeys(losses, headers[losses[0]].shape)
        most = headers[losses[0]].shape[1] - 1
        rules["evaluations"] = rules["evaluations"]._replace(highest=most)
    check_shapes(path, headers, expected)
    return rules
