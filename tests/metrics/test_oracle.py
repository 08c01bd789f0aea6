"""What judges say, counted by hand."""

import numpy as np
import pytest

from jaxcf import metrics


def test_verdicts_are_counted_per_row_and_judge():
    x = np.eye(3, dtype=np.float32)
    judges = {"sees all": lambda x: x, "says 0": lambda x: x * np.array([1, 0, 0], np.float32)}
    said = metrics.verdicts(judges, x, np.array([1, 0, 0]), np.array([0, 1, 2]))
    assert said.new.tolist() == [[True, True, True], [True, False, False]]
    assert said.original.tolist() == [[False, False, False], [False, True, True]]
    assert said.oracle_score.tolist() == [1.0, 0.5, 0.5]
    assert said.stays_original.tolist() == [0.0, 0.5, 0.5]


def test_no_rows_have_no_verdict_and_no_judges_are_an_error():
    none = np.zeros(0, int)
    said = metrics.verdicts({"one": lambda x: x}, np.zeros((0, 2), np.float32), none, none)
    assert said.oracle_score.shape == (0,)
    with pytest.raises(ValueError, match="no judge was given"):
        metrics.verdicts({}, np.zeros((0, 2), np.float32), none, none)
