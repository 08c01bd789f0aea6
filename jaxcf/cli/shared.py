"""What the commands share: the options of the search, what is shown of a run."""

import argparse
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxcf import prototypes, solvers
from jaxcf.cli.commands import EXIT_INTERRUPTED
from jaxcf.cli.run_folder import RUN, NewRun
from jaxcf.cli.terminal import Outcome
from jaxcf.prototypes import PrototypeKind
from jaxcf.results.convinced import found_and_agreed
from jaxcf.results.explanations import Explanations
from jaxcf.search.options import SearchOptions
from jaxcf.utils.files import check_writable

# How a command talks, and where its options come from, is no part of what was asked for.
_NOT_RECORDED = ("command", "config", "json", "quiet")


def shard_named(text: str | None) -> tuple[int, int] | None:
    """Which shard of how many, from the text of an option.

    Args:
        text: such as "3/16"; None for no shard.

    Raises:
        ValueError: if it is no such text.

    Examples:
        >>> shard_named("3/16")
        (3, 16)
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"--shard {text!r} is none; expected I/N with I from 1 to N, such as 3/16")
    return int(match[1]), int(match[2])


def asked(options: argparse.Namespace) -> dict[str, Any]:
    """Every option of a command, as plain values for records."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(options).items()
        if name not in _NOT_RECORDED
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


def chosen_prototypes(options: argparse.Namespace, usual: str) -> PrototypeKind | None:
    """The kind of prototypes that was asked for; None where nobody asked.

    Args:
        options: of the command.
        usual: the kind where only its k was given.
    """
    if options.prototypes is None and options.k is None:
        return None
    kind = {} if options.k is None else {"k": options.k}
    kind |= {"seed": options.seed} if options.prototypes == "kmeans" else {}
    return prototypes.named(options.prototypes or usual, **kind)


def check_free(out: Path, *, overwrite: bool) -> None:
    """Check, before any work, that a file can be written and none is overwritten unasked.

    Args:
        out: the file.
        overwrite: whether it may be there already.

    Raises:
        FileExistsError: if it is there and may not be.
        OSError: if it can't be written.
    """
    check_writable(out)
    if out.exists() and not overwrite:
        raise FileExistsError(
            f"{out} is there already; pass --overwrite to replace it, or another --out"
        )


def run_outcome(
    run: NewRun, summary: Mapping[str, Any], title: str, rows: Mapping[str, Any], status: int
) -> Outcome:
    """What a run gives, once it is written to a folder."""
    out, files = run.folder, sorted(run.files)
    kept = ()
    if status == EXIT_INTERRUPTED:
        kept = ("interrupted: what was found is kept; the same command goes on where it was",)
    written = f"written to {out}/: {', '.join(files)}"
    onwards = f"`jaxcf report {shlex.quote(str(out))}` makes a page of it"
    return Outcome(
        {**summary, RUN: run.id, "out": str(out), "files": files},
        {title: rows},
        (*kept, written, onwards),
        status,
    )


def summary_rows(
    explanations: Explanations, summary: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """The summary for the terminal; of large explanations it may be known already."""
    summary = explanations.summary() if summary is None else summary
    n, seconds = summary["n"], summary["seconds"]

    def number(value: float | None, digits: int = 3) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    rows = {"found": found_and_agreed(explanations, "")}
    rows |= {
        f"  {name}": str(count)
        for name, count in summary["status"].items()
        if name not in ("found", "already_in_target")
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
    if seconds:
        rows["seconds"] = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    if seconds.get("search"):
        rows["rate"] = f"{n / seconds['search']:.0f} instances per second of search"
    return rows
