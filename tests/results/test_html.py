"""What a notebook shows of results: the counts, the medians, and nothing that isn't escaped."""

import base64
import io
import re
import tracemalloc
from dataclasses import replace
from html.parser import HTMLParser

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import made_explanations, mlp
from made_explanations import images, with_guides
from matplotlib.image import imread

from jaxcf import Status
from jaxcf.results.explanations import overview_html
from jaxcf.tabular import TableExplainer


class Cells(HTMLParser):
    """The text of every cell; every tag is closed in its turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag != "img":
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data

    def beside(self, name: str) -> str:
        """The cell after the first with this text."""
        return self.cells[self.cells.index(name) + 1]


def test_medians_are_over_found_rows_alone():
    status = np.array([0, 0, 0, Status.NOT_FOUND, Status.NOT_FOUND, Status.INVALID_INPUT])
    steps = np.array([3, 5, 4, 900, 900, 0])
    explanations = made_explanations((10,), status=status, steps=steps).with_scores(
        im1=np.array([1.0, np.nan, 3.0, 99.0, 99.0, 99.0])
    )
    page = explanations._repr_html_()
    assert "3 of 6 found (50.0 %)" in page
    cells = Cells(page)
    assert cells.beside("2") == Status.NOT_FOUND.message
    assert cells.beside("1") == "the row holds NaN or infinite values"
    assert cells.beside("updates") == "4"
    assert cells.beside("changed features, of 10") == f"{np.median(explanations.l0[:3]):.4g}"
    assert cells.beside("L1") == f"{np.median(explanations.l1[:3]):.4g}"
    assert cells.beside("L2") == f"{np.median(explanations.l2[:3]):.4g}"
    assert cells.beside("im1") == "2"
    wild = explanations.counterfactual.copy()
    wild[3:] = 1e6
    assert replace(explanations, counterfactual=wild)._repr_html_() == page


def test_without_found_rows_there_are_no_medians():
    for explanations in (
        made_explanations((8, 8), status=np.full(6, Status.NOT_FOUND)),
        made_explanations((8, 8))[:0],
    ):
        cells = Cells(explanations._repr_html_())
        assert [cells.beside(name) for name in ("updates", "L1", "L2")] == ["-"] * 3
        assert "img" not in cells.tags


def test_names_and_settings_are_escaped_and_colours_left_to_the_notebook():
    explanations = replace(made_explanations((2,)), settings={"note": "<script>alert(1)</script>"})
    page = overview_html(explanations, {}, class_names=["<b>cat</b>", "a & b", '"'])
    cells = Cells(page)
    assert {"<b>cat</b>", "a & b", '"'} <= set(cells.cells)
    ours = "div strong table thead tbody tr td th p details summary pre"
    assert cells.tags == set(ours.split())
    assert "color" not in page
    assert "background" not in page


def test_a_notebook_says_who_was_convinced():
    page = with_guides(images(60))._repr_html_()
    assert (
        "48 of 57 found (84.2 %), 3 already in the target; the model and both guides agree" in page
    )
    cells = Cells(page).cells
    place = cells.index("careful")
    asked, _, _, convinced = cells[place + 1 : place + 5]
    assert asked == "to decide for it"
    assert convinced == "48 of 57"
    assert cells[cells.index("the model") + 4] == "51 of 57"
    assert "who was convinced" not in images(60)._repr_html_()


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 3)])
def test_a_few_images_stand_above_their_counterfactuals(shape):
    explanations = made_explanations(shape, n=40)
    data = re.search('base64,([^"]*)"', explanations._repr_html_())
    assert data is not None
    picture = imread(io.BytesIO(base64.b64decode(data[1])))
    # Eight of each, with a clear pixel below and to the right of each.
    assert picture.shape == (2 * 7, 8 * 6, 4)
    assert (picture[6, :, 3] == 0).all()
    first = explanations.original[:1].reshape(6, 5, -1)
    np.testing.assert_allclose(picture[:6, :5, :3] - first, 0, atol=1 / 255)
    after = explanations.counterfactual[:1].reshape(6, 5, -1)
    np.testing.assert_allclose(picture[7:13, :5, :3] - after, 0, atol=1 / 255)


def test_many_rows_need_no_more_memory_than_they_have_already():
    explanations = made_explanations((32, 32, 3), n=4000)
    page = explanations._repr_html_()
    tracemalloc.start()
    assert explanations._repr_html_() == page
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < explanations.original.nbytes


def test_a_table_says_how_often_its_columns_changed():
    weights = jnp.array([[-8.0, 8.0], [0.0, 0.0]])
    explainer = TableExplainer(
        lambda x: jax.nn.softmax((x - 0.5) @ weights), class_names=("<no>", "yes")
    )
    fitted = explainer.fit({"age": [20, 30, 50, 60], "p<a>y": [1, 2, 3, 4]})
    cells = Cells(fitted.explain({"age": [25, 55], "p<a>y": [2, 3]})._repr_html_())
    assert cells.beside("age") == "100 %"
    assert cells.beside("changed columns, of 2") == "1"
    assert "<no>" in cells.cells
    assert Cells(fitted._repr_html_()).beside("one instance").startswith("(2,), from 0 to 1")
    assert repr(fitted) == "FittedTableExplainer(age, p<a>y)"


def test_a_fitted_explainer_says_what_it_minimises():
    fitted = mlp().fit()
    cells = Cells(fitted._repr_html_())
    assert cells.beside("terms") == "prediction, l1, l2, prototype"
    assert cells.beside("prototypes") == "NearestMean(k=3)"
    assert cells.beside("training rows").startswith("60, by predicted class: ")
    assert repr(fitted).startswith(
        "FittedExplainer(prediction, l1, l2, prototype; NearestMean(k=3)"
    )
