"""One row, and whole commands: what a user waits for.

    python -m benchmarks.latency [--quick] [--json FILE] [--data mnist] [--data-dir DIR]
        [--weights FILE] [--n 20]

Warm: `explain` of one row, compiled before, beside the same number of steps of the same search in a
bare jitted loop; medians over rows. Commands, each a new process from Python's own start to scores
and picture, by the clock and by the processor's time: `jaxcf --help`, `jaxcf explain digits` with
an empty compilation cache and three times with what that has left there, in it the first call
(prototypes, compilation, search), and, with `--data mnist`, `jaxcf explain mnist` on its 10,000
test images, without a guide and with it, three times each.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import common
from benchmarks.limit import occupied_lanes, static_and_traced
from jaxcf import Explainer, FittedExplainer, data
from jaxcf.search import lanes

_HELP = ("--help",)
_IMAGES = "mnist"
_REPEATS = 3
_SECONDS = ("repeats", "seconds", "processor_seconds", "first_call")


def main() -> None:
    """Measure, print, write."""
    options = _options()
    dataset = data.load(options.data, data_dir=options.data_dir)
    functions = common.load_models(options.data, options.weights).functions()
    fitted = Explainer(**functions, feature_range=(0.0, 1.0)).fit(dataset.x_train)
    warm = one_row(fitted, dataset.x_test[: options.n])
    commands = all_commands(options.data, options.data_dir)
    common.print_table(
        f"one row, {options.data}, objective D, {jax.devices()[0].device_kind}",
        ("", "value"),
        [(name, f"{value:.4g}") for name, value in warm.items()],
    )
    common.print_table(
        "commands, each a new process",
        ("", *_SECONDS),
        [(row["command"], *(common.text(row.get(one)) for one in _SECONDS)) for row in commands],
    )
    if options.json is not None:
        common.write(options.json, [warm], commands=commands)


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


def all_commands(data_name: str, data_dir: Path | None) -> list[dict[str, Any]]:
    """Seconds of each command; the median, where one is run several times."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows = [_repeated("--help", place, _HELP)]
        explain = ("explain", "digits")
        rows.append(_repeated("explain digits, nothing compiled", place, explain, repeats=1))
        rows.append(_repeated("explain digits", place, explain))
        if data_name == _IMAGES:
            explain = ("explain", _IMAGES)
            explain += () if data_dir is None else ("--data-dir", str(data_dir.absolute()))
            alone = (*explain, "--guide", "none")
            rows.append(_repeated("explain mnist --guide none", place, alone))
            rows.append(_repeated("explain mnist", place, explain))
    return rows


def _repeated(
    name: str, folder: Path, arguments: Sequence[str], repeats: int = _REPEATS
) -> dict[str, Any]:
    """A command in new processes, one after the other, with one cache for all in the folder."""
    command = Path(sys.executable).with_name("jaxcf")
    measured: list[dict[str, float]] = []
    for _ in range(repeats):
        out = Path(tempfile.mkdtemp(dir=folder)) / "run"
        where = () if arguments == _HELP else ("--out", str(out))
        began, used = time.perf_counter(), _processor_seconds()
        subprocess.run(
            [command, *arguments, *where],
            check=True,
            env=os.environ | {"XDG_CACHE_HOME": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        seconds = {
            "seconds": time.perf_counter() - began,
            "processor_seconds": _processor_seconds() - used,
        }
        if where:
            parts = json.loads((out / "summary.json").read_text())["seconds"]
            seconds["first_call"] = sum(parts[one] for one in ("prototypes", "compile", "search"))
        measured.append(seconds)
    medians = {one: statistics.median(row[one] for row in measured) for one in measured[0]}
    return {"command": f"jaxcf {name}", "repeats": repeats, **medians}


def _processor_seconds() -> float:
    """What all processes that were started here, and have ended, took of the processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
