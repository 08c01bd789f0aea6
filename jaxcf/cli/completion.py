"""Shell completion: the script for a shell, written by shtab from the parsers themselves."""

import argparse
import sys
from pathlib import Path
from typing import Any

from jaxcf import data

ADULT = "adult"
DATA_NAMES = (*data.available(), ADULT)
"""What `explain` knows by name."""

_SHELLS = ("bash", "zsh", "tcsh")
# Names of data sets, and tables. Bash's own function is given the word that is completed; shtab
# knows by "_file" in its name that it yields files.
_DATA = {"bash": "_jaxcf_data_file", "zsh": "_jaxcf_data_file", "tcsh": "f"}
_PREAMBLE = {
    "bash": f"""\
_jaxcf_data_file() {{
  compgen -W "{" ".join(DATA_NAMES)}" -- "$1"
  compgen -f -X '!*.[ct]sv' -- "$1"
  compgen -d -- "$1"
}}
""",
    "zsh": f"""\
_jaxcf_data_file() {{
  _alternative 'names:data set:({" ".join(DATA_NAMES)})' 'tables:table:_files -g "*.[ct]sv"'
}}
""",
}


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
        "--print-completion",
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
        sys.stdout.write(shtab.complete(parser, values, preamble=_PREAMBLE.get(values, "")))
        parser.exit()
