"""The page of the study shows what the committed results hold, to the digit."""

from pathlib import Path

import pytest

from experiments import study

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "study.md"


@pytest.mark.parametrize(("name", "least"), [("study.md", 10), ("tables.md", 4)])
def test_the_page_is_what_the_results_say(name, least):
    page = (ROOT / "docs" / name).read_text()
    assert page.count("<!-- table ") >= least
    assert study.render(page, ROOT / "results") == page


def test_a_changed_number_is_put_right():
    page = PAGE.read_text()
    start = page.index("<!-- table ")
    end = page.index("<!-- end -->", start)
    name_end = page.index("-->\n", start) + 4
    spoilt = page[:name_end] + "| made up |\n" + page[end:]
    assert study.render(spoilt, ROOT / "results") == page


def test_an_unknown_table_is_an_error():
    with pytest.raises(ValueError, match="there is no table 'made-up'"):
        study.render("<!-- table made-up -->\n<!-- end -->\n", ROOT / "results")
