"""Every recipe of docs/recipes.md runs as it stands, and its model agrees with the answers."""

import ast
import importlib.util
import json
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from forked_programs import ForkedPrograms

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "recipes.md"

# By the name of the import, what the extra `recipes` calls it. Everything else must be there.
OPTIONAL = {
    "equinox": "equinox",
    "haiku": "dm-haiku",
    "keras": "keras",
    "lightgbm": "lightgbm",
    "onnxruntime": "onnxruntime",
    "pandas": "pandas",
    "skl2onnx": "skl2onnx",
    "torch": "torch",
    "xgboost": "xgboost",
}

WEIGHTS_ARE_TRACED = {"Flax NNX", "Flax Linen", "Equinox", "Haiku", "Keras", "Logistic regression"}

# Per row and step; the others' depends on the row, or what comes after the search adds to it.
PREDICTIONS_PER_STEP = {"PyTorch": 1, "ONNX": 1 + 2 * 8}

# All 30 features change where nothing is put back.
SPARSIFIED = {"Gradient boosting in scikit-learn", "XGBoost", "LightGBM"}


class Recipe(NamedTuple):
    """One section of the page.

    Attributes:
        title: its heading.
        code: its block, with as many empty lines before it as the page has, so that a traceback
            names the right line.
        imports: the top-level modules.
    """

    title: str
    code: str
    imports: frozenset[str]


def read_recipes() -> list[Recipe]:
    """The recipes of the page; a section must have exactly one block."""
    page = PAGE.read_text()
    headings = list(re.finditer(r"^## (.+)\n", page, re.MULTILINE))
    ends = [heading.start() for heading in headings[1:]] + [len(page)]
    recipes = []
    for heading, end in zip(headings, ends, strict=True):
        pattern = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
        (block,) = pattern.finditer(page, heading.end(), end)
        code = "\n" * page.count("\n", 0, block.start(1)) + block[1]
        recipes.append(Recipe(heading[1], code, frozenset(imported_modules(code))))
    return recipes


def imported_modules(code: str) -> set[str]:
    """The top-level modules that some code imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


RECIPES = read_recipes()


@pytest.fixture(scope="module")
def forked(tmp_path_factory):
    environment = {
        # Threads of OpenMP that wait for each other on busy cores take minutes instead of seconds.
        "OMP_NUM_THREADS": "1",
        # Keras writes its settings there; it is no business of a test to change the user's.
        "KERAS_HOME": str(tmp_path_factory.mktemp("keras")),
    }
    with ForkedPrograms(tmp_path_factory.mktemp("streams"), environment) as forked:
        yield forked


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.title)
def test_a_recipe_runs_and_its_model_agrees(recipe, forked):
    lacking = [
        OPTIONAL[module]
        for module in sorted(recipe.imports & OPTIONAL.keys())
        if importlib.util.find_spec(module) is None
    ]
    if lacking:
        pytest.skip(f"{', '.join(lacking)} isn't installed; pip install '.[recipes]'")
    # Its own line numbers are in the code.
    program = f"import recipe_runner\nrecipe_runner.run({recipe.code!r})"
    done = forked.run(program, recipe.title, cwd=ROOT)
    assert done.status == 0, done.errors
    outcome = json.loads(done.output.splitlines()[-1])
    print(recipe.title, outcome)
    # The recipe itself has asked its model and asserts that it agrees.
    assert outcome["found"] >= 0.95
    assert outcome["flipped"]
    assert outcome["rows"] >= 40
    if recipe.title in WEIGHTS_ARE_TRACED:
        assert outcome["compiled"] == []
        assert outcome["predictions"] is None
    else:
        assert outcome["predictions"] is not None
    if recipe.title in PREDICTIONS_PER_STEP:
        # A description, the original and every update, and the confirmation.
        per_step = PREDICTIONS_PER_STEP[recipe.title]
        expected = 1 + (1 + outcome["steps"]) * per_step + 1
        assert outcome["predictions"] == pytest.approx(expected)
    if recipe.title in SPARSIFIED:
        assert outcome["changed"] < 10


def test_every_recipe_asks_its_model_itself():
    for recipe in RECIPES:
        assert recipe.code.rstrip().splitlines()[-1].startswith("assert (asked == ")


def test_the_recipes_of_what_jaxcf_needs_anyway_are_never_skipped():
    always = {recipe.title for recipe in RECIPES if not recipe.imports & OPTIONAL.keys()}
    assert always == {
        "Flax NNX",
        "Flax Linen",
        "Logistic regression",
        "Gradient boosting in scikit-learn",
    }


def test_the_extra_has_what_the_recipes_import():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = extras["optional-dependencies"]["recipes"]
    names = {re.split(r"[<>=!~ ;]", requirement)[0] for requirement in listed}
    imported = {OPTIONAL[module] for one in RECIPES for module in one.imports & OPTIONAL.keys()}
    assert names == imported == set(OPTIONAL.values())
