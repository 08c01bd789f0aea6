"""What the pages say in running text is so: names, options, messages and numbers are the code's."""

import ast
import contextlib
import inspect
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from documentation import DOCS, PAGES, ROOT, name_of

import jaxcf
from jaxcf import Status, data, jobs, metrics, models, plots, report, solvers, tabular
from jaxcf.cli import finished, run_folder
from jaxcf.cli import main as cli
from jaxcf.explainers import presets
from jaxcf.jobs import running
from jaxcf.plots.accessor import PlotAccessor
from jaxcf.predictors import calling, estimators
from jaxcf.prototypes import kinds
from jaxcf.results import evaluation
from jaxcf.results.accessors import Accessor
from jaxcf.results.comparison import Comparison
from jaxcf.tabular import inference

SPACES = [
    jaxcf,
    *(solvers, presets, tabular, models, data, plots, report, jobs, metrics, kinds, evaluation),
]
"""Where a name of the text may come from."""

KINDS_OF = {
    "explainer": (jaxcf.Explainer, tabular.TableExplainer),
    "fitted": (jaxcf.FittedExplainer, tabular.FittedTableExplainer),
    "explanations": (jaxcf.Explanations, tabular.TableExplanations),
    "answers": (tabular.TableExplanations,),
    "traces": (jaxcf.Traces,),
    "schema": (tabular.Schema,),
    "networks": (models.ModelSet,),
    "judge": (models.Judge,),
    "comparison": (Comparison,),
}
"""What stands behind a variable that the pages use."""

FILES = ("csv", "html", "json", "jsonl", "md", "npz", "png", "py", "txt")


def spans(page: Path) -> list[str]:
    """The pieces of code in a page's running text."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(one.split()) for one in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]


def meanings(node: ast.expr) -> list[Any]:
    """What an expression of the text may be; nothing where its root isn't ours."""
    if isinstance(node, ast.Name):
        if node.id in KINDS_OF:
            return list(KINDS_OF[node.id])
        named = [jaxcf] if node.id == "jaxcf" else [getattr(one, node.id, None) for one in SPACES]
        return [one for one in named if one in SPACES or callable(one)]
    if isinstance(node, ast.Attribute):
        owners = meanings(node.value)
        found = [getattr(one, node.attr) for one in owners if hasattr(one, node.attr)]
        found = [PlotAccessor if isinstance(one, Accessor) else one for one in found]
        fields = [one for one in owners if node.attr in getattr(one, "__dataclass_fields__", ())]
        assert not owners or found or fields, f"there is no {ast.unparse(node)}"
        return found
    return []


def takes(function: Any, names: set[str]) -> bool:
    """Whether something may be called with these arguments by name."""
    if not callable(function):
        return False
    parameters = inspect.signature(function).parameters.values()
    anything = any(one.kind == one.VAR_KEYWORD for one in parameters)
    return anything or names <= {one.name for one in parameters}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_the_text_calls_can_be_called_so(page):
    for span in spans(page):
        if span.split("#")[0].endswith(tuple(f".{ending}" for ending in FILES)):
            continue
        with contextlib.suppress(SyntaxError):
            tree = ast.parse(span, mode="eval")
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute):
                    meanings(node)
                if isinstance(node, ast.Call):
                    known = meanings(node.func)
                    names = {one.arg for one in node.keywords if one.arg is not None}
                    assert not known or any(takes(one, names) for one in known), span


def helps() -> Iterator[str]:
    """What `--help` prints, of jaxcf and of each command."""
    for command in ([], *([name] for name in re.findall(r"^    (\w+) ", help_of([]), re.M))):
        yield help_of(command)


def help_of(command: list[str]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        cli.main([*command, "--help"])
    return printed.getvalue()


def test_every_option_that_the_text_names_exists():
    options = set(re.findall(r"--[a-z][\w-]*", " ".join(helps())))
    for folder in ("benchmarks", "experiments"):
        for file in (ROOT / folder).glob("*.py"):
            options |= set(re.findall(r"(--[a-z][\w-]*)\"", file.read_text()))
    # Those are made of the peers' names.
    options |= {f"--{peer}-python" for peer in ("nice", "dice", "cfnow", "treecf")}
    for page in PAGES:
        for span in spans(page):
            if span.startswith("--"):
                assert re.split(r"[ =]", span)[0] in options, f"{name_of(page)}: {span}"


def literals() -> str:
    """Every text that the package's code holds, with a mark where a value is put in."""
    texts = []
    for file in (ROOT / "jaxcf").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (
                    one.value if isinstance(one, ast.Constant) else "\0" for one in node.values
                )
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_every_message_of_the_page_about_errors_is_one_of_ours():
    text = literals()
    table = (DOCS / "troubleshooting.md").read_text().split("## Errors at the entry")[1]
    messages = re.findall(r"^\| (`.*?`) \|", table.split("\n## ")[0], re.MULTILINE)
    assert len(messages) > 30
    for message in re.findall(r"`(.*?)`", " ".join(messages)):
        # Values are put in and texts are put together: some three words in a row will do.
        pieces = [piece.split() for piece in re.split(r"\.\.\.|'.*?'|\d+", message)]
        runs = [" ".join(words[i : i + 3]) for words in pieces for i in range(len(words) - 2)]
        assert not runs or any(run in text for run in runs), message


def test_every_status_has_its_advice():
    page = (DOCS / "troubleshooting.md").read_text()
    for status in Status:
        if status not in (Status.RUNNING, Status.IDLE):
            assert f"| `{status.name.lower()}` | " in page


def test_the_house_has_what_the_page_about_it_names():
    page = DOCS / "design.md"
    folders = [ROOT / "jaxcf", ROOT, ROOT / "tests", *(ROOT / "jaxcf").glob("*/")]
    code = "\n".join(file.read_text() for file in ROOT.rglob("*.py") if ".venv" not in file.parts)
    for span in spans(page):
        if span.endswith(".py"):
            assert any((folder / span).exists() for folder in folders), span
        elif re.fullmatch(r"\w+", span):
            known = re.search(rf"\b{span}\b", code) or any((one / span).exists() for one in folders)
            assert known, span


def test_a_solver_is_what_the_pages_say():
    (row,) = re.findall(r"^\| a solver \|.*$", (DOCS / "design.md").read_text(), re.MULTILINE)
    own = (DOCS / "own-parts.md").read_text()
    members = {name for name in vars(solvers.Solver) if not name.startswith("_")}
    assert members == {"name", "proximal", "looks_ahead", "init", "update"}
    for member in members:
        assert f"`{member}`" in row
        assert f"| `{member}" in own


JOB = jobs.JobOptions()

SAID = {
    "method.md": [f"multiplies it by {jaxcf.SearchOptions().weight_growth} at every step"],
    "troubleshooting.md": [f"{solvers._LENGTH_PER_ROOT} times the cube root of the number of"],
    "scale.md": [
        f"{JOB.rows_per_part:,} rows are finished",
        f"or {JOB.seconds_per_part:.0f} s after the first of them was",
        f"**units** of {running._MOST_PER_UNIT:,}",
        f"({running._MOST_OUTSIDE_JAX:,} with models outside JAX",
        f"more than {finished._MOST_BYTES // 10**6} MB of memory",
        f"show {run_folder.SHOWN_ROWS:,} rows",
    ],
    "tables.md": [f"more than {inference.MOST_CATEGORIES} different texts"],
    "your-model.md": [
        f"fewer than {calling.ROWS_FOR_THREADS:,} rows",
        f"up to {estimators._ASKED} training rows",
    ],
    "choosing.md": [
        f"uses {presets.near()['search'].max_steps} steps to get nearer",
        f"{presets.plausible()['search'].max_steps} steps, and nothing taken back",
        f"`prediction_weight={presets.near()['search'].prediction_weight}`, growing",
    ],
}
"""Numbers and names that stand in the text, as the code has them today."""


def test_numbers_of_the_text_are_those_of_the_code():
    for name, sentences in SAID.items():
        text = " ".join((DOCS / name).read_text().split())
        for sentence in sentences:
            assert sentence in text, f"docs/{name} doesn't say {sentence!r}"


def test_all_shipped_guides_are_named():
    assert set(models.pretrained_guide_names()) == {"cifar10", "digits", "mnist"}
    said = " ".join(help_of(["explain"]).split())
    assert "shipped, of digits, mnist and cifar10;" in said
    assert "as digits, mnist and cifar10 have" in (DOCS / "quickstart.md").read_text()
    assert "of MNIST and of CIFAR-10 are shipped" in (DOCS / "method.md").read_text()
