"""Explanations that no search has made, so that reports of every kind and size cost nothing."""

from dataclasses import replace

import numpy as np

from jaxcf import Explanations, Status
from jaxcf.results.traces import Traces
from jaxcf.tabular import Categorical, Numeric, Schema, TableExplanations
from jaxcf.tabular.category_values import fit_category_values
from jaxcf.tabular.coding import TableCoding

OTHER_ENDS = (
    Status.NOT_FOUND,
    Status.NEVER_MOVED,
    Status.INVALID_INPUT,
    Status.ALREADY_IN_TARGET,
)


def made(original: np.ndarray, num_classes: int = 10, seed: int = 0) -> Explanations:
    """Explanations of some rows: of every twenty, one ends in each way of `OTHER_ENDS`."""
    generator = np.random.default_rng(seed)
    n = len(original)
    change = generator.uniform(-0.4, 0.4, original.shape) * (generator.random(original.shape) < 0.2)
    counterfactual = np.clip(original + change, 0, 1).astype(np.float32)
    status = np.full(n, Status.FOUND, np.int32)
    for place, code in enumerate(OTHER_ENDS):
        status[place + 3 :: 20] = code
    before = generator.integers(0, num_classes, n)
    after = (before + generator.integers(1, num_classes, n)) % num_classes
    new = np.where(status == Status.FOUND, after, before)
    invalid = status == Status.INVALID_INPUT
    original = original.astype(np.float32)
    original[invalid] = np.nan
    counterfactual[invalid] = np.nan
    probabilities = [_probabilities(labels, num_classes, generator) for labels in (before, new)]
    for array in probabilities:
        array[invalid] = np.nan
    before, new, after = (np.where(invalid, -1, labels) for labels in (before, new, after))
    found = status == Status.FOUND
    return Explanations(
        original,
        counterfactual,
        status,
        np.arange(n),
        before,
        probabilities[0],
        new,
        probabilities[1],
        after,
        np.zeros((n, 4), np.float32),
        np.where(invalid, 0, generator.integers(1, 500, n)),
        generator.uniform(1, 50, n).astype(np.float32),
        losses={
            name: generator.normal(size=n).astype(np.float32)
            for name in ("prediction", "l1", "prototype")
        },
        scores={
            "im1": np.where(found, generator.uniform(0.5, 1.5, n), np.nan),
            "oracle": np.where(found, generator.integers(0, 4, n) / 3, np.nan),
        },
        settings={"objective": {"name": "D", "weights": {"l1": 0.1}}, "versions": {"jaxcf": "0"}},
        seconds={"search": 1.5, "total": 2.0},
    )


def with_guides(
    explanations: Explanations, names: tuple[str, ...] = ("careful", "easy")
) -> Explanations:
    """The same with guides, which give a row's classes what the model does; of rows that weren't
    found in the steps there were, the first guide gives the new class nothing."""
    core = explanations
    held_up = core.status == Status.NOT_FOUND
    status = np.where(held_up, Status.GUIDE_NOT_CONVINCED, core.status)
    new = np.where(held_up, core.target_class, core.counterfactual_class)
    probabilities = core.probabilities.copy()
    probabilities[held_up] = 0
    probabilities[held_up, new[held_up]] = 1
    before = np.stack([core.original_probabilities] * len(names), axis=1)
    after = np.stack([probabilities] * len(names), axis=1)
    after[held_up, 0] = core.original_probabilities[held_up]
    least = after[np.arange(len(core)), :, new].min(axis=1)
    asked = {name: 0.15 * number for number, name in enumerate(names)}
    return replace(
        core,
        status=status,
        counterfactual_class=new,
        probabilities=probabilities,
        guide_original_probabilities=before,
        guide_probabilities=after,
        scores={**core.scores, "guide_probability": least},
        settings=dict(core.settings) | {"guides": {"confidence": asked, "needed": len(names)}},
    )


def _probabilities(
    labels: np.ndarray, num_classes: int, generator: np.random.Generator
) -> np.ndarray:
    raw = generator.uniform(0, 1, (len(labels), num_classes))
    raw[np.arange(len(labels)), labels] += 2
    return (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)


def images(n: int, shape: tuple[int, ...] = (28, 28, 1), num_classes: int = 10) -> Explanations:
    """Explanations of dark images with a bright spot, about as compressible as digits."""
    generator = np.random.default_rng(1)
    height, width = shape[:2]
    y, x = np.mgrid[:height, :width]
    centre = (
        generator.uniform(0.2, 0.8, (2, n, 1, 1)) * np.array([height, width])[:, None, None, None]
    )
    spot = 1.4 - np.hypot(y - centre[0], x - centre[1]) / (0.18 * height)
    pictures = np.clip(spot, 0, 1).reshape(n, height, width, *[1] * (len(shape) - 2))
    return made(np.broadcast_to(pictures, (n, *shape)).copy(), num_classes)


SCHEMA = Schema(
    (
        Numeric("age", 18, 90, step=1.0),
        Numeric("pay", 0.0, 100.0),
        Categorical("job", ("clerk", "pilot", "sailor")),
    )
)


def table(n: int, schema: Schema = SCHEMA, seed: int = 0) -> TableExplanations:
    """Explanations of a table; every counterfactual found is older, and a pilot."""
    generator = np.random.default_rng(seed)
    values = np.stack(
        [
            generator.integers(18, 60, n).astype(float),
            generator.uniform(0, 90, n).round(2),
            generator.integers(0, 3, n).astype(float),
        ],
        axis=1,
    )
    coding = TableCoding(schema, fit_category_values(schema, values, method="index"))
    core = made(coding.coordinates(values), 2, seed)
    values[core.status == Status.INVALID_INPUT, 1] = np.nan
    new = values.copy()
    new[core.found] = values[core.found] + [5, 0, 0]
    new[core.found, 2] = 1
    problems = {
        int(row): "column 'pay' is missing" for row in np.flatnonzero(np.isnan(values[:, 1]))
    }
    return TableExplanations(core, coding, values, new, {}, problems, ("no", "yes"), ruled=())


def traces(explanations: Explanations, rows: tuple[int, ...] = (0, 2)) -> Traces:
    """A closer look at some rows: five points, of which the last row lacks one, two neighbours."""
    chosen = np.array(rows)
    m, steps = len(chosen), np.array([0, 1, 2, 4, 8])
    start, end = (
        array[chosen][:, None] for array in (explanations.original, explanations.counterfactual)
    )
    share = (steps / 8).reshape(1, -1, *[1] * (start.ndim - 2)).astype(np.float32)
    path = start + share * (end - start)
    evaluations = np.tile(steps, (m, 1))
    evaluations[-1, -1], path[-1, -1] = -1, np.nan
    losses = {
        name: np.linspace(3, 1, 9 * m, dtype=np.float32).reshape(m, 9)
        for name in ("l1", "prototype")
    }
    nearest = np.repeat(end, 2, axis=1)
    nearest_row = np.tile([5, 7], (m, 1))
    nearest[-1, -1], nearest_row[-1, -1] = np.nan, -1
    before, after = (
        array[chosen][:, None]
        for array in (explanations.original_probabilities, explanations.probabilities)
    )
    said = before + (steps / 8).reshape(1, -1, 1) * (after - before)
    said[-1, -1] = np.nan
    return Traces(
        *(chosen, evaluations, path, losses, end[:, 0].copy(), nearest, nearest_row),
        probabilities=said.astype(np.float32),
    )
