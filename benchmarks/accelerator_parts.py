"""The parts of `benchmarks.accelerator`: each measures one thing, and yields a row when it has it.

Rows are plain values: what was done (`what`), on how many rows (`n`), how long it took once
compiled (`seconds`, a median) and with compilation (`first_seconds`), the share `found`, the rule
that ends a search (`stop`), and under names of their own what else is known.
"""

import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks import common, limit, scaling, tables_tasks
from jaxcf import (
    EngineOptions,
    Explainer,
    Explanations,
    FittedExplainer,
    Guide,
    Refinement,
    SearchOptions,
    data,
    models,
    presets,
)
from jaxcf.data import Dataset
from jaxcf.data.originals import find_originals, parse_idx, read_content
from jaxcf.objective import Instance, in_float32, loss_terms
from jaxcf.search import lanes
from jaxcf.search.lanes import Lanes, Static, Traced
from jaxcf.search.status import Status
from jaxcf.tabular import TableExplainer
from jaxcf.tabular.classifiers import train_table_classifier
from jaxcf.utils.batching import map_batches

Row = dict[str, Any]

PRECISIONS = ("default", "highest", "tensorfloat32", "bfloat16")
"""Settings of `jax_default_matmul_precision`; the first is what JAX does by itself."""

_REPEATS = 5
_EMBEDDED = "digits"
_KEPT = "answers.npz"


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
            return data.load(_EMBEDDED)
        try:
            return read_mnist(self.data_dir)
        except FileNotFoundError:
            return data.load(_EMBEDDED)

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


def _explained(explanations: Explanations, timing: Timed) -> Row:
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


# ---- (a) the same answers as on a CPU ----


_TOLERANCES = {"default": 1e-2, "highest": 1e-4}
"""What the median row may be off at JAX's own precision (TF32 on some devices), and in float32."""

_OFF_AT_MOST = 0.01
"""By what share of found rows, of confirmed ones or of the distance searches may differ."""


def _compared_at(job: Job) -> tuple[str, ...]:
    return ("default",) if job.small else ("default", "highest")


class _Said(NamedTuple):
    """What the networks say of some points, and the objective's gradient there."""

    probabilities: np.ndarray
    encodings: np.ndarray
    reconstructions: np.ndarray
    gradients: np.ndarray
    guide: np.ndarray


def _plain(fitted: FittedExplainer, name: str, instances: Instance, points: np.ndarray) -> _Said:
    """Ask outside of all searches, in programs that are compiled for it."""
    functions, objective = fitted.models, in_float32(fitted.objective)
    guide = models.pretrained_guide(name).functions()

    def objective_of(points: jax.Array, params: Any, instances: Instance) -> tuple[Any, Any]:
        outputs = functions.outputs(params, points, encoding=True, reconstruction=True)
        weights = jnp.ones(len(points))
        terms = jax.vmap(partial(loss_terms, objective))(
            weights, instances, points, points - instances.original, outputs
        )
        total = jnp.sum(jnp.stack(list(terms.values())))
        return total, (outputs.probabilities, outputs.encoding, outputs.reconstruction)

    asked = jax.jit(jax.grad(objective_of, has_aux=True))
    gradients, said = asked(jnp.asarray(points), fitted.params, instances)
    read = jax.jit(lambda params, x: jax.nn.softmax(guide["predict"](params, x)))
    opinion = read(guide["params"], jnp.asarray(points))
    return _Said(*map(np.asarray, (*said, gradients, opinion)))


def _nearby(x: np.ndarray) -> np.ndarray:
    """Points beside the originals, where no term has a corner."""
    moved = x + np.random.default_rng(0).normal(0, 0.1, x.shape)
    return np.clip(moved, 0.01, 0.99).astype(np.float32)


def _fitted(dataset: Dataset, **options: Any) -> FittedExplainer:
    settings = presets.named(None, "D") | options
    functions = models.pretrained(dataset.name).functions()
    explainer = Explainer(**functions, **settings, feature_range=(0.0, 1.0))
    return explainer.fit(dataset.x_train)


def _asked(job: Job) -> list[Dataset]:
    """The data sets whose shipped networks are asked, the one that is searched first."""
    dataset = job.images
    return [dataset] if dataset.name == _EMBEDDED else [dataset, data.load(_EMBEDDED)]


def answers(job: Job) -> Iterator[Row]:
    """Ask and search on this device, for `compared`, which runs on a CPU."""
    kept: dict[str, np.ndarray] = {}
    for dataset in _asked(job):
        fitted = _fitted(dataset)
        x = dataset.x_test[: job.few(16, 512)]
        instances = limit.occupied_lanes(fitted, x).instance
        for leaf in ("original_class", "targets", "prototype"):
            kept[f"{dataset.name}/{leaf}"] = np.asarray(getattr(instances, leaf))
        for precision in _compared_at(job):
            with _at(precision):
                said = _plain(fitted, dataset.name, instances, _nearby(x))
            for leaf, array in said._asdict().items():
                kept[f"{dataset.name}/{precision}/{leaf}"] = array
    dataset = _asked(job)[0]
    layout = EngineOptions(lanes=16, lanes_per_group=8) if job.small else EngineOptions()
    fitted = _fitted(dataset, engine=layout)
    x = dataset.x_test[: job.few(32, len(dataset.x_test))]
    timing = timed(job, lambda: fitted.explain(x), repeats=1)
    explanations = timing.result
    for leaf in ("counterfactual", "counterfactual_class", "original_class", "found", "steps"):
        kept[f"search/{leaf}"] = np.asarray(getattr(explanations, leaf))
    kept["search/elastic_net"] = explanations.elastic_net
    np.savez(job.work / _KEPT, **kept)  # type: ignore[arg-type]
    yield {"what": f"{dataset.name}, D, in two groups"} | _explained(explanations, timing)


def compared(job: Job) -> Iterator[Row]:
    """What `answers` left, beside the same from this process, which has a CPU alone."""
    with np.load(job.work / _KEPT, allow_pickle=False) as file:
        kept = dict(file)
    for dataset in _asked(job):
        fitted = _fitted(dataset)
        x = dataset.x_test[: job.few(16, 512)]
        own = limit.occupied_lanes(fitted, x).instance
        theirs = (
            jnp.asarray(kept[f"{dataset.name}/{leaf}"])
            for leaf in ("original_class", "targets", "prototype")
        )
        instances = own._replace(
            **dict(zip(("original_class", "targets", "prototype"), theirs, strict=True))
        )
        points = _nearby(x)
        here = _plain(fitted, dataset.name, instances, points)
        with limit.stock_formulation():
            stock = _plain(fitted, dataset.name, instances, points)
        there = {
            precision: _Said(
                *(kept[f"{dataset.name}/{precision}/{leaf}"] for leaf in _Said._fields)
            )
            for precision in _compared_at(job)
        }
        prototypes = _differences(np.asarray(instances.prototype), np.asarray(own.prototype))
        cases = {
            **{
                f"device, precision {name}": (said, _TOLERANCES[name])
                for name, said in there.items()
            },
            "CPU, stock convolutions": (stock, _TOLERANCES["highest"]),
        }
        for case, (said, tolerance) in cases.items():
            off = {
                leaf: _differences(one, other)
                for leaf, one, other in zip(_Said._fields, said, here, strict=True)
            }
            yield {
                "what": f"networks of {dataset.name}, {case}, beside the CPU",
                "n": len(x),
                "same_prototype": float(np.mean(prototypes < 1e-2)),
                "tolerance": tolerance,
                "agrees": all(np.median(rows) <= tolerance for rows in off.values()),
                **{f"{leaf}_off_median": float(np.median(rows)) for leaf, rows in off.items()},
                **{f"{leaf}_off_most": float(np.max(rows)) for leaf, rows in off.items()},
            }
    yield _searches_compared(job, kept)


def _searches_compared(job: Job, kept: Mapping[str, np.ndarray]) -> Row:
    """The ends of the searches there beside those here, and what the networks here say of them."""
    dataset = _asked(job)[0]
    fitted = _fitted(dataset)
    theirs = {
        leaf.removeprefix("search/"): array
        for leaf, array in kept.items()
        if leaf.startswith("search/")
    }
    functions = models.pretrained(dataset.name).functions()
    decided = _classes(functions, theirs["counterfactual"])
    found = theirs["found"].astype(bool)
    confirmed = (decided == theirs["counterfactual_class"]) & (
        decided != _classes(functions, dataset.x_test[: len(decided)])
    )
    here = fitted.explain(dataset.x_test[: job.few(32, 1024)])
    n = len(here)
    both = here.found & found[:n]
    ratio = theirs["elastic_net"][:n][both] / here.elastic_net[both]
    same_class = theirs["counterfactual_class"][:n] == here.counterfactual_class
    agreed = common.mean_over(found, confirmed)
    distances = theirs["elastic_net"][:n][both].mean(), here.elastic_net[both].mean()
    return {
        "what": f"searches of {dataset.name}, beside the CPU's",
        "n": n,
        "stop": here.settings["search"]["stop"],
        "found": float(found[:n].mean()),
        "found_on_cpu": float(here.found.mean()),
        "confirmed_on_cpu": agreed,
        "confirmed_of": int(found.sum()),
        "same_class": common.mean_over(both, same_class),
        "same_steps": common.mean_over(both, theirs["steps"][:n] == here.steps),
        "elastic_net": common.mean_over(both, theirs["elastic_net"][:n]),
        "elastic_net_on_cpu": common.mean_over(both, here.elastic_net),
        "elastic_net_ratio_median": float(np.median(ratio)) if both.any() else None,
        "elastic_net_within_1_percent": common.mean_over(both, _within(theirs, here)),
        "tolerance": _OFF_AT_MOST,
        "agrees": bool(
            abs(found[:n].mean() - here.found.mean()) <= _OFF_AT_MOST
            and agreed is not None
            and agreed >= 1 - _OFF_AT_MOST
            and abs(distances[0] - distances[1]) <= _OFF_AT_MOST * distances[1]
        ),
    }


def _within(theirs: Mapping[str, np.ndarray], here: Explanations) -> np.ndarray:
    there = theirs["elastic_net"][: len(here)]
    return np.abs(there - here.elastic_net) <= 0.01 * np.abs(here.elastic_net)


def _classes(functions: Mapping[str, Any], x: np.ndarray) -> np.ndarray:
    """What networks decide, at the precision that JAX is set to."""
    asked = jax.jit(partial(functions["predict"], functions["params"]))
    return map_batches(asked, x).argmax(axis=1)


def _differences(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far each row is from the other, as a share of its length; never NaN where they differ."""
    one, other = (np.float64(array.reshape(len(array), -1)) for array in (one, other))
    length = np.maximum(np.linalg.norm(other, axis=1), 1e-12)
    apart = np.linalg.norm(one - other, axis=1) / length
    return np.where(np.isfinite(apart), apart, np.inf)


def _at(precision: str) -> AbstractContextManager[Any]:
    left_alone = precision == PRECISIONS[0]
    return nullcontext() if left_alone else jax.default_matmul_precision(precision)


# ---- (b) a whole test set ----

_IMAGES_SECONDS = 3.0
"""Aimed at for MNIST's 10,000 test images under D, prototypes included."""
_TABLE_SECONDS = 2.5
"""Aimed at for Adult's 32,561 rows."""


def _aim(seconds: float, holds: bool) -> Row:
    return {"aim_seconds": seconds} if holds else {}


def images(job: Job, preset: str | None) -> Iterator[Row]:
    """The whole test set of images, prototypes included, all that compiles compiled.

    Args:
        job: what is told.
        preset: one that is made to go with a guide; None for objective D with default settings.
    """
    dataset = job.images
    options: dict[str, Any] = {}
    if preset is not None:
        guide = Guide(**models.pretrained_guide(dataset.name).functions())
        options = presets.named(preset, "D", dataset.x_train) | {"guides": [guide]}
    fitting = timed(job, lambda: _fitted(dataset, **options), repeats=3)
    fitted = fitting.result
    x = dataset.x_test[: job.few(16, len(dataset.x_test))]
    timing = timed(job, lambda: fitted.explain(x))
    explanations = timing.result
    # The last fit is the one that has explained.
    fit_seconds = fitted.seconds
    preparing = explanations.seconds["prototypes"] - fitted.seconds
    row = {"what": f"{dataset.name}, D, {preset or 'default settings'}"}
    row |= _explained(explanations, timing)
    yield row | {
        "with_prototypes_seconds": timing.median and fit_seconds + timing.median,
        **_aim(_IMAGES_SECONDS, dataset.name != _EMBEDDED and preset is None),
        "prototypes_seconds": fit_seconds,
        "choosing_prototypes_seconds": preparing,
        "first_prototypes_seconds": fitting.first_seconds,
        "training_rows": len(dataset.x_train),
    }


# ---- (c) lanes ----


@contextmanager
def counted_lane_steps() -> Iterator[dict[str, int]]:
    """While it lasts, how many steps of lanes the engine's programs make, and how many searched."""
    advance, counted = lanes.advance, {"made": 0, "used": 0}

    def counting(static: Static, traced: Traced, group: Lanes, num_steps: Any) -> Lanes:
        before = _evaluations(group)
        group = advance(static, traced, group, num_steps)
        after = _evaluations(group)
        searched = np.where(before.running, after.done - before.done, 0)
        # A search's last evaluation is followed by no update, which is what is counted.
        searched += before.running & ~after.running
        counted["made"] += int(searched.max(initial=0)) * len(searched)
        counted["used"] += int(searched.sum())
        return group

    with mock.patch.object(lanes, "advance", counting):
        yield counted


class _Evaluations(NamedTuple):
    done: np.ndarray
    running: np.ndarray


def _evaluations(group: Lanes) -> _Evaluations:
    # Copies: the lanes' own memory is given away with the next call.
    state = group.state
    done = np.array(state.total_steps) + np.array(state.round)
    return _Evaluations(done, np.array(state.status) == Status.RUNNING)


LANES = (2048, 4096, 1024, 8192, 512, 256)
"""Lanes in each of two groups; those that tell most first."""


def lane_counts(job: Job) -> Iterator[Row]:
    """The same rows through groups of other sizes."""
    dataset = job.images
    fitted = _fitted(dataset)
    x = scaling.noisy_rows(dataset.x_test, np.arange(job.few(48, 20_000)))
    for size in (16, 8) if job.small else LANES:
        layout = EngineOptions(lanes=2 * size, lanes_per_group=size)
        other = fitted.with_options(engine=layout)
        timing = timed(job, partial(other.explain, x), repeats=2)
        # Apart, since it waits for the device after each piece.
        with counted_lane_steps() as counted:
            other.explain(x)
        yield {
            "what": f"{dataset.name}, D, 2 x {size} lanes",
            "lanes_per_group": size,
            "share_of_lane_steps_used": counted["used"] / counted["made"],
        } | _explained(timing.result, timing)


# ---- (d) one lane-step beside what the device can do ----


def roofline(job: Job) -> Iterator[Row]:
    """The device's rates, and the lane-step's arithmetic and traffic beside them."""
    size = job.few(128, 8192)
    rates = {}
    for precision in PRECISIONS:
        with _at(precision):
            rates[precision] = limit.matmul_gigaflops(size)
    in_bfloat16 = limit.matmul_gigaflops(size, jnp.bfloat16)
    bandwidth = limit.copy_gigabytes_per_second(8 * size * size)
    yield {
        "what": f"products of {size} x {size} matrices, and copies",
        "n": size,
        **{f"gigaflops_{precision}": rate for precision, rate in rates.items()},
        "gigaflops_of_bfloat16": in_bfloat16,
        "gigabytes_per_second": bandwidth,
    }
    dataset = job.images
    fitted = _fitted(dataset)
    arithmetic = 2 * limit.forward_flops(fitted) / 1e6
    for lanes_per_group in (8,) if job.small else (2048, 8192):
        row = limit.lane_step_cost(fitted, dataset.x_test, lanes_per_group, 1)
        spent = row["milliseconds_per_lane_step"]
        bounds = {
            "milliseconds_at_matmul_rate": _over(row["compiled_megaflop"], rates["default"]),
            "milliseconds_at_highest_rate": _over(row["compiled_megaflop"], rates["highest"]),
            "milliseconds_at_bandwidth": _over(row["compiled_megabytes"], bandwidth),
        }
        known = [bound for bound in bounds.values() if bound is not None]
        yield {
            "what": f"{dataset.name}, D, one step of {lanes_per_group} lanes, per lane",
            "n": lanes_per_group,
            "stop": "budget",
            "seconds": spent / 1e3,
            "first_seconds": row["compile_seconds"],
            "milliseconds_per_lane_step": spent,
            "compiled_megaflop": row["compiled_megaflop"],
            "compiled_megabytes": row["compiled_megabytes"],
            "needed_megaflop": arithmetic,
            **bounds,
            "share_of_limit": max(known) / spent if known else None,
        }


def _over(millions: float | None, billions_per_second: float) -> float | None:
    """Milliseconds for so many millions."""
    return None if millions is None else millions / billions_per_second


# ---- (e) a table ----


def table(job: Job) -> Iterator[Row]:
    """A whole table under a network: as `TableExplainer` does by default, and the search alone."""
    name = "wine" if job.small or job.data_dir is None else tables_tasks.ADULT
    try:
        parts = tables_tasks.read(name, job.data_dir)
    except FileNotFoundError:
        name = "wine"
        parts = tables_tasks.read(name, None)
    began = time.perf_counter()
    epochs = 5 if job.small else None
    classifier = train_table_classifier(
        parts.train, parts.y_train, parts.class_names, epochs=epochs
    )
    training = time.perf_counter() - began
    for mode, refinement in {"default settings": None, "search alone": Refinement()}.items():
        explainer = TableExplainer(**classifier.functions(), refinement=refinement)
        fitting = timed(job, lambda made=explainer: made.fit(parts.train), repeats=1)
        fitted = fitting.result
        timing = timed(job, lambda made=fitted: made.explain(parts.train), repeats=3)
        explanations = timing.result
        changed = explanations.changed.sum(axis=1)
        yield (
            {"what": f"{name}, a network, {mode}"}
            | _explained(explanations.core, timing)
            | {
                **_aim(_TABLE_SECONDS, name == tables_tasks.ADULT and refinement is None),
                "columns_changed": common.mean_over(explanations.found, changed),
                "prototypes_seconds": fitting.median,
                "first_prototypes_seconds": fitting.first_seconds,
                "training_seconds": training,
            }
        )


# ---- (f) a guide ----


def guide(job: Job) -> Iterator[Row]:
    """Train a guide in its short form."""
    dataset = job.images
    if job.small:
        dataset = dataset.first(train=120, test=40)
    timing = timed(job, lambda: models.train_guide(dataset, quick=True), repeats=2)
    trained = timing.result
    yield {
        "what": f"train_guide(quick=True), {dataset.name}",
        "n": len(dataset.x_train),
        **timing.figures,
        "accuracy": trained.accuracy,
        "robust_accuracy": trained.robust_accuracy,
        "confidence": trained.confidence,
        "radius": trained.radius,
    }


# ---- (g) photographs ----

_PHOTOGRAPH = (32, 32, 3)


def photographs(job: Job) -> Iterator[Row]:
    """Batches of CIFAR-10's shape: so many updates each, by networks whose weights are random."""
    x_train, y_train, x, where = _photographs(job)
    rngs = nnx.Rngs(0)
    widths = (8, 16) if job.small else (32, 64, 128)
    networks = models.ModelSet(
        models.ResidualClassifier(_PHOTOGRAPH, 10, widths=widths, rngs=rngs),
        models.ConvolutionalAutoencoder(_PHOTOGRAPH, code_channels=8, rngs=rngs),
    )
    # Random networks are left with the first step: what is measured is a fixed number of them.
    steps = job.few(2, 30)
    settings = presets.named(None, "D")
    settings["search"] = SearchOptions(stop="budget", max_steps=steps)
    explainer = Explainer(**networks.functions(), **settings, feature_range=(0.0, 1.0))
    fitted = explainer.fit(x_train, y_train)
    timing = timed(job, lambda: fitted.explain(x), repeats=3)
    row = _explained(timing.result, timing)
    yield {"what": f"32 x 32 x 3 {where}, D, random networks, {steps} updates each"} | row


def _photographs(job: Job) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    n, training = job.few(8, 4096), job.few(160, 4096)
    if job.data_dir is not None and not job.small:
        try:
            dataset = data.load("cifar10", data_dir=job.data_dir)
            few = dataset.first(train=training, test=n)
            return few.x_train, few.y_train, few.x_test, "of CIFAR-10"
        except (FileNotFoundError, ImportError):
            pass
    made = np.random.default_rng(0).uniform(0, 1, (training + n, *_PHOTOGRAPH))
    made = made.astype(np.float32)
    return made[:training], np.arange(training) % 10, made[training:], "made up"


# ---- (h) memory ----


def memory(job: Job, lanes_per_group: int) -> Iterator[Row]:
    """The peak of the device's memory, in a process that does nothing else before.

    Args:
        job: what is told.
        lanes_per_group: of two groups.
    """
    dataset = job.images
    layout = EngineOptions(lanes=2 * lanes_per_group, lanes_per_group=lanes_per_group)
    fitted = _fitted(dataset, engine=layout)
    before, source = _peak_gib()
    x = scaling.noisy_rows(dataset.x_test, np.arange(job.few(32, max(10_000, 2 * lanes_per_group))))
    timing = timed(job, lambda: fitted.explain(x), repeats=1)
    after, _ = _peak_gib()
    yield {
        "what": f"{dataset.name}, D, 2 x {lanes_per_group} lanes, memory",
        "lanes_per_group": lanes_per_group,
        "peak_gib": after,
        "peak_gib_of_fit": before,
        "memory_of": source,
    } | _explained(timing.result, timing)


def _peak_gib() -> tuple[float, str]:
    """The peak so far, and of what: the device where it says so, else this process."""
    known = jax.devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in known:
        return known["peak_bytes_in_use"] / 2**30, "device"
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, "process"


# ---- (i) precision ----


def precision(job: Job) -> Iterator[Row]:
    """The same search at other precisions, and what the highest says of its ends."""
    dataset = job.images
    x = dataset.x_test[: job.few(16, len(dataset.x_test))]
    functions = models.pretrained(dataset.name).functions()
    with _at("highest"):
        original_class = _classes(functions, x)
    cases = [
        *((f"precision {one}", one, functions) for one in PRECISIONS),
        ("networks cast to bfloat16", PRECISIONS[0], in_bfloat16(functions)),
    ]
    for case, setting, asked in cases[-1:] if job.small else cases:
        with _at(setting):
            explainer = Explainer(**asked, **presets.named(None, "D"), feature_range=(0.0, 1.0))
            fitted = explainer.fit(dataset.x_train)
            timing = timed(job, partial(fitted.explain, x), repeats=3)
        explanations = timing.result
        with _at("highest"):
            confirmed = _classes(functions, explanations.counterfactual) != original_class
        yield (
            {"what": f"{dataset.name}, D, {case}"}
            | _explained(explanations, timing)
            | {"confirmed_by_highest": common.mean_over(explanations.found, confirmed)}
        )


def in_bfloat16(functions: Mapping[str, Any]) -> dict[str, Any]:
    """Networks whose weights and arithmetic are cast to bfloat16; what they return is float32."""

    def lowered(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda params, x: function(params, x.astype(jnp.bfloat16)).astype(jnp.float32)

    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), functions["params"])
    called = {name: lowered(one) for name, one in functions.items() if callable(one)}
    return {**functions, **called, "params": params}


# ---- all of them ----


class Part(NamedTuple):
    """A part, in a process of its own.

    Attributes:
        measure: yields its rows.
        least: seconds without which it isn't begun.
        most: seconds after which it is ended.
        on_cpu: whether it runs where JAX sees a CPU alone.
        after: the part whose results it needs.
    """

    measure: Callable[[Job], Iterator[Row]]
    least: float
    most: float
    on_cpu: bool = False
    after: str | None = None


PARTS: Mapping[str, Part] = {
    "answers": Part(answers, 30, 120),
    "compared": Part(compared, 20, 90, on_cpu=True, after="answers"),
    "images": Part(partial(images, preset=None), 20, 100),
    "near": Part(partial(images, preset="near"), 25, 120),
    "lanes": Part(lane_counts, 25, 90),
    "roofline": Part(roofline, 20, 60),
    "table": Part(table, 25, 120),
    "guide": Part(guide, 20, 60),
    "photographs": Part(photographs, 20, 60),
    "memory 2048": Part(partial(memory, lanes_per_group=2048), 15, 40),
    "memory 8192": Part(partial(memory, lanes_per_group=8192), 15, 40),
    "memory 512": Part(partial(memory, lanes_per_group=512), 15, 40),
    "precision": Part(precision, 25, 120),
}
"""By name, in the order of what they are worth."""

SMALL_PARTS: Mapping[str, Part] = {
    name: one for name, one in PARTS.items() if not name.startswith("memory ")
} | {"memory 8": Part(partial(memory, lanes_per_group=8), 0, 60)}
"""Those of a small run."""
