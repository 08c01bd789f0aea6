"""`explanations.plot`: found by name when it is used, the same pictures as `jaxcf.plots`."""

import subprocess
import sys
from typing import Any

import pytest
from helpers import made_explanations
from made_explanations import table

from jaxcf import Explanations, plots
from jaxcf.plots.accessor import PlotAccessor
from jaxcf.tabular import TableExplanations


@pytest.mark.parametrize("explanations", [made_explanations((4,)), table(6)], ids=["rows", "table"])
def test_it_draws_what_the_functions_draw(explanations):
    assert isinstance(explanations.plot, PlotAccessor)
    grid: Any = explanations.plot(num_instances=3)
    same: Any = plots.grid(explanations, num_instances=3)
    assert [text.get_text() for text in grid.texts] == [text.get_text() for text in same.texts]
    for name in ("changes", "transitions"):
        drawn, expected = getattr(explanations.plot, name)(), getattr(plots, name)(explanations)
        assert drawn.get_title() == expected.get_title()
        assert drawn.get_ylabel() == expected.get_ylabel()


def test_the_classes_say_what_it_is():
    for kind in (Explanations, TableExplanations):
        assert not isinstance(kind.plot, PlotAccessor)


def test_results_are_read_without_pictures():
    code = (
        "import sys, jaxcf, jaxcf.tabular; "
        "print([m for m in sys.modules if m.startswith(('jaxcf.plots', 'jaxcf.report'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
