"""What the commands share: options of the search, and the summary."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxcf import solvers
from jaxcf.explanations import Explanations
from jaxcf.search import SearchOptions


def asked(options: argparse.Namespace) -> dict[str, Any]:
    """Every option of a command, as plain values for records."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(options).items()
        if name not in ("command", "quiet")
    }


def changed_search(options: argparse.Namespace, search: SearchOptions) -> SearchOptions:
    """The search with the single options that were given on the command line."""
    changes: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("stop", "max_steps", "weight_growth", "weight_rounds")
        if getattr(options, name) is not None
    }
    if changes.get("weight_rounds", 1) > 1:  # rounds asked for, so not the default's growth
        changes.setdefault("weight_growth", 1.0)
    if options.solver is not None or options.learning_rate is not None:
        solver = options.solver or search.solver.name
        changes["solver"] = solvers.named(solver, options.learning_rate)
    return replace(search, **changes)


def summary_rows(explanations: Explanations) -> dict[str, str]:
    """The summary for the terminal."""
    summary = explanations.summary()
    n, found, seconds = summary["n"], summary["found"], summary["seconds"]

    def number(value: float | None, digits: int = 3) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    rows = {"found": f"{found} of {n} ({100 * found / max(n, 1):.1f} %)"}
    rows |= {
        f"  {name}": str(count) for name, count in summary["status"].items() if name != "found"
    }
    steps = summary["steps"]
    rows["steps (found)"] = (
        f"median {number(steps['median'], 0)}, p99 {number(steps['p99'], 0)}, "
        f"mean {number(steps['mean'], 1)}"
    )
    rows["L1 / L2 (found)"] = f"{number(summary['l1'])} / {number(summary['l2'])}"
    rows["elastic net (found)"] = number(summary["elastic_net"])
    features = explanations.original[0].size if n else 0
    rows["changed features (found)"] = f"{number(summary['changed'], 1)} of {features}"
    for name in ("im1", "im2"):
        if name in summary:
            rows[f"{name.upper()} (found)"] = number(summary[name], 4)
    rows["seconds"] = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    if seconds.get("search"):
        rows["rate"] = f"{n / seconds['search']:.0f} instances per second of search"
    return rows
