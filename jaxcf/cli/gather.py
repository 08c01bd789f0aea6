"""`jaxcf gather`: the parts that shards have written, made a run."""

import argparse
from typing import Any

from jaxcf.cli.explaining import large_rows
from jaxcf.cli.finished import draw_run, fits_in_one_file, write_large_run, write_run
from jaxcf.cli.report import write_page
from jaxcf.cli.run_folder import REPORT_FILE, read_run
from jaxcf.cli.shared import run_outcome, summary_rows
from jaxcf.cli.terminal import Outcome, Terminal
from jaxcf.jobs import Job
from jaxcf.jobs.running import tidy
from jaxcf.results.parts import JOB_FILE, PARTS, named


def gather(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Check that a job is complete, and write the files of its run."""
    job = Job.open(options.run)
    config: Any = job.folder.job["notes"].get("config")
    if isinstance(config, dict) and not isinstance(config.get("data"), dict):
        raise ValueError(
            f"{options.run / JOB_FILE} is damaged: its notes don't say what data the run is of; "
            "repeat the command with --restart, or take the file from a copy"
        )
    if not isinstance(config, dict):
        raise ValueError(
            f"{options.run} was begun in Python: nothing says what its columns and classes are "
            "called; jaxcf.jobs.Job.open reads it"
        )
    terminal.say(f"checking the parts of {options.run}")
    damaged = tidy(job.folder, job.folder.rows)
    missing = job.missing()
    if missing:
        found = f" (parts: {len(damaged)} damaged, now taken away)" if damaged else ""
        raise ValueError(
            f"{options.run} isn't complete{found}: rows {named(missing)} are missing of "
            f"{job.num_rows}; run the shards again that have them, which do what is missing"
        )
    title = f"{config['data'].get('name', options.run.name)}, gathered"
    if fits_in_one_file(job):
        explanations = job.load()
        run, summary = write_run(options.run, explanations, config)
        shown = summary_rows(explanations.core)
    else:
        run, summary, explanations = write_large_run(options.run, job, config, {})
        shown = large_rows(summary)
    run.files.extend([JOB_FILE, PARTS])
    draw_run(run, explanations, config)
    run.write(
        REPORT_FILE,
        lambda path: write_page(path, read_run(options.run, some_rows=True), options.run.name),
    )
    return run_outcome(run, summary, title, shown, 0)
