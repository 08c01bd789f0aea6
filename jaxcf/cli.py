"""The command line: parses, calls `jaxcf.commands`, turns errors into messages and exit codes."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxcf.objective import NAMED_OBJECTIVES
from jaxcf.presets import NAMED_PRESETS
from jaxcf.prototypes import NAMED_KINDS
from jaxcf.search import STOP_RULES
from jaxcf.solvers import NAMED_SOLVERS
from jaxcf.version import __version__

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

TABLE_OPTIONS = {
    "label": ("--label", None),
    "test": ("--test", None),
    "drop": ("--drop", []),
    "ordinal": ("--ordinal", []),
    "categorical": ("--categorical", []),
    "rule": ("--rule", []),
    "categories": ("--categories", None),
    "confidence": ("--confidence", None),
    "model": ("--model", None),
    "trust_model_file": ("--trust-model-file", False),
    "model_takes": ("--model-takes", "table"),
}
"""Options of `explain` that only tables have: attribute to flag and default."""

_CATEGORIES = ("abdm", "mvdm", "abdm-mvdm", "index")

_EXPLAIN_EPILOG = """\
examples:
  jaxcf explain digits                        every test image of scikit-learn's digits
  jaxcf explain mnist --data-dir ~/data       MNIST's 10,000 test images
  jaxcf explain digits --target 3 --limit 20  how would the first 20 become a 3?
  jaxcf explain mnist --preset report -o run  the settings behind the report's numbers
  jaxcf explain my.csv --label paid           every row of a table of yours
  jaxcf explain adult --data-dir DIR --rule age:increase --rule sex:frozen
  jaxcf explain my.csv --label paid --model mine.joblib --trust-model-file

files written to --out:
  explanations.npz  one row per instance (jaxcf.Explanations.load)
  summary.json      counts, means over the found rows, seconds
  config.json       everything that was asked for
  grid.png          originals, counterfactuals and differences
and for a table, instead of grid.png:
  counterfactuals.csv  one line per row, in original units, with status and classes
  columns.png          how often each column changed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes those of the process.

    Returns:
        The exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    options = _parser().parse_args(arguments)
    # Behind the parser: `jaxcf --help` shall not wait for JAX to be imported.
    from jaxcf import commands

    try:
        return commands.run(options)
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


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jaxcf",
        description="Explain a trained model's decisions with counterfactuals guided by class "
        "prototypes: the smallest plausible change that would make it decide otherwise.",
    )
    parser.add_argument("--version", action="version", version=f"jaxcf {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_explain(commands)
    _add_evaluate(commands)
    _add_train(commands)
    _add_info(commands)
    return parser


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data and models")
    group.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="prepared tensorflow-datasets folder"
    )
    group.add_argument("--seed", type=int, default=0, help="of training and k-means (default 0)")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, no summary")


def _add_explain(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "explain",
        help="explain every row of a data set's test split",
        description="Load (or train) the models, fit prototypes, explain the whole test split.",
        epilog=_EXPLAIN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "data",
        help="digits, breast_cancer, mnist, cifar10, caltech101; adult (its test.csv, with a model "
        "trained on its train.csv); or the path of a CSV file",
    )
    parser.add_argument(
        "-o", "--out", type=Path, metavar="DIR", help="where to write (default runs/DATA-OBJECTIVE)"
    )
    parser.add_argument("--limit", type=_positive, metavar="N", help="only the first N test rows")
    parser.add_argument("--target", metavar="CLASS", help="class to reach, by name or number")

    method = parser.add_argument_group("method")
    method.add_argument(
        "--preset",
        choices=NAMED_PRESETS,
        help="named settings; the options below change single ones (default: jaxcf's own)",
    )
    method.add_argument(
        "--objective",
        choices=NAMED_OBJECTIVES,
        help="loss terms (default D; of a table C, or E with --model)",
    )
    method.add_argument("--solver", choices=NAMED_SOLVERS, help="step rule")
    method.add_argument("--learning-rate", type=float, metavar="X", help="of the solver")
    method.add_argument("--prototypes", choices=NAMED_KINDS, help="how prototypes are made")
    method.add_argument("--k", type=_positive, metavar="K", help="neighbours or centroids")
    method.add_argument("--stop", choices=STOP_RULES, help="when a search ends")
    method.add_argument(
        "--max-steps",
        type=_positive,
        metavar="N",
        help="updates per round (default 500 or the preset's; 100 with --model)",
    )
    method.add_argument(
        "--weight-growth",
        type=float,
        metavar="G",
        help="factor by which c grows with each step until found; 1 fixes c",
    )
    method.add_argument(
        "--weight-rounds", type=_positive, metavar="N", help="rounds of the search for c"
    )
    method.add_argument("--lanes", type=_positive, metavar="N", help="instances searched at once")
    _add_table_options(parser)
    _add_data_options(parser)
    parser.add_argument(
        "--models", type=Path, metavar="FILE", help="weights written by `jaxcf train`"
    )


def _add_table_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tables (a CSV file, or adult)")
    group.add_argument(
        "--label",
        metavar="COLUMN",
        help="of the CSV file; without --model, a small model is trained to predict it",
    )
    group.add_argument(
        "--test", type=Path, metavar="FILE", help="explain the rows of this CSV file instead"
    )
    group.add_argument(
        "--rule",
        action="append",
        default=[],
        metavar="NAME:WHAT",
        help="what a column may become, such as age:increase, sex:frozen, hours:20..60 or "
        "'job:clerk|pilot'; repeatable",
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
        "--drop", action="append", default=[], metavar="NAME", help="leave a column out; repeatable"
    )
    group.add_argument(
        "--categorical",
        action="append",
        default=[],
        metavar="NAME",
        help="a column of numbers that are mere names; repeatable",
    )
    group.add_argument(
        "--ordinal",
        action="append",
        default=[],
        metavar="NAME:low|...|high",
        help="a column of categories with an order; repeatable",
    )
    group.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="a model with predict_proba, written by joblib or pickle; needs --trust-model-file",
    )
    group.add_argument(
        "--trust-model-file",
        action="store_true",
        help="load --model FILE, which RUNS CODE FROM THE FILE: only for files you trust",
    )
    group.add_argument(
        "--model-takes",
        choices=("table", "input"),
        default="table",
        help="what --model is called with: a DataFrame of the columns (needs pandas; the default), "
        "or the encoded table: numbers and ranks scaled to [0, 1], categories one-hot, sorted",
    )


def _add_evaluate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "evaluate",
        help="ask the models again what a run's counterfactuals are worth",
        description="Load a run's explanations.npz, predict every counterfactual anew and "
        "compute all metrics; writes evaluation.json beside it.",
    )
    parser.add_argument("run", type=Path, help="folder written by `jaxcf explain`")
    parser.add_argument(
        "--eps", type=float, default=1e-8, help="of IM1's and IM2's denominators (default 1e-8)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no table")


def _add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "train",
        help="train classifier, autoencoder and class autoencoders",
        description="Train the models of a data set and write them to one file.",
    )
    parser.add_argument("data", help="digits, breast_cancer, mnist, cifar10 or caltech101")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="where to write (default models/DATA.npz)"
    )
    _add_data_options(parser)


def _add_info(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "info",
        help="versions, devices, data sets; or what a run or weights file holds",
    )
    parser.add_argument(
        "path", nargs="?", type=Path, help="a run folder, an explanations or a weights file"
    )


if __name__ == "__main__":
    script()
