"""What README.md and the documentation say is true: their code runs, what they point at exists."""

import doctest
import re

import pytest
from documentation import PAGES, ROOT, name_of

from jaxcf import Status, cli


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_run(page):
    result = doctest.testfile(str(page), module_relative=False)
    assert result.failed == 0
    if page == ROOT / "README.md":
        assert result.attempted >= 5


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_status_is_documented():
    text = (ROOT / "docs" / "summary.md").read_text()
    for status in Status:
        if status not in (Status.RUNNING, Status.IDLE):
            assert f"| {int(status)} | `{status.name.lower()}` |" in text


def test_the_commands_of_the_readme_exist(capsys):
    readme = (ROOT / "README.md").read_text()
    for command in set(re.findall(r"jaxcf (\w+)(?= )", readme)):
        if command in ("explain", "evaluate", "train", "info"):
            with pytest.raises(SystemExit) as stop:
                cli.main([command, "--help"])
            assert stop.value.code == 0
