"""The page about the command line shows what `--help` prints, made when the site is built."""

import argparse
import os
import re
from unittest import mock

from jaxcf import cli

_PLACE = re.compile(r"<!-- help (?P<command>[\w-]*) ?-->")


def help_of(command: str) -> str:
    """What `jaxcf COMMAND --help` prints; of `jaxcf` itself where the command is empty."""
    parser = cli._parser()
    if command:
        (choices,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        parser = choices.choices[command]
    with mock.patch.dict(os.environ, COLUMNS="92", NO_COLOR="1"):
        return parser.format_help()


def on_page_markdown(markdown: str, **kwargs: object) -> str:
    """Put the help in where a page asks for it."""
    return _PLACE.sub(lambda place: f"```text\n{help_of(place['command'])}```", markdown)
