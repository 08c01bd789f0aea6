"""Points of latent space, and a path among them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg

from experiments.plots import path_overlay
from jaxcf.plots.latent import latent_space
from jaxcf.plots.style import new_figure


@pytest.fixture
def axis() -> Iterator[Any]:
    yield new_figure(3, 3).subplots()
    assert pyplot.get_fignums() == []


def test_every_class_has_its_points_its_look_and_its_name(axis):
    points = np.random.default_rng(0).normal(size=(30, 2))
    classes = np.arange(30) % 3
    latent_space(points, classes, axis, class_names=["a", "b", "c"])
    assert [text.get_text() for text in axis.texts] == ["a", "b", "c"]
    for label, drawn in enumerate(axis.collections):
        np.testing.assert_array_equal(drawn.get_offsets(), points[classes == label])
    shapes = {drawn.get_paths()[0].vertices.tobytes() for drawn in axis.collections}
    assert len(shapes) == 3


def test_a_name_lies_on_a_point_of_its_class(axis):
    # Two heaps: the median of all lies between them, where the class has no point.
    points = np.array([[0.0, 0.0], [0.1, 0.0], [9.0, 0.0], [9.1, 0.0], [4.0, 1.0]])
    latent_space(points, np.array([0, 0, 0, 0, 1]), axis)
    assert list(axis.texts[0].xy) in points[:4].tolist()


def test_a_name_keeps_clear_of_the_prototypes(axis):
    points = np.array([[0.0, 0.0], [0.1, 0.0], [1.0, 0.0], [-5.0, 0.0], [5.0, 0.0], [5.1, 0.0]])
    marked = {0: np.array([[0.05, 0.0]])}
    latent_space(points, np.zeros(6, int), axis, prototypes=marked)
    assert tuple(axis.texts[0].xy) == (1.0, 0.0)


def test_prototypes_lie_on_top_in_the_look_of_their_class(axis):
    points, classes = np.zeros((4, 2)), np.array([3, 3, 7, 7])
    latent_space(points, classes, axis, prototypes={7: np.array([[1.0, 2.0]])}, keep_look=False)
    threes, sevens, prototype = axis.collections
    np.testing.assert_array_equal(prototype.get_offsets(), [[1.0, 2.0]])
    assert prototype.get_sizes()[0] > sevens.get_sizes()[0]
    assert prototype.get_zorder() > sevens.get_zorder()
    colours = [drawn.get_facecolor()[0, :3].tolist() for drawn in (threes, sevens, prototype)]
    assert colours[2] == colours[1] != colours[0]


def test_a_path_is_drawn_from_end_to_end(axis):
    path = np.cumsum(np.ones((40, 2)), axis=0)
    path_overlay(path, axis, goal=np.array([50.0, 45.0]), name="search")
    np.testing.assert_array_equal(axis.lines[-1].get_xydata(), path)
    ends = {drawn.get_label(): drawn.get_offsets()[0].tolist() for drawn in axis.collections}
    assert ends == {
        "original": path[0].tolist(),
        "counterfactual": path[-1].tolist(),
        "prototype": [50.0, 45.0],
    }


@pytest.mark.usefixtures("without_type_checks")
def test_without_points_there_is_nothing_to_draw():
    with pytest.raises(ValueError, match="0 points and 0 classes; pass at least one"):
        latent_space(np.zeros((0, 2)), np.zeros(0, int))
    with pytest.raises(ValueError, match="3 points and 2 classes"):
        latent_space(np.zeros((3, 2)), np.zeros(2, int))
    with pytest.raises(ValueError, match="record_path=True"):
        path_overlay(np.zeros((0, 2)))


def test_names_of_classes_that_lie_on_each_other_do_not():
    generator = np.random.default_rng(0)
    points = generator.normal(size=(400, 2))
    classes = np.repeat(np.arange(4), 100)
    path = np.stack([np.linspace(-2, 2, 50), np.zeros(50)], axis=1)
    names = ["automobile", "aeroplane", "lorry", "ship"]
    axis: Any = latent_space(points, classes, class_names=names, kept_free=path)
    canvas = FigureCanvasAgg(axis.figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axis.texts]
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:place])
        assert not any(box.contains(*point) for point in axis.transData.transform(path))
