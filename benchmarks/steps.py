"""Fewer updates: the searches of today beside those before them, on the same rows.

    python -m benchmarks.steps [--quick] [--json FILE] [--data-dir DIR] [--first 1000] [--n 1000]

Images (the embedded digits, MNIST with `--data-dir`): the default search, objective D without a
guide, and `presets.near` with the shipped one. Tables (breast_cancer, Adult with `--data-dir`; the
networks of `benchmarks.tables`): the default of `TableExplainer`, its tightening included. Each
with the rule and the growth of c that it has, and with those it had before: Adam of 0.03 per step
and a c that grows by 1.1, for `near` 60 updates of Adam at 0.15. `--first` and `--n` say which test
rows; where there are no more, the last ones.

The objective is always that of c = 1, so that a larger c makes no difference. L1 and L2 of tables
are in median absolute deviations, columns counted where they changed. Means over found rows.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.tables_measures import score
from benchmarks.tables_process import Answers
from benchmarks.tables_tasks import ADULT, NETWORK, read, task
from jaxcf import Explainer, Explanations, Guide, SearchOptions, data, models, presets, solvers
from jaxcf.tabular import TableExplainer

BEFORE = SearchOptions(solver=solvers.adam(), weight_growth=1.1)
"""The default search of version 0.1.0."""

NEAR_BEFORE = SearchOptions(
    solver=solvers.adam(0.15),
    stop="budget",
    max_steps=60,
    extra_steps=350,
    prediction_weight=3.0,
    weight_growth=1.1,
)
"""The search of `presets.near` for strokes before its steps faded."""

_COLUMNS = ("found", "steps", "p99", "changed", "l1", "l2", "objective", "seconds")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write if asked.

    Args:
        arguments: without the program's name; None takes those of the process.
    """
    parser = common.parser(__doc__)
    parser.add_argument("--first", type=int, default=1000, help="the first of the test rows")
    parser.add_argument("--n", type=int, default=1000, help="rows explained at most")
    options = common.quickly(parser.parse_args(arguments), first=0, n=12)
    rows: list[dict[str, Any]] = []
    embedded_only = options.quick or options.data_dir is None
    for name in ("digits",) if embedded_only else ("digits", "mnist"):
        rows += of_images(name, options.data_dir, options.first, options.n)
    for name in ("breast_cancer",) if embedded_only else ("breast_cancer", ADULT):
        rows += of_table(name, options.data_dir, options.first, options.n)
    common.print_table(
        "the search before and now",
        ("", *_COLUMNS),
        [
            (f"{row['task']}, {row['search']}", *(common.text(row[one]) for one in _COLUMNS))
            for row in rows
        ],
    )
    if options.json is not None:
        common.write(options.json, rows)


def chosen(x: np.ndarray, first: int, count: int) -> np.ndarray:
    """Some rows from a place on; the last ones where there are no more."""
    first = min(first, max(0, len(x) - count))
    return x[first : first + count]


def of_images(name: str, data_dir: Path | None, first: int, count: int) -> Iterator[dict[str, Any]]:
    """Both searches of a data set of images, without a guide and with it.

    Args:
        name: of the data.
        data_dir: where it lies, None for an embedded one.
        first: the first row.
        count: how many.

    Yields:
        One row per search.
    """
    images = data.load(name, data_dir=data_dir)
    x = chosen(images.x_test, first, count)
    functions = models.pretrained(name).functions()
    guides = [Guide(**models.pretrained_guide(name).functions())]
    near = presets.near(x_train=images.x_train)
    for label, explainer, before in (
        ("D", Explainer(**functions, objective="D"), BEFORE),
        ("near", Explainer(**functions, **near, guides=guides), NEAR_BEFORE),
    ):
        fitted = replace(explainer, feature_range=(0.0, 1.0)).fit(images.x_train)
        for when, search in (("before", before), ("now", explainer.search)):
            found, whole = _timed(fitted.with_options(search=search), x)
            measured = {"changed": found.l0, "l1": found.l1, "l2": found.l2}
            yield _row(f"{name}, {label}", when, search, found, whole, measured)


def of_table(name: str, data_dir: Path | None, first: int, count: int) -> Iterator[dict[str, Any]]:
    """Both searches of a table under a network, by default settings.

    Args:
        name: of the table.
        data_dir: where Adult lies.
        first: the first row.
        count: how many.

    Yields:
        One row per search.
    """
    made = task(name, read(name, data_dir), NETWORK)
    rows = chosen(made.x, first, count)
    made = replace(made, x=rows)
    explainer = TableExplainer(**made.options)
    fitted = explainer.fit(made.schema.write(made.x_train))
    table = made.schema.write(rows)
    for when, search in (("before", BEFORE), ("now", explainer.search)):
        found, whole = _timed(fitted.with_options(search=search), table)
        nothing = np.zeros(len(rows))
        values = np.where(found.found[:, None], found.values, np.nan)
        scores = score(
            made, Answers(values, np.ones(len(rows), bool), nothing, nothing, nothing, {})
        )
        measured = {one: scores.of(one) for one in ("changed", "l1", "l2")}
        yield _row(name, when, search, found.core, whole, measured)


def _timed(searching: Any, x: Any) -> tuple[Any, float]:
    """What is found of some rows, and the seconds of the whole call once it is compiled."""
    searching.explain(x)
    began = time.perf_counter()
    found = searching.explain(x)
    return found, time.perf_counter() - began


def _row(
    task: str,
    when: str,
    search: SearchOptions,
    found: Explanations,
    whole: float,
    measured: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    measured = {**measured, "objective": common.objective_values(found)}
    return {
        "system": common.SYSTEM,
        "task": task,
        "search": when,
        "solver": search.solver.name,
        "stop": search.stop,
        "n": len(found),
        "found": float(found.found.mean()),
        "steps": float(found.steps.mean()),
        "p99": float(np.percentile(found.steps, 99)),
        "seconds": found.seconds["search"],
        "rows_per_second": len(found) / whole,
        **{one: common.mean_over(found.found, values) for one, values in measured.items()},
    }


if __name__ == "__main__":
    main()
