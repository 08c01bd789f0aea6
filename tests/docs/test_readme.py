"""What README.md and the documentation say is true: their code runs, what they point at exists."""

import doctest
import json
import re

import pytest
import trained_once
from documentation import PAGES, ROOT, name_of

from jaxcf import Status, models
from jaxcf.cli import main as cli


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_run(page, monkeypatch):
    monkeypatch.setattr(models, "train_judges", trained_once.train_judges)
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


def table_rows(page, first_cell):
    """The cells of the lines of a page's tables whose first cell, bold or not, fits a pattern."""
    lines = [
        line.replace("**", "").strip("| \n").split(" | ") for line in page.read_text().split("\n")
    ]
    return [cells for cells in lines if re.fullmatch(first_cell, cells[0])]


def measured(name):
    rows = json.loads((ROOT / "results" / "mnist" / f"{name}.json").read_text())["rows"]
    return [row for row in rows if row["subject"] == "counterfactual"]


def test_how_to_choose_repeats_what_was_measured():
    page = ROOT / "docs" / "choosing.md"
    by_letter = {row["objective"]: row for row in measured("objectives")}
    lines = [cells for cells in table_rows(page, "[A-F]") if len(cells) == 6]
    assert [cells[0] for cells in lines] == list("ABCDEF")
    for letter, found, updates, l1, oracle, _ in lines:
        row = by_letter[letter]
        share = float(found.removesuffix(" %"))
        assert share == pytest.approx(100 * row["found"] / row["n"], abs=0.5)
        assert float(updates) == pytest.approx(row["steps (found)"]["mean"], abs=0.6)
        assert float(l1) == pytest.approx(row["l1"]["mean"], abs=0.6)
        assert float(oracle) == pytest.approx(row["oracle"]["mean"], abs=0.006)
    by_kind = {(row["kind"], row["k"]): row for row in measured("prototypes")}
    kinds = {"NearestMean": "nearest", "KMeans": "kmeans", "KDTree": "kdtree"}
    lines = table_rows(page, r"`\w+\(k=\d+\)`.*")
    assert len(lines) == 5
    for cells in lines:
        ((kind, k),) = re.findall(r"`(\w+)\(k=(\d+)\)`", cells[0])
        row = by_kind[kinds[kind], int(k)]
        assert float(cells[1]) == pytest.approx(row["oracle"]["mean"], abs=0.006)
        assert float(cells[2]) == pytest.approx(row["l1"]["mean"], abs=0.6)
        assert float(cells[3]) == pytest.approx(row["steps (found)"]["mean"], abs=0.6)


def test_the_page_of_results_repeats_the_papers_settings_as_recorded():
    recorded = json.loads((ROOT / "results" / "mnist" / "paper_preset.json").read_text())["rows"]
    lines = table_rows(ROOT / "docs" / "results.md", "[A-D]")
    assert [cells[0] for cells in lines] == [row["objective"] for row in recorded]
    for (_, found, elastic_net), row in zip(lines, recorded, strict=True):
        assert found == f"{row['found']} of {row['n']}"
        assert float(elastic_net) == pytest.approx(row["elastic_net"]["mean"], abs=0.051)
