"""Tables against alibi: the same rows, network and weights of the objective through both.

    python -m benchmarks.alibi_tables [--json FILE] [--data-dir DIR] [--n 10] [--jaxcf-n 1000]
        [--alibi-python PATH]

Objective C with k-d tree prototypes (beta 0.01, theta 10, c from 1, 5 rounds of 500 updates, the
settings of alibi's Adult example) on iris and, with `--data-dir`, on Adult: alibi's
CounterfactualProto, jaxcf with the same settings, and jaxcf's default `TableExplainer`, on alibi's
rows and on more. Every answer is read back into columns and scored by jaxcf: validity (the network
asked again, a block of categories not exactly one-hot is no answer), changed columns, how far they
moved (numbers as a share of their span, a changed category as 1) and the objective with c = 1. A
time is that of a whole `explain` call, blocked on completion, with compilation apart.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common, peer_process
from benchmarks.peer_process import Peer, dense_layers
from jaxcf import Objective, Refinement, SearchOptions, solvers
from jaxcf.data.labelled_tables import read_adult
from jaxcf.decisions import class_margin
from jaxcf.tabular import Categorical, FittedTableExplainer, Numeric, Schema, TableExplainer
from jaxcf.tabular.classifiers import TableClassifier, train_table_classifier

BETA, THETA, C, ROUNDS, STEPS, RATE = 0.01, 10.0, 1.0, 5, 500, 1e-2
ALIBI_TRAIN_ROWS = 5000
"""alibi's distances between categories take minutes on all of Adult."""


@dataclass(frozen=True, eq=False)
class Task:
    """A table with its network.

    Attributes:
        name: of the data.
        table: all rows, by column.
        classifier: trained on them.
    """

    name: str
    table: dict[str, np.ndarray]
    classifier: TableClassifier

    @property
    def values(self) -> np.ndarray:
        """Every row's values."""
        return self.classifier.schema.read(self.table)

    def rows(self, count: int) -> dict[str, np.ndarray]:
        """The first rows."""
        return {name: column[:count] for name, column in self.table.items()}


def iris() -> Task:
    """Four measures of three kinds of iris, in an order drawn once."""
    from sklearn.datasets import load_iris

    data: Any = load_iris()
    order = np.random.default_rng(0).permutation(len(data.target))
    names = [name.removesuffix(" (cm)") for name in data.feature_names]
    table = dict(zip(names, data.data[order].T, strict=True))
    classes = np.asarray(data.target)[order].astype(np.int64)
    trained = train_table_classifier(table, classes, tuple(map(str, data.target_names)))
    return Task("iris", table, trained)


def adult(data_dir: Path) -> Task:
    """Adult, its numeric columns first."""
    train, _ = read_adult(data_dir)
    schema = Schema.infer(train.columns)
    numeric = [column.name for column in schema.columns if isinstance(column, Numeric)]
    names = numeric + [name for name in train.columns if name not in numeric]
    table = {name: train.columns[name] for name in names}
    trained = train_table_classifier(table, train.classes(), train.class_names)
    return Task("adult", table, trained)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write if asked."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--json", type=Path, metavar="FILE")
    made.add_argument("--data-dir", type=Path, metavar="DIR", help="where Adult's CSV files lie")
    made.add_argument("--n", type=int, default=10, help="rows for alibi (default %(default)s)")
    made.add_argument("--jaxcf-n", type=int, default=1000, help="default %(default)s")
    made.add_argument("--alibi-python", metavar="PATH", help="an interpreter with alibi")
    options = made.parse_args(arguments)
    tasks = [iris()] + ([] if options.data_dir is None else [adult(options.data_dir)])
    rows = [row for task in tasks for row in measure(task, options)]
    columns = "rows", "valid", "changed", "moved", "objective", "s/row", "compile or set-up"
    common.print_table(
        "tables: objective C, k-d tree prototypes",
        ("", *columns),
        [
            (
                f"{row['data']}: {row['label']}",
                str(row["rows"]),
                f"{row['validity']:.2f}",
                *map(common.text, (row["changed"], row["moved"], row["objective"])),
                common.text(row["seconds_per_row"]),
                common.text(row["set_up_seconds"]),
            )
            for row in rows
        ],
    )
    if options.json:
        common.write(options.json, rows)


def measure(task: Task, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Both libraries on one table.

    Args:
        task: the table.
        options: numbers of rows, and alibi's interpreter.

    Returns:
        One record per system and number of rows.
    """
    functions = task.classifier.functions()
    default = TableExplainer(**functions).fit(task.table)
    equal = TableExplainer(
        **functions,
        objective=Objective.named("C", l1_weight=BETA, prototype_weight=THETA),
        search=SearchOptions(
            solver=solvers.reference_fista(RATE),
            stop="budget",
            max_steps=STEPS,
            prediction_weight=C,
            weight_growth=1.0,
            weight_rounds=ROUNDS,
        ),
        refinement=Refinement(),
    ).fit(task.table)
    rows = []
    for label, fitted in (("jaxcf, alibi's settings", equal), ("jaxcf, default", default)):
        for count in sorted({options.n, min(options.jaxcf_n, len(task.values))}):
            rows.append(_measure_jaxcf(task, label, fitted, default, count))
    if options.alibi_python is not None:
        rows.append(_measure_alibi(task, default, options))
    return rows


def _measure_jaxcf(
    task: Task, label: str, fitted: FittedTableExplainer, scorer: FittedTableExplainer, count: int
) -> dict[str, Any]:
    some = task.rows(count)
    first = fitted.explain(some)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        result = fitted.explain(some)
        seconds.append(time.perf_counter() - began)
    scores = score(task, scorer, result.values)
    return _record(task, label, count, scores, np.median(seconds), first.core.seconds["compile"])


def _measure_alibi(
    task: Task, scorer: FittedTableExplainer, options: argparse.Namespace
) -> dict[str, Any]:
    schema = task.classifier.schema
    categories = {
        str(places[0]): len(places)
        for column, places in zip(schema.columns, schema.positions, strict=True)
        if isinstance(column, Categorical)
    }
    settings = {
        "beta": BETA,
        "theta": THETA,
        "c": C,
        "c_steps": ROUNDS,
        "max_steps": STEPS,
        "learning_rate": RATE,
        "categories": categories,
    }
    script = "peer_alibi_table.py"
    peer = Peer("alibi", "alibi", script, options.alibi_python, "", "FISTA", "budget", settings)
    peer_process.check_interpreter(peer)
    x = schema.encode(task.values)
    arrays = {
        "x": x[: options.n],
        "x_train": x[:ALIBI_TRAIN_ROWS],
        "expected/probabilities": np.asarray(task.classifier.predict(x[: options.n])),
    } | dense_layers(task.classifier.network)
    answer = peer_process.run(peer, arrays)
    scores = score(task, scorer, schema.read(answer.counterfactual))
    label, setup = answer.info["system"], answer.info["setup_seconds"]
    return _record(task, label, options.n, scores, answer.seconds.sum(), setup)


def score(task: Task, scorer: FittedTableExplainer, values: np.ndarray) -> dict[str, np.ndarray]:
    """What counterfactuals are worth, whoever found them.

    Args:
        task: the table they belong to.
        scorer: whose coordinates and prototypes the objective is counted in.
        values: `[n, columns]`, of the first rows' counterfactuals; NaN where a block of categories
            isn't one-hot.

    Returns:
        One value per row: "valid", "changed", "moved", "objective".
    """
    n, schema = len(values), task.classifier.schema
    originals = task.values[:n]
    readable = np.asarray(np.isfinite(values).all(axis=1))
    values = np.where(readable[:, None], values, originals)
    probabilities = np.asarray(task.classifier.predict(schema.encode(values)))
    classes = np.asarray(task.classifier.predict(schema.encode(originals))).argmax(axis=1)
    targets = np.arange(probabilities.shape[1]) != classes[:, None]
    coordinates = scorer.coding.coordinates(originals)
    perturbation = scorer.coding.coordinates(values) - coordinates
    prototype = scorer.of_coordinates.prototypes.select(coordinates, targets).prototype
    margin = np.asarray(jax.vmap(class_margin)(jnp.asarray(probabilities), jnp.asarray(targets)))
    l1, l2 = np.abs(perturbation).sum(axis=1), np.square(perturbation).sum(axis=1)
    offset = np.square(coordinates + perturbation - prototype).sum(axis=1)
    changed = np.not_equal(values, originals)
    numeric = np.array([isinstance(column, Numeric) for column in schema.columns])
    return {
        "valid": readable & (probabilities.argmax(axis=1) != classes),
        "changed": changed.sum(axis=1),
        "moved": np.where(numeric, np.abs(perturbation), changed).sum(axis=1),
        "objective": C * np.maximum(margin, 0) + BETA * l1 + l2 + THETA * offset,
    }


def _record(
    task: Task, label: str, n: int, scores: dict[str, np.ndarray], seconds: Any, set_up: float
) -> dict[str, Any]:
    valid = scores["valid"]
    means = {
        name: common.mean_over(valid, scores[name]) for name in ("changed", "moved", "objective")
    }
    return {
        "data": task.name,
        "label": label,
        "rows": n,
        "validity": float(valid.mean()),
        **means,
        "seconds_per_row": float(seconds) / n,
        "set_up_seconds": float(set_up),
    }


if __name__ == "__main__":
    main()
