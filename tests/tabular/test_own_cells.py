"""Cells that don't change are the caller's own, and what is written beside them of their kind."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow
import pytest

from jaxcf import BlackBox, Status
from jaxcf.tabular import Rule, TableExplainer

GENERATOR = np.random.default_rng(0)
AGE, PAY = GENERATOR.integers(0, 20, 120), GENERATOR.integers(0, 900, 120) / 100
MONEY = [Decimal(str(one)) for one in PAY.tolist()]


def predict(table):
    score = table["age"].to_numpy(float) + table["pay"].to_numpy(float) - 14
    granted = 1 / (1 + np.exp(-score))
    return np.stack([1 - granted, granted], axis=1)


def explained(frame, rows=None, **rules):
    fitted = TableExplainer(BlackBox(predict, num_classes=2), takes="table").fit(frame)
    return fitted.explain(frame.head(12) if rows is None else rows, rules=rules)


@pytest.mark.parametrize("kind", [object, pd.ArrowDtype(pyarrow.decimal128(30, 2))])
def test_decimals_stay_decimals_to_the_last_digit(kind):
    money = [Decimal("7000000000000000000.07"), *MONEY[1:]]
    frame = pd.DataFrame({"age": AGE, "pay": pd.Series(money, dtype=kind)})
    kept = explained(frame.iloc[1:], frame.head(12), pay=Rule(frozen=True))
    assert kept.counterfactual.pay.dtype == kind
    assert kept.counterfactual.pay.tolist() == money[:12]
    moved = explained(frame.iloc[1:], age=Rule(frozen=True))
    assert moved.counterfactual.pay.dtype == kind
    assert all(isinstance(one, Decimal) for one in moved.counterfactual.pay)
    assert moved.changed[:, 1].any()


def test_floats_of_more_digits_keep_them():
    frame = pd.DataFrame({"age": AGE, "pay": PAY.astype(np.longdouble) / 3})
    kept = explained(frame, pay=Rule(frozen=True)).counterfactual
    assert kept.pay.dtype == np.longdouble
    assert (kept.pay.to_numpy() == frame.pay.head(12).to_numpy()).all()


def test_objects_keep_their_types_where_nothing_changes():
    frame = pd.DataFrame({"age": AGE, "pay": pd.Series([1, 2.5, np.float32(3)] * 40, dtype=object)})
    kept = explained(frame, pay=Rule(frozen=True)).counterfactual
    assert [type(one) for one in kept.pay] == [int, float, np.float32] * 4


def test_a_bad_cell_leaves_the_types_of_its_neighbours():
    frame = pd.DataFrame({"age": AGE, "pay": AGE[::-1]})
    rows = frame.head(3).astype(object)
    rows.iloc[0, 1] = "oops"
    answered = explained(frame, rows)
    assert answered.status.tolist()[0] == Status.INVALID_INPUT
    assert {type(one) for one in answered.counterfactual.pay[1:]} == {int}


def test_text_that_is_no_number_as_programs_write_it_is_none():
    frame = pd.DataFrame({"age": AGE, "pay": pd.Series(PAY, dtype=object)})
    rows = frame.head(3).copy()
    rows.iloc[0, 1], rows.iloc[1, 1] = "12", "1_8"
    answered = explained(frame, rows)
    assert answered.original.pay.tolist()[0] == 12
    assert answered.status.tolist()[1] == Status.INVALID_INPUT
