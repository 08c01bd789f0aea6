"""`jaxcf check`: a run held against its model and its data, with a certificate."""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxcf import jobs
from jaxcf.cli import explain, explain_table
from jaxcf.cli.commands import EXIT_FAILED
from jaxcf.cli.finished import with_like
from jaxcf.cli.recorded import recorded_options
from jaxcf.cli.run_folder import (
    CONFIG_FILE,
    COUNTERFACTUALS_FILE,
    EXPLANATIONS_FILE,
    RUN,
    SUMMARY_FILE,
    read_config,
    read_explanations,
)
from jaxcf.cli.same_run import differing_config
from jaxcf.cli.table_csv import write_counterfactuals
from jaxcf.cli.terminal import Outcome, Terminal
from jaxcf.jobs import Job
from jaxcf.jobs.checking import CERTIFICATE_FILE, alike, write
from jaxcf.jobs.job import Results
from jaxcf.jobs.summary import summary_of
from jaxcf.results.explanations import pack
from jaxcf.tabular import TableExplanations
from jaxcf.utils.json_files import read_json


def check(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Ask everything that a run claims once more."""
    job = Job.open(options.run)
    config: Any = job.folder.job["notes"].get("config")
    if not isinstance(config, dict) or not isinstance(config.get("command"), dict):
        raise ValueError(
            f"{options.run} was begun in Python: nothing says which model and data it is of; "
            "jaxcf.jobs.check is given them"
        )
    recorded = recorded_options("explain", config["command"], job.path)
    recorded.trust_model_file = options.trust_model_file
    if recorded.data_dir is None or options.data_dir is not None:
        recorded.data_dir = options.data_dir
    if explain_table.is_table(recorded.data):
        explain_table.check_options(recorded)
        prepared = explain_table.prepare(recorded, terminal)
    else:
        prepared = explain.prepare(recorded, terminal)
    terminal.say(f"asking about {job.num_rows} rows once more")
    certificate = jobs.check(prepared.fitted, prepared.rows, job.path, **prepared.question)
    problems: list[str] = []
    _check_files(job, prepared.rows, problems)
    certificate = replace(certificate, problems=(*certificate.problems, *problems))
    write(job.path, certificate)
    document = certificate.document()
    shown = {name: f"{count}" for name, count in certificate.checked.items()}
    verdict = "all of it holds" if certificate.holds else "it doesn't hold"
    remarks = (*certificate.problems, f"{verdict}; see {job.path / CERTIFICATE_FILE}")
    status = 0 if certificate.holds else EXIT_FAILED
    return Outcome(
        {"out": str(job.path), **document}, {f"{job.path}, checked": shown}, remarks, status
    )


def _check_files(job: Job, rows: Any, problems: list[str]) -> None:
    """Hold the files of the run against its parts."""
    folder = job.path
    if not (folder / CONFIG_FILE).is_file() or not job.complete:
        return  # its shards haven't been gathered
    try:
        config = read_config(folder / CONFIG_FILE)
        known = job.folder.job["notes"]["config"]
        for name in differing_config(config, known):
            problems.append(f"{CONFIG_FILE}: {name} isn't that of the job")
        _check_summary(job, problems)
        if (folder / EXPLANATIONS_FILE).is_file():
            explanations = job.load()
            _check_explanations(folder, explanations, problems)
            if isinstance(explanations, TableExplanations):
                table = with_like(explanations, rows)
                raw = bool(config["command"].get("raw_csv"))
                _check_csv(folder, table, known["command"]["id"], config.get(RUN), raw, problems)
    except (OSError, ValueError) as error:
        problems.append(str(error))


def _check_summary(job: Job, problems: list[str]) -> None:
    claimed = read_json(job.path / SUMMARY_FILE)
    summary = summary_of(job.stream())
    for name in summary.keys() - {"seconds"}:
        if not alike(claimed.get(name), summary[name], 1e-5):
            problems.append(f"{SUMMARY_FILE}: {name} isn't that of the rows")


def _check_explanations(folder: Path, explanations: Results, problems: list[str]) -> None:
    stored = read_explanations(folder / EXPLANATIONS_FILE)
    if type(stored) is not type(explanations):
        problems.append(f"{EXPLANATIONS_FILE} is of another kind than the parts")
        return
    mine, theirs = (_arrays(one) for one in (explanations, stored))
    for name, array in mine.items():
        # Judges may have added scores of theirs.
        same = name in theirs and _equal(array, theirs[name])
        if not same:
            problems.append(f"{EXPLANATIONS_FILE}: {name} isn't that of the parts")


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f")


def _arrays(explanations: Results) -> dict[str, np.ndarray]:
    return (
        explanations.packed() if isinstance(explanations, TableExplanations) else pack(explanations)
    )


def _check_csv(
    folder: Path,
    explanations: TableExplanations,
    ids: str | None,
    run: str | None,
    raw: bool,
    problems: list[str],
) -> None:
    with tempfile.TemporaryDirectory() as place:
        again = Path(place) / COUNTERFACTUALS_FILE
        write_counterfactuals(again, explanations, ids, run=run, raw=raw)
        if again.read_bytes() != (folder / COUNTERFACTUALS_FILE).read_bytes():
            problems.append(f"{COUNTERFACTUALS_FILE} isn't what the parts give")
