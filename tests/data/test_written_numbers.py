"""Which text stands for a number, and which is named because it was meant as one."""

import numpy as np
import pytest

from jaxcf.data.written_numbers import read_numbers, unread_text


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1", "-2", "+3"], [1, -2, 3]),
        (["1.5", None, "2e3"], [1.5, np.nan, 2000.0]),
        (["1,200.00", "12", "1,000,000.5"], [1200.0, 12.0, 1000000.5]),
        (["1,200,300", "5"], [1200300, 5]),
        (["3,5", "1.200,5", "-7"], [3.5, 1200.5, -7.0]),
        (["0,125", "1,200"], [0.125, 1.2]),
        (["50%", "7.5 %", None], [50.0, 7.5, np.nan]),
        (["1 200,50", "2\u00a0300,00", "900,10"], [1200.5, 2300, 900.1]),
        (["1\u202f200 000", "-7"], [1200000, -7]),
        (["12 34", "5"], None),
        (["18_25", "26_35"], None),
        (["1_000", "5"], None),
        (["1e3", "-inf", "2"], [1000, -np.inf, 2]),
        (["1,200%"], None),
        (["50%", "5"], None),
        (["1,200", "3"], None),  # 1200 or 1.2
        (["1,200.5", "3,5"], None),
        (["1,2,3", "4"], None),
        (["clerk", "1"], None),
        ([None, None], None),
    ],
    ids=str,
)
def test_numbers_are_read_as_they_are_meant_or_not_at_all(texts, numbers):
    read = read_numbers(texts)
    if numbers is None:
        assert read is None
    else:
        assert read is not None
        np.testing.assert_array_equal(read, numbers)
        assert read.dtype.kind == np.array(numbers).dtype.kind


@pytest.mark.parametrize(
    "date",
    ["2020-01-05", "2020/1/5", "05.01.2020", "5/1/20", "2020-01-05T10:30:00Z", "5 Jan 2020",
     "January 5, 2020", "2020-01-05 10:30:00.123+02:00", "05-Jan-2020"],
)  # fmt: skip
def test_dates_are_named(date):
    assert f"dates, such as {date!r}" in (unread_text([date, "", "NA"]) or "")


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        (["1,200.00", "7"], "numbers as text, such as '1,200.00'"),
        (["50%", "5"], "numbers as text, such as '50%'"),
        (["1,200"], "numbers as text, such as '1,200'"),
        (["30", "?", "40"], "numbers beside '?'"),
        (["$1,200.50", "7"], "money as text, such as '$1,200.50'"),
        (["-$5", "€ 3", "USD 9.5"], "money as text, such as '-$5'"),
        (["1.200,50 €", "3 EUR"], "money as text, such as '1.200,50 €'"),
        (["$", "$$"], None),
        (["10115", "80331"], None),
        (["clerk", "?"], None),
        (["1", "2", "3+"], None),
        (["2020.5", "2021.5"], None),
        (["?", ""], None),
    ],
    ids=str,
)
def test_numbers_as_text_are_named_and_names_are_not(texts, named):
    held = unread_text(texts)
    assert held is None if named is None else named in (held or "")
