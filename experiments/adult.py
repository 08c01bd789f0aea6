"""Adult: 32,561 people explained at once, under objectives, orders of categories, and rules.

    python -m experiments.adult --data-dir DIR      # DIR/adult/train.csv and test.csv; see README

A network of dense layers is trained on `train.csv`; every row of that file is explained, by jaxcf's
default settings for tables (first flip, at most 500 updates, then the nearest answer), under

- the objectives A, C and E (the others need an autoencoder);
- orders of the categories by ABDM, MVDM, both, and as they are listed;
- rules: age and education only up (education as an ordinal column, for a second network), sex,
  race, country of birth and census weight frozen, 10 to 80 hours; beside it the same without.

and a gradient boosting classifier of scikit-learn's as a black box, on the first rows of
`test.csv`, with the gradient by central differences (C) and without (E), the line search and the
sparsity pass.

`seconds` is the median wall time of calls that have compiled, from columns to counterfactuals in
columns; `first` is the first call, which compiles; `processor` the seconds of all cores together,
which other work beside it hardly changes. `entries` counts what no row of the table could
hold, `rules` what breaks the rules, both worked out from the columns alone; `confirmed` the found
rows that the network decides otherwise on, asked again from the columns. L1 counts a number in
spans of its column, a category as 1; the same units for the mean distance to the 5 nearest training
rows of the new class, over the first `--measured` found rows. How far every column moves, in its
own units, is in the JSON under "moved".

Seven minutes on two busy cores. Under A, C and E all 32,561 rows are found, in 2 to 4 updates and
11 to 13 seconds (16 to 18 of processor time), with 1.45 columns changed under each; under the rules
0.98 of them, and none breaks one. The order of the categories changes nothing. For the trees all
2,000 rows are found by asking 52 (C) or 23 (E) rows each; without the sparsity pass 5.2 columns
change instead of 1.4.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.common import print_table
from experiments import adult_table, common, measuring, tables
from experiments.adult_table import EDUCATION
from experiments.plots import category_lines, changed_columns
from jaxcf import BlackBox, CentralDifferences, Refinement, SearchOptions, metrics
from jaxcf.tabular import Categorical, Rule, Schema, TableExplainer, TableExplanations
from jaxcf.tabular.category_values import fit_category_values
from jaxcf.tabular.classifiers import TableClassifier, train_table_classifier

METHODS = ("abdm", "mvdm", "abdm-mvdm", "index")
SETTINGS = (
    *("A abdm", "C abdm", "E abdm", "C mvdm", "C abdm-mvdm", "C index"),
    *("C ordinal", "C rules", "trees C", "trees E", "trees E, search only"),
)
_QUICK = ("C abdm", "C mvdm", "C rules", "trees E")
_NOT_DRAWN = ("C abdm-mvdm", "C index", "C ordinal")
"""They differ too little from the others to be told apart in one picture."""

_SHOWN = {
    "validity": "valid",
    "steps": "updates",
    "changed": "changed",
    "l1": "L1",
    "train distance": "distance",
    "predictions": "asked",
}
_COUNTS = ("entries", "rules", "confirmed")


def main(arguments: Sequence[str] | None = None) -> None:
    """Explain the table under every setting."""
    made = common.parser(__doc__, data_name="adult")
    for name, default in (("--repeats", 3), ("--measured", 4000), ("--black-box-rows", 2000)):
        made.add_argument(name, type=int, default=default, metavar="N", help="default: %(default)s")
    made.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    small = {"data": "generated", "limit": 200, "repeats": 1, "measured": 100}
    small |= {"black_box_rows": 40, "settings": list(_QUICK)}
    options = common.read(made, arguments, **small)
    Experiment(options).run()


class Experiment:
    """The settings one after the other, and what was measured of them."""

    def __init__(self, options: Any) -> None:
        self.options = options
        self.adult = adult_table.load(options.data_dir, quick=options.quick, seed=options.seed)
        self.names = self.adult.train.class_names
        self.rows = self.adult.train.take(slice(options.limit)).columns
        self.summary: list[dict[str, Any]] = []
        self.instances: list[tuple[dict[str, Any], dict[str, np.ndarray]]] = []
        self.shares: dict[str, dict[str, float]] = {}
        self.moved: dict[str, dict[str, Any]] = {}

    def run(self) -> None:
        """Everything, written at the end."""
        models: dict[str, Any] = {}
        plain = self._train(ordinal=False, records=models)
        for letter in "ACE":
            self._explain(f"{letter} abdm", plain, {"objective": letter})
        for method in METHODS[1:]:
            self._explain(f"C {method}", plain, {"objective": "C", "categories": method})
        ordinal = self._train(ordinal=True, records=models)
        self._explain("C ordinal", ordinal, {"objective": "C"})
        self._explain("C rules", ordinal, {"objective": "C"}, rules=adult_table.rules())
        real = self._real_distance(plain.schema)
        self._write("settings", models=models, real_distance=real, stop="first_flip", max_steps=500)
        self._orders(plain)
        if not any(name.startswith("trees") for name in self.options.settings):
            return
        models = {}
        self._black_box(models)
        self._write("trees", models=models, real_distance=real, stop="first_flip", max_steps=100)

    def _write(self, name: str, **extra: Any) -> None:
        """Write what was measured since the last time."""
        if not self.summary:
            return
        drawn = [setting for setting in self.shares if setting not in _NOT_DRAWN]
        common.write(
            self.options,
            name,
            self.summary,
            instances=tables.stack(self.instances),
            figure=changed_columns({setting: self.shares[setting] for setting in drawn}),
            changed_share=self.shares,
            moved=self.moved,
            **extra,
        )
        self._print()
        self.summary, self.instances, self.shares, self.moved = [], [], {}, {}

    def _train(self, *, ordinal: bool, records: dict[str, Any]) -> TableClassifier:
        name = "education ordinal" if ordinal else "education categorical"
        common.say(f"training a network, {name}")
        train, test = self.adult.train, self.adult.test
        schema = adult_table.schema(self.adult, ordinal=ordinal)
        trained = train_table_classifier(
            train.columns, train.classes(), self.names, schema=schema, seed=self.options.seed
        )
        records[name] = {
            "architecture": dict(trained.network.architecture),
            "train_rows": len(train),
            "epochs": trained.training.epochs,
            "test_rows": len(test),
            "test_accuracy": trained.accuracy(test.columns, test.classes(self.names)),
        }
        return trained

    def _explain(
        self,
        name: str,
        model: TableClassifier,
        settings: dict[str, Any],
        rules: dict[str, Rule] | None = None,
    ) -> None:
        explainer = TableExplainer(**model.functions(), **settings)
        self._measure(name, explainer, model.predict, self.rows, self.options.repeats, rules)

    def _black_box(self, models: dict[str, Any]) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from threadpoolctl import threadpool_limits

        train, test = self.adult.train, self.adult.test
        schema = adult_table.schema(self.adult, ordinal=False)
        common.say("training gradient boosting")
        trees = HistGradientBoostingClassifier(random_state=self.options.seed)
        trees.fit(schema.encode(schema.read(train.columns)), train.classes())
        right = trees.predict(schema.encode(schema.read(test.columns))) == test.classes(self.names)
        models["gradient boosting"] = {"test_rows": len(test), "test_accuracy": float(right.mean())}
        rows = test.take(slice(self.options.black_box_rows)).columns
        box = BlackBox(trees.predict_proba, 2, CentralDifferences(epsilon=0.05, every=5))
        for name, letter, refinement in (
            ("trees C", "C", Refinement(line_search=True, sparsify=True)),
            ("trees E", "E", Refinement(line_search=True, sparsify=True)),
            ("trees E, search only", "E", Refinement()),
        ):
            explainer = TableExplainer(
                box,
                schema=schema,
                class_names=self.names,
                objective=letter,
                search=SearchOptions(max_steps=100),
                refinement=refinement,
            )
            # Small batches gain nothing from threads that wait for each other on a busy machine.
            with threadpool_limits(1):
                self._measure(
                    name, explainer, trees.predict_proba, rows, self.options.repeats, None
                )

    def _measure(
        self,
        name: str,
        explainer: TableExplainer,
        predict: Callable[[np.ndarray], Any],
        rows: Mapping[str, np.ndarray],
        repeats: int,
        rules: dict[str, Rule] | None,
    ) -> None:
        if name not in self.options.settings:
            return
        common.say(f"{name}: {len(next(iter(rows.values())))} rows")
        began = time.perf_counter()
        fitted = explainer.fit(self.adult.train.columns)
        fit_seconds = time.perf_counter() - began
        seconds, processor = [], []
        for _ in range(repeats + 1):
            began, busy = time.perf_counter(), time.process_time()
            explanations = fitted.explain(rows, rules=rules)
            after = explanations.counterfactual
            seconds.append(time.perf_counter() - began)
            processor.append(time.process_time() - busy)
        found, core = explanations.found, explanations.core
        schema = fitted.coding.schema
        old, new = (
            {column: entries[found] for column, entries in table.items()} for table in (rows, after)
        )
        decided = np.asarray(predict(schema.encode(schema.read(new)))).argmax(axis=1)
        values = self._values(explanations, schema)
        predictions = core.scores.get("predictions", np.full(len(found), np.nan))
        intervals = metrics.mean_intervals(
            {"validity": found, "steps": np.where(found, core.steps, np.nan)}
            | values
            | {"predictions": predictions}
        )
        summary = explanations.summary()
        self.summary.append(
            {
                "setting": name,
                "n": len(found),
                "found": int(found.sum()),
                **intervals,
                "confirmed": int((decided != core.original_class[found]).sum()),
                "entries": adult_table.impossible_entries(old, new, self.adult, schema),
                "rules": None
                if rules is None
                else adult_table.broken_rules(old, new, self.adult.education),
                "fit": fit_seconds,
                "first": seconds[0],
                "seconds": float(np.median(seconds[1:])),
                "processor": float(np.median(processor[1:])),
                "rows per second": len(found) / float(np.median(seconds[1:])),
                "status": summary["status"],
                "runs": seconds[1:],
            }
        )
        self.shares[name], self.moved[name] = summary["changed_share"], summary["moved"]
        first = slice(2000)
        columns = {"row": np.arange(len(found)), "found": found, "steps": core.steps} | values
        self.instances.append(
            ({"setting": name}, {key: column[first] for key, column in columns.items()})
        )

    def _values(self, explanations: TableExplanations, schema: Schema) -> dict[str, np.ndarray]:
        """One value per row; NaN where nothing was found, or where it isn't measured."""
        found = explanations.found
        x, before = (
            schema.encode(one) for one in (explanations.values, explanations.original_values)
        )
        chosen = np.flatnonzero(found)[: self.options.measured]
        new = explanations.core.counterfactual_class[chosen]
        values = {
            "changed": explanations.changed.sum(axis=1).astype(np.float64),
            "l1": metrics.l1((x - before) * _shares_of_one(schema)),
        }
        values = {name: np.where(found, one, np.nan) for name, one in values.items()}
        for name, points in (("train distance", x), ("unchanged distance", before)):
            values[name] = np.full(len(found), np.nan)
            values[name][chosen] = self._distance(schema, points[chosen], new)
        return values

    def _distance(self, schema: Schema, x: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """To the 5 nearest training rows of a class; a category that differs is 1 away."""
        train = self.adult.train
        scale = np.sqrt(_shares_of_one(schema))
        real = schema.encode(schema.read(train.columns)) * scale
        return metrics.distance_to_class(x * scale, classes, real, train.classes())

    def _real_distance(self, schema: Schema) -> metrics.Interval:
        """The same for real people of the class: the test rows."""
        test = self.adult.test.take(slice(self.options.measured))
        x = schema.encode(schema.read(test.columns))
        classes = test.classes(self.names)
        return metrics.mean_interval(self._distance(schema, x, classes))

    def _orders(self, model: TableClassifier) -> None:
        """Where the categories of `education` lie under each way of learning it."""
        schema, train = model.schema, self.adult.train.columns
        values = schema.read(train)
        classes = np.asarray(model.predict(schema.encode(values))).argmax(axis=1)
        orders: dict[str, Sequence[tuple[Any, float]]] = {
            method: fit_category_values(schema, values, classes, method=method).order(EDUCATION)
            for method in METHODS
            if method != "index"
        }
        orders["years of school"] = [
            (name, rank / max(1, len(self.adult.education) - 1))
            for rank, name in enumerate(self.adult.education)
        ]
        common.write(
            self.options,
            "education",
            [
                {"method": method, "category": category, "number": number}
                for method, order in orders.items()
                for category, number in order
            ],
            figure=category_lines(orders, title="categories of education"),
            rank_correlation={
                method: _rank_correlation(order, self.adult.education)
                for method, order in orders.items()
            },
        )

    def _print(self) -> None:
        print_table(
            "Adult",
            ("setting", "n", *_SHOWN.values(), *_COUNTS, "first", "seconds"),
            [
                (
                    row["setting"],
                    str(row["n"]),
                    *(measuring.mean_text(row[name]) for name in _SHOWN),
                    *("" if row[name] is None else str(row[name]) for name in _COUNTS),
                    *(f"{row[name]:.1f}" for name in ("first", "seconds")),
                )
                for row in self.summary
            ],
        )


def _shares_of_one(schema: Schema) -> np.ndarray:
    """Per entry of the model input: a category that differs shows in two entries of its block."""
    shares = np.ones((1, schema.width))
    for column, places in zip(schema.columns, schema.positions, strict=True):
        if isinstance(column, Categorical):
            shares[0, list(places)] = 0.5
    return shares


def _rank_correlation(order: Sequence[tuple[Any, float]], ranked: Sequence[str]) -> float:
    from scipy.stats import spearmanr

    ranks = {name: rank for rank, name in enumerate(ranked)}
    found: Any = spearmanr([ranks[name] for name, _ in order], [value for _, value in order])
    return float(found.statistic)


if __name__ == "__main__":
    main()
