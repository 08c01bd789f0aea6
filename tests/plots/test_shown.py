"""A notebook shows pictures although pyplot doesn't know them."""

import io
from typing import Any

import numpy as np
import pytest
from helpers import made_explanations
from matplotlib.figure import Figure
from matplotlib.image import imread

from experiments.plots import changed_columns, distributions
from jaxcf import plots


def test_axes_of_ours_show_their_figure():
    axes: Any = made_explanations((8, 8)).plot()
    picture = imread(io.BytesIO(axes._repr_png_()))
    width, height = axes.get_figure().get_size_inches() * axes.get_figure().dpi
    assert picture.shape[:2] == (round(height), round(width))
    assert 0.05 < (picture[..., :3].min(axis=2) < 0.9).mean() < 0.95


def test_figures_of_several_panels_show_themselves():
    figure: Any = distributions({"L1": {"A": np.arange(9.0)}})
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_axes_of_the_caller_stay_as_they_are():
    axes = Figure().subplots()
    assert plots.transitions(made_explanations((2,)), axes) is axes
    assert not hasattr(axes, "_repr_png_")


@pytest.mark.parametrize("whole", [True, False])
def test_a_picture_is_saved_from_its_axes_or_its_figure(tmp_path, whole):
    axes: Any = changed_columns({"C": {"age": 0.1}})
    plots.save(axes.get_figure() if whole else axes, tmp_path / "columns.png")
    assert (tmp_path / "columns.png").read_bytes().startswith(b"\x89PNG")
