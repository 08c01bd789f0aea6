"""The command line: parses, runs a command, turns errors into messages and exit codes."""

import argparse
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from jaxcf.arguments import COMMANDS
from jaxcf.command_parts import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    asked,
    flag,
    nearest,
)
from jaxcf.completion import add_print_completion
from jaxcf.run_folder import read_config
from jaxcf.version import __version__

_WIDEST = 100
_DESCRIPTION = (
    "Explain a trained model's decisions with counterfactuals guided by class prototypes: the "
    "smallest plausible change that would make it decide otherwise."
)
_EPILOG = """\
examples:
  jaxcf explain digits          the main job, nothing to download
  jaxcf explain --help          its options, by group, with more examples
  jaxcf info                    versions, devices, data sets
  jaxcf --print-completion bash > ~/.jaxcf-completion    to source in ~/.bashrc

exit status:
  0 done, 1 failed (one line on the error stream says why), 2 wrong usage,
  130 interrupted

read on:
  README.md                     what it is, in five minutes
  docs/summary.md               what a run writes
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes those of the process.

    Returns:
        The exit status: 0 done, 1 failed, 130 interrupted.

    Raises:
        SystemExit: with status 2 on wrong usage, with 0 once help or version are shown.
    """
    try:
        options = _parse(sys.argv[1:] if arguments is None else arguments)
        # Behind the parser: `jaxcf --help` needs neither rich nor what a command needs.
        from jaxcf.terminal import Terminal

        terminal = Terminal(quiet=options.quiet, as_json=options.json)
        outcome = COMMANDS[options.command].run(options, terminal)
        terminal.show(outcome)
        return outcome.status
    except KeyboardInterrupt:
        print("jaxcf: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does; nothing is wrong.
        sys.stderr.close()
        return 0
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        print(f"jaxcf: error: {error}", file=sys.stderr)
        return EXIT_FAILED


def script() -> None:
    """The console script: `main` in a process of its own, which keeps compiled programs on disk."""
    import jax

    from jaxcf.data.cache import default_cache_dir

    jax.config.update("jax_compilation_cache_dir", str(default_cache_dir() / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    sys.exit(main())


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser, commands = _parsers()
    if not arguments:
        parser.print_help(sys.stderr)
        parser.exit(EXIT_USAGE)
    name = arguments[0]
    if not name.startswith("-") and name not in COMMANDS:
        parser.error(
            f"there is no command {name!r}{nearest(name, COMMANDS)}; the commands are "
            f"{', '.join(COMMANDS)}"
        )
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        known = [flag(name) for name in vars(options)]
        hints = [nearest(one.split("=")[0], known) for one in unknown if one.startswith("--")]
        commands[name].error(
            f"{name} takes no {' '.join(unknown)}{''.join(hints[:1])}; `jaxcf {name} --help` lists "
            "its options"
        )
    if getattr(options, "config", None) is not None:
        given, _ = _parsers(argument_default=argparse.SUPPRESS)
        recorded = _recorded(options)
        options = argparse.Namespace(**vars(options) | recorded | vars(given.parse_args(arguments)))
    if name == "explain" and options.data is None:
        commands[name].error("explain needs DATA, or --config FILE")
    return options


# --- a recorded run --------------------------------------------------------------------------


class _RaisingParser(argparse.ArgumentParser):
    """Raises where the parser of the command line exits."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def _recorded(options: argparse.Namespace) -> dict[str, Any]:
    """The options that `--config FILE` holds, checked as those of the command line are."""
    path, command = options.config, dict(read_config(options.config)["command"])
    defaults = _parsers()[0].parse_args([options.command])
    for name in sorted(command.keys() - asked(defaults).keys()):
        raise ValueError(f"{path}: explain has no option {name!r}{nearest(name, asked(defaults))}")
    # A run is written elsewhere than the one it repeats, and a file never grants trust.
    for name in ("out", "trust_model_file"):
        command.pop(name, None)
    parser, _ = _parsers(_RaisingParser, argument_default=argparse.SUPPRESS)
    try:
        parsed = parser.parse_args([options.command, *_arguments(command)])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    # Text is lenient where JSON isn't: "4" would do for 4.
    taken = asked(defaults) | asked(parsed)
    for name, value in command.items():
        if taken[name] != value:
            raise ValueError(f"{path}: {name!r} is {value!r}; expected {taken[name]!r}")
    return {name: value for name, value in vars(parsed).items() if name in command}


def _arguments(command: Mapping[str, Any]) -> list[str]:
    """The arguments that would have given these options."""
    arguments = []
    for name, value in command.items():
        if name == "data" or value is None or value is False:
            continue
        values = value if isinstance(value, list) else [value]
        arguments += [flag(name) if one is True else f"{flag(name)}={one}" for one in values]
    data = command.get("data")
    return arguments if data is None else [*arguments, "--", str(data)]


# --- parsers -----------------------------------------------------------------------------------


def _width() -> int:
    return min(shutil.get_terminal_size().columns, _WIDEST) - 2


def _help_format(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=28, width=_width())


def _parsers(
    kind: type[argparse.ArgumentParser] = argparse.ArgumentParser, **settings: Any
) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser, and that of each command; with settings, they leave the defaults to those."""
    parser = kind(
        prog="jaxcf",
        description=textwrap.fill(_DESCRIPTION, _width()),
        epilog=_EPILOG,
        usage="jaxcf COMMAND [options]",
        formatter_class=_help_format,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"jaxcf {__version__}")
    add_print_completion(parser)
    commands = parser.add_subparsers(
        dest="command", required=True, prog="jaxcf", metavar="COMMAND", title="commands"
    )
    by_name = {}
    for name, command in COMMANDS.items():
        one = by_name[name] = commands.add_parser(
            name,
            help=command.help,
            description=f"{command.help[0].upper()}{command.help[1:]}.\n\n"
            + textwrap.fill(command.description, _width()),
            epilog=command.epilog,
            usage=command.usage,
            formatter_class=_help_format,
            allow_abbrev=False,
            **settings,
        )
        command.add_options(one)
        _add_output_options(one)
        if not settings:
            one.set_defaults(**command.defaults)
    return parser, by_name


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--json",
        action="store_true",
        help="print the result as one JSON document instead of tables; progress and errors stay "
        "on the error stream",
    )
    group.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="nothing but errors (and the document, with --json)",
    )


if __name__ == "__main__":
    script()
