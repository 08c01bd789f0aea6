"""The commands that look at runs that are done, and their options."""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from jaxcf.command_parts import EXIT_STATUS_TEXT, Command, Outcome
from jaxcf.completion import add_path

if TYPE_CHECKING:
    from jaxcf.terminal import Terminal

_RUN = "folder written by `jaxcf explain`"

_REPORT_EPILOG = f"""\
examples:
  jaxcf report runs/digits-D
  jaxcf report runs/digits-D --out for-the-reviewer.html
  jaxcf report runs/digits-D --compare runs/digits-C

file written to --out:
  one HTML page that holds everything and loads nothing: counts, a gallery with
  filters, class by class, histograms, settings, and each row in full

{EXIT_STATUS_TEXT}

read on:
  docs/report.md       what is in the page, and how exact it is
"""

_COMPARE_EPILOG = f"""\
examples:
  jaxcf compare runs/digits-C runs/digits-D
  jaxcf compare runs/digits-C runs/digits-D --json
  jaxcf report runs/digits-C --compare runs/digits-D    the same, as a page

Nothing is written. Means are over the rows that both found; differences are
taken row by row, second minus first, with their 95 % bootstrap interval.

{EXIT_STATUS_TEXT}

read on:
  docs/report.md       the comparison as a page
"""


def _add_report_options(parser: argparse.ArgumentParser) -> None:
    add_path(parser, "run", folder=True, metavar="RUN", help=_RUN)
    group = parser.add_argument_group("what to show, and where to write")
    add_path(group, "-o", "--out", metavar="FILE", help="where to write (default RUN/report.html)")
    add_path(group, "--compare", folder=True, metavar="RUN", help="another run over the same rows")


def _report(options: argparse.Namespace, terminal: "Terminal") -> Outcome:
    from jaxcf import report_commands

    return report_commands.write_report(options, terminal)


def _add_compare_options(parser: argparse.ArgumentParser) -> None:
    add_path(parser, "first", folder=True, metavar="RUN", help=_RUN)
    add_path(parser, "second", folder=True, metavar="OTHER", help="another one over the same rows")


def _compare(options: argparse.Namespace, terminal: "Terminal") -> Outcome:
    from jaxcf import report_commands

    return report_commands.compare_runs(options, terminal)


REPORT_COMMANDS: Mapping[str, Command] = {
    "report": Command(
        help="write a run as one HTML page, to look at and to pass on",
        description="The page needs no network and no server, and opens in any browser.",
        epilog=_REPORT_EPILOG,
        usage="jaxcf report RUN [options]",
        add_options=_add_report_options,
        run=_report,
    ),
    "compare": Command(
        help="compare two runs over the same rows",
        description="Say who found what, and, over the rows that both found, at what cost.",
        epilog=_COMPARE_EPILOG,
        usage="jaxcf compare RUN OTHER [options]",
        add_options=_add_compare_options,
        run=_compare,
    ),
}
"""By name, in the order of the help."""
