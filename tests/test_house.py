"""The house: every import of the package, those for types and those inside functions too."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "jaxcf"

FLOORS = (
    "utils",
    "version",
    "relations",
    "constraints",
    "metrics",
    "decisions",
    "objective",
    "data",
    "solvers",
    "predictors",
    "prototypes",
    "models",
    "attributions",
    "search",
    "results",
    "explainers",
    "tabular",
    "jobs",
    "plots",
    "report",
    "cli",
    "__init__",
)
"""The rooms from the ground up: a folder, or a file beside the folders. Nothing imports upwards."""


def module_of(file: Path) -> str:
    """The dotted name of a file; of a package, that of its `__init__.py`."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(file): file for file in PACKAGE.rglob("*.py")}


def room_of(module: str) -> str:
    return (*module.split("."), "__init__")[1]


def imports_of(file: Path) -> set[str]:
    """The modules of the package that a file imports, wherever in it the import stands."""
    package = module_of(file) if file.name == "__init__.py" else module_of(file).rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *filter(None, [node.module])])
            # `from package import module` is an import of the module, not of its package.
            names = {f"{base}.{alias.name}" for alias in node.names}
            modules = names & FILES.keys()
            found |= modules | ({base} if names - modules else set())
    return {name for name in found if name in FILES}


IMPORTS = {module: imports_of(file) - {module} for module, file in FILES.items()}

ROOM_IMPORTS = {
    room: {room_of(other) for one, others in IMPORTS.items() if room_of(one) == room
           for other in others} - {room}
    for room in {room_of(module) for module in FILES}
}  # fmt: skip


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Some way that ends where it began, or nothing."""
    done: set[str] = set()

    def follow(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node in done:
            return []
        for other in sorted(graph[node]):
            found = follow(other, [*way, node])
            if found:
                return found
        done.add(node)
        return []

    return next(filter(None, (follow(node, []) for node in sorted(graph))), [])


def test_a_circle_and_an_upward_import_would_be_seen(tmp_path, monkeypatch):
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    file = PACKAGE / "search" / "made_up.py"
    text = (
        "from typing import TYPE_CHECKING\n"
        "from . import step\n"
        "from .. import models as networks\n"
        "if TYPE_CHECKING:\n    from jaxcf.results.explanations import Explanations\n"
        "def draw():\n    import jaxcf.plots.style\n    from jaxcf import cli\n"
    )
    monkeypatch.setattr(Path, "read_text", lambda self: text)
    assert imports_of(file) == {
        "jaxcf.search.step",
        "jaxcf.models",
        "jaxcf.results.explanations",
        "jaxcf.plots.style",
        "jaxcf.cli",
    }


def test_no_file_imports_itself_over_others():
    assert circle(IMPORTS) == []


def test_no_room_imports_itself_over_others():
    assert circle(ROOM_IMPORTS) == []


def test_the_floors_are_the_rooms():
    assert sorted(FLOORS) == sorted(ROOM_IMPORTS)


@pytest.mark.parametrize("room", FLOORS)
def test_nothing_imports_what_stands_above_it(room):
    above = set(FLOORS[FLOORS.index(room) + 1 :])
    upward = {
        f"{one} -> {other}"
        for one, others in IMPORTS.items()
        for other in others
        if room_of(one) == room and room_of(other) in above
    }
    assert not upward


def test_the_page_about_the_house_has_the_same_floors():
    page = (ROOT / "docs" / "design.md").read_text()
    rows = re.findall(r"^\d+\. `([\w/.]+)`", page, re.MULTILINE)
    said = [row.removeprefix("jaxcf/").removesuffix(".py").rstrip("/") for row in rows]
    assert said == list(FLOORS)


def test_the_drawing_shows_the_rooms():
    drawing = (ROOT / "docs" / "pictures" / "house.svg").read_text()
    words = set(re.findall(r"[a-z_]+", " ".join(re.findall(r">([^<]*)<", drawing))))
    # Two files that hold a few lines are left out of the picture.
    assert set(FLOORS) - {"version", "__init__"} <= words


def test_every_folder_of_the_package_has_its_tests():
    rooms = {file.parent.relative_to(PACKAGE).parts[0] for file in PACKAGE.rglob("*/*.py")}
    assert rooms <= {folder.name for folder in (ROOT / "tests").iterdir()}


def test_results_draw_nothing():
    below = {module for module in FILES if room_of(module) in FLOORS[: FLOORS.index("plots")]}
    for module in sorted(below):
        text = FILES[module].read_text()
        assert "matplotlib" not in re.sub(r'"""[\s\S]*?"""|#.*', "", text), module


def test_only_the_command_line_speaks_of_its_flags():
    for module, file in sorted(FILES.items()):
        if room_of(module) == "cli":
            continue
        texts = [
            node.value
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        flags = [text for text in texts if re.search(r"(?<![-\w])--[a-z][a-z-]+", text)]
        assert not flags, f"{module}: {flags}"
