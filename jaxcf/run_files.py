"""The folder that a run writes: the names of its files, and what is read from it again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxcf import storage
from jaxcf.explanations import Explanations

EXPLANATIONS_FILE = "explanations.npz"
SUMMARY_FILE = "summary.json"
CONFIG_FILE = "config.json"
EVALUATION_FILE = "evaluation.json"
SCHEMA_VERSION = 1

_CONTENT = {"command": dict, "data": dict, "models": str, "settings": dict}


def run_folder(name: str, *, new: bool) -> Path:
    """Where a run goes if nobody says where; if it shall be new, with a number if it must."""
    folder, number = Path("runs") / name, 1
    while new and folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder


class RunFolder(NamedTuple):
    """What a run wrote.

    Attributes:
        config: `config.json`.
        explanations: `explanations.npz`.
    """

    config: Mapping[str, Any]
    explanations: Explanations


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write `config.json`, with the version of its schema."""
    storage.write_json(folder / CONFIG_FILE, {"schema_version": SCHEMA_VERSION, **config})


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
    if config["schema_version"] != SCHEMA_VERSION:
        raise ValueError(
            f"{path} has schema version {config['schema_version']!r}; this version of jaxcf reads "
            f"{SCHEMA_VERSION}: run `jaxcf explain` again, or use the version that wrote it"
        )
    for name, kind in _CONTENT.items():
        if not isinstance(config.get(name), kind):
            wanted = "an object" if kind is dict else "a text"
            raise ValueError(f"{path} is damaged: {name!r} must be {wanted}")
    return config


def read_run(folder: Path) -> RunFolder:
    """Read a folder that `jaxcf explain` wrote.

    Raises:
        FileNotFoundError: if it is no such folder.
        ValueError: if a file of it is damaged, or of another schema version.
    """
    config_file = folder / CONFIG_FILE
    if not config_file.is_file():
        raise FileNotFoundError(
            f"{folder} is no run: it has no {CONFIG_FILE}; pass a folder written by `jaxcf explain`"
        )
    return RunFolder(read_config(config_file), Explanations.load(folder / EXPLANATIONS_FILE))
