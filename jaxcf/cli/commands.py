"""Every command with its help: what `jaxcf --help` needs, and nothing that takes time to import."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

EXIT_STATUS_TEXT = """\
exit status:
  0 done, 1 failed (one line on the error stream says why), 2 wrong usage,
  130 interrupted; 143 by SIGTERM, 129 by SIGHUP"""
"""The same in words, for help."""

TABLE_DEFAULTS: Mapping[str, Any] = {
    "label": None,
    "id": None,
    "test": None,
    "drop": [],
    "missing": [],
    "fill": None,
    "drop_missing": False,
    "ordinal": [],
    "categorical": [],
    "decimals": [],
    "special": [],
    "rule": [],
    "relation": [],
    "categories": None,
    "confidence": None,
    "cost": None,
    "costs": [],
    "model": None,
    "trust_model_file": False,
    "model_takes": None,
    "raw_csv": False,
}
"""Options of `explain` that only tables have, and their defaults."""


@dataclass(frozen=True)
class Command:
    """A command of the command line; `--json` and `--quiet` every one of them has.

    Attributes:
        help: one line for the list of commands, as a sentence without capital and full stop.
        description: what it does, beyond that line.
        epilog: examples, what is written where, exit status, where to read on.
        usage: one line.
        options: "module:function" of this room, which adds its arguments to a parser, none with a
            default of its own; imported only where this command was chosen.
        runs: likewise, what is given the options and where to say how far it is.
        defaults: of the options that have one other than None or False.
    """

    help: str
    description: str
    epilog: str
    usage: str
    options: str
    runs: str
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add its arguments to a parser, without their defaults."""
        _named(self.options)(parser)

    def run(self, options: argparse.Namespace, terminal: Any) -> Any:
        """Do what it does; what it gives is an `Outcome`.

        Args:
            options: its own, as they were given.
            terminal: where it says how far it is.
        """
        return _named(self.runs)(options, terminal)


def _named(text: str) -> Any:
    module, _, function = text.partition(":")
    return getattr(import_module(f"jaxcf.cli.{module}"), function)


def flag(name: str) -> str:
    """The option that an attribute comes from.

    Examples:
        >>> flag("max_steps")
        '--max-steps'
    """
    return "--" + name.replace("_", "-")


_EXPLAIN_EPILOG = f"""\
examples:
  jaxcf explain digits                        every test image of the digits
  jaxcf explain mnist --data-dir ~/data       MNIST's 10,000 test images
  jaxcf explain digits --preset plausible     farther, and more typical
  jaxcf explain digits --guide none           what changes this model's mind
  jaxcf explain digits --target 3 --limit 20  how would the first 20 become a 3?
  jaxcf explain mnist --preset report -o run  with the report's settings
  jaxcf explain my.csv --label paid           every row of a table of yours
  jaxcf explain adult --data-dir DIR --rule age:increase --rule sex:frozen
  jaxcf explain my.csv --label paid --model mine.joblib --trust-model-file
  jaxcf explain --config run/config.json      the same counterfactuals again
  jaxcf explain --config run/config.json --limit 5 --out few
  jaxcf explain my.csv --label paid -o run    goes on where it was
  jaxcf explain my.csv --label paid -o run --shard 3/16
  jaxcf explain digits --json --quiet         the summary as JSON, nothing else

files written to --out:
  explanations.npz     one row per instance (jaxcf.Explanations.load)
  summary.json         counts, means over the found rows, seconds
  config.json          everything that was asked for
  details.npz          a closer look at some rows (jaxcf.Traces.load)
  grid.png             originals, counterfactuals and differences
  true_classes.npz     what each row really is, where that is known
  parts/, job.json     rows as they finish, and what was asked of them
and for a table, instead of grid.png:
  counterfactuals.csv  one line per row, in its units, with status and classes
  columns.png          how often each column changed

{EXIT_STATUS_TEXT} (what was finished is written)

read on:
  docs/summary.md      every file, key and status of a run
  docs/tables.md       tables, rules, categories, models of your own
  docs/choosing.md     objectives, prototypes, solvers, guides, by numbers
  docs/quickstart.md   the same in Python
"""

_GATHER_EPILOG = f"""\
examples:
  jaxcf explain my.csv --label paid -o run --shard 1/2
  jaxcf explain my.csv --label paid -o run --shard 2/2
  jaxcf gather run

files written to RUN:
  as by `jaxcf explain`, all but details.npz, and report.html; of a run that is
  too large for one file, without explanations.npz and counterfactuals.csv

{EXIT_STATUS_TEXT}

read on:
  docs/scale.md        SLURM, Kubernetes, xargs; how long what takes
"""

_CHECK_EPILOG = f"""\
examples:
  jaxcf explain digits --out run
  jaxcf check run
  jaxcf check run --json

file written to RUN:
  certificate.json     what was claimed and checked, by which versions and when,
                       and what doesn't hold (then the exit status is 1)

{EXIT_STATUS_TEXT}

read on:
  docs/scale.md        what is checked, and what can't be
"""

_EVALUATE_EPILOG = f"""\
examples:
  jaxcf evaluate runs/digits-D
  jaxcf evaluate runs/digits-D --judges
  jaxcf evaluate runs/digits-D --eps 1e-5 --json

files written to RUN:
  evaluation.json      the keys of summary.json anew, how many are confirmed
  explanations.npz     with --judges: again, with what they read of each row

{EXIT_STATUS_TEXT}

read on:
  docs/summary.md      what each key means
  docs/study.md        which metrics say something, beside controls and judges
"""

_TRAIN_EPILOG = f"""\
examples:
  jaxcf train digits
  jaxcf train mnist --data-dir ~/data --seed 1 --out other.npz
  jaxcf explain mnist --data-dir ~/data --models other.npz
  jaxcf train mnist --data-dir ~/data --guide

file written to --out:
  classifier, autoencoder and one autoencoder per class, with their accuracy and
  losses: plain arrays and one JSON description (jaxcf.models.load_models)
or, with --guide:
  one robust classifier of images, with its accuracy before and after steps
  against it, and how sure it is of real images (jaxcf.models.load_guide)

{EXIT_STATUS_TEXT}

read on:
  docs/recipes.md      models of your own instead, from any library
"""

_INFO_EPILOG = f"""\
examples:
  jaxcf info                    versions, devices, data sets, shipped weights
  jaxcf info runs/digits-D      what a run found, and with which settings
  jaxcf info runs/digits-D/explanations.npz
  jaxcf info models/mnist.npz --json

Nothing is written.

{EXIT_STATUS_TEXT}

read on:
  docs/summary.md      what each key means
"""

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

COMMANDS: Mapping[str, Command] = {
    "explain": Command(
        help="explain every row of a data set's test split, or of a table",
        description="Load (or train) the models, fit class prototypes, find for each row the "
        "smallest plausible change that makes the model decide otherwise, and write what was "
        "found. Each row is answered: with a counterfactual, or with the best effort and a status "
        "that says why.",
        epilog=_EXPLAIN_EPILOG,
        usage="jaxcf explain DATA [options]\n       jaxcf explain --config FILE [options]",
        options="options:add_explain_options",
        defaults={"seed": 0, "details": 24, **TABLE_DEFAULTS},
        runs="explain:explain",
    ),
    "gather": Command(
        help="make a run of the parts that shards have written",
        description="Check that no row is missing and no part damaged, and write the files of a "
        "run: summary, pictures and report, and all rows in one file where they fit.",
        epilog=_GATHER_EPILOG,
        usage="jaxcf gather RUN [options]",
        options="options:add_gather_options",
        runs="gather:gather",
    ),
    "check": Command(
        help="hold a run against its model and its data, and write a certificate",
        description="Load the model and the rows as the run did; ask the model again about every "
        "row that was found and every original, hold each counterfactual against its rules, every "
        "part against its name, every file against the parts, and name whatever doesn't hold.",
        epilog=_CHECK_EPILOG,
        usage="jaxcf check RUN [options]",
        options="options:add_check_options",
        runs="check:check",
    ),
    "evaluate": Command(
        help="ask the models again what a run's counterfactuals are worth",
        description="Load a run's explanations.npz, predict each counterfactual anew and compute "
        "all metrics.",
        epilog=_EVALUATE_EPILOG,
        usage="jaxcf evaluate RUN [options]",
        options="options:add_evaluate_options",
        defaults={"eps": 1e-8},
        runs="evaluate:evaluate",
    ),
    "report": Command(
        help="write a run as one HTML page, to look at and to pass on",
        description="The page needs no network and no server, and opens in any browser.",
        epilog=_REPORT_EPILOG,
        usage="jaxcf report RUN [options]",
        options="options:add_report_options",
        runs="report:write_report",
    ),
    "compare": Command(
        help="compare two runs over the same rows",
        description="Say who found what, and, over the rows that both found, at what cost.",
        epilog=_COMPARE_EPILOG,
        usage="jaxcf compare RUN OTHER [options]",
        options="options:add_compare_options",
        runs="report:compare_runs",
    ),
    "train": Command(
        help="train classifier, autoencoder and class autoencoders of a data set, or a guide",
        description="Write them to one file. `jaxcf explain` does both by itself where no "
        "weights are shipped or kept; a guide is trained only here.",
        epilog=_TRAIN_EPILOG,
        usage="jaxcf train DATA [options]",
        options="options:add_train_options",
        defaults={"seed": 0},
        runs="train:train",
    ),
    "info": Command(
        help="say which versions, devices and data sets there are; or what a file holds",
        description="With PATH: what a run found and with which settings, or which models a "
        "weights file holds.",
        epilog=_INFO_EPILOG,
        usage="jaxcf info [PATH] [options]",
        options="options:add_info_options",
        runs="info:info",
    ),
}
"""Every command by name, in the order of the help."""
