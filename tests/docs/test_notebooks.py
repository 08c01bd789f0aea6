"""The notebooks as they are committed: run from top to bottom, light, and nobody's machine in them.

That they still run is a step of its own in `.ci/run`: `pytest --nbmake docs/notebooks`.
"""

import re
import runpy
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
RUNNER = ROOT / ".ci" / "run_notebooks.py"

MOST_BYTES = 400_000
PICTURE = "image/png"
# Not the end of an HTML tag, nor a division.
ABSOLUTE_PATH = re.compile(r"""(?:^|[\s"'(=>])(?:/[\w.+-]+){2,}|\b[A-Za-z]:\\""", re.MULTILINE)


def read(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def outputs(path):
    return [output for cell in code_cells(path) for output in cell.outputs]


def shown_text(output):
    """Whatever a reader sees of an output that isn't a picture."""
    data = output.get("data", {})
    texts = [text for kind, text in data.items() if kind != PICTURE]
    # Pictures inside HTML are base64, which may hold anything.
    return re.sub(r"base64,[^\"']*", "", "\n".join([output.get("text", ""), *texts]))


def test_absolute_paths_are_recognised():
    assert ABSOLUTE_PATH.search("read /opt/data/x.csv")
    assert ABSOLUTE_PATH.search("C:\\data")
    assert not ABSOLUTE_PATH.search("<td>1</td> 254/s, L1 / L2, runs/digits.html")


def test_every_notebook_is_linked_from_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert NOTEBOOKS
    assert [path.name for path in NOTEBOOKS if f"(docs/notebooks/{path.name})" not in readme] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_forge_shows_the_notebook(path):
    assert path.stat().st_size < MOST_BYTES
    assert any(PICTURE in output.get("data", {}) for output in outputs(path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_outputs_are_of_one_run_from_top_to_bottom_without_an_error_or_warning(path):
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))
    bad = [
        output
        for output in outputs(path)
        if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert not bad


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_outputs_are_of_the_code_that_stands_there(path):
    digest = runpy.run_path(str(RUNNER))["digest"]
    notebook = read(path)
    assert notebook.metadata["outputs_of"] == digest(notebook), f"run {RUNNER.name}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_in_it_is_of_the_machine_that_ran_it(path):
    notebook = read(path)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info == {"name": "python"}, f"run {RUNNER.name}"
    assert not any(cell.metadata for cell in notebook.cells), f"run {RUNNER.name}"
    texts = [cell.source for cell in notebook.cells] + [shown_text(one) for one in outputs(path)]
    found = [match.group() for text in texts for match in ABSOLUTE_PATH.finditer(text)]
    assert not found
