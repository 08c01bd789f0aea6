"""`jaxcf report` and `jaxcf compare`: a page of a run that is done, and two runs side by side."""

import argparse
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from jaxcf import report
from jaxcf.cli.commands import COMMANDS
from jaxcf.cli.run_folder import (
    REPORT_FILE,
    RUN_FILES,
    TRAINED_HERE,
    TRUE_CLASSES_FILE,
    RunFolder,
    read_run,
    run_of,
)
from jaxcf.cli.shared import check_free
from jaxcf.cli.table_rules import parse_relations, parse_rules
from jaxcf.cli.terminal import Outcome, Terminal
from jaxcf.results.comparison import Comparison, aligned, compare
from jaxcf.results.convinced import found_and_agreed, percent
from jaxcf.results.parts import JOB_FILE
from jaxcf.tabular import TableExplanations
from jaxcf.utils.files import check_writable


def write_report(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Write the report of a run."""
    out = options.out or options.run / REPORT_FILE
    check_writable(out)
    terminal.say(f"reading {options.run}")
    run = read_run(options.run, some_rows=options.compare is None)
    _check_out(out, options, run)
    compared = None
    if options.compare is not None:
        compared = _compared(options.run, run, options.compare, read_run(options.compare))
    title = write_page(out, run, options.run.name, compared)
    document: dict[str, Any] = {
        "n": len(run.explanations),
        "found": run.core.counts.found,
        "needed": run.core.counts.needed,
        "out": str(out),
        "bytes": out.stat().st_size,
    }
    if compared is not None:
        document["comparison"] = compared.summary()
    rows = {
        "found": found_and_agreed(run.core, ""),
        "details": f"of {0 if run.traces is None else len(run.traces)} rows",
        "size": f"{document['bytes'] / 1e6:.1f} MB",
    }
    return Outcome(document, {title: rows}, (f"written to {out}; open it in any browser",))


def write_page(out: Path, run: RunFolder, name: str, compared: Comparison | None = None) -> str:
    """Write the page of a run.

    Args:
        out: where to.
        run: what was read of it.
        name: what it is called where its data have no name.
        compared: with another run.

    Returns:
        What it is of.
    """
    described = run.config["data"]
    title = str(described.get("name", name))
    some = "" if run.shown_of is None else f", {len(run.explanations)} of {run.shown_of} rows"
    report.write(
        out,
        run.explanations,
        traces=run.traces,
        class_names=_class_names(run),
        feature_names=described.get("features"),
        feature_units=_units(described),
        title=f"{title}: what would have to be different?{some}",
        config=_without_places(run.config),
        comparison=compared,
        model=_model(run.config),
        true_classes=run.true_classes,
        **_rules(run),
        run=run.id,
    )
    return title


def _model(config: Mapping[str, Any]) -> str | None:
    """What is known of the model of a table, in words; None of the networks of data sets."""
    record = config.get("model")
    if record is None or record.get("accuracy") is None:
        return None
    trained = record["source"] == TRAINED_HERE
    which = "a network trained for this" if trained else _last_part(record["source"])
    rows = f"{record['accuracy_rows']:,} {record['accuracy_on']}"
    return f"{which}, right for {percent(record['accuracy'])} of {rows}"


def _rules(run: RunFolder) -> dict[str, Any]:
    """The rules of a table's run, as `jaxcf.report.write` takes them."""
    if not isinstance(run.explanations, TableExplanations):
        return {}
    schema = run.explanations.coding.schema
    return {
        "rules": parse_rules(run.config.get("rules", []), schema),
        "relations": parse_relations(run.config.get("relations", [])),
    }


def compare_runs(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Compare two runs over the same rows."""
    terminal.say(f"reading {options.first} and {options.second}")
    first, second = read_run(options.first), read_run(options.second)
    compared = _compared(options.first, first, options.second, second)
    shown = {title: aligned(table) for title, table in compared.tables().items()}
    return Outcome(compared.summary(), shown)


def _check_out(out: Path, options: argparse.Namespace, run: RunFolder) -> None:
    """Only an earlier page of the same run is replaced unasked, and no other file of it ever."""
    within = out.parent.resolve() == options.run.resolve()
    if within and out.name in {*RUN_FILES, JOB_FILE, TRUE_CLASSES_FILE} - {REPORT_FILE}:
        raise ValueError(
            f"--out {out} is a file of the run itself, which the page is made from; give the page "
            f"another name, such as {out.with_suffix('.html')}"
        )
    own = within and out.name == REPORT_FILE
    page = out.suffix == ".html" and out.exists()
    if not own and not (page and run.id is not None and run_of(out) == run.id):
        check_free(out, overwrite=options.overwrite)


def _without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a config: it goes to others, whom no folder of this machine concerns.

    Of every path only the last part stays; `config.json` has the whole, to repeat the run.
    """
    parser = argparse.ArgumentParser()
    COMMANDS["explain"].add_options(parser)
    paths = {"data"} | {one.dest for one in parser._actions if one.type is Path}
    command = {
        name: _last_part(value) if name in paths else value
        for name, value in config["command"].items()
    }
    shown = dict(config) | {"command": command}
    shown |= {name: _last_part(config[name]) for name in ("models", "guide") if name in config}
    model = config.get("model")
    if isinstance(model, dict) and "source" in model:
        shown["model"] = model | {"source": _last_part(model["source"])}
    return shown


def _last_part(value: Any) -> Any:
    # Of Windows' paths as well, wherever the page is made.
    return PureWindowsPath(value).name or value if isinstance(value, str) else value


def _class_names(run: RunFolder) -> list[str] | None:
    if run.is_table:
        return None  # it has its own
    return run.config["data"].get("classes")


def _units(described: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    if "offset" not in described:
        return None
    return np.array(described["offset"]), np.array(described["scale"])


def _compared(first: Path, one: RunFolder, second: Path, other: RunFolder) -> Comparison:
    return compare(one.explanations, other.explanations, names=_names(first, second))


def _names(first: Path, second: Path) -> tuple[str, str]:
    """What two folders are called: by as few of their last parts as tell them apart."""
    one, other = first.resolve().parts, second.resolve().parts
    most = max(len(one), len(other))
    same = 1
    while same < most and one[-same:] == other[-same:]:
        same += 1
    same = 1 if one == other else same
    return "/".join(one[-same:]), "/".join(other[-same:])
