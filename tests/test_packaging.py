"""What is released fits together: one version everywhere, and nothing left out of the packages."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import jaxcf

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def newest_entry():
    """Version and date of the newest release in CHANGELOG.md."""
    entries = re.findall(
        r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M
    )
    numbers = [tuple(map(int, version.split("."))) for version, _ in entries]
    assert numbers == sorted(numbers, reverse=True)
    return entries[0]


def test_the_version_is_that_of_the_newest_changelog_entry_and_of_the_citation():
    version, date = newest_entry()
    assert jaxcf.__version__ == version == CITATION["version"]
    assert str(CITATION["date-released"]) == date


def test_the_citation_agrees_with_the_project_and_names_the_paper():
    project = PROJECT["project"]
    assert CITATION["title"] == project["name"]
    assert CITATION["license"] == project["license"]
    assert [author["name"] for author in CITATION["authors"]] == [
        author["name"] for author in project["authors"]
    ]
    assert CITATION["abstract"] == project["description"]
    assert "arxiv.org/abs/1907.02584" in CITATION["references"][0]["url"]


def test_the_package_says_that_it_is_typed():
    assert (Path(jaxcf.__file__).parent / "py.typed").is_file()
    assert "Typing :: Typed" in PROJECT["project"]["classifiers"]


def test_the_sdist_takes_all_that_is_tracked():
    try:
        listed = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git checkout")
    # These two go into every sdist by themselves.
    taken = {"/.gitignore", "/pyproject.toml"}
    taken |= set(PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    tracked = {f"/{name.split('/')[0]}" for name in listed.stdout.splitlines()}
    assert tracked <= taken, "name it in pyproject.toml, [tool.hatch.build.targets.sdist]"
