"""The options of a run that was recorded, checked as those of the command line are."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxcf.cli.commands import COMMANDS
from jaxcf.cli.shared import asked
from jaxcf.utils.spelling import did_you_mean

# A run is written elsewhere than the one it repeats, and a file never grants trust.
_NOT_TAKEN = ("out", "overwrite", "shard", "trust_model_file")

# Options before the command, which records have as well.
_OF_THE_PROGRAM = ("print_completion",)


def recorded_values(name: str, recorded: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What a record says of the options of a command, as the command line would have given it.

    Args:
        name: of the command.
        recorded: values of options by name, as `asked` records them.
        path: where they come from, for messages.

    Returns:
        Those that are taken from a record: not where to write, nor whom to trust.

    Raises:
        ValueError: if there is no such option, or a value is none of its.
    """
    parser = _parser(name)
    known = dict.fromkeys([*asked(parser.parse_args([])), *_OF_THE_PROGRAM])
    actions = {action.dest: action for action in parser._actions}
    for one in sorted(recorded.keys() - known.keys()):
        raise ValueError(f"{path}: {name} has no option {one!r}{did_you_mean(one, known)}")
    return {
        one: _checked(path, actions[one], value)
        for one, value in recorded.items()
        if one not in (*_NOT_TAKEN, *_OF_THE_PROGRAM)
    }


def recorded_options(name: str, recorded: Mapping[str, Any], path: Path) -> argparse.Namespace:
    """All options of a command: those of a record, and the defaults of the others.

    Args:
        name: of the command.
        recorded: as for `recorded_values`.
        path: likewise.

    Raises:
        ValueError: as `recorded_values`.
    """
    usual = vars(_parser(name).parse_args([]))
    return argparse.Namespace(**usual | recorded_values(name, recorded, path))


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    COMMANDS[name].add_options(parser)
    parser.set_defaults(**COMMANDS[name].defaults)
    return parser


def _checked(path: Any, action: argparse.Action, value: Any) -> Any:
    """A recorded value as the command line would have given it."""
    if value is None and action.default is None:
        return None
    repeated = isinstance(action, argparse._AppendAction)
    values = value if repeated and isinstance(value, list) else [value]
    if action.nargs == 0:
        expected, given = "true or false", isinstance(value, bool)
    elif repeated:
        expected = "a list of texts"
        given = isinstance(value, list) and all(isinstance(one, str) for one in value)
    elif action.type in (None, Path):
        expected, given = "a text", isinstance(value, str)
    else:
        kinds = (int, float) if action.type is float else int
        expected = "a number" if action.type is float else "a whole number"
        given = isinstance(value, kinds) and not isinstance(value, bool)
    if not given:
        raise ValueError(f"{path}: {action.dest!r} is {value!r}; expected {expected}")
    convert: Any = action.type or str
    try:
        converted = [one if isinstance(one, bool) else convert(str(one)) for one in values]
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise ValueError(f"{path}: {action.dest!r} is {value!r}: {error}") from None
    if action.choices is not None and value not in action.choices:
        hint = did_you_mean(str(value), map(str, action.choices))
        raise ValueError(
            f"{path}: {action.dest!r} is {value!r}{hint}; expected one of "
            f"{', '.join(map(str, action.choices))}"
        )
    return converted if repeated else converted[0]
