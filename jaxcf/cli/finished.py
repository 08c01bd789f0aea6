"""The files of a run whose rows are done: one file of all where they fit, pictures, a summary."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxcf.cli.run_folder import (
    COLUMNS_FILE,
    COUNTERFACTUALS_FILE,
    GRID_FILE,
    SHOWN_ROWS,
    SUMMARY_FILE,
    NewRun,
)
from jaxcf.cli.table_csv import write_counterfactuals
from jaxcf.jobs import Job
from jaxcf.jobs.job import Results
from jaxcf.jobs.summary import summary_of
from jaxcf.tabular import TableExplanations
from jaxcf.utils.interrupts import Interrupts
from jaxcf.utils.timing import rounded

# What is larger stays in its parts, where it is read a part at a time.
_MOST_BYTES = 400 * 10**6


def fits_in_one_file(job: Job) -> bool:
    """Whether all rows of a job go into memory and one file without anybody waiting for it."""
    return job.num_bytes <= _MOST_BYTES


def write_run(
    out: Path, explanations: Results, config: Mapping[str, Any]
) -> tuple[NewRun, dict[str, Any]]:
    """Write a run that fits into one file, all but its pictures.

    Args:
        out: the folder.
        explanations: all rows, as they stand.
        config: what `config.json` is to hold, all but the settings.

    Returns:
        The run, and its summary.
    """
    command = config["command"]
    with Interrupts() as interrupts:  # a second Ctrl-C loses nothing either
        run = NewRun.begin(out, explanations, command)
        if isinstance(explanations, TableExplanations):
            run.write(
                COUNTERFACTUALS_FILE,
                lambda path: write_counterfactuals(
                    path, explanations, command["id"], run=run.id, raw=command["raw_csv"]
                ),
            )
        run.write_config({**config, "settings": dict(explanations.settings)})
        summary = explanations.summary()
        run.write_json(SUMMARY_FILE, summary)
    interrupts.check()
    return run, summary


def write_large_run(
    out: Path, job: Job, config: Mapping[str, Any], seconds: Mapping[str, float]
) -> tuple[NewRun, dict[str, Any], Results]:
    """Write what there is beside the parts of a job that is too large for one file.

    Args:
        out: the folder.
        job: complete.
        config: what `config.json` is to hold, all but the settings.
        seconds: by part of the work.

    Returns:
        The run, its summary, and some of its rows, which its pictures show.
    """
    shown = job.sample(SHOWN_ROWS)
    summary = summary_of(job.stream())
    summary["seconds"] = rounded(seconds)
    with Interrupts() as interrupts:
        run = NewRun.of_parts(out, job)
        run.write_config({**config, "settings": dict(shown.settings)})
        run.write_json(SUMMARY_FILE, summary)
    interrupts.check()
    return run, summary, shown


def draw_run(run: NewRun, explanations: Results, config: Mapping[str, Any]) -> None:
    """Write the pictures of a run.

    Args:
        run: whose other files are written.
        explanations: what is drawn.
        config: what `config.json` holds.
    """
    from jaxcf import plots

    described = config["data"]
    if isinstance(explanations, TableExplanations):
        table = explanations

        def draw_columns() -> Any:
            axes = plots.changes(table, num_features=len(table.coding.schema.columns))
            axes.set_title(f"{described['name']}: {axes.get_title()}")
            return axes

        run.write_picture(COLUMNS_FILE, draw_columns)
        return
    images = explanations
    run.write_picture(
        GRID_FILE,
        lambda: plots.grid(
            images, class_names=described["classes"], feature_names=described.get("features")
        ),
    )


def with_like(explanations: TableExplanations, table: Any) -> TableExplanations:
    """The same, whose cells are those of the table that was read, where they weren't changed."""
    return replace(explanations, like=table)


def with_seconds(explanations: Results, seconds: Mapping[str, float]) -> Results:
    """The same, of which it is known how long they took."""
    if isinstance(explanations, TableExplanations):
        return replace(explanations, core=replace(explanations.core, seconds=dict(seconds)))
    return replace(explanations, seconds=dict(seconds))
