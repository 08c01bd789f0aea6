"""The folder that a run writes: the names of its files, and what is read from it again."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxcf import explanation_files, storage
from jaxcf.details import Details
from jaxcf.explanations import Explanations
from jaxcf.tabular import TableExplanations
from jaxcf.tabular.explanations import FORMAT as TABLE_FORMAT

EXPLANATIONS_FILE = "explanations.npz"
DETAILS_FILE = "details.npz"
SUMMARY_FILE = "summary.json"
CONFIG_FILE = "config.json"
EVALUATION_FILE = "evaluation.json"

CONFIG_SCHEMA_VERSION = 1

EXPLANATION_FORMATS = (explanation_files.FORMAT, TABLE_FORMAT)
"""The formats that `read_explanations` reads."""

_CONFIG_CONTENT = {"command": dict, "data": dict, "models": str, "settings": dict}


@dataclass(frozen=True)
class RunFolder:
    """What a run left behind.

    Attributes:
        config: everything that was asked for and used, as `config.json` has it.
        explanations: `TableExplanations` where the run explained a table.
        details: a closer look at some of the rows; None where the run has none.
    """

    config: Mapping[str, Any]
    explanations: Explanations | TableExplanations
    details: Details | None = None

    @property
    def core(self) -> Explanations:
        """The explanations; of a table, those in coordinates."""
        return core_of(self.explanations)


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


def core_of(explanations: Explanations | TableExplanations) -> Explanations:
    """The explanations; of a table, those in coordinates."""
    if isinstance(explanations, TableExplanations):
        return explanations.explanations
    return explanations


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
    details_file = folder / DETAILS_FILE
    return RunFolder(
        read_config(config_file),
        read_explanations(folder / EXPLANATIONS_FILE),
        Details.load(details_file) if details_file.is_file() else None,
    )


def read_explanations(path: str | os.PathLike[str]) -> Explanations | TableExplanations:
    """Read explanations, whether of a table or not.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no explanations, is damaged, or of another schema version.
    """
    if storage.read_metadata(path).get("format") == TABLE_FORMAT:
        return TableExplanations.load(path)
    return Explanations.load(path)
