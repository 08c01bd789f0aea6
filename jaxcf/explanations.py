"""The result: one row per instance, whatever became of it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf import explanation_files, metrics, storage
from jaxcf.naming import names_or_numbers
from jaxcf.selection import chosen_rows
from jaxcf.status import Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


@dataclass(frozen=True)
class Explanations:
    """The counterfactuals of n rows and everything known about them. All arrays are numpy.

    Rows keep the order of the input and none is left out: where no counterfactual was found,
    `counterfactual` holds the best effort and `status` says why.

    Attributes:
        original: `[n, *shape]`, the rows as they were given.
        counterfactual: `[n, *shape]`.
        status: `[n]`, `Status` codes.
        source_row: `[n]`, the row asked about: 0 to n - 1 unless several counterfactuals were
            asked for per row.
        original_class: `[n]`, what the model decides for `original`; -1 for invalid rows.
        original_probabilities: `[n, classes]`.
        counterfactual_class: `[n]`, what it decides for `counterfactual`; -1 for invalid rows.
        probabilities: `[n, classes]`, of `counterfactual`.
        target_class: `[n]`, the class of the prototype (eq. 2); -1 where there is none.
        prototype: `[n, *latent]`, the prototype used.
        steps: `[n]`, updates used.
        prediction_weight: `[n]`, c when the counterfactual was seen.
        losses: each weighted loss term at `counterfactual`, `[n]`; they add up to the objective.
        scores: further values per row, `[n]` each, such as "im1" and "im2".
        history: each loss term at every evaluation, `[n, evaluations]`, NaN where not reached;
            empty unless asked for.
        path: `[n, evaluations, *shape]`, the point of the search at every evaluation, NaN where
            not reached; None unless asked for.
        settings: what produced this, JSON-able.
        seconds: wall time by part of the work.
    """

    original: Float[np.ndarray, "n *shape"]
    counterfactual: Float[np.ndarray, "n *shape"]
    status: Int[np.ndarray, " n"]
    source_row: Int[np.ndarray, " n"]
    original_class: Int[np.ndarray, " n"]
    original_probabilities: Float[np.ndarray, "n classes"]
    counterfactual_class: Int[np.ndarray, " n"]
    probabilities: Float[np.ndarray, "n classes"]
    target_class: Int[np.ndarray, " n"]
    prototype: Float[np.ndarray, "n *latent"]
    steps: Int[np.ndarray, " n"]
    prediction_weight: Float[np.ndarray, " n"]
    losses: Mapping[str, Float[np.ndarray, " n"]] = field(default_factory=dict)
    scores: Mapping[str, Float[np.ndarray, " n"]] = field(default_factory=dict)
    history: Mapping[str, Float[np.ndarray, "n evaluations"]] = field(default_factory=dict)
    path: Float[np.ndarray, "n evaluations *shape"] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.status)

    def __repr__(self) -> str:
        return f"Explanations(n={len(self)}, found={int(self.found.sum())})"

    @property
    def found(self) -> Bool[np.ndarray, " n"]:
        """Whether each row has a counterfactual that the model really decides otherwise on."""
        return self.status == Status.FOUND

    @property
    def messages(self) -> list[str]:
        """Each row's status in words."""
        return [Status(code).message for code in self.status]

    @property
    def perturbation(self) -> Float[np.ndarray, "n *shape"]:
        """`counterfactual - original`; 0 where a row is invalid and was not touched."""
        untouched = self.counterfactual == self.original
        with np.errstate(invalid="ignore"):
            return np.where(
                untouched | ~np.isfinite(self.original), 0, self.counterfactual - self.original
            )

    @property
    def l0(self) -> Int[np.ndarray, " n"]:
        """How many features changed."""
        return metrics.l0(self.perturbation)

    @property
    def l1(self) -> Float[np.ndarray, " n"]:
        """The sum of absolute changes."""
        return metrics.l1(self.perturbation)

    @property
    def l2(self) -> Float[np.ndarray, " n"]:
        """The Euclidean length of the change."""
        return metrics.l2(self.perturbation)

    @property
    def elastic_net(self) -> Float[np.ndarray, " n"]:
        """The sum beta |d|_1 + |d|_2^2, with `l1_weight` for beta."""
        return metrics.elastic_net(self.perturbation, self.l1_weight)

    @property
    def l1_weight(self) -> float:
        """The objective's beta; 0.1 where it has none."""
        return self.settings.get("objective", {}).get("weights", {}).get("l1", 0.1)

    def __getitem__(self, rows: Any) -> "Explanations":
        """The chosen rows, as explanations: a mask, a slice, row numbers or one row number.

        Raises:
            TypeError: if `rows` is nothing of the kind.
            IndexError: if there is no such row, or a mask has not one entry per row.
        """
        chosen = chosen_rows(len(self), rows)
        arrays = {name: getattr(self, name)[chosen] for name in explanation_files.ARRAYS}
        tables = {
            name: {key: values[chosen] for key, values in getattr(self, name).items()}
            for name in explanation_files.TABLES
        }
        path = None if self.path is None else self.path[chosen]
        return replace(self, **arrays, **tables, path=path)

    def with_scores(self, **scores: Float[np.ndarray, " n"]) -> "Explanations":
        """The same explanations with further values per row, shown in summaries and tables."""
        for name, values in scores.items():
            if np.shape(values) != (len(self),):
                raise ValueError(
                    f"the score {name!r} has shape {np.shape(values)}; expected ({len(self)},), "
                    "one value per row"
                )
        return replace(self, scores=dict(self.scores) | scores)

    def summary(self) -> dict[str, Any]:
        """Counts, and means over the FOUND rows only; None where no row was found.

        Returns:
            `n`, `found`, `status` (how many rows ended how), `steps` {`median`, `p99`, `mean`},
            `l1`, `l2`, `elastic_net`, `changed` (features), one mean per score, `seconds`.
        """
        found = self.found
        codes, counts = np.unique(self.status, return_counts=True)
        by_status = {
            Status(code).name.lower(): int(k) for code, k in zip(codes, counts, strict=True)
        }

        def mean(values: np.ndarray) -> float | None:
            # NaN where a score doesn't exist, such as the diversity of a single counterfactual.
            chosen = values[found & ~np.isnan(values)]
            return float(np.mean(chosen, dtype=np.float64)) if len(chosen) else None

        steps = self.steps[found]
        return {
            "n": len(self),
            "found": int(found.sum()),
            "status": by_status,
            "steps": {
                "median": float(np.median(steps)) if len(steps) else None,
                "p99": float(np.percentile(steps, 99)) if len(steps) else None,
                "mean": mean(self.steps),
            },
            "l1": mean(self.l1),
            "l2": mean(self.l2),
            "elastic_net": mean(self.elastic_net),
            "changed": mean(self.l0),
            **{name: mean(values) for name, values in self.scores.items()},
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
        }

    def to_pandas(
        self, *, class_names: Sequence[str] | None = None, probabilities: bool = False
    ) -> "DataFrame":
        """One line per row with everything that is one value per row (needs pandas).

        The columns are those of docs/summary.md.

        Args:
            class_names: one per class, to stand for the numbers; missing where a row has none.
            probabilities: whether to add one column per class, "probability_NAME", of the
                counterfactual.

        Raises:
            ImportError: if pandas is not installed.
            ValueError: if there are more or fewer names than classes.
        """
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise ImportError(
                "to_pandas() needs pandas, which is an extra: pip install 'jaxcf[pandas]'"
            ) from error
        names = names_or_numbers("classes", class_names, self.probabilities.shape[1])

        def named(classes: np.ndarray) -> Any:
            # The class -1, of a row without one, is the last.
            return classes if class_names is None else np.array([*names, None], object)[classes]

        columns: dict[str, Any] = {
            "row": self.source_row,
            "found": self.found,
            "status": [Status(code).name.lower() for code in self.status],
            "original_class": named(self.original_class),
            "counterfactual_class": named(self.counterfactual_class),
            "target_class": named(self.target_class),
            "original_probability": self.original_probabilities.max(axis=1),
            "counterfactual_probability": self.probabilities.max(axis=1),
            "steps": self.steps,
            "prediction_weight": self.prediction_weight,
            "changed": self.l0,
            "l1": self.l1,
            "l2": self.l2,
            "elastic_net": self.elastic_net,
        }
        columns |= {f"loss_{name}": values for name, values in self.losses.items()}
        columns |= self.scores
        if probabilities:
            columns |= {
                f"probability_{name}": values
                for name, values in zip(names, self.probabilities.T, strict=True)
            }
        return DataFrame(columns)

    def _repr_html_(self) -> str:
        from jaxcf.notebook import explanations_html

        return explanations_html(self)

    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        num_columns: int = 10,
        class_names: Sequence[str] | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> "Axes":
        """A grid of originals, counterfactuals and differences; see `jaxcf.plots.grid`."""
        from jaxcf import plots

        return plots.grid(
            self, ax, num_columns=num_columns, class_names=class_names, feature_names=feature_names
        )

    def plot_path(
        self,
        row: int,
        ax: "Axes | None" = None,
        *,
        num_points: int = 8,
        class_names: Sequence[str] | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> "Axes":
        """The way of one search, which needs `record_path`; see `jaxcf.plots.search_path`."""
        from jaxcf import plots

        return plots.search_path(
            self,
            row,
            ax,
            num_points=num_points,
            class_names=class_names,
            feature_names=feature_names,
        )

    def plot_losses(
        self,
        row: int,
        ax: "Axes | None" = None,
        *,
        log: bool = True,
        class_names: Sequence[str] | None = None,
    ) -> "Axes":
        """One search's loss terms; needs `record_history`; see `jaxcf.plots.search_losses`."""
        from jaxcf import plots

        return plots.search_losses(self, row, ax, log=log, class_names=class_names)

    def plot_transitions(
        self, ax: "Axes | None" = None, *, class_names: Sequence[str] | None = None
    ) -> "Axes":
        """How many rows went from which class to which; see `jaxcf.plots.transitions`."""
        from jaxcf import plots

        return plots.transitions(self, ax, class_names=class_names)

    def plot_changes(
        self,
        ax: "Axes | None" = None,
        *,
        num_features: int = 20,
        feature_names: Sequence[str] | None = None,
    ) -> "Axes":
        """How often each feature rose and fell; see `jaxcf.plots.feature_directions`."""
        from jaxcf import plots

        return plots.feature_directions(
            self, ax, num_features=num_features, feature_names=feature_names
        )

    def report(self, path: str | os.PathLike[str], **options: Any) -> None:
        """One HTML page with every row, which needs no network; see `jaxcf.report.write`.

        Args:
            path: of the file.
            options: of `jaxcf.report.write`, such as `class_names`.
        """
        from jaxcf import report

        report.write(path, self, **options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one npz file, at once or not at all, without pickle."""
        storage.write_arrays(path, explanation_files.pack(self), explanation_files.describe(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Explanations":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it isn't such a file, is damaged, or of another schema version.
        """
        return cls(**explanation_files.unpack(path, *storage.read_arrays(path)))
