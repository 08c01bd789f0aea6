"""Every block of code in the documentation runs, every command in it can be given."""

import ast
import re
import shlex
from pathlib import Path

import pytest
from documentation import DOCS, PAGES, PEERS, ROOT, blocks, name_of, programs
from forked_programs import ForkedPrograms

from jaxcf import data
from jaxcf.cli import main as cli

RECIPES = DOCS / "recipes.md"
"""Each of its blocks is a program of its own, run by test_framework_recipes.py."""

WITH_PROGRAMS = [page for page in PAGES if programs(page) and page != RECIPES]

NEVER_RUN = {"", "text", "json"}
"""Languages of blocks that hold no Python: commands, output, files."""


@pytest.fixture(scope="module")
def forked(tmp_path_factory):
    with ForkedPrograms(tmp_path_factory.mktemp("streams")) as forked:
        yield forked


@pytest.mark.parametrize("page", WITH_PROGRAMS, ids=name_of)
def test_the_programs_of_a_page_run_one_after_the_other(page, forked, tmp_path):
    lines: list[str] = []
    for block in programs(page):
        # As many empty lines as the page has, so that a traceback names the right line.
        lines += [""] * (block.line - 1 - len(lines)) + block.code.splitlines()
    done = forked.run("\n".join(lines), name_of(page), cwd=tmp_path)
    assert done.status == 0, f"{name_of(page)}: {done.errors}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_block_of_python_is_left_out(page):
    for block in blocks(page):
        where = f"{name_of(page)}, line {block.line}"
        if block.language not in NEVER_RUN:
            assert block.language == "python", f"{where}: nobody runs {block.language!r}"
        else:
            assert ">>> " not in block.code, f"{where}: call the language python"
        if block.is_peers:
            ast.parse(block.code)
    fences = len(re.findall(r"^ *```", page.read_text(), re.MULTILINE))
    assert fences == 2 * len(blocks(page)), "a fence isn't closed, or its indent isn't its own"


def test_only_the_pages_for_those_who_come_from_elsewhere_show_other_libraries():
    shown = {
        (page.stem, block.code.splitlines()[0])
        for page in PAGES
        for block in blocks(page)
        if block.is_peers
    }
    assert shown == {
        ("alibi", PEERS[0]),
        ("from-dice", PEERS[1]),
        ("from-relax", PEERS[2]),
    }


def commands(page: Path) -> list[list[str]]:
    """The arguments of every call of jaxcf in a page's blocks and running text."""
    text = page.read_text()
    spoken = re.findall(r"(?<!`)`(jaxcf [^`\n]+)`(?!`)", text)
    lines = [
        line for block in blocks(page) if not block.language for line in block.code.split("\n")
    ]
    found = []
    for line in [*lines, *spoken]:
        for command in re.split(r" && |^\$ ", line):
            words = shlex.split(command, comments=True)
            words = ["3" if word == "N" else word for word in words]  # any number will do
            if words and Path(words[0]).name == "jaxcf" and "COMMAND" not in words:
                found.append(words[1:])
    return found


def test_commands_are_found_at_all():
    assert ["explain", "digits"] in commands(ROOT / "README.md")
    assert ["explain", "digits"] in commands(DOCS / "quickstart.md")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_can_be_given(page):
    for arguments in commands(page):
        assert is_accepted(arguments), f"{name_of(page)}: jaxcf {shlex.join(arguments)}"


def is_accepted(arguments):
    try:
        cli._parsers(arguments)[0].parse_args(arguments)
    except SystemExit as stop:
        return stop.code == 0  # `--help` and `--version` end the process, too
    return True


def test_the_commands_about_digits_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # With all rows it is the main job, which `.ci/run` does as a user would.
    few = data.load("digits").first(test=20)
    monkeypatch.setattr(data, "load", lambda name, **options: {"digits": few}[name])
    told = [tuple(arguments) for page in PAGES for arguments in commands(page)]
    about_digits = [one for one in dict.fromkeys(told) if any("digits" in word for word in one)]
    # In the order of the pages, but a run is looked at only once it is there.
    for arguments in sorted(about_digits, key=lambda arguments: arguments[0] != "explain"):
        if not {"--help", "-h"} & {*arguments}:
            assert cli.main(list(arguments)) == 0, capsys.readouterr().err
