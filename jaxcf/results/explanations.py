"""The result: one row per instance, whatever became of it; and its file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from jaxcf import metrics
from jaxcf.results import html
from jaxcf.results.accessors import Accessor
from jaxcf.results.convinced import (
    found_and_agreed,
    is_record_of,
    percent,
    who_was_convinced,
)
from jaxcf.results.counts import Counts
from jaxcf.results.parts import JoinedParts, open_explanations
from jaxcf.search.status import Status
from jaxcf.utils.array_files import ArrayFile, under, write_arrays
from jaxcf.utils.file_checks import ArrayHeader, ArrayRule, check_arrays, check_format
from jaxcf.utils.images import is_image, with_channels_last
from jaxcf.utils.json_files import is_number
from jaxcf.utils.selection import chosen_rows, representative_rows
from jaxcf.utils.timing import rounded
from jaxcf.utils.validation import names_or_numbers

if TYPE_CHECKING:
    from pandas import DataFrame

FORMAT = "jaxcf.explanations"
SCHEMA_VERSION = 2

# A row that is still being searched is no result.
_FINISHED = frozenset(int(code) for code in Status) - {int(Status.RUNNING), int(Status.IDLE)}

_CLASS = ArrayRule("iu", 1, lowest=-1)
# Differences can be taken of whole numbers too, not of truth values and numbers without a sign.
_NUMBERS = ArrayRule("if")
_ARRAYS = {
    "original": _NUMBERS,
    "counterfactual": _NUMBERS,
    "status": ArrayRule("iu", 1, codes=_FINISHED),
    "source_row": ArrayRule("iu", 1, lowest=0),
    "original_class": _CLASS,
    "original_probabilities": ArrayRule("f", 2),
    "counterfactual_class": _CLASS,
    "probabilities": ArrayRule("f", 2),
    "target_class": _CLASS,
    "prototype": _NUMBERS,
    "steps": ArrayRule("iu", 1, lowest=0),
    "prediction_weight": ArrayRule("biuf", 1),
}
"""What every row has, in arrays of their own."""

_TABLES = {
    "losses": ArrayRule("biuf", 1),
    "scores": ArrayRule("biuf", 1),
    "history": ArrayRule("biuf", 2),
}
"""What rows may have by name, an array each, called "losses/l1" in a file."""

_GUIDED = ArrayRule("f", 3)
_OPTIONAL = {
    "path": _NUMBERS,
    "guide_original_probabilities": _GUIDED,
    "guide_probabilities": _GUIDED,
}
"""What every row has, or none."""

# Those that a row which was found can't be without.
_FINITE_WHERE_FOUND = ("original", "counterfactual", "original_probabilities", "probabilities")

_L1_WEIGHT = 0.1

# What summaries and tables say of their own, and so no score can be called.
_TAKEN = frozenset(
    (
        *("n", "found", "needed", "status", "steps", "seconds"),
        *("l1", "l2", "elastic_net", "changed"),
        *("changed_share", "moved", "row", "original_class", "counterfactual_class"),
        *("target_class", "original_probability", "counterfactual_probability"),
        "prediction_weight",
    )
)

# What tables call losses and probabilities begins so.
_TAKEN_BEGINNINGS = ("loss_", "probability_")

# Distances of so many rows at a time: those of 10,000 photographs would need gigabytes at once.
_ROWS_AT_ONCE = 1024

# More classes than this are no table at a glance.
_MOST_CLASSES = 12

_SHOWN_IMAGES = 8


@dataclass(frozen=True, eq=False)
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
        counterfactual_class: `[n]`, what it decides for `counterfactual`; -1 for invalid rows, and
            where an interrupt came before it was asked.
        probabilities: `[n, classes]`, of `counterfactual`.
        target_class: `[n]`, the class of the prototype (eq. 2); where there is none the one class
            that was asked for, -1 where that were several.
        prototype: `[n, *latent]`, the prototype used; NaN where the search needed none and there
            was none.
        steps: `[n]`, updates used.
        prediction_weight: `[n]`, c when the counterfactual was seen.
        losses: each weighted loss term at `counterfactual`, `[n]`; they add up to the objective.
        scores: further values per row, `[n]` each, such as "im1" and "im2". Of an interrupted run
            "interrupted" is 1 for rows that weren't finished, found ones too.
        history: each loss term at every evaluation, `[n, evaluations]`, NaN where not reached;
            empty unless asked for.
        path: `[n, evaluations, *shape]`, the point of the search at every evaluation, NaN where
            not reached; None unless asked for.
        guide_original_probabilities: `[n, guides, classes]`, what each guide says of `original`;
            None where there was none.
        guide_probabilities: `[n, guides, classes]`, what it says of `counterfactual`.
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
    guide_original_probabilities: Float[np.ndarray, "n guides classes"] | None = None
    guide_probabilities: Float[np.ndarray, "n guides classes"] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.status)

    def __repr__(self) -> str:
        return f"Explanations({self.counts.brief})"

    @property
    def found(self) -> Bool[np.ndarray, " n"]:
        """Whether each row has a counterfactual that the model really decides otherwise on."""
        return self.status == Status.FOUND

    @property
    def counts(self) -> Counts:
        """How many rows were found, of how many that needed a counterfactual."""
        return Counts.of(self.status)

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
        r"""The sum $\beta\,\|d\|_1 + \|d\|_2^2$ with `l1_weight` for $\beta$."""
        return metrics.elastic_net(self.perturbation, self.l1_weight)

    @property
    def l1_weight(self) -> float:
        """The objective's beta, 0 without an L1 term; 0.1 where no objective is recorded."""
        weights = self.settings.get("objective", {}).get("weights")
        return _L1_WEIGHT if weights is None else weights.get("l1", 0.0)

    def __getitem__(self, rows: Any) -> "Explanations":
        """The chosen rows, as explanations: a mask, a slice, row numbers or one row number.

        Raises:
            TypeError: if `rows` is nothing of the kind.
            IndexError: if there is no such row, or a mask has not one entry per row.
        """
        chosen = chosen_rows(len(self), rows)
        arrays = {name: getattr(self, name)[chosen] for name in _ARRAYS}
        tables = {
            name: {key: values[chosen] for key, values in getattr(self, name).items()}
            for name in _TABLES
        }
        optional = {name: getattr(self, name) for name in _OPTIONAL}
        optional = {name: None if a is None else a[chosen] for name, a in optional.items()}
        return replace(self, **arrays, **tables, **optional)

    def with_scores(self, **scores: ArrayLike) -> "Explanations":
        """The same explanations with further values per row, shown in summaries and tables.

        Args:
            **scores: `[n]` each, by the name that they are shown under.

        Raises:
            TypeError: if they are no numbers.
            ValueError: if there isn't one value per row, or a name is that of something else.
        """
        for name, values in scores.items():
            if name in _TAKEN or name.startswith(_TAKEN_BEGINNINGS):
                raise ValueError(
                    f"a score can't be called {name!r}: summaries have that already; choose "
                    "another name"
                )
            if np.shape(values) != (len(self),):
                raise ValueError(
                    f"the score {name!r} has shape {np.shape(values)}; expected ({len(self)},), "
                    "one value per row"
                )
        given = {name: np.asarray(values) for name, values in scores.items()}
        for name, values in given.items():
            if values.dtype.kind not in "biuf":
                raise TypeError(f"the score {name!r} must hold numbers, got dtype {values.dtype}")
        return replace(self, scores=dict(self.scores) | given)

    def summary(self) -> dict[str, Any]:
        """Counts, and means over the FOUND rows only; None where no row was found.

        Returns:
            `n`, `found`, `needed` (rows whose decision wasn't a requested one already: what `found`
            is a share of), `status` (how many rows ended how), `steps` {`median`, `p99`, `mean`},
            `l1`, `l2`, `elastic_net`, `changed` (features), one mean per score, `seconds`.
        """
        found = self.found
        codes, counts = np.unique(self.status, return_counts=True)
        by_status = {
            Status(code).name.lower(): int(k) for code, k in zip(codes, counts, strict=True)
        }

        def mean(values: np.ndarray) -> float | None:
            # NaN where a score doesn't exist, such as the diversity of a single counterfactual.
            chosen = values[found & np.isfinite(values)]
            return float(np.mean(chosen, dtype=np.float64)) if len(chosen) else None

        steps, change = self.steps[found], self.perturbation
        return {
            "n": len(self),
            "found": self.counts.found,
            "needed": self.counts.needed,
            "status": by_status,
            "steps": {
                "median": float(np.median(steps)) if len(steps) else None,
                "p99": float(np.percentile(steps, 99)) if len(steps) else None,
                "mean": mean(self.steps),
            },
            "l1": mean(metrics.l1(change)),
            "l2": mean(metrics.l2(change)),
            "elastic_net": mean(metrics.elastic_net(change, self.l1_weight)),
            "changed": mean(metrics.l0(change)),
            **{name: mean(values) for name, values in self.scores.items()},
            "seconds": rounded(self.seconds),
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

    plot = Accessor("plot")
    """Pictures: `plot()`, `plot.path(row)`, ...; see `jaxcf.plots.accessor.PlotAccessor`."""

    @property
    def core(self) -> "Explanations":
        """These: what results of either kind have in common is found under this name."""
        return self

    @property
    def num_changed(self) -> Int[np.ndarray, " n"]:
        """How many features changed."""
        return self.l0

    def check_same_rows(self, other: Any) -> None:
        """Check that other explanations are of the same rows in the same order.

        Raises:
            TypeError: if they are of another kind.
            ValueError: if they aren't; the message says how the rows differ.
        """
        check_kind_and_length(self, other)
        check_equal_rows(self.original, other.original)
        check_source_rows(self, other)

    def _repr_html_(self) -> str:
        changed, l1, l2 = _found_distances(self)
        features = self.original[0].size if len(self) else 0
        medians = {
            "updates": self.steps[self.found],
            f"changed features, of {features}": changed,
            "L1": l1,
            "L2": l2,
        }
        return overview_html(self, medians, images=_strip(self))

    def save(self, path: str | os.PathLike[str], *, run: str | None = None) -> None:
        """Write everything to one npz file, at once or not at all, without pickle.

        Args:
            path: of the file.
            run: of which run it is a part, where several files are.
        """
        write_arrays(path, pack(self), describe(self) | {"run": run})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Explanations":
        """Read what `save` wrote, or all parts of a job's folder.

        Args:
            path: of a file, or of the folder of a job that is complete.

        Raises:
            FileNotFoundError: if there is no such file or job.
            ValueError: if it isn't such a file, is damaged, or of another schema version, or the
                job isn't complete.
        """
        with open_explanations(path) as file:
            return cls.read(path, file)

    @classmethod
    def read(cls, path: str | os.PathLike[str], file: ArrayFile | JoinedParts) -> "Explanations":
        """Read a file that is open, or some parts of a job.

        Args:
            path: of it, for messages.
            file: what `open_explanations` or `JobFolder.read` gives.

        Raises:
            ValueError: if it is damaged, or of another schema version.
        """
        rules = check_declared(path, file.headers, file.metadata)
        return unpack(path, file.read(rules), file.metadata)


# --- at a glance -------------------------------------------------------------------------


def overview_html(
    explanations: Explanations,
    medians: Mapping[str, np.ndarray],
    *,
    class_names: Sequence[str] | None = None,
    tables: Mapping[str, html.Table] | None = None,
    images: np.ndarray | None = None,
) -> str:
    """What became of the rows, from which class to which, and the settings, as HTML.

    Args:
        explanations: any number of rows.
        medians: values of the found rows by name, whose medians are shown.
        class_names: one per class; their numbers where not given.
        tables: further ones by title, folded.
        images: originals above their counterfactuals, `[2, k, h, w, c]`.

    Returns:
        HTML for a notebook.
    """
    codes, counts = np.unique(explanations.status[~explanations.found], return_counts=True)
    reasons = [
        [str(number), Status(code).message] for code, number in zip(codes, counts, strict=True)
    ]
    scores = {name: values[explanations.found] for name, values in explanations.scores.items()}
    shown = [[name, _median(values)] for name, values in {**medians, **scores}.items()]
    return html.page(
        found_and_agreed(explanations),
        [
            html.Table(reasons),
            html.Table(shown, ("", "median of the found rows")),
            _convinced(explanations),
        ],
        folded={
            **_convinced_by_row(explanations, class_names),
            **(tables or {}),
            **_transitions(explanations, class_names),
        },
        images=images,
        settings=explanations.settings,
        seconds=explanations.seconds,
    )


def _found_distances(explanations: Explanations) -> tuple[np.ndarray, ...]:
    """Changed features, L1 and L2 of the found rows."""
    rows = np.flatnonzero(explanations.found)
    parts = [np.empty((3, 0))]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[start : start + _ROWS_AT_ONCE]
        change = explanations.counterfactual[some] - explanations.original[some]
        parts.append(np.stack([metrics.l0(change), metrics.l1(change), metrics.l2(change)]))
    return tuple(np.concatenate(parts, axis=1))


def _transitions(
    explanations: Explanations, class_names: Sequence[str] | None
) -> dict[str, html.Table]:
    number, found = explanations.probabilities.shape[1], explanations.found
    if number > _MOST_CLASSES or not found.any():
        return {}
    names = names_or_numbers("classes", class_names, number)
    counts = np.zeros((number, number), int)
    np.add.at(
        counts, (explanations.original_class[found], explanations.counterfactual_class[found]), 1
    )
    lines = [
        [name, *(str(count) if count else "" for count in line)]
        for name, line in zip(names, counts.tolist(), strict=True)
    ]
    return {"from class (lines) to class (columns)": html.Table(lines, ("", *names))}


def _shown_rows(explanations: Explanations) -> np.ndarray:
    """A few found rows."""
    shown = min(_SHOWN_IMAGES, int(explanations.found.sum()))
    return representative_rows(explanations.found, explanations.original_class, shown)


def _convinced(explanations: Explanations) -> html.Table:
    """How sure the model and its guides are; empty where there are none."""
    found = explanations.found
    needed = explanations.status != Status.ALREADY_IN_TARGET
    lines = [
        [
            one.name,
            one.asked,
            *(_median_share(values[found]) for values in (one.before, one.after)),
            f"{int(one.convinced[needed].sum())} of {int(needed.sum())}",
        ]
        for one in who_was_convinced(explanations)
    ]
    head = ("", "asked of the new class", "median before", "median after", "convinced, rows")
    return html.Table(lines, head)


def _convinced_by_row(
    explanations: Explanations, class_names: Sequence[str] | None
) -> dict[str, html.Table]:
    """The same of single rows: those whose images are shown."""
    who = who_was_convinced(explanations)
    if not who or not explanations.found.any():
        return {}
    names = [*names_or_numbers("classes", class_names, explanations.probabilities.shape[1]), "-"]
    by_row = np.stack([np.stack([one.before, one.after], axis=1) for one in who], axis=1)
    lines = [
        [
            str(row),
            names[explanations.original_class[row]],
            names[explanations.counterfactual_class[row]],
            *(f"{percent(float(p))} → {percent(float(q))}" for p, q in by_row[row]),
        ]
        for row in _shown_rows(explanations)
    ]
    head = ("row", "before", "after", *(one.name for one in who))
    return {"who was convinced of which class, row by row": html.Table(lines, head)}


def _strip(explanations: Explanations) -> np.ndarray | None:
    """A few found images and their counterfactuals; None where rows are no images."""
    if not is_image(explanations.original.shape[1:]) or not explanations.found.any():
        return None
    rows = _shown_rows(explanations)
    pairs = np.stack(
        [
            with_channels_last(images[rows])
            for images in (explanations.original, explanations.counterfactual)
        ]
    )
    return pairs.reshape(*pairs.shape[:4], -1)


def _median_share(values: np.ndarray) -> str:
    finite = values[np.isfinite(values)]
    return percent(float(np.median(finite))) if len(finite) else "-"


def _median(values: np.ndarray) -> str:
    finite = values[np.isfinite(values)]
    return f"{np.median(finite):.4g}" if len(finite) else "-"


# --- the same rows -----------------------------------------------------------------------


def check_kind_and_length(first: Any, second: Any) -> None:
    """Check that two results are of one kind and of as many rows.

    Raises:
        TypeError: if they are of different kinds.
        ValueError: if they differ in length.
    """
    if type(first) is not type(second):
        raise TypeError(
            f"can't compare {type(first).__name__} with {type(second).__name__}; pass two of a kind"
        )
    if len(first) != len(second):
        raise ValueError(
            f"the runs differ in length: {len(first)} and {len(second)} rows; compare runs over "
            "the same number of rows of the same data"
        )


def check_equal_rows(rows: np.ndarray, others: np.ndarray) -> None:
    """Check that rows are equal, NaN where NaN is.

    Raises:
        ValueError: if they differ.
    """
    if rows.shape != others.shape:
        raise ValueError(
            f"the runs explain rows of shape {rows.shape[1:]} and {others.shape[1:]}; compare "
            "runs over the same data"
        )
    same = (rows == others) | (np.isnan(rows) & np.isnan(others))
    differing = np.flatnonzero(~same.all(axis=tuple(range(1, same.ndim))))
    if len(differing):
        raise ValueError(
            f"the runs explain different rows: {len(differing)} of {len(rows)} differ, the first "
            f"is row {differing[0]}; compare runs over the same data in the same order"
        )


def check_source_rows(first: Explanations, second: Explanations) -> None:
    """Check that the counterfactuals belong to the same rows.

    Raises:
        ValueError: if they don't.
    """
    if not np.array_equal(first.source_row, second.source_row):
        raise ValueError(
            "the runs differ in which row each counterfactual belongs to; compare runs that asked "
            "for the same classes and as many counterfactuals per row"
        )


# --- the file ----------------------------------------------------------------------------


def pack(explanations: Explanations) -> dict[str, np.ndarray]:
    """Every array by its name in a file."""
    arrays = {name: getattr(explanations, name) for name in _ARRAYS}
    for table in _TABLES:
        arrays |= {f"{table}/{key}": value for key, value in getattr(explanations, table).items()}
    optional = {name: getattr(explanations, name) for name in _OPTIONAL}
    return arrays | {name: array for name, array in optional.items() if array is not None}


def describe(explanations: Explanations) -> dict[str, Any]:
    """What is no array, for JSON."""
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "settings": dict(explanations.settings),
        "seconds": dict(explanations.seconds),
    }


def check_declared(
    path: str | os.PathLike[str],
    headers: Mapping[str, ArrayHeader],
    metadata: Mapping[str, Any],
) -> dict[str, ArrayRule]:
    """Check what a file of explanations declares, before any of it is unpacked.

    Args:
        path: of the file, for messages.
        headers: of its arrays, by name.
        metadata: their description.

    Returns:
        What the values of each array must be.

    Raises:
        ValueError: if they make no explanations.
    """
    check_format(path, metadata, FORMAT, SCHEMA_VERSION)
    _check_description(path, metadata)
    rules = check_arrays(path, headers, _ARRAYS, _OPTIONAL, _TABLES)
    shape, shown = headers["original"].shape, headers["original_probabilities"].shape
    for name, other, wanted in (
        ("counterfactual", "original", shape),
        ("probabilities", "original_probabilities", shown),
    ):
        if headers[name].shape != wanted:
            raise ValueError(
                f"{path} is damaged: {name} has shape {headers[name].shape} where {other} has "
                f"{wanted}"
            )
    if not shown[1]:
        raise ValueError(f"{path} is damaged: its probabilities are of no class")
    points = headers.get("path")
    if points is not None and (len(points.shape) < 2 or points.shape[2:] != shape[1:]):
        raise ValueError(f"{path} is damaged: its path has shape {points.shape}, its rows {shape}")
    guided = [headers[name].shape for name in _OPTIONAL if name in headers and name != "path"]
    if guided and (len(guided) < 2 or len({*guided}) > 1 or guided[0][2] != shown[1]):
        raise ValueError(
            f"{path} is damaged: what guides say has the shapes {guided}; expected two alike, "
            f"of {shown[1]} classes"
        )
    if guided and not is_record_of(metadata.get("settings", {}), guided[0][1]):
        raise ValueError(
            f"{path} is damaged: its settings have the guides {metadata['settings']['guides']!r}; "
            f"expected the confidence of each of {guided[0][1]}, and how many are needed"
        )
    taken = sorted(name for name in headers if name.removeprefix("scores/") in _TAKEN - {name})
    if taken:
        raise ValueError(f"{path} is damaged: {taken[0]!r} has the name of something else")
    recorded = [headers[name].shape for name in headers if name.startswith("history/")]
    if len({*recorded, *([points.shape[:2]] if points is not None else [])}) > 1:
        raise ValueError(
            f"{path} is damaged: its path and history are of different numbers of evaluations"
        )
    for name in rules:
        if rules[name] is _CLASS:
            rules[name] = _CLASS._replace(highest=shown[1] - 1)
    return rules


def _check_description(path: str | os.PathLike[str], metadata: Mapping[str, Any]) -> None:
    for name in ("settings", "seconds"):
        if not isinstance(metadata.get(name, {}), dict):
            raise ValueError(f"{path} is damaged: its {name} are no JSON object")
    for name, value in metadata.get("seconds", {}).items():
        if not is_number(value):
            raise ValueError(f"{path} is damaged: its seconds {name!r} are {value!r}, no number")
    objective = metadata.get("settings", {}).get("objective", {})
    weights = objective.get("weights", {}) if isinstance(objective, dict) else None
    if not (
        isinstance(weights, dict)
        and is_number(weights.get("l1", _L1_WEIGHT))
        and is_number(objective.get("confidence", 0))
    ):
        raise ValueError(
            f"{path} is damaged: its settings have the objective {objective!r}; expected one whose "
            "weights and confidence are numbers"
        )


def unpack(
    path: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
) -> Explanations:
    """The explanations that arrays and their description make.

    Args:
        path: where they come from, for messages.
        arrays: by name; what they declare has been checked.
        metadata: their description, likewise.

    Raises:
        ValueError: if their values make none.
    """
    found = arrays["status"] == Status.FOUND
    for name in ("original_class", "counterfactual_class"):
        if (arrays[name][found] < 0).any():
            raise ValueError(f"{path} is damaged: {name} of a row that was found is none")
    for name in _FINITE_WHERE_FOUND:
        if not _finite_rows(arrays[name])[found].all():
            raise ValueError(f"{path} is damaged: {name} of a row that was found isn't finite")
    fields: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
    fields |= {table: under(arrays, table) for table in _TABLES}
    fields |= {name: arrays.get(name) for name in _OPTIONAL}
    return Explanations(
        **fields,
        settings=metadata.get("settings", {}),
        seconds=metadata.get("seconds", {}),
    )


def _finite_rows(rows: np.ndarray) -> np.ndarray:
    """Which rows hold finite numbers alone."""
    finite = np.empty(len(rows), bool)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[start : start + _ROWS_AT_ONCE]
        finite[start : start + _ROWS_AT_ONCE] = np.isfinite(some.reshape(len(some), -1)).all(axis=1)
    return finite
