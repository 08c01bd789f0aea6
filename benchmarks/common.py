"""What the benchmarks share: their arguments, the models, the machine, tables and JSON."""

import argparse
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxcf import Explanations, models, plots
from jaxcf.objective import PREDICTION
from jaxcf.utils.json_files import plain, write_json
from jaxcf.version import __version__

if TYPE_CHECKING:
    from matplotlib.artist import Artist

SYSTEM = f"jaxcf {__version__}"
"""What is measured, for the rows."""

TABLE_WIDTH = 130
"""Columns of the terminal that a table may take: rows stay whole when piped into a file."""


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The arguments that every benchmark has; each adds its own.

    Args:
        doc: the benchmark's docstring; its first line describes the command.

    Returns:
        A parser with `--quick`, `--json`, `--data`, `--data-dir` and `--weights`.

    Examples:
        >>> parser("Speed.").parse_args(["--quick"]).data
        'mnist'
    """
    made = argparse.ArgumentParser(description=doc.split("\n")[0] if doc else None)
    made.add_argument("--quick", action="store_true", help="digits, few rows, a small budget")
    made.add_argument("--json", type=Path, metavar="FILE", help="where to write the rows")
    made.add_argument("--data", default="mnist", help="default: %(default)s")
    made.add_argument("--data-dir", type=Path, metavar="DIR", help="where prepared data lie")
    made.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="networks from save_models or in PyTorch's layout; default: the shipped ones",
    )
    return made


def quickly(options: argparse.Namespace, **smaller: Any) -> argparse.Namespace:
    """The same options, or with `--quick` those of a small run on the embedded digits.

    Args:
        options: parsed by a `parser`.
        **smaller: what else is different in a quick run.

    Returns:
        The options.
    """
    if not options.quick:
        return options
    small = {"data": "digits", "weights": None} | smaller
    return argparse.Namespace(**(vars(options) | small))


def mean_over(rows: np.ndarray, values: np.ndarray) -> float | None:
    """The mean of the chosen rows; None where there are none."""
    return float(np.mean(values[rows], dtype=np.float64)) if rows.any() else None


def save_figure(picture: "Artist", json_file: Path) -> None:
    """Write a figure, or the one that some axes are on, beside the JSON of the same benchmark."""
    plots.save(picture, json_file.with_suffix(".png"))


def load_models(data: str, weights: Path | None = None) -> models.ModelSet:
    """The networks of a data set: the shipped ones, or those of a file in either layout.

    Args:
        data: the name of the data set.
        weights: a file that `models.save_models` wrote or `models.load_torch_models` reads.

    Returns:
        The networks.
    """
    if weights is None:
        return models.pretrained(data)
    with np.load(weights, allow_pickle=False) as file:
        from_torch = any(name.startswith("ae_all/") for name in file.files)
    return models.load_torch_models(weights) if from_torch else models.load_models(weights)


def objective_values(explanations: Explanations) -> np.ndarray:
    """The objective of every row with c = 1, so that a larger c looks neither better nor worse.

    Args:
        explanations: whose losses are weighted by the c that each row ended with.

    Returns:
        `[n]`.
    """
    losses = dict(explanations.losses)
    if PREDICTION in losses:
        losses[PREDICTION] = losses[PREDICTION] / explanations.prediction_weight
    return np.sum(list(losses.values()), axis=0)


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxcf": __version__,
    }


def _processor() -> str:
    # Linux tells Python no more than the instruction set.
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def text(value: float | None, form: str = ".3g") -> str:
    """A number for a table, "-" where there is none.

    Examples:
        >>> text(0.12345), text(None), text(2.0, ".2f")
        ('0.123', '-', '2.00')
    """
    return "-" if value is None else format(value, form)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; the first column is aligned left, the others right.

    Args:
        title: printed above.
        columns: their heads.
        rows: the cells as text (see `text`), as many as there are columns.
    """
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="right" if table.columns else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(width=TABLE_WIDTH).print(table)


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table for a page.

    Args:
        heads: of the columns.
        rows: the cells, as many as there are columns.

    Examples:
        >>> print(markdown_table(["", "n"], [["digits", 8]]))
        |  | n |
        | --- | --- |
        | digits | 8 |
    """
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def write(path: Path, rows: Sequence[dict[str, Any]], **extra: Any) -> None:
    """Write the measurements and what they were made on as JSON.

    Args:
        path: the file.
        rows: one dictionary per measurement.
        **extra: what else is known, JSON-able.
    """
    write_json(path, plain({"machine": machine(), **extra, "rows": list(rows)}))
