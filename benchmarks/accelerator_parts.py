"""The parts of `benchmarks.accelerator`: each yields a row as soon as it has measured one."""

import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks import common, limit, scaling, tables_tasks
from benchmarks.accelerator_answers import answers, compared
from benchmarks.accelerator_job import (
    EMBEDDED,
    PRECISIONS,
    Job,
    Row,
    at_precision,
    classes,
    explained,
    fitted_under_d,
    timed,
)
from jaxcf import (
    EngineOptions,
    Explainer,
    Guide,
    Refinement,
    SearchOptions,
    data,
    models,
    presets,
)
from jaxcf.search import lanes
from jaxcf.search.lanes import Lanes, Static, Traced
from jaxcf.search.status import Status
from jaxcf.tabular import TableExplainer
from jaxcf.tabular.classifiers import train_table_classifier

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
    fitting = timed(job, lambda: fitted_under_d(dataset, **options), repeats=3)
    fitted = fitting.result
    x = dataset.x_test[: job.few(16, len(dataset.x_test))]
    timing = timed(job, lambda: fitted.explain(x))
    explanations = timing.result
    # The last fit is the one that has explained.
    fit_seconds = fitted.seconds
    preparing = explanations.seconds["prototypes"] - fitted.seconds
    row = {"what": f"{dataset.name}, D, {preset or 'default settings'}"}
    row |= explained(explanations, timing)
    yield row | {
        "with_prototypes_seconds": timing.median and fit_seconds + timing.median,
        **_aim(_IMAGES_SECONDS, dataset.name != EMBEDDED and preset is None),
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
        searched = searched + (before.running & ~after.running)
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
    fitted = fitted_under_d(dataset)
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
        } | explained(timing.result, timing)


# ---- (d) one lane-step beside what the device can do ----


def roofline(job: Job) -> Iterator[Row]:
    """The device's rates, and the lane-step's arithmetic and traffic beside them."""
    size = job.few(128, 8192)
    rates = {}
    for precision in PRECISIONS:
        with at_precision(precision):
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
    fitted = fitted_under_d(dataset)
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
            | explained(explanations.core, timing)
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
    row = explained(timing.result, timing)
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
    fitted = fitted_under_d(dataset, engine=layout)
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
    } | explained(timing.result, timing)


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
    with at_precision("highest"):
        original_class = classes(functions, x)
    cases = [
        *((f"precision {one}", one, functions) for one in PRECISIONS),
        ("networks cast to bfloat16", PRECISIONS[0], in_bfloat16(functions)),
    ]
    for case, setting, asked in cases[-1:] if job.small else cases:
        with at_precision(setting):
            explainer = Explainer(**asked, **presets.named(None, "D"), feature_range=(0.0, 1.0))
            fitted = explainer.fit(dataset.x_train)
            timing = timed(job, partial(fitted.explain, x), repeats=3)
        explanations = timing.result
        with at_precision("highest"):
            confirmed = classes(functions, explanations.counterfactual) != original_class
        yield (
            {"what": f"{dataset.name}, D, {case}"}
            | explained(explanations, timing)
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
