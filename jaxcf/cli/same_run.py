"""Whether two commands, or what was recorded of them, ask for the same rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxcf.cli.commands import flag

NO_PART_OF_A_RUN = ("out", "overwrite", "shard", "part_rows", "part_seconds", "unit_rows")
"""Options that say where and how a run is written, not what it is."""

# These change files that are made of the rows, but no row.
_OF_FILES = ("details", "raw_csv")

# Nor do these change a row; the paths among them are known by what lies there.
_NO_PART_OF_A_ROW = (*NO_PART_OF_A_RUN, *_OF_FILES, "trust_model_file", "lanes")
_PATHS = ("data", "data_dir", "test", "models", "guide", "model")


def differing_options(command: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """In which options that make a row another two commands differ, in words.

    Args:
        command: every option of one, by name.
        known: likewise, of the other.

    Examples:
        >>> differing_options({"limit": 3, "details": 1}, {"limit": 4, "details": 2})
        ['--limit is 3, and was 4']
    """
    names = dict.fromkeys([*command, *known])
    left_out = {*_NO_PART_OF_A_ROW, *_PATHS}
    return [
        f"{flag(name)} is {command.get(name)}, and was {known.get(name)}"
        for name in names
        if name not in left_out and command.get(name) != known.get(name)
    ]


def differing_config(config: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """Which parts of a config say that other rows were asked for, or of another model.

    Args:
        config: of a run, as `config.json` has it; it may hold more.
        known: what it should say.

    Returns:
        Their names. A path that is spelt otherwise is the same: the job knows what lies there.
    """
    same = {
        name: not differing_options(config.get(name, {}), value)
        if name == "command"
        else _last_parts(config.get(name)) == _last_parts(value)
        for name, value in known.items()
    }
    return [name for name, equal in same.items() if not equal]


def _last_parts(value: Any) -> Any:
    """What a config has under one name, with the last part of the path where there is one."""
    if isinstance(value, Mapping) and isinstance(value.get("source"), str):
        return {**value, "source": Path(value["source"]).name}
    return Path(value).name if isinstance(value, str) else value


def asks_for_other_files(command: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether two commands for the same rows want files made of them that differ."""
    return any(command.get(name) != known.get(name) for name in _OF_FILES)
