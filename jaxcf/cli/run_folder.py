"""The folder that a run writes: the names of its files, and what is read from it again."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxcf.cli.terminal import Terminal
from jaxcf.results import explanations as plain
from jaxcf.results.explanations import Explanations
from jaxcf.results.traces import Traces
from jaxcf.tabular import TableExplanations
from jaxcf.tabular import explanations as tables
from jaxcf.utils import storage

EXPLANATIONS_FILE = "explanations.npz"

TRACES_FILE = "details.npz"

SUMMARY_FILE = "summary.json"

CONFIG_FILE = "config.json"

EVALUATION_FILE = "evaluation.json"

CONFIG_SCHEMA_VERSION = 1

EXPLANATION_FORMATS = (plain.FORMAT, tables.FORMAT)
"""The formats that `read_explanations` reads."""

_CONFIG_CONTENT = {"command": dict, "data": dict, "models": str, "settings": dict}


@dataclass(frozen=True)
class RunFolder:
    """What a run left behind.

    Attributes:
        config: everything that was asked for and used, as `config.json` has it.
        explanations: `TableExplanations` where the run explained a table.
        traces: a closer look at some of the rows; None where the run has none.
    """

    config: Mapping[str, Any]
    explanations: Explanations | TableExplanations
    traces: Traces | None = None

    @property
    def core(self) -> Explanations:
        """The explanations; of a table, those in coordinates."""
        return self.explanations.core

    @property
    def is_table(self) -> bool:
        """Whether a table in its own units was explained."""
        return isinstance(self.explanations, TableExplanations)


def free_folder(name: str, *, new: bool) -> Path:
    """Where a run goes if nobody says where; if it shall be new, with a number if it must."""
    folder, number = Path("runs") / name, 1
    while new and folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write `config.json`, with the version of its schema."""
    storage.write_json(folder / CONFIG_FILE, {"schema_version": CONFIG_SCHEMA_VERSION, **config})


def read_config(path: Path) -> Mapping[str, Any]:
    """Read what `write_config` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is something else, damaged, or of another schema version.
    """
    config = storage.read_json(path)
    if not isinstance(config, dict) or "schema_version" not in config:
        raise ValueError(
            f"{path} is no {CONFIG_FILE} of this version of jaxcf: it has no schema_version; "
            "pass one that `jaxcf explain` wrote, or run it again"
        )
    if config["schema_version"] != CONFIG_SCHEMA_VERSION:
        raise ValueError(
            f"{path} has schema version {config['schema_version']!r}; this version of jaxcf reads "
            f"{CONFIG_SCHEMA_VERSION}: run `jaxcf explain` again, or use the version that wrote it"
        )
    for name, kind in _CONFIG_CONTENT.items():
        if not isinstance(config.get(name), kind):
            wanted = "an object" if kind is dict else "a text"
            raise ValueError(f"{path} is damaged: {name!r} must be {wanted}")
    return config


def read_run(folder: str | os.PathLike[str]) -> RunFolder:
    """Read the folder of a run, of whatever kind.

    Args:
        folder: as `jaxcf explain` wrote it.

    Returns:
        What it holds.

    Raises:
        FileNotFoundError: if it is no such folder.
        ValueError: if one of its files is damaged.
    """
    folder = Path(folder)
    config_file = folder / CONFIG_FILE
    if not config_file.is_file():
        raise FileNotFoundError(
            f"{folder} is no run: it has no {CONFIG_FILE}; pass a folder written by `jaxcf explain`"
        )
    traces_file = folder / TRACES_FILE
    return RunFolder(
        read_config(config_file),
        read_explanations(folder / EXPLANATIONS_FILE),
        Traces.load(traces_file) if traces_file.is_file() else None,
    )


def read_explanations(path: str | os.PathLike[str]) -> Explanations | TableExplanations:
    """Read explanations, whether of a table or not.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no explanations, is damaged, or of another schema version.
    """
    if storage.read_metadata(path).get("format") == tables.FORMAT:
        return TableExplanations.load(path)
    return Explanations.load(path)


def write_traces(
    out: Path, num_rows: int, trace: Callable[..., Traces], terminal: Terminal
) -> None:
    """Write `details.npz` beside the explanations.

    Args:
        out: folder of the run, its other files written: whoever interrupts this keeps them.
        num_rows: how many rows; 0 for no file.
        trace: called with `num_rows`; gives their traces.
        terminal: for progress.
    """
    file = out / TRACES_FILE
    # That of an earlier run would be of other rows.
    file.unlink(missing_ok=True)
    if num_rows:
        terminal.say(f"looking closely at up to {num_rows} rows")
        trace(num_rows=num_rows).save(file)
