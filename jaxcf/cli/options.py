"""The options of every command, by group."""

import argparse

from jaxcf.cli.completion import add_data, add_path
from jaxcf.explainers.costs import BY
from jaxcf.explainers.presets import NAMED_PRESETS
from jaxcf.objective import NAMED_OBJECTIVES
from jaxcf.prototypes.kinds import NAMED_KINDS
from jaxcf.search.options import STOP_RULES
from jaxcf.solvers import NAMED_SOLVERS

_RUN = "folder written by `jaxcf explain`"

FILLS = ("median", "mode")
_CATEGORIES = ("abdm", "mvdm", "abdm-mvdm", "index")


def positive(text: str) -> int:
    """A whole number of at least 1, from the text of an option."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def at_least_zero(text: str) -> int:
    """A whole number of at least 0, from the text of an option."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {value}")
    return value


def _add_overwrite(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--overwrite", action="store_true", help="replace what lies at --out already"
    )


def _add_data_options(group: argparse._ActionsContainer) -> None:
    add_path(
        group,
        "--data-dir",
        folder=True,
        metavar="DIR",
        help="where the data lies: prepared by tensorflow-datasets, or the original files "
        "(default: the cache, after a download)",
    )
    group.add_argument("--seed", type=int, metavar="N", help="of training and k-means (default 0)")


def add_explain_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `jaxcf explain`."""
    add_data(
        parser,
        nargs="?",
        help="digits, breast_cancer, mnist, cifar10, caltech101; adult (its test.csv, with a model "
        "trained on its train.csv); or the path of a table, .csv or .tsv",
    )
    group = parser.add_argument_group("what to explain, and where to write")
    add_path(
        group,
        "--config",
        metavar="FILE",
        help="take the options of this run's config.json, all but --out, --overwrite and "
        "--trust-model-file; "
        "those given beside it come first, DATA as well",
    )
    add_path(
        group,
        "-o",
        "--out",
        folder=True,
        metavar="DIR",
        help="where to write (default runs/DATA-OBJECTIVE, with a number behind it if that exists)",
    )
    group.add_argument(
        "--overwrite",
        "--restart",
        dest="overwrite",
        action="store_true",
        help="begin anew and replace the run that lies at --out; without it the same command goes "
        "on where it was",
    )
    group.add_argument(
        "--shard",
        metavar="I/N",
        help="do the I-th of N shares of the rows only, from 1/N to N/N; all write to one --out, "
        "`jaxcf gather` makes a run of them",
    )
    group.add_argument(
        "--part-rows",
        type=positive,
        metavar="N",
        help="write finished rows when there are N of them (default 65536)",
    )
    group.add_argument(
        "--part-seconds",
        type=float,
        metavar="S",
        help="or when the first of them has waited for S seconds (default 30)",
    )
    group.add_argument(
        "--unit-rows",
        type=positive,
        metavar="N",
        help="rows explained together: those under way are lost by a kill; fixed when a run is "
        "begun (default 8192, 1024 with --model, fewer where rows are large)",
    )
    group.add_argument("--limit", type=positive, metavar="N", help="only the first N test rows")
    group.add_argument(
        "--target",
        metavar="CLASS",
        help="class to reach, by name; by number as well for data sets with networks of their own",
    )
    group.add_argument(
        "--details",
        type=at_least_zero,
        metavar="N",
        help="rows to be looked at closely, for details.npz (default 24; 0 for none)",
    )

    _add_method_options(parser.add_argument_group("method"))
    _add_table_options(parser.add_argument_group("tables (a CSV file, or adult)"))
    group = parser.add_argument_group("data and models")
    _add_data_options(group)
    add_path(group, "--models", metavar="FILE", help="weights written by `jaxcf train`")
    add_path(
        group,
        "--guide",
        metavar="FILE",
        help="a robust model of the same images that has to agree on the new class, written by "
        "`jaxcf train DATA --guide`, or none (default: models/DATA-guide.npz or the one that is "
        "shipped, of digits, mnist and cifar10; none with the presets that reproduce others' "
        "results)",
    )


def _add_method_options(method: argparse._ActionsContainer) -> None:
    method.add_argument(
        "--preset",
        choices=NAMED_PRESETS,
        help="named settings; the options below change single ones (default: near where there is "
        "a guide, else jaxcf's own)",
    )
    method.add_argument(
        "--objective",
        choices=NAMED_OBJECTIVES,
        help="loss terms (default D, or A with --preset quick; of a table C, or E with --model)",
    )
    method.add_argument(
        "--solver",
        choices=NAMED_SOLVERS,
        metavar="NAME",
        help=f"step rule: {', '.join(NAMED_SOLVERS)} (default normalized, or the preset's)",
    )
    method.add_argument("--learning-rate", type=float, metavar="X", help="of the solver")
    method.add_argument("--prototypes", choices=NAMED_KINDS, help="how prototypes are made")
    method.add_argument("--k", type=positive, metavar="K", help="neighbours or centroids")
    method.add_argument("--stop", choices=STOP_RULES, help="when a search ends")
    method.add_argument(
        "--max-steps",
        type=positive,
        metavar="N",
        help="updates per round (default 500 or the preset's; 100 for tables)",
    )
    method.add_argument(
        "--weight-growth",
        type=float,
        metavar="G",
        help="factor by which c grows with each step until found; 1 fixes c",
    )
    method.add_argument(
        "--weight-rounds", type=positive, metavar="N", help="rounds of the search for c"
    )
    method.add_argument("--lanes", type=positive, metavar="N", help="instances searched at once")


def _add_table_options(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--label",
        metavar="COLUMN",
        help="of the CSV file; without --model, a small model is trained to predict it",
    )
    group.add_argument(
        "--id",
        metavar="COLUMN",
        help="what the rows are called: kept beside each in counterfactuals.csv and the report, "
        "not given to the model",
    )
    add_path(group, "--test", metavar="FILE", help="explain the rows of this CSV file instead")
    group.add_argument(
        "--rule",
        action="append",
        metavar="NAME:WHAT",
        help="what a column may become, such as age:increase, sex:frozen, hours:20..60, "
        "pay:step=100 or 'job:clerk|pilot'; repeatable",
    )
    group.add_argument(
        "--relation",
        action="append",
        metavar="TEXT",
        help="what columns must be to each other, such as 'part <= whole', 'total == a + b' or "
        "'if job = pilot then age >= 21'; with ':move-in' behind it, rows that break it are "
        "explained too; repeatable",
    )
    group.add_argument(
        "--confidence", type=float, metavar="P", help="probability of the new class to be exceeded"
    )
    group.add_argument(
        "--categories",
        choices=_CATEGORIES,
        help="how the order of categories is learnt: from the other columns (abdm, the default), "
        "from the model's predictions, from both, or not at all",
    )
    group.add_argument(
        "--drop", action="append", metavar="NAME", help="leave a column out; repeatable"
    )
    group.add_argument(
        "--fill",
        choices=FILLS,
        help="put the median of the training rows in place of missing numbers, or their most "
        "frequent entry; the most frequent category either way",
    )
    group.add_argument(
        "--drop-missing",
        action="store_true",
        help="leave rows that lack an entry or the label out of training; a row to be explained "
        "that lacks an entry has the status invalid_input",
    )
    group.add_argument(
        "--missing",
        action="append",
        metavar="TEXT",
        help="what stands for a missing entry in the CSV files, in capital or small letters "
        "(default: nothing, ?, NA, N/A, #N/A, <NA>, NaN, null, None); repeatable",
    )
    group.add_argument(
        "--categorical",
        action="append",
        metavar="NAME",
        help="a column of numbers that are mere names; repeatable",
    )
    group.add_argument(
        "--decimals",
        action="append",
        metavar="NAME:N",
        help="how many decimals a column of numbers has, 0 for whole numbers, any for any number "
        "(default: as many as its entries have); repeatable",
    )
    group.add_argument(
        "--special",
        action="append",
        metavar="NAME:-8|...",
        help="codes of a column of numbers that stand for something else; each is kept or replaced "
        "by the median, and no number becomes one; repeatable",
    )
    group.add_argument(
        "--cost",
        choices=BY,
        help="which of several answers is the best: the least moves (default), the fewest changed "
        "columns, or the nearest to training rows of its class",
    )
    group.add_argument(
        "--costs",
        action="append",
        metavar="NAME:10",
        help="how much dearer than others it is to change a column (default 1); repeatable",
    )
    group.add_argument(
        "--ordinal",
        action="append",
        metavar="NAME:low|...|high",
        help="a column of categories with an order; repeatable",
    )
    add_path(
        group,
        "--model",
        metavar="FILE",
        help="a classifier such as a scikit-learn pipeline, written by joblib or pickle; needs "
        "--trust-model-file",
    )
    group.add_argument(
        "--trust-model-file",
        action="store_true",
        help="load --model FILE, which RUNS CODE FROM THE FILE: only for files you trust",
    )
    group.add_argument(
        "--model-takes",
        choices=("table", "input"),
        help="what --model is called with: the columns by name (needs pandas), or the encoded "
        "table (numbers and ranks scaled to [0, 1], categories one-hot, sorted); without it what "
        "the model says that it was fitted on",
    )
    group.add_argument(
        "--raw-csv",
        action="store_true",
        help="write texts to counterfactuals.csv as they are; without it those that a spreadsheet "
        "would run as formulas get an apostrophe in front",
    )


def add_gather_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `jaxcf gather`."""
    add_path(parser, "run", folder=True, metavar="RUN", help=_RUN)


def add_check_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `jaxcf check`."""
    add_path(parser, "run", folder=True, metavar="RUN", help=_RUN)
    add_path(
        parser,
        "--data-dir",
        folder=True,
        metavar="DIR",
        help="where the data lies (default: as the run had it)",
    )
    parser.add_argument(
        "--trust-model-file",
        action="store_true",
        help="load the run's --model FILE, which RUNS CODE FROM THE FILE",
    )


def add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `jaxcf evaluate`."""
    add_path(parser, "run", folder=True, metavar="RUN", help="folder written by `jaxcf explain`")
    group = parser.add_argument_group("metrics")
    group.add_argument(
        "--eps", type=float, metavar="X", help="of IM1's and IM2's denominators (default 1e-8)"
    )
    group.add_argument(
        "--judges",
        action="store_true",
        help="also ask networks that never guided the search which class they read; trained once "
        "(minutes) and kept in models/; for digits, mnist, cifar10 and caltech101; one that did "
        "guide the run is refused",
    )
    add_path(
        group,
        "--data-dir",
        folder=True,
        metavar="DIR",
        help="where the data lies that judges are trained on (default: as the run had it)",
    )


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `jaxcf train`."""
    add_data(parser, help="digits, breast_cancer, mnist, cifar10 or caltech101")
    group = parser.add_argument_group("data and models")
    add_path(
        group,
        "-o",
        "--out",
        metavar="FILE",
        help="where to write (default models/DATA.npz, or models/DATA-guide.npz)",
    )
    _add_overwrite(group)
    _add_data_options(group)
    group = parser.add_argument_group("guides (images)")
    group.add_argument(
        "--guide",
        action="store_true",
        help="train a guide instead: a robust classifier that must agree on the new class before "
        "a counterfactual counts",
    )
    group.add_argument(
        "--quick",
        action="store_true",
        help="with --guide: in a tenth of the time or less, less robust",
    )


def add_info_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `jaxcf info`."""
    add_path(
        parser,
        "path",
        nargs="?",
        metavar="PATH",
        help="a run folder, an explanations or a weights file",
    )


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `jaxcf report`."""
    add_path(parser, "run", folder=True, metavar="RUN", help=_RUN)
    group = parser.add_argument_group("what to show, and where to write")
    add_path(group, "-o", "--out", metavar="FILE", help="where to write (default RUN/report.html)")
    _add_overwrite(group)
    add_path(group, "--compare", folder=True, metavar="RUN", help="another run over the same rows")


def add_compare_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `jaxcf compare`."""
    add_path(parser, "first", folder=True, metavar="RUN", help=_RUN)
    add_path(parser, "second", folder=True, metavar="OTHER", help="another one over the same rows")
