"""Speed against objective: the same instances explained under each of A-F.

    python -m benchmarks.objectives [--quick] [--json FILE] [--data mnist] [--data-dir DIR]
        [--weights FILE] [--n 1000] [--objectives ABCDEF] [--preset report]

Prints a table; writes JSON rows and, beside them, a plot of seconds against updates per instance.
`--quick` takes 64 digits and a small budget. Searches are blocked on completion: the engine reads
every chunk's result before it goes on. Compile time stands apart.
"""

import argparse
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import common
from jaxcf import Explainer, Explanations, data, presets
from jaxcf.objective import NAMED_OBJECTIVES


def main() -> None:
    """Measure, print, write."""
    options = _options()
    dataset = data.load(options.data, data_dir=options.data_dir)
    x = dataset.x_test[: options.n]
    functions = common.load_models(options.data, options.weights).functions()
    rows = []
    steps: dict[str, np.ndarray] = {}
    for name in options.objectives:
        settings = _settings(options, name)
        fitted = Explainer(**functions, **settings, feature_range=(0.0, 1.0)).fit(dataset.x_train)
        explanations = fitted.explain(x)
        steps[name] = explanations.steps
        rows.append(_row(options, name, explanations))
    _print(rows)
    if options.json is not None:
        common.write(options.json, rows)
        _plot(rows, steps, options.json)


def _options() -> argparse.Namespace:
    parser = common.parser(__doc__)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--objectives", default="".join(NAMED_OBJECTIVES))
    parser.add_argument("--preset", choices=presets.NAMED_PRESETS, help="default: jaxcf's own")
    return common.quickly(parser.parse_args(), n=64)


def _settings(options: argparse.Namespace, objective: str) -> dict[str, Any]:
    settings = presets.named(options.preset, objective)
    if options.quick:
        settings["search"] = replace(settings["search"], max_steps=20)
    return settings


def _row(options: argparse.Namespace, objective: str, explanations: Explanations) -> dict[str, Any]:
    summary = explanations.summary()
    seconds, found = summary["seconds"], explanations.found
    value = common.objective_values(explanations)
    return {
        "system": common.SYSTEM,
        "preset": options.preset or "default",
        "data": options.data,
        "n": summary["n"],
        "device": jax.devices()[0].device_kind,
        "lanes": explanations.settings["lanes"],
        "objective": objective,
        "solver": explanations.settings["search"]["solver"],
        "stop": explanations.settings["search"]["stop"],
        "validity": summary["found"] / summary["needed"],
        "objective_value": common.mean_over(found, value),
        "elastic_net": summary["elastic_net"],
        "updates": int(explanations.steps.sum()),
        "steps": summary["steps"],
        "seconds": seconds,
        "instances_per_second": summary["n"] / seconds["search"],
        "milliseconds_per_lane_step": 1e3 * seconds["search"] / int(explanations.steps.sum()),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    first = rows[0]
    columns = "objective", "validity", "elastic net", "median", "p99", "compile s", "search s"
    common.print_table(
        f"{first['data']}, n = {first['n']}, {first['preset']} settings, "
        f"{first['solver']}, {first['stop']}, {first['device']}",
        (*columns, "per s", "ms/lane-step", "peak GiB"),
        [
            (
                row["objective"],
                f"{row['validity']:.3f}",
                common.text(row["elastic_net"], ".2f"),
                *(common.text(row["steps"][key], ".0f") for key in ("median", "p99")),
                f"{row['seconds']['compile']:.1f}",
                f"{row['seconds']['search']:.1f}",
                f"{row['instances_per_second']:.1f}",
                f"{row['milliseconds_per_lane_step']:.3f}",
                f"{row['peak_gib']:.2f}",
            )
            for row in rows
        ],
    )


def _plot(rows: list[dict[str, Any]], steps: dict[str, np.ndarray], json_file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    for row in rows:
        median, low, high = np.percentile(steps[row["objective"]], [50, 25, 75])
        milliseconds = 1e3 * row["seconds"]["search"] / row["n"]
        axis.errorbar(
            median, milliseconds, xerr=[[median - low], [high - median]], fmt="o", capsize=3
        )
        axis.annotate(row["objective"], (median, milliseconds), (5, 5), textcoords="offset points")
    axis.set_xlabel("updates per instance (median and quartiles, all rows)")
    axis.set_ylabel("search time per instance (ms)")
    common.save_figure(figure, json_file)


if __name__ == "__main__":
    main()
