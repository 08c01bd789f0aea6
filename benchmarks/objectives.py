"""Speed against objective: the same instances explained under each of A-F.

    python -m benchmarks.objectives [--quick] [--json FILE] [--data mnist] [--data-dir DIR]
        [--n 1000] [--objectives ABCDEF] [--preset report]

Prints a table; writes JSON rows and, beside them, a plot of seconds against updates per instance.
`--quick` takes 64 digits and a small budget. Searches are blocked on completion: the engine reads
every chunk's result before it goes on. Compile time stands apart.
"""

import argparse
import platform
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxcf import Explainer, Explanations, SearchOptions, data, models, presets, storage
from jaxcf.objective import NAMED_OBJECTIVES, Objective
from jaxcf.version import __version__


def main() -> None:
    """Measure, print, write."""
    options = _options()
    dataset = data.load(options.data, data_dir=options.data_dir)
    x = dataset.x_test[: options.n]
    functions = models.pretrained(options.data).functions()
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
        storage.write_json(options.json, {"machine": _machine(), "rows": rows})
        _plot(rows, steps, options.json.with_suffix(".png"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="64 digits, small budget")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir", type=Path, metavar="DIR")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--objectives", default="".join(NAMED_OBJECTIVES))
    parser.add_argument("--preset", choices=presets.NAMED_PRESETS, help="default: jaxcf's own")
    options = parser.parse_args()
    if options.quick:
        options.data, options.n = "digits", 64
    return options


def _settings(options: argparse.Namespace, objective: str) -> dict[str, Any]:
    settings: dict[str, Any] = (
        {"objective": Objective.named(objective), "search": SearchOptions()}
        if options.preset is None
        else presets.named(options.preset, objective)
    )
    if options.quick:
        settings["search"] = replace(settings["search"], max_steps=20)
    return settings


def _row(options: argparse.Namespace, objective: str, explanations: Explanations) -> dict[str, Any]:
    summary = explanations.summary()
    seconds, found = summary["seconds"], explanations.found
    value = sum(explanations.losses.values(), start=np.zeros(len(found)))
    return {
        "system": f"jaxcf {__version__}",
        "preset": options.preset or "default",
        "data": options.data,
        "n": summary["n"],
        "device": jax.devices()[0].device_kind,
        "lanes": explanations.settings["lanes"],
        "objective": objective,
        "solver": explanations.settings["search"]["solver"],
        "stop": explanations.settings["search"]["stop"],
        "validity": summary["found"] / summary["n"],
        "objective_value": float(value[found].mean()) if found.any() else None,
        "elastic_net": summary["elastic_net"],
        "updates": int(explanations.steps.sum()),
        "steps": summary["steps"],
        "seconds": seconds,
        "instances_per_second": summary["n"] / seconds["search"],
        "milliseconds_per_lane_step": 1e3 * seconds["search"] / int(explanations.steps.sum()),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def _machine() -> dict[str, Any]:
    return {
        "processor": platform.processor() or platform.machine(),
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    first = rows[0]
    table = Table(
        title=f"{first['data']}, n = {first['n']}, {first['preset']} settings, "
        f"{first['solver']}, {first['stop']}, {first['device']}"
    )
    columns = "objective", "validity", "elastic net", "median", "p99", "compile s", "search s"
    for column in (*columns, "per s", "ms/lane-step", "peak GiB"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row["objective"],
            f"{row['validity']:.3f}",
            "-" if row["elastic_net"] is None else f"{row['elastic_net']:.2f}",
            *(
                "-" if row["steps"][key] is None else f"{row['steps'][key]:.0f}"
                for key in ("median", "p99")
            ),
            f"{row['seconds']['compile']:.1f}",
            f"{row['seconds']['search']:.1f}",
            f"{row['instances_per_second']:.1f}",
            f"{row['milliseconds_per_lane_step']:.3f}",
            f"{row['peak_gib']:.2f}",
        )
    Console(width=110).print(table)


def _plot(rows: list[dict[str, Any]], steps: dict[str, np.ndarray], path: Path) -> None:
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
    storage.write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=130))


if __name__ == "__main__":
    main()
