"""How far one step of one search, and the engine as a whole, are from what the machine can do.

    python -m benchmarks.limit [--quick] [--json FILE] [--data mnist] [--data-dir DIR]
        [--weights FILE] [--n 1000]

Measures the machine's own rates (float32 matrix product, copy), then the cost of one lane-step
(value, gradient and update of one instance) for every size of a group of lanes, with one thread
and with as many as there are cores, and sets the cheapest beside the time that the machine needs
for the arithmetic of the networks alone. Then a whole search: efficiency = lane-steps used x
cheapest cost / seconds. Every time is blocked on completion; compilation stands apart.
"""

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxprs_in_params

from benchmarks import common
from jaxcf import Explainer, FittedExplainer, data, presets
from jaxcf.models.networks import layers
from jaxcf.objective import Instance, in_float32
from jaxcf.predictors.inference import predict_and_encode_batch
from jaxcf.search import lanes, step
from jaxcf.search.lanes import Lanes, Static, Traced
from jaxcf.search.options import split_options
from jaxcf.utils.json_files import plain

STEPS = 8
REPEATS = 7


def main() -> None:
    """Measure, print, write."""
    options = _options()
    dataset = data.load(options.data, data_dir=options.data_dir)
    functions = common.load_models(options.data, options.weights).functions()
    explainer = Explainer(**functions, **presets.report("D"), feature_range=(0.0, 1.0))
    fitted = explainer.fit(dataset.x_train)
    rates = machine_rates(256 if options.quick else 1024)
    sizes = (8, 16) if options.quick else (8, 16, 32, 64, 128)
    threads = sorted({1, os.cpu_count() or 1})
    rows = [
        lane_step_cost(fitted, dataset.x_test, size, count) for size in sizes for count in threads
    ]
    best = min(rows, key=lambda row: row["milliseconds_per_lane_step"])
    arithmetic = forward_flops(fitted)
    limit = {
        # The gradient with respect to the input costs about as much again as the value.
        "megaflop_per_lane_step": 2 * arithmetic / 1e6,
        "milliseconds_at_matmul_rate": 2 * arithmetic / rates["gigaflops"] / 1e6,
        **rates,
    }
    share = limit["milliseconds_at_matmul_rate"] / best["milliseconds_per_lane_step"]
    limit["share_of_limit"] = share
    engine = engine_efficiency(fitted, dataset.x_test[: options.n], best)
    common.print_table(
        f"one lane-step, objective D, {options.data}, {jax.devices()[0].device_kind}",
        ("lanes in a group", "threads", "ms per lane-step", "compiled MFLOP", "compiled MB"),
        [
            (
                str(row["lanes_per_group"]),
                str(row["threads"]),
                f"{row['milliseconds_per_lane_step']:.3f}",
                common.text(row["compiled_megaflop"], ".1f"),
                common.text(row["compiled_megabytes"], ".2f"),
            )
            for row in rows
        ],
    )
    common.print_table("the limit", ("", "value"), [(k, f"{v:.4g}") for k, v in limit.items()])
    common.print_table("the engine", ("", "value"), [(k, str(plain(v))) for k, v in engine.items()])
    if options.json is not None:
        common.write(options.json, rows, limit=limit, engine=engine)
        _plot(rows, limit, options)


def _options() -> argparse.Namespace:
    parser = common.parser(__doc__)
    parser.add_argument("--n", type=int, default=1000, help="rows of the whole search")
    return common.quickly(parser.parse_args(), n=64)


def machine_rates(size: int) -> dict[str, float]:
    """Float32 matrix products in GFLOP/s and copies in GB/s, of the whole device."""
    return {
        "gigaflops": matmul_gigaflops(size),
        "gigabytes_per_second": copy_gigabytes_per_second(32 * size * size),
    }


def matmul_gigaflops(size: int, dtype: Any = jnp.float32) -> float:
    """The rate of a square matrix product, at the precision that JAX is set to."""
    square = _random((size, size)).astype(dtype)
    product = jax.jit(lambda a: a @ a)
    return 2 * size**3 / median_seconds(partial(product, square)) / 1e9


def copy_gigabytes_per_second(count: int) -> float:
    """The rate of reading and writing so many numbers of float32."""
    flat = _random((count,))
    copy = jax.jit(lambda a: a + 1.0)
    return 2 * flat.nbytes / median_seconds(partial(copy, flat)) / 1e9


def _random(shape: tuple[int, ...]) -> jax.Array:
    # Not ones: some devices multiply constants faster than numbers that differ.
    return jax.random.uniform(jax.random.key(0), shape, jnp.float32, -1.0, 1.0)


def median_seconds(function: Callable[[], Any]) -> float:
    """The median time of a call that is waited for; the first, which compiles, isn't counted."""
    jax.block_until_ready(function())
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(function())
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def occupied_lanes(fitted: FittedExplainer, x: np.ndarray) -> Lanes:
    """One running search per row, as the engine starts them."""
    described = predict_and_encode_batch(fitted.models, fitted.params, x)
    probabilities, encodings = (np.asarray(array) for array in described)
    original_class = probabilities.argmax(1).astype(np.int32)
    targets = np.arange(probabilities.shape[1]) != original_class[:, None]
    prototype = fitted.prototypes.select(encodings, targets).prototype
    bounds = np.zeros_like(x), np.ones_like(x), None
    instances = Instance.of_rows(x, original_class, targets, prototype, bounds)
    options, traced_options = split_options(fitted.search, fitted.objective)
    num_terms = len(fitted.objective.term_names)
    states = jax.vmap(partial(step.init, options, traced_options, num_terms))(instances)
    terms = np.zeros((len(x), num_terms), np.float32)
    return jax.tree.map(jnp.asarray, Lanes(instances, states, terms))


def static_and_traced(fitted: FittedExplainer, device_loop: bool = True) -> tuple[Static, Traced]:
    """What `lanes.advance` takes beside the lanes, as the engine gives it."""
    options, traced_options = split_options(fitted.search, fitted.objective)
    return (
        Static(fitted.models, options, device_loop=device_loop),
        Traced(fitted.params, in_float32(fitted.objective), traced_options),
    )


def lane_step_cost(
    fitted: FittedExplainer, x_test: np.ndarray, size: int, threads: int
) -> dict[str, Any]:
    """The wall time of a step of a lane while so many threads each advance a group of lanes."""
    # Lanes that have ended cost as much as others, but none should end while this is measured.
    endless = replace(fitted.search, stop="budget", max_steps=10**6)
    fitted = fitted.with_options(search=endless)
    in_loop = not lanes.slow_in_a_loop(fitted.models, fitted.params, None, x_test[:size])
    static, traced = static_and_traced(fitted, in_loop)
    groups = [occupied_lanes(fitted, x_test[i * size : (i + 1) * size]) for i in range(threads)]

    def advance(group: Lanes) -> Lanes:
        for _ in range(1 if in_loop else STEPS):
            group = lanes.advance(static, traced, group, STEPS if in_loop else 1)
        return jax.block_until_ready(group)

    one_step = jax.jit(partial(lanes.advance, replace(static, device_loop=False)), static_argnums=2)
    analysis = one_step.lower(traced, groups[0], 1).compile().cost_analysis() or {}
    began = time.perf_counter()
    groups = [advance(group) for group in groups]
    compile_seconds = time.perf_counter() - began
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(REPEATS):
            began = time.perf_counter()
            for _ in range(4):
                groups = list(pool.map(advance, groups))
            seconds.append((time.perf_counter() - began) / 4)
    per_step = statistics.median(seconds) / (threads * size * STEPS)
    return {
        "system": common.SYSTEM,
        "device": jax.devices()[0].device_kind,
        "objective": "D",
        "lanes_per_group": size,
        "threads": threads,
        "milliseconds_per_lane_step": 1e3 * per_step,
        "compile_seconds": compile_seconds,
        "compiled_megaflop": _per_lane(analysis, "flops", size),
        "compiled_megabytes": _per_lane(analysis, "bytes accessed", size),
    }


def _per_lane(analysis: dict[str, float], what: str, size: int) -> float | None:
    return analysis[what] / size / 1e6 if what in analysis else None


def forward_flops(fitted: FittedExplainer) -> float:
    """The arithmetic of one instance's way through all networks, as stock layers would do it."""
    models, params, size = fitted.models, fitted.params, 8
    batch = jax.ShapeDtypeStruct((size, *fitted.shape), jnp.float32)

    def outputs(params: Any, x: jax.Array) -> Any:
        return models.outputs(params, x, encoding=True, reconstruction=True)

    # Our layers for CPUs trade arithmetic for larger products: the limit counts what is needed.
    with stock_formulation():
        traced = jax.make_jaxpr(outputs)(params, batch)
    return product_flops(traced.jaxpr) / size


def product_flops(jaxpr: Any) -> int:
    """The arithmetic of a trace's matrix products and convolutions: XLA counts it on CPUs only."""
    total = 0
    for equation in jaxpr.eqns:
        shapes = [variable.aval.shape for variable in equation.invars if hasattr(variable, "aval")]
        if equation.primitive.name == "dot_general":
            summed = math.prod(
                shapes[0][axis] for axis in equation.params["dimension_numbers"][0][0]
            )
            total += 2 * summed * math.prod(equation.outvars[0].aval.shape)
        elif equation.primitive.name == "conv_general_dilated":
            into = equation.params["dimension_numbers"].rhs_spec[0]
            kernel = math.prod(shapes[1]) // shapes[1][into]
            total += 2 * kernel * math.prod(equation.outvars[0].aval.shape)
        for inner in jaxprs_in_params(equation.params):
            total += product_flops(inner)
    return total


def stock_formulation() -> AbstractContextManager[Any]:
    """While it lasts, what is traced has the stock convolutions of accelerators on a CPU, too."""
    return mock.patch.object(layers, "_choose", lambda cpu, other, *arguments: other(*arguments))


def engine_efficiency(
    fitted: FittedExplainer, x: np.ndarray, best: dict[str, Any]
) -> dict[str, Any]:
    """A whole search against the cheapest lane-step; the last of two, so that nothing compiles."""
    compile_seconds = fitted.explain(x[:1000]).seconds["compile"]
    explanations = fitted.explain(x)
    # A search that needs k updates evaluates k + 1 points.
    used = int(explanations.steps.sum()) + len(x)
    seconds = explanations.seconds["search"]
    value = common.objective_values(explanations)
    return {
        "system": common.SYSTEM,
        "n": len(x),
        "device": jax.devices()[0].device_kind,
        "objective": "D",
        "stop": explanations.settings["search"]["stop"],
        "validity": float(explanations.found.mean()),
        "objective_value": common.mean_over(explanations.found, value),
        "elastic_net": explanations.summary()["elastic_net"],
        "compile_seconds": compile_seconds,
        "lane_steps": used,
        "seconds": seconds,
        "milliseconds_per_lane_step": 1e3 * seconds / used,
        "efficiency": used * best["milliseconds_per_lane_step"] / 1e3 / seconds,
    }


def _plot(rows: list[dict[str, Any]], limit: dict[str, float], options: argparse.Namespace) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    for threads in sorted({row["threads"] for row in rows}):
        mine = [row for row in rows if row["threads"] == threads]
        axis.plot(
            [row["lanes_per_group"] for row in mine],
            [row["milliseconds_per_lane_step"] for row in mine],
            "o-",
            label=f"{threads} thread{'s' * (threads > 1)}",
        )
    axis.axhline(limit["milliseconds_at_matmul_rate"], color="black", linestyle=":")
    corner = (rows[0]["lanes_per_group"], limit["milliseconds_at_matmul_rate"])
    axis.annotate("at the rate of matrix products", corner, (0, 4), textcoords="offset points")
    axis.set_xscale("log", base=2)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("lanes in a group")
    axis.set_ylabel("ms per lane-step")
    axis.legend()
    common.save_figure(figure, options.json)


if __name__ == "__main__":
    main()
