"""What every part of `benchmarks.accelerator` is told, how it takes time, and what it asks.

Rows are plain values: what was done (`what`), on how many rows (`n`), how long it took once
compiled (`seconds`, a median) and with compilation (`first_seconds`), the share `found`, the rule
that ends a search (`stop`), and under names of their own what else is known.
"""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import common
from jaxcf import (
    Explainer,
    Explanations,
    FittedExplainer,
    data,
    models,
    presets,
)
from jaxcf.data import Dataset
from jaxcf.data.originals import find_originals, parse_idx, read_content
from jaxcf.utils.batching import map_batches

Row = dict[str, Any]

PRECISIONS = ("default", "highest", "tensorfloat32", "bfloat16")
"""Settings of `jax_default_matmul_precision`; the first is what JAX does by itself."""

_REPEATS = 5
EMBEDDED = "digits"
"""The data set of images that comes with scikit-learn."""


@dataclass(frozen=True)
class Job:
    """What a part is told.

    Attributes:
        small: whether it is to be done in seconds on a CPU.
        data_dir: where data lie; None for those that come with scikit-learn.
        work: a folder for what one part leaves to another.
        deadline: when to begin no further repeat, of `time.monotonic`.
    """

    small: bool
    data_dir: Path | None
    work: Path
    deadline: float

    @cached_property
    def images(self) -> Dataset:
        """MNIST, or the embedded digits where it isn't at hand."""
        if self.small or self.data_dir is None:
            return data.load(EMBEDDED)
        try:
            return read_mnist(self.data_dir)
        except FileNotFoundError:
            return data.load(EMBEDDED)

    def few(self, of_small: int, else_: int) -> int:
        """A number of rows."""
        return of_small if self.small else else_


def read_mnist(data_dir: Path) -> Dataset:
    """MNIST from its four original files, which takes no tensorflow-datasets, or as `data.load`.

    Args:
        data_dir: as for `data.load`.

    Returns:
        The images, those of the original files in their order.

    Raises:
        FileNotFoundError: if they aren't there.
    """
    originals = find_originals("mnist", data_dir)
    if originals is None:
        return data.load("mnist", data_dir=data_dir)
    x_train, y_train, x_test, y_test = (
        parse_idx(read_content(path), str(path)) for path in originals.values()
    )
    rows = x_train[..., None], y_train.astype(int), x_test[..., None], y_test.astype(int)
    return data.from_arrays(*rows, name="mnist")


# ---- time ----


class Timed(NamedTuple):
    """Calls of one thing.

    Attributes:
        first_seconds: of the first call, which compiles.
        seconds: of each after it; none where there was no time.
        result: of the last.
    """

    first_seconds: float
    seconds: list[float]
    result: Any

    @property
    def median(self) -> float | None:
        """The seconds of a call once compiled."""
        return statistics.median(self.seconds) if self.seconds else None

    @property
    def figures(self) -> Row:
        """What a row says of it."""
        return {
            "seconds": self.median,
            "repeats": len(self.seconds),
            "first_seconds": self.first_seconds,
        }


def timed(job: Job, call: Callable[[], Any], repeats: int = _REPEATS) -> Timed:
    """Call once to compile, then as often as there is time for.

    Args:
        job: whose deadline counts.
        call: waits for its own result.
        repeats: how often after the first at most.
    """
    began = time.perf_counter()
    result = call()
    first, seconds = time.perf_counter() - began, []
    # How long the first repeat takes isn't known: much less than the first call.
    while len(seconds) < (1 if job.small else repeats) and (
        time.monotonic() + max(seconds, default=0.0) < job.deadline
    ):
        began = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - began)
    return Timed(first, seconds, result)


def machine() -> Row:
    """What every row says of where it was measured."""
    return {
        "device": jax.devices()[0].device_kind,
        "platform": jax.default_backend(),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "system": common.SYSTEM,
    }


def explained(explanations: Explanations, timing: Timed) -> Row:
    """What a row says of a call of `explain`, its seconds by part included."""
    parts = explanations.seconds
    inside = parts["prototypes"] + parts["search"] + parts["compile"]
    return {
        "n": len(explanations),
        "stop": explanations.settings["search"]["stop"],
        "found": float(explanations.found.mean()),
        **timing.figures,
        "rows_per_second": len(explanations) / timing.median if timing.median else None,
        "search_seconds": parts["search"],
        "rest_seconds": parts["total"] - inside,
        "steps": float(explanations.steps.mean()),
        "elastic_net": common.mean_over(explanations.found, explanations.elastic_net),
        "lanes": explanations.settings["lanes"],
    }


# ---- what is asked ----


def fitted_under_d(dataset: Dataset, **options: Any) -> FittedExplainer:
    """The shipped networks under D, with prototypes of all training rows and other options."""
    settings = presets.named(None, "D") | options
    functions = models.pretrained(dataset.name).functions()
    explainer = Explainer(**functions, **settings, feature_range=(0.0, 1.0))
    return explainer.fit(dataset.x_train)


def classes(functions: Mapping[str, Any], x: np.ndarray) -> np.ndarray:
    """What networks decide, at the precision that JAX is set to."""
    asked = jax.jit(partial(functions["predict"], functions["params"]))
    return map_batches(asked, x).argmax(axis=1)


def at_precision(precision: str) -> AbstractContextManager[Any]:
    """While it lasts, one of `PRECISIONS`."""
    left_alone = precision == PRECISIONS[0]
    return nullcontext() if left_alone else jax.default_matmul_precision(precision)
