"""Time and memory against the number of rows, of lanes and of threads.

    python -m benchmarks.scaling [--quick] [--json FILE] [--data mnist] [--data-dir DIR]
        [--weights FILE] [--rows 100 1000 10000 100000] [--lanes 16 ... 4096] [--sweep-rows 4096]
        [--preset report]

The rows are test images repeated with a little noise, made as they are needed and explained by
`stream`, so that memory is the engine's and not that of the answers. Every measurement is a process
of its own (peak memory and threads can't be measured twice in one), with the programs compiled
before the clock starts; the search is blocked on completion.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from typing import Any

import jax
import numpy as np

from benchmarks import common
from jaxcf import EngineOptions, Explainer, data, metrics, presets

NOISE = 0.02
BATCH = 1000


def main() -> None:
    """Measure each layout in a process of its own, print, write."""
    options = _options()
    if options.measure is not None:
        print(json.dumps(measure(options, **json.loads(options.measure))))
        return
    every = os.cpu_count() or 1
    layouts = [{"n": n, "lanes": None, "threads": every} for n in options.rows]
    layouts += [
        {"n": max(options.sweep_rows, count), "lanes": count, "threads": every}
        for count in options.lanes
    ]
    if every > 1:
        layouts.append({"n": options.sweep_rows, "lanes": None, "threads": 1})
    rows = [_in_a_process(layout) for layout in layouts]
    by_rows = rows[: len(options.rows)]
    growth = [
        {
            "from": one["n"],
            "to": other["n"],
            "seconds_per_instance": other["seconds_per_instance"] / one["seconds_per_instance"],
            "peak_memory": other["peak_gib"] / one["peak_gib"],
        }
        for one, other in pairwise(by_rows)
    ]
    _print(rows, growth)
    if options.json is not None:
        common.write(options.json, rows, growth=growth)
        _plot(by_rows, rows[len(options.rows) :], options)


def _options() -> argparse.Namespace:
    parser = common.parser(__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 1000, 10_000, 100_000])
    parser.add_argument("--lanes", type=int, nargs="*", default=[16, 64, 256, 1024, 4096])
    parser.add_argument("--sweep-rows", type=int, default=4096, help="rows of the sweep of lanes")
    parser.add_argument("--preset", choices=presets.NAMED_PRESETS, help="default: jaxcf's own")
    parser.add_argument("--measure", metavar="JSON", help=argparse.SUPPRESS)
    return common.quickly(parser.parse_args(), rows=[32, 64], lanes=[16], sweep_rows=32)


def _in_a_process(layout: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scaling", *sys.argv[1:]]
    command += ["--measure", json.dumps(layout)]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(finished.stdout.splitlines()[-1])


def measure(options: argparse.Namespace, n: int, lanes: int | None, threads: int) -> dict[str, Any]:
    """Explain n rows on so many lanes with so many threads, in this process."""
    if hasattr(os, "sched_setaffinity"):  # before JAX counts the cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    dataset = data.load(options.data, data_dir=options.data_dir)
    functions = common.load_models(options.data, options.weights).functions()
    settings = presets.named(options.preset, "D")
    if options.quick:
        settings["search"] = replace(settings["search"], max_steps=20)
    fitted = Explainer(
        **functions, **settings, feature_range=(0.0, 1.0), engine=EngineOptions(lanes=lanes)
    ).fit(dataset.x_train)
    # As many rows as lanes at least, so that the same programs are compiled.
    (first,) = fitted.stream([noisy_rows(dataset.x_test, np.arange(max(lanes or 0, 256)))])
    seconds, used, found = 0.0, 0, 0
    values, distances = 0.0, 0.0
    batches = (
        noisy_rows(dataset.x_test, np.arange(start, min(start + BATCH, n)))
        for start in range(0, n, BATCH)
    )
    chosen = 0
    for explanations in fitted.stream(batches):
        seconds = explanations.seconds["search"]
        used += int(explanations.steps.sum()) + len(explanations)
        found += int(explanations.found.sum())
        chosen = explanations.settings["lanes"]
        values += float(common.objective_values(explanations)[explanations.found].sum())
        perturbation = explanations.counterfactual - explanations.original
        distances += float(metrics.elastic_net(perturbation[explanations.found]).sum())
    return {
        "system": common.SYSTEM,
        "n": n,
        "objective": "D",
        "preset": options.preset or "default",
        "stop": settings["search"].stop,
        "lanes": chosen,
        "threads": threads,
        "device": jax.devices()[0].device_kind,
        "validity": found / n,
        "objective_value": values / found if found else None,
        "elastic_net": distances / found if found else None,
        "compile_seconds": first.seconds["compile"],
        "lane_steps": used,
        "seconds": seconds,
        "seconds_per_instance": seconds / n,
        "milliseconds_per_lane_step": 1e3 * seconds / used,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def noisy_rows(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Test images repeated, each time with other noise; the same rows for the same numbers."""
    noise = np.random.default_rng(int(rows[0])).normal(0, NOISE, (len(rows), *x.shape[1:]))
    return np.clip(x[rows % len(x)] + noise, 0, 1).astype(np.float32)


def _print(rows: list[dict[str, Any]], growth: list[dict[str, Any]]) -> None:
    common.print_table(
        f"objective D, {rows[0]['preset']} settings, {rows[0]['stop']}, {rows[0]['device']}",
        ("n", "lanes", "threads", "validity", "s", "ms per instance", "ms per lane-step", "GiB"),
        [
            (
                str(row["n"]),
                str(row["lanes"]),
                str(row["threads"]),
                f"{row['validity']:.3f}",
                f"{row['seconds']:.1f}",
                f"{1e3 * row['seconds_per_instance']:.2f}",
                f"{row['milliseconds_per_lane_step']:.3f}",
                f"{row['peak_gib']:.2f}",
            )
            for row in rows
        ],
    )
    common.print_table(
        "with ten times the rows",
        ("from", "to", "seconds per instance", "peak memory"),
        [
            (
                str(row["from"]),
                str(row["to"]),
                f"x {row['seconds_per_instance']:.3f}",
                f"x {row['peak_memory']:.3f}",
            )
            for row in growth
        ],
    )


def _plot(
    by_rows: list[dict[str, Any]], by_lanes: list[dict[str, Any]], options: argparse.Namespace
) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.loglog([row["n"] for row in by_rows], [row["seconds"] for row in by_rows], "o-")
    left.set_xlabel("rows")
    left.set_ylabel("seconds of search")
    full = [row for row in by_lanes if row["threads"] > 1]
    right.semilogx(
        [row["lanes"] for row in full],
        [row["milliseconds_per_lane_step"] for row in full],
        "o-",
        base=2,
    )
    right.set_ylim(bottom=0)
    right.set_xlabel("lanes")
    right.set_ylabel("ms per lane-step")
    common.save_figure(figure, options.json)


if __name__ == "__main__":
    main()
