"""One row, and a cold start: what a user waits for who doesn't explain thousands.

    python -m benchmarks.latency [--quick] [--json FILE] [--data mnist] [--data-dir DIR]
        [--weights FILE] [--n 20]

Warm: `explain` of one row, compiled before, beside the same number of steps of the same search in a
bare jitted loop; medians over rows. Cold: `jaxcf explain digits` in a new process, first with an
empty compilation cache, then again with what the first has left there: the whole process, from
Python's own start to scores and picture, and in it the first call: prototypes, compilation, search.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import common
from benchmarks.limit import occupied_lanes, static_and_traced
from jaxcf import Explainer, FittedExplainer, data
from jaxcf.search import lanes


def main() -> None:
    """Measure, print, write."""
    options = _options()
    dataset = data.load(options.data, data_dir=options.data_dir)
    functions = common.load_models(options.data, options.weights).functions()
    fitted = Explainer(**functions, feature_range=(0.0, 1.0)).fit(dataset.x_train)
    warm = one_row(fitted, dataset.x_test[: options.n])
    cold = cold_start()
    common.print_table(
        f"one row, {options.data}, objective D, {jax.devices()[0].device_kind}",
        ("", "value"),
        [(name, f"{value:.4g}") for name, value in warm.items()],
    )
    common.print_table(
        "jaxcf explain digits, a new process",
        ("", "seconds"),
        [(name, f"{value:.1f}") for name, value in cold.items()],
    )
    if options.json is not None:
        common.write(options.json, [warm], cold=cold)


def _options() -> argparse.Namespace:
    parser = common.parser(__doc__)
    parser.add_argument("--n", type=int, default=20, help="rows, explained one at a time")
    return common.quickly(parser.parse_args(), n=3)


def one_row(fitted: FittedExplainer, x: np.ndarray) -> dict[str, Any]:
    """The medians over single rows of the whole call, its search, and the bare loop."""
    static, traced = static_and_traced(fitted)

    def bare(row: np.ndarray, evaluations: int) -> float:
        lane = jax.block_until_ready(occupied_lanes(fitted, row))
        began = time.perf_counter()
        jax.block_until_ready(lanes.advance(static, traced, lane, evaluations))
        return time.perf_counter() - began

    fitted.explain(x[:1])
    bare(x[:1], 1)
    calls, searches, loops, steps = [], [], [], []
    for i in range(len(x)):
        row = x[i : i + 1]
        began = time.perf_counter()
        explanations = fitted.explain(row)
        calls.append(time.perf_counter() - began)
        searches.append(explanations.seconds["search"])
        steps.append(int(explanations.steps[0]))
        loops.append(bare(row, steps[-1] + 1))
    median = statistics.median
    return {
        "n": len(x),
        "steps": median(steps),
        "seconds_of_the_call": median(calls),
        "seconds_of_its_search": median(searches),
        "seconds_of_the_bare_loop": median(loops),
        "call_over_loop": median(c / b for c, b in zip(calls, loops, strict=True)),
        "search_over_loop": median(s / b for s, b in zip(searches, loops, strict=True)),
    }


def cold_start() -> dict[str, float]:
    """Seconds of the command in a new process, without and with a compilation cache."""
    command = Path(sys.executable).with_name("jaxcf")
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"XDG_CACHE_HOME": folder}
        for name in ("first", "second"):
            out = Path(folder) / name
            began = time.perf_counter()
            subprocess.run(
                [command, "explain", "digits", "--out", out],
                check=True,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            seconds[f"{name} process"] = time.perf_counter() - began
            parts = json.loads((out / "summary.json").read_text())["seconds"]
            call = sum(parts[part] for part in ("prototypes", "compile", "search"))
            seconds[f"first call of the {name} process"] = call
    return seconds


if __name__ == "__main__":
    main()
