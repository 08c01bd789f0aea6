"""The command line: parses, runs a command, turns errors into messages and exit codes."""

import argparse
import gc
import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Sequence
from typing import Any

from jaxcf.cli.commands import COMMANDS, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, flag
from jaxcf.cli.completion import PRINT_COMPLETION, add_print_completion
from jaxcf.utils.interrupts import told_to_end
from jaxcf.utils.spelling import did_you_mean
from jaxcf.version import __version__

_WIDEST = 100
_OBJECTS_BETWEEN_COLLECTIONS = 10_000
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
  130 interrupted; 143 by SIGTERM, 129 by SIGHUP

read on:
  README.md                     what it is, in five minutes
  docs/summary.md               what a run writes
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes those of the process.

    Returns:
        The exit status: 0 done, 1 failed, 130 interrupted, and where a signal other than Ctrl-C has
        done that, 128 and its number.

    Raises:
        SystemExit: with status 2 on wrong usage, with 0 once help or version are shown.
    """
    with told_to_end() as ended:
        status = _run(arguments)
    return 128 + ended.by if status == EXIT_INTERRUPTED and ended.by is not None else status


def _run(arguments: Sequence[str] | None) -> int:
    options, began = argparse.Namespace(), time.perf_counter()
    try:
        options = _parse(sys.argv[1:] if arguments is None else arguments)
        # Here, as everything else that help comes by and doesn't need.
        from jaxcf.cli.terminal import Terminal

        terminal = Terminal(quiet=options.quiet, as_json=options.json, began=began)
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
        print(f"jaxcf: error: {_in_flags(str(error), options)}", file=sys.stderr)
        return EXIT_FAILED


def _in_flags(text: str, options: argparse.Namespace) -> str:
    """What the library says of its arguments, `data_dir=`, in the words of the command line."""

    def said(match: re.Match[str]) -> str:
        name = match[1]
        return f"{flag(name)} " if hasattr(options, name) else match[0]

    return re.sub(r"\b([a-z_]+)=(?! )", said, text)


def script() -> None:
    """The console script: `main` in a process of its own, which keeps compiled programs on disk."""
    from jaxcf.utils.folders import default_cache_dir

    # In JAX's own words, which it reads once it is imported; who has set them keeps them.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(default_cache_dir() / "compiled"))
    # Small programs as well: each is read sooner than compiled, and a run has a dozen of them.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    # Tracing makes millions of objects, nearly all of which stay. Python's own 700 would have them
    # walked 900 times: 0.9 of the 5.5 CPU seconds that the digits take, instead of 0.2.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    status = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # who reads has gone, which Python's own end takes note of
        sys.exit(status)
    # All is written. Python would give the same millions of objects back one by one: a second of
    # the 13 that the digits take where nothing is compiled.
    os._exit(status)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser, commands = _parsers(arguments)
    if not arguments:
        parser.print_help(sys.stderr)
        parser.exit(EXIT_USAGE)
    name = arguments[0]
    if not name.startswith("-") and name not in COMMANDS:
        parser.error(
            f"there is no command {name!r}{did_you_mean(name, COMMANDS)}; the commands are "
            f"{', '.join(COMMANDS)}"
        )
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        known = [flag(name) for name in vars(options)]
        hints = [did_you_mean(one.split("=")[0], known) for one in unknown if one.startswith("--")]
        commands[name].error(
            f"{name} takes no {' '.join(unknown)}{''.join(hints[:1])}; `jaxcf {name} --help` lists "
            "its options"
        )
    if getattr(options, "config", None) is not None:
        from jaxcf.cli.recorded import recorded_values
        from jaxcf.cli.run_folder import read_config

        given, _ = _parsers(arguments, argument_default=argparse.SUPPRESS)
        command = read_config(options.config)["command"]
        recorded = recorded_values(options.command, command, options.config)
        options = argparse.Namespace(**vars(options) | recorded | vars(given.parse_args(arguments)))
    if name == "explain" and options.data is None:
        commands[name].error("explain needs DATA, or --config FILE")
    return options


# --- parsers -----------------------------------------------------------------------------------


def _width() -> int:
    return min(shutil.get_terminal_size().columns, _WIDEST) - 2


def _help_format(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=28, width=_width())


def _parsers(
    arguments: Sequence[str], **settings: Any
) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser, and that of each command; with settings, they leave the defaults to those.

    Only a command that stands in the arguments has its options, unless completion asks for all.
    """
    every = any(one.startswith(PRINT_COMPLETION) for one in arguments)
    parser = argparse.ArgumentParser(
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
        if every or name in arguments:
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
