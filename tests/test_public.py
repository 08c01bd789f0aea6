"""The public face: documented, its examples run, and light to import."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import jaxcf

SOURCE = inspect.getsource(jaxcf)
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(jaxcf.__path__, "jaxcf.")
    if not module.name.endswith("__main__")
)


def public_members():
    for name in jaxcf.__all__:
        member = getattr(jaxcf, name)
        yield name, member
        if inspect.ismodule(member):
            inside = getattr(member, "__all__", [n for n in vars(member) if not n.startswith("_")])
            for inner in inside:
                value = getattr(member, inner)
                own = getattr(value, "__module__", "").startswith("jaxcf")
                if own and (inspect.isclass(value) or inspect.isfunction(value)):
                    yield f"{name}.{inner}", value


def test_every_public_name_exists_and_they_are_in_order():
    assert list(jaxcf.__all__) == sorted(jaxcf.__all__)
    assert all(hasattr(jaxcf, name) for name in jaxcf.__all__)


MEMBERS = dict(public_members())


@pytest.mark.parametrize("name", MEMBERS)
def test_every_public_name_is_documented(name):
    member = MEMBERS[name]
    if name == "__version__":
        return
    # A dataclass without a docstring gets its signature as one.
    doc = inspect.getdoc(member) or ""
    assert doc, f"{name} has no docstring"
    assert not doc.startswith(f"{name.split('.')[-1]}("), f"{name} has only a generated docstring"
    if inspect.isclass(member) and member.__module__.startswith("jaxcf"):
        for attribute, value in vars(member).items():
            documented = isinstance(value, property | classmethod | staticmethod)
            if attribute.startswith("_") or not (documented or inspect.isfunction(value)):
                continue
            assert inspect.getdoc(getattr(member, attribute)), f"{name}.{attribute}"


@pytest.mark.usefixtures("without_type_checks")  # examples are what a user runs
@pytest.mark.usefixtures("ctrl_c")  # which one of the examples presses
@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_and_its_examples_run(name):
    module = importlib.import_module(name)
    assert module.__doc__
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


HEAVY = (
    "sklearn",
    "matplotlib",
    "tensorflow_datasets",
    "tensorflow",
    "pandas",
    "rich",
    "scipy.stats",
)


def imported(code, names):
    """Which of these modules a program has imported at its end."""
    # A list of modules rather than a time: how long an import takes depends on who else is busy.
    code += "; import sys; print(*[name for name in sys.argv[1:] if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code, *names], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_explaining_imports_nothing_heavy_and_importing_nothing_at_all():
    assert imported("import jax; from jaxcf import *", HEAVY) == []
    assert imported("import jaxcf; jaxcf.__version__; dir(jaxcf)", ("jax", "numpy")) == []


def test_the_first_command_waits_for_nothing_that_only_few_need(tmp_path):
    options = ["--limit", "2", "--details", "0", "--quiet", "--out", str(tmp_path / "run")]
    code = f"from jaxcf.cli import main; main.main(['explain', 'digits', *{options!r}])"
    for_few = ("sklearn", "pandas", "tensorflow_datasets", "tensorflow", "ray", "shtab")
    assert imported(code, for_few) == []
    assert (tmp_path / "run" / "summary.json").exists()


def test_what_editors_read_is_what_there_is():
    [branch] = [one for one in ast.parse(SOURCE).body if isinstance(one, ast.If)]
    imports = [one for one in branch.body if isinstance(one, ast.ImportFrom) and one.module]
    read = {name.name: str(one.module) for one in imports for name in one.names}
    modules = {name for name, module in read.items() if inspect.ismodule(getattr(jaxcf, name))}
    for name, module in read.items():
        assert getattr(jaxcf, name) is getattr(importlib.import_module(module), name), name
    assert modules | {"jobs", "models", "plots", "report", "tabular"} == set(jaxcf._MODULES)
    assert set(read) - modules == set(jaxcf._DEFINED_IN)
    assert {*read, "__version__"} == set(jaxcf.__all__)


def test_a_name_that_there_isn_t_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Explaner'"):
        _ = jaxcf.Explaner
    assert {"Explainer", "plots"} < set(dir(jaxcf))
