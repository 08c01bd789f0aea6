"""Shell completion: the script for a shell, written by shtab from the parsers themselves."""

import argparse
import sys
from pathlib import Path
from typing import Any

PRINT_COMPLETION = "--print-completion"
ADULT = "adult"

_SHELLS = ("bash", "zsh", "tcsh")
# Names of data sets, and tables. Bash's own function is given the word that is completed; shtab
# knows by "_file" in its name that it yields files.
_DATA = {"bash": "_jaxcf_data_file", "zsh": "_jaxcf_data_file", "tcsh": "f"}


def data_names() -> tuple[str, ...]:
    """What `explain` knows by name."""
    from jaxcf.data import available  # help comes by here, and needs no data

    return (*available(), ADULT)


def add_path(
    group: argparse._ActionsContainer, *flags: str, folder: bool = False, **settings: Any
) -> None:
    """Add an argument that is a path, completed as one.

    Args:
        group: of arguments.
        flags: names of the argument.
        folder: whether it is a folder.
        settings: of `add_argument`.
    """
    action: Any = group.add_argument(*flags, type=Path, **settings)
    action.complete = "directory" if folder else "file"


def add_data(group: argparse._ActionsContainer, **settings: Any) -> None:
    """Add the argument that names the data, completed with names and CSV files."""
    action: Any = group.add_argument("data", metavar="DATA", **settings)
    action.complete = _DATA


def add_print_completion(parser: argparse.ArgumentParser) -> None:
    """Add the option that writes the completion script of a shell."""
    parser.add_argument(
        PRINT_COMPLETION,
        choices=_SHELLS,
        action=_PrintCompletion,
        help="write the completion script of a shell to the output stream",
    )


class _PrintCompletion(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        try:
            import shtab
        except ImportError:
            raise ImportError(
                "--print-completion needs shtab, which is not installed; run "
                "`pip install 'jaxcf[completion]'`"
            ) from None
        sys.stdout.write(shtab.complete(parser, values, preamble=_preamble(values)))
        parser.exit()


def _preamble(shell: str) -> str:
    names = " ".join(data_names())
    if shell == "bash":
        return f"""\
_jaxcf_data_file() {{
  compgen -W "{names}" -- "$1"
  compgen -f -X '!*.[ct]sv' -- "$1"
  compgen -d -- "$1"
}}
"""
    if shell == "zsh":
        return f"""\
_jaxcf_data_file() {{
  _alternative 'names:data set:({names})' 'tables:table:_files -g "*.[ct]sv"'
}}
"""
    return ""
