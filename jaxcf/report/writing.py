"""Writing the report of a run."""

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import ArrayLike

from jaxcf.report.contents import contents
from jaxcf.report.packing import PackedArray, pack
from jaxcf.report.page import page
from jaxcf.report.question import question
from jaxcf.report.rows import (
    columns,
    examples,
    flattened,
    glance,
    guided,
    labels,
    measures,
    notes,
    numbers,
    own_messages,
    statuses,
)
from jaxcf.report.searches import searches
from jaxcf.results.comparison import Comparison, Results
from jaxcf.results.convinced import who_was_convinced
from jaxcf.results.traces import Traces
from jaxcf.results.true_classes import read_true_classes
from jaxcf.results.wording import measure_words
from jaxcf.tabular.explanations import TableExplanations
from jaxcf.tabular.relations import Relation
from jaxcf.tabular.rules import Rules
from jaxcf.utils.files import write_atomically
from jaxcf.utils.images import Channels
from jaxcf.version import __version__


def write(
    path: str | os.PathLike[str],
    explanations: Results,
    *,
    traces: Traces | None = None,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    feature_units: tuple[ArrayLike, ArrayLike] | None = None,
    title: str | None = None,
    config: Mapping[str, Any] | None = None,
    comparison: Comparison | None = None,
    channels: Channels | None = None,
    model: str | None = None,
    true_classes: ArrayLike | Sequence[Any] | None = None,
    rules: Rules | None = None,
    relations: Sequence[Relation] | None = None,
    run: str | None = None,
) -> None:
    """Write explanations as one HTML page: the question, examples, filters, and each row in full.

    The page holds everything, needs no network and no server, and may be sent to others. Images are
    shown in 256 steps of brightness, those with sides above 128 pixels reduced; tables in original
    units.

    Args:
        path: of the file; written at once or not at all.
        explanations: of images, of tables, or of rows of other shapes, which aren't drawn.
        traces: the way of the search, prototypes and nearest training rows of some of the rows.
        class_names: one per class; those of the table, or numbers, where not given.
        feature_names: one per feature of rows `[features]`; a table has its own.
        feature_units: offset and scale of each feature, where original = x * scale + offset; the
            page then shows original units. `TableExplanations` have them anyway.
        title: of the page.
        config: what was asked for and used, JSON-able, to be shown.
        comparison: with another run; its `first` must have the rows of `explanations`.
        channels: "first" for images `[channels, h, w]`, "last" for `[h, w, channels]`; None tells
            by their shape, see `jaxcf.utils.images.is_image`.
        model: which model was asked, and how good it is, in words: "a forest, right for 93 % of
            5,000 rows it had not seen". None says how many rows it reads right, where that is
            known.
        true_classes: what each row that was explained really is, by number or name of its class;
            -1 or None where nobody knows.
        rules: those that `explain` was given, to be told in words; None names no more than the
            columns that a table's rules spoke about.
        relations: likewise.
        run: of which run the page is a part, where several files are.

    Raises:
        TypeError: if the explanations are none.
        ValueError: if there are more or fewer names or units than classes or features, the traces
            or the comparison are of other rows, a true class is none, or the rules are of other
            columns.

    Examples:
        >>> import tempfile, pathlib, numpy as np
        >>> from jaxcf import Explanations
        >>> rows = np.zeros((2, 4, 4, 1), np.float32)
        >>> explanations = Explanations(rows, rows + 0.5, *[np.zeros(2, np.int8)] * 3,
        ...     np.ones((2, 2)), np.ones(2, int), np.ones((2, 2)), *[np.ones(2, int)] * 4)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "report.html"
        ...     write(file, explanations, class_names=["cat", "dog"])
        ...     file.read_text().startswith("<!DOCTYPE html>")
        True
    """
    if not hasattr(explanations, "core"):
        raise TypeError(
            f"explanations must be Explanations or TableExplanations, got "
            f"{type(explanations).__name__}; the file comes first: write(path, explanations)"
        )
    core = explanations.core
    title = title or "Counterfactual explanations"
    other = None if comparison is None else comparison.second
    if other is not None and len(other) != len(core):
        raise ValueError(
            f"the comparison is of {len(other)} rows; the explanations have {len(core)}"
        )
    names = _class_names(explanations, class_names)
    truth = read_true_classes(true_classes, explanations, names)
    shown = contents(explanations, feature_names, feature_units, other, channels)
    search_facts, search_arrays = searches(explanations, traces, shown)
    payload = {
        "title": title,
        "question": question(
            explanations, names, model=model, true_classes=truth, rules=rules, relations=relations
        ),
        "count": len(core),
        "classes": names,
        "statuses": statuses(explanations),
        "columns": columns(explanations, truth),
        "examples": examples(explanations),
        "glance": glance(explanations, names),
        "labels": labels(explanations),
        "measures": measures(explanations),
        "messages": own_messages(explanations),
        "notes": notes(explanations),
        "kind": shown.kind,
        "contents": shown.facts,
        "lossTerms": list(core.losses),
        "searches": search_facts,
        "seconds": {name: round(float(value), 3) for name, value in core.seconds.items()},
        "settings": flattened(config if config is not None else {"settings": core.settings}),
        "versions": {"report written by jaxcf": __version__, "python": platform.python_version()},
        "comparison": None if comparison is None else _compared(comparison),
        "guided": guided(explanations),
    }
    arrays = dict(shown.arrays) | search_arrays | _row_arrays(explanations)
    text = page(title, payload, arrays, run)
    write_atomically(path, lambda file: file.write(text.encode()))


def _class_names(explanations: Results, given: Sequence[str] | None) -> list[str]:
    count = explanations.core.probabilities.shape[1]
    if given is None and isinstance(explanations, TableExplanations):
        given = explanations.class_names
    if given is None:
        return [str(label) for label in range(count)]
    if len(given) != count:
        raise ValueError(f"got {len(given)} class names; the model has {count} classes")
    return [str(name) for name in given]


def _row_arrays(explanations: Results) -> dict[str, PackedArray]:
    core = explanations.core
    both = np.stack([core.original_probabilities, core.probabilities], axis=1)
    arrays = {"probabilities": pack(both.astype(np.float32))}
    if core.losses:
        table = np.stack(list(core.losses.values()), axis=1)
        arrays["losses"] = pack(table.astype(np.float32))
    who = who_was_convinced(core)
    if who:
        table = np.stack([np.stack(one[2:], axis=1).astype(np.float32) for one in who], axis=1)
        arrays["convinced"] = pack(table)
    return arrays


def _compared(comparison: Comparison) -> dict[str, Any]:
    other = comparison.second.core
    summary = comparison.summary()
    differences = [
        {"label": measure_words(name).label, **values}
        for name, values in summary.pop("differences").items()
    ]
    return summary | {
        "differences": differences,
        "statuses": statuses(comparison.second),
        "status": other.status.tolist(),
        "newClass": other.counterfactual_class.tolist(),
        "steps": numbers(other.steps),
    }
