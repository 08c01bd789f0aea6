"""The tables and models of `benchmarks.tables`: what every method is asked about."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from benchmarks.peer_process import dense_layers
from benchmarks.tables_trees import Trees, trees_of
from jaxcf import BlackBox
from jaxcf.data.labelled_tables import read_adult
from jaxcf.models.functions import call
from jaxcf.predictors.calling import caller_of
from jaxcf.tabular import Categorical, Numeric, Rule, Schema
from jaxcf.tabular.classifiers import TableClassifier, train_table_classifier
from jaxcf.utils.batching import map_batches

NETWORK = "network"

TREES: dict[str, Callable[[], Any]] = {
    "boosting": lambda: HistGradientBoostingClassifier(random_state=0),
    "forest": lambda: RandomForestClassifier(100, random_state=0),
}

_LOGISTIC = "logistic"

MODELS = (NETWORK, _LOGISTIC, *TREES)

_TEST_SHARE = 0.25


class Parts(NamedTuple):
    """A table in two parts: columns by name, and the classes of the rows."""

    train: dict[str, np.ndarray]
    y_train: np.ndarray
    test: dict[str, np.ndarray]
    class_names: tuple[str, ...]
    categorical: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Task:
    """A table, a model of it, and rows to explain. Values are those of `Schema.read`.

    Attributes:
        table: its name.
        model: the model's.
        schema: of the table.
        x_train: `[m, columns]`, values of the training rows.
        y_train: `[m]`, their classes.
        x: `[n, columns]`, rows to explain.
        probabilities: the model, of the encoded table.
        options: of a `TableExplainer` that explains it.
        rules: what columns may become.
        target: the class to reach; None for any other.
        trees: those of the model, if it has any.
        weights: of a network's dense layers, by `dense0/kernel` and the like.
    """

    table: str
    model: str
    schema: Schema
    x_train: np.ndarray
    y_train: np.ndarray
    x: np.ndarray
    probabilities: Callable[[np.ndarray], np.ndarray]
    options: Mapping[str, Any]
    rules: Mapping[str, Rule] = field(default_factory=dict)
    target: str | None = None
    trees: Trees | None = None
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of table and model."""
        return f"{self.table}, {self.model}"

    @property
    def numeric(self) -> np.ndarray:
        """`[columns]`, which hold numbers."""
        return np.array([isinstance(column, Numeric) for column in self.schema.columns])

    @property
    def black_box(self) -> bool:
        """Whether the model lies outside JAX."""
        return isinstance(self.options["predict"], BlackBox)

    @property
    def rule_words(self) -> list[str | None]:
        """For each column "frozen", "increase" or None."""
        words = []
        for name in self.schema.names:
            rule = self.rules.get(name, Rule())
            words.append("frozen" if rule.frozen else "increase" if rule.increase_only else None)
        return words

    @property
    def further(self) -> dict[str, np.ndarray]:
        """What a peer may want that doesn't ask the model: trees, weights, how rows are encoded."""
        arrays = {"encoded": self.schema.encode(self.x), **self.weights}
        if self.trees is not None:
            arrays |= {f"trees/{name}": array for name, array in asdict(self.trees).items()}
        return arrays

    @cached_property
    def train_classes(self) -> np.ndarray:
        """`[m]`, what the model decides for the training rows."""
        return self.predict(self.x_train).argmax(axis=1)

    def on_grid(self, values: np.ndarray) -> np.ndarray:
        """Numbers as the table can hold them: whole where a column's are."""
        columns = [
            column.on_grid(entries) if isinstance(column, Numeric) else entries
            for column, entries in zip(self.schema.columns, values.T, strict=True)
        ]
        return np.stack(columns, axis=1)

    def predict(self, values: np.ndarray) -> np.ndarray:
        """Probabilities `[n, classes]` of the rows that the table can hold next to some values."""
        return self.predict_between(self.on_grid(values))

    def predict_between(self, values: np.ndarray) -> np.ndarray:
        """The same of values as they are, whether the table can hold them or not."""
        return self.probabilities(self.schema.encode(values))


# ---- tables ----


def _of_sklearn(name: str, categorical: tuple[str, ...] = ()) -> Parts:
    """A table that scikit-learn ships; a measure without classes is above its median or not."""
    from sklearn import datasets

    given: Any = {"scaled": False} if name == "diabetes" else {}
    data: Any = getattr(datasets, f"load_{name}")(**given)
    names = [str(one).removesuffix(" (cm)") for one in data.feature_names]
    columns = {
        one: column.astype(np.int64) if (column % 1 == 0).all() else column
        for one, column in zip(names, data.data.T, strict=True)
    }
    labels, class_names = data.target, getattr(data, "target_names", None)
    if class_names is None:
        labels, class_names = labels > np.median(labels), ("low", "high")
    rows = np.arange(len(labels))
    train, test = train_test_split(rows, test_size=_TEST_SHARE, random_state=0, stratify=labels)
    return Parts(
        {one: column[train] for one, column in columns.items()},
        np.asarray(labels)[train].astype(np.int64),
        {one: column[test] for one, column in columns.items()},
        tuple(map(str, class_names)),
        categorical,
    )


def _adult(data_dir: Path | None) -> Parts:
    train, test = read_adult(data_dir)
    # The rank of `education`: the two can't change apart.
    names = [name for name in train.columns if name != "education-num"]
    return Parts(
        {name: train.columns[name] for name in names},
        train.classes(),
        {name: test.columns[name] for name in names},
        train.class_names,
    )


ADULT, CREDIT = "adult", "credit"

_SHIPPED: dict[str, Callable[[], Parts]] = {
    "iris": partial(_of_sklearn, "iris"),
    "wine": partial(_of_sklearn, "wine"),
    "diabetes": partial(_of_sklearn, "diabetes", ("sex",)),
    "breast_cancer": partial(_of_sklearn, "breast_cancer"),
    "digits": partial(_of_sklearn, "digits"),
}

TABLES = (*_SHIPPED, ADULT)
"""The tables that models are trained on here; `CREDIT` comes with a model of its own."""


def read(table: str, data_dir: Path | None) -> Parts:
    """A table by its name.

    Raises:
        ValueError: if Adult is asked for and no folder given.
        FileNotFoundError: if it isn't there.
    """
    return _adult(data_dir) if table == ADULT else _SHIPPED[table]()


# ---- models ----


def task(table: str, parts: Parts, model: str) -> Task:
    """A table with a model that was trained on its training rows.

    Args:
        table: its name.
        parts: what `read` gave.
        model: one of `MODELS`.
    """
    scaling = "original" if model in TREES else "unit"
    schema = Schema.infer(parts.train, categorical=parts.categorical, scaling=scaling)
    x_train, x = schema.read(parts.train), schema.read(parts.test)
    x = x[np.isfinite(x).all(axis=1)]  # some have a category that training rows lack
    given = table, model, schema, x_train, parts.y_train, x
    if model == NETWORK:
        trained = train_table_classifier(
            parts.train, parts.y_train, parts.class_names, schema=schema
        )
        weights = dense_layers(trained.network)
        return Task(*given, _probabilities(trained), trained.functions(), weights=weights)
    made = TREES[model]() if model in TREES else LogisticRegression(max_iter=2000)
    with threadpool_limits(1):  # small tables only make threads wait for one another
        fitted = made.fit(schema.encode(x_train), parts.y_train)
    box = BlackBox(fitted.predict_proba, len(parts.class_names))
    options = {"predict": box, "schema": schema, "class_names": parts.class_names}
    # Peers' few rows at a time get what jaxcf's do.
    probabilities = partial(caller_of(box.predict), box.predict)
    return Task(*given, probabilities, options, trees=trees_of(fitted, schema))


def _probabilities(trained: TableClassifier) -> Callable[[np.ndarray], np.ndarray]:
    compiled = jax.jit(lambda x: jax.nn.softmax(call(trained.network, x)))
    return lambda encoded: np.asarray(map_batches(compiled, encoded), np.float64)


# ---- credit ----

_MOST_DEFAULT = 0.05
_OUTCOMES = ("declined", "granted")


def credit(
    rows: np.ndarray, names: Sequence[str], occupations: Sequence[str], default: Trees
) -> Task:
    """The demonstration of treecf: applicants who are declined, to default with 5 % at most.

    Args:
        rows: `[n, columns]`, which are training rows here as well; the last column holds codes.
        names: of the columns.
        occupations: names of the codes.
        default: trees whose score is the log-odds of default.

    Returns:
        The task: the declined of the rows, the model with "granted" up to 5 %, an occupation that
        stays, and months of tenure that can only become more.
    """
    columns = dict(zip(names, rows.T, strict=True))
    table = {
        name: column.astype(np.int64) if (column % 1 == 0).all() else column
        for name, column in columns.items()
    }
    numbers = Schema.infer(table, scaling="original").columns[:-1]
    schema = Schema((*numbers, Categorical(names[-1], tuple(occupations))), "original")
    sign = {"value": -default.value, "base": -default.base}
    trees = replace(default, **sign, boundary=np.array(-_log_odds(_MOST_DEFAULT)))

    def probabilities(encoded: np.ndarray) -> np.ndarray:
        # Evened out so that what is granted is what is likelier.
        granted = expit(trees.score(schema.read(encoded)) - trees.boundary)
        return np.stack([1 - granted, granted], axis=1)

    classes = probabilities(schema.encode(rows)).argmax(axis=1)
    box = BlackBox(probabilities, len(_OUTCOMES))
    return Task(
        CREDIT,
        "treecf's",
        schema,
        rows,
        classes,
        rows[classes == 0],
        probabilities,
        {"predict": box, "schema": schema, "class_names": _OUTCOMES},
        rules={names[-1]: Rule(frozen=True), "tenure_months": Rule(increase_only=True)},
        target=_OUTCOMES[1],
        trees=trees,
    )


def _log_odds(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))
