"""What `jaxcf explain` does once the rows and the model are there, of data sets and of tables."""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxcf import jobs
from jaxcf.cli.commands import EXIT_INTERRUPTED
from jaxcf.cli.finished import (
    draw_run,
    fits_in_one_file,
    with_like,
    with_seconds,
    write_large_run,
    write_run,
)
from jaxcf.cli.run_folder import (
    CONFIG_FILE,
    RUN_FILES,
    SUMMARY_FILE,
    TRUE_CLASSES_FILE,
    claimed_folder,
    read_config,
    write_true_classes,
)
from jaxcf.cli.same_run import asks_for_other_files, differing_config
from jaxcf.cli.shared import asked, run_outcome, shard_named
from jaxcf.cli.terminal import Outcome, Terminal
from jaxcf.jobs import Job, JobInterrupted, JobOptions
from jaxcf.jobs.asking import AnyExplainer
from jaxcf.jobs.job import shard_of
from jaxcf.jobs.running import AnotherJob, remove
from jaxcf.results.parts import JOB_FILE, PARTS, named
from jaxcf.results.traces import Traces
from jaxcf.tabular import TableExplanations
from jaxcf.utils.json_files import plain, read_json
from jaxcf.utils.timing import rounded, timed

# What the folder of a run holds besides `RUN_FILES`.
_BESIDE_THEM = (JOB_FILE, PARTS, TRUE_CLASSES_FILE)


@dataclass(frozen=True)
class Prepared:
    """A model that is fitted, and what is to be explained.

    Attributes:
        fitted: the explainer.
        rows: all that are to be explained.
        question: what is asked of them, as `jobs.run` takes it.
        config: what `config.json` is to hold, all but the settings.
        title: of what is shown.
        trace: given explanations and `num_rows`, looks closely at some.
        shown: what the terminal says of explanations and their summary.
        seconds: that this took, by part of the work.
        scored: gives explanations further scores; None for none.
        true_classes: what each row really is, -1 where that is unknown; None where it is of all.
    """

    fitted: AnyExplainer
    rows: Any
    question: Mapping[str, Any]
    config: Mapping[str, Any]
    title: str
    trace: Callable[..., Traces]
    shown: Callable[[Any, Mapping[str, Any]], dict[str, str]]
    seconds: Mapping[str, float]
    scored: Callable[[Any], Any] | None = None
    true_classes: np.ndarray | None = None


def explain_in_parts(
    options: argparse.Namespace,
    name: str,
    prepare: Callable[[], Prepared],
    terminal: Terminal,
) -> Outcome:
    """Explain what was prepared, in parts, and write the files of the run.

    Args:
        options: of the command.
        name: of the folder if nobody says where.
        prepare: loads the rows and fits the model.
        terminal: for progress.

    Returns:
        What the command gives.
    """
    shard = shard_named(options.shard)
    if shard is not None and options.out is None:
        raise ValueError("--shard needs --out DIR: all shards write to one folder")
    if shard is not None and options.overwrite:
        raise ValueError(
            "--restart takes away the parts of all shards; give it once, without --shard, or "
            "remove the folder"
        )
    layout = JobOptions(
        **_given(
            rows_per_part=options.part_rows,
            seconds_per_part=options.part_seconds,
            rows_per_unit=options.unit_rows,
        )
    )
    start = time.perf_counter() - terminal.began
    command, prepared = asked(options), None
    passed_over: list[Path] = []
    while True:
        with claimed_folder(
            options.out,
            name,
            overwrite=options.overwrite,
            command=command,
            passed_over=passed_over,
        ) as out:
            prepared = prepared or prepare()
            try:
                return _explain_into(out, options, prepared, layout, shard, start, terminal)
            except AnotherJob as error:
                if options.out is not None:
                    raise ValueError(
                        f"{error.args[0]}. Pass another --out, or begin anew with --restart, which "
                        "takes away what is there"
                    ) from error
                # The command is the same, but not what lies where it says: not ours to take away.
                passed_over.append(out)


def _explain_into(
    out: Path,
    options: argparse.Namespace,
    prepared: Prepared,
    layout: JobOptions,
    shard: tuple[int, int] | None,
    start: float,
    terminal: Terminal,
) -> Outcome:
    """Explain what was prepared in the folder of a run."""
    terminal.say(f"explaining {_size(prepared.rows)} rows (compiling first)")
    resumed = not options.overwrite and any((out / PARTS).glob("part-*"))
    interrupted: JobInterrupted | None = None
    try:
        job = jobs.run(
            prepared.fitted,
            prepared.rows,
            out,
            **prepared.question,
            shard=shard,
            restart=options.overwrite,
            options=layout,
            scored=prepared.scored,
            notes={"config": prepared.config},
            on_progress=terminal.progress_bar(),
        )
    except JobInterrupted as error:
        job, interrupted = error.job, error
    write_true_classes(out, prepared.true_classes)
    seconds = {"start": start, **prepared.seconds, **job.seconds}
    if resumed:  # the search of some of the rows says nothing of how long all of them take
        seconds.pop("search", None)
    seconds = _to_here(seconds, terminal)
    if shard is not None:
        return _shard_outcome(job, shard, seconds, interrupted)
    if not job.seconds and interrupted is None and _is_written(out, prepared):
        return _complete_outcome(out)
    if not fits_in_one_file(job):
        return _large_outcome(out, job, prepared, seconds, interrupted)
    outcome = _outcome(options, out, job, prepared, seconds, interrupted, terminal)
    if options.out is None and interrupted is None:
        remove(out)  # all of it stands in the file of the run
    return outcome


def _is_written(out: Path, prepared: Prepared) -> bool:
    """Whether the files of this very run are there, of all rows."""
    if not (out / CONFIG_FILE).is_file() or not (out / SUMMARY_FILE).is_file():
        return False
    config, asked_for = read_config(out / CONFIG_FILE), plain(prepared.config)
    if differing_config(config, asked_for) or asks_for_other_files(
        asked_for["command"], config["command"]
    ):
        return False
    summary = read_json(out / SUMMARY_FILE)
    # The one of rows that had found nothing, the other of those that were to come nearer.
    return "interrupted" not in summary["status"] and "interrupted" not in summary


def _complete_outcome(out: Path) -> Outcome:
    files = sorted(name for name in (*RUN_FILES, *_BESIDE_THEM) if (out / name).exists())
    summary = read_json(out / SUMMARY_FILE)
    remark = f"{out} is complete: nothing was left to do; --restart begins anew"
    return Outcome({**summary, "out": str(out), "files": files}, {}, (remark,))


def _known_classes(prepared: Prepared) -> list[str]:
    return [] if prepared.true_classes is None else [TRUE_CLASSES_FILE]


def _given(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _size(rows: Any) -> int:
    return len(next(iter(rows.values()))) if isinstance(rows, dict) else len(rows)


def _outcome(
    options: argparse.Namespace,
    out: Path,
    job: Job,
    prepared: Prepared,
    seconds: Mapping[str, float],
    interrupted: JobInterrupted | None,
    terminal: Terminal,
) -> Outcome:
    explanations = job.load() if interrupted is None else interrupted.explanations()
    if isinstance(explanations, TableExplanations):
        explanations = with_like(explanations, prepared.rows)
    explanations, after = with_seconds(explanations, seconds), dict(seconds)
    with timed(after, "files"):
        run, summary = write_run(out, explanations, prepared.config)
    if options.out is not None:
        run.files.extend([JOB_FILE, PARTS])
    run.files.extend(_known_classes(prepared))
    with timed(after, "pictures"):
        draw_run(run, explanations, prepared.config)
    status = 0 if interrupted is None else EXIT_INTERRUPTED
    with timed(after, "details"):
        run.write_traces(
            0 if status else options.details,
            lambda num_rows: prepared.trace(explanations, num_rows=num_rows),
            terminal,
        )
    summary["seconds"] = rounded(_to_here(after, terminal))
    run.write_json(SUMMARY_FILE, summary)  # once more, with all that it took
    return run_outcome(run, summary, prepared.title, prepared.shown(explanations, summary), status)


def _to_here(seconds: Mapping[str, float], terminal: Terminal) -> dict[str, float]:
    """Seconds by part of the work, with the rest, so that they add up to all since the start."""
    parts = {name: one for name, one in seconds.items() if name not in ("other", "total")}
    total = time.perf_counter() - terminal.began
    return {**parts, "other": max(0.0, total - sum(parts.values())), "total": total}


def _large_outcome(
    out: Path,
    job: Job,
    prepared: Prepared,
    seconds: Mapping[str, float],
    interrupted: JobInterrupted | None,
) -> Outcome:
    if interrupted is not None:
        return _interrupted_outcome(job, seconds)
    run, summary, shown = write_large_run(out, job, prepared.config, seconds)
    run.files.extend([JOB_FILE, PARTS, *_known_classes(prepared)])
    draw_run(run, shown, prepared.config)
    return run_outcome(run, summary, prepared.title, large_rows(summary), 0)


def large_rows(summary: Mapping[str, Any]) -> dict[str, str]:
    """What the terminal says of a run that is too large for one file."""
    rows = {"found": f"{summary['found']} of {summary['needed']}"}
    rows |= {f"  {name}": str(count) for name, count in summary["status"].items()}
    for name in ("l1", "l2", "changed"):
        value = summary[name]
        rows[f"{name} (found)"] = "-" if value is None else f"{value:.3f}"
    return rows


def _shard_outcome(
    job: Job,
    shard: tuple[int, int],
    seconds: Mapping[str, float],
    interrupted: JobInterrupted | None,
) -> Outcome:
    if interrupted is not None:
        return _interrupted_outcome(job, seconds)
    rows, missing = shard_of(job.folder, shard), job.missing()
    document = {
        "out": str(job.path),
        "shard": list(shard),
        "rows": list(rows),
        "missing": [list(one) for one in missing],
        "seconds": rounded(seconds),
    }
    onwards = f"`jaxcf gather {job.path}` makes a run of them"
    if missing:
        onwards = f"others have rows {named(missing)} to do; then `jaxcf gather {job.path}`"
    title = f"shard {shard[0]} of {shard[1]}"
    shown = {"rows": f"{rows} of {job.num_rows}" if rows.size else "none"}
    return Outcome(document, {title: shown}, (f"written to {job.path}/{PARTS}", onwards))


def _interrupted_outcome(job: Job, seconds: Mapping[str, float]) -> Outcome:
    missing = job.missing()
    document = {
        "out": str(job.path),
        "missing": [list(one) for one in missing],
        "seconds": rounded(seconds),
    }
    remarks = (
        f"interrupted: what was finished is in {job.path}/{PARTS}; rows {named(missing)} are "
        "missing, and the same command does them",
    )
    return Outcome(document, {}, remarks, EXIT_INTERRUPTED)
