"""Explain some rows and measure the counterfactuals: the part that the tables have in common."""

import argparse
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments import common, explaining
from jaxcf import Explanations, FittedExplainer, metrics
from jaxcf.metrics import Interval
from jaxcf.models import ModelSet
from jaxcf.results import evaluation
from jaxcf.results.evaluation import COUNTERFACTUAL, SUBJECTS, Autoencoders, Evaluation

STOCK, WIDE = "stock", "wide"
"""The two sets of class autoencoders: those of the model set, and those with a wider code."""


class Measured(NamedTuple):
    """Explanations of some rows and what they are worth."""

    explanations: Explanations
    evaluation: Evaluation


class Measurer:
    """Explains rows of one data set and measures the counterfactuals in one way.

    Args:
        options: read by `common.read`.
        with_wide: whether IM1 and IM2 are computed with wider class autoencoders too.
    """

    def __init__(self, options: argparse.Namespace, *, with_wide: bool = True) -> None:
        self.options = options
        self.dataset = common.load_data(options)
        self.models = common.load_model_set(options, self.dataset)
        self._wide = (
            common.load_wide_class_autoencoders(options, self.dataset, self.models)
            if with_wide
            else None
        )
        self.judges = common.load_judges(options, self.dataset)
        self._real = common.load_real_images(options)

    def measure(
        self, fitted: FittedExplainer, x: np.ndarray, name: str, model_set: ModelSet | None = None
    ) -> Measured:
        """Explain rows and evaluate what was found.

        Args:
            fitted: by `explaining.fit`.
            x: `[n, h, w, c]`.
            name: under which the explanations are kept, if they are.
            model_set: the one that `fitted` explains; None is the first.
        """
        model_set = model_set or self.models
        kept = self.options.keep and self.options.keep / self.options.data / f"{name}.npz"
        resumed = kept is not None and kept.exists()
        explanations = explaining.explain_or_load(fitted, x, kept, model_set)
        if resumed:
            # The seconds written with the result are to hold what the search took.
            self.options.began -= explanations.seconds["total"]
        autoencoders = {STOCK: _autoencoders(model_set)} if model_set.class_autoencoders else {}
        if self._wide is not None:
            autoencoders[WIDE] = _autoencoders(self._wide)
        evaluated = evaluation.evaluate(
            explanations,
            predict=model_set.predict,
            judges=self.judges,
            autoencoders=autoencoders,
            real=self._real,
            survival_autoencoder=model_set.reconstruct,
            seed=self.options.seed,
        )
        return Measured(explanations, evaluated)

    def described_judges(self) -> list[dict[str, Any]]:
        """Name, accuracy and training of every judge, for the records."""
        return [
            {"name": judge.name, "accuracy": judge.accuracy, "training": judge.training}
            for judge in self.judges
        ]


def _autoencoders(model_set: ModelSet) -> Autoencoders:
    return Autoencoders(model_set.reconstruct, model_set.class_reconstruct())


def join(parts: list[Measured]) -> tuple[dict[str, np.ndarray], Evaluation]:
    """Costs of all rows and the evaluation of the found ones, over several sets of models.

    Args:
        parts: what `measure` gave.

    Returns:
        `costs` of all parts, and their evaluations combined.
    """
    tables = [costs(part.explanations) for part in parts]
    joined = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    return joined, evaluation.combine([part.evaluation for part in parts])


def costs(explanations: Explanations) -> dict[str, np.ndarray]:
    """What every row took, found or not.

    Returns:
        "found"; "steps"; "seconds", the search's wall time, and "processor", the seconds of all
        cores together, both shared out by steps; "predictions", how often the model saw the row:
        for its class, at every point of the search (one more than steps), and to confirm.
    """
    steps = explanations.steps.astype(np.float64)
    share = steps / max(1.0, steps.sum())
    return {
        "found": explanations.found,
        "steps": steps,
        "seconds": explanations.seconds["search"] * share,
        "processor": explanations.seconds["processor"] * share,
        "predictions": steps + 3,
    }


def over_found(costs_of_rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the found rows took; NaN elsewhere."""
    found = np.asarray(costs_of_rows["found"])
    return {
        f"{name} (found)": np.where(found, values, np.nan)
        for name, values in costs_of_rows.items()
        if name != "found"
    }


def summary_rows(
    head: Mapping[str, Any], costs_of_rows: Mapping[str, np.ndarray], evaluated: Evaluation
) -> list[dict[str, Any]]:
    """One line per subject: the counterfactuals, then the controls.

    Args:
        head: the first columns of every line.
        costs_of_rows: by `costs`.
        evaluated: of the same rows.

    Returns:
        Lines with an `Interval` per metric; costs and validity over all rows attempted (the
        counterfactuals' line only), everything else over the found rows.
    """
    found = np.asarray(costs_of_rows["found"])
    search: dict[str, Interval] = metrics.mean_intervals(
        {"validity": found, "steps (all)": costs_of_rows["steps"]} | over_found(costs_of_rows)
    )
    counts = {"n": len(found), "found": int(found.sum())}
    return [
        {**head, "subject": subject}
        | (counts | search if subject == COUNTERFACTUAL else {})
        | evaluated.summary(subject)
        for subject in SUBJECTS
    ]


def mean_text(interval: Interval | None) -> str:
    """The mean for a table in the terminal; the intervals are in the files."""
    return "" if interval is None else f"{interval.mean:.3g}" if interval.n else "-"


def separations(evaluated: Evaluation) -> dict[str, dict[str, Any]]:
    """Per metric, how often an unchanged image scores above a real one, and whether that tells."""
    return {
        metric: {
            "separation": evaluated.separation(metric),
            "informative": evaluated.is_informative(metric),
        }
        for metric in evaluated.values[COUNTERFACTUAL]
        if not np.isnan(evaluated.separation(metric))
    }


def instance_columns(
    costs_of_rows: Mapping[str, np.ndarray], evaluated: Evaluation
) -> dict[str, np.ndarray]:
    """One value per row attempted; NaN where there is no counterfactual to measure."""
    found = np.asarray(costs_of_rows["found"])
    columns = dict(costs_of_rows) | over_found(costs_of_rows)
    for metric, values in evaluated.values[COUNTERFACTUAL].items():
        column = np.full(len(found), np.nan)
        column[found] = values
        columns[metric] = column
    return columns


def first_of_each_class(classes: np.ndarray, count: int) -> np.ndarray:
    """The first `count` rows of every class, in the order of the rows.

    Examples:
        >>> import numpy as np
        >>> first_of_each_class(np.array([0, 0, 1, 0, 1]), 1).tolist()
        [0, 2]
    """
    rows = [np.flatnonzero(classes == label)[:count] for label in np.unique(classes)]
    return np.sort(np.concatenate(rows))
