"""The page about the command line shows what `--help` prints, made when the site is built."""

import contextlib
import io
import os
import re
from unittest import mock

from jaxcf.cli import main as cli

_PLACE = re.compile(r"<!-- help (?P<command>[\w-]*) ?-->")


def help_of(command: str) -> str:
    """What `jaxcf COMMAND --help` prints; of `jaxcf` itself where the command is empty."""
    printed = io.StringIO()
    with (
        # Narrow enough for the page, and without the colours of a terminal.
        mock.patch.dict(os.environ, COLUMNS="80", NO_COLOR="1"),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        cli.main([*command.split(), "--help"])
    return printed.getvalue()


def on_page_markdown(markdown: str, **kwargs: object) -> str:
    """Put the help in where a page asks for it."""
    return _PLACE.sub(lambda place: f"```text\n{help_of(place['command'])}```", markdown)
