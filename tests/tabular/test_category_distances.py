"""ABDM and MVDM against cases computed by hand, and the line that comes of them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcf.tabular import (
    Categorical,
    CategoryValues,
    Numeric,
    Ordinal,
    Schema,
    abdm_distances,
    fit_category_values,
    mvdm_distances,
)
from jaxcf.tabular.category_distances import column_codes, embed_distances

JOBS = Categorical("job", tuple("abcde"))
PAY = Numeric("pay", 0, 10)


def _random_rows(rows=400, seed=0, jobs=5):
    random = np.random.default_rng(seed)
    job = random.integers(0, jobs, rows)
    pay = np.clip(2 * job + random.normal(size=rows), 0, 10)
    return np.stack([job, pay], axis=1).astype(float)


def test_abdm_by_hand():
    # x stands beside a in 3 of 4 rows and beside b in 1 of 4: twice 0.5 * log 3
    codes = np.array([[0, 0], [0, 0], [0, 0], [0, 1], [1, 0], [1, 1], [1, 1], [1, 1]])
    expected = [[0, math.log(3)], [math.log(3), 0]]
    np.testing.assert_allclose(abdm_distances(codes, 0, 2), expected, rtol=1e-9)


def test_abdm_of_categories_that_share_nothing_is_finite_by_its_epsilon():
    codes = np.array([[0, 0], [1, 1]])
    distance = abdm_distances(codes, 0, 2)[0, 1]
    assert distance == pytest.approx(2 * math.log((1 + 1e-12) / 1e-12))


def test_abdm_adds_up_over_the_other_columns():
    codes = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1], [2, 0, 0]])
    both = abdm_distances(codes, 0, 3)
    each = [abdm_distances(codes[:, [0, other]], 0, 3) for other in (1, 2)]
    np.testing.assert_allclose(both, each[0] + each[1], atol=1e-12)


def test_abdm_is_the_sum_it_is_written_as():
    random = np.random.default_rng(0)
    codes = np.stack([random.integers(0, 4, 200), random.integers(0, 3, 200)], axis=1)
    share = np.array(
        [[np.mean(codes[codes[:, 0] == i, 1] == t) for t in range(3)] for i in range(4)]
    )
    expected = np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            for t in range(3):
                ratio = (share[i, t] + 1e-12) / (share[j, t] + 1e-12)
                expected[i, j] += (share[i, t] - share[j, t]) * math.log(ratio)
    np.testing.assert_allclose(abdm_distances(codes, 0, 4), expected, atol=1e-12)


def test_mvdm_by_hand():
    codes = np.array([0, 0, 1, 1, 2])
    classes = np.array([0, 0, 0, 1, 2])  # shares (1, 0, 0), (1/2, 1/2, 0), (0, 0, 1)
    expected = np.array([[0, 1, 2], [1, 0, 2], [2, 2, 0]])
    np.testing.assert_allclose(mvdm_distances(codes, classes, 3), expected)
    squared = mvdm_distances(codes, classes, 3, alpha=2.0)
    np.testing.assert_allclose(squared, [[0, 0.5, 2], [0.5, 0, 1.5], [2, 1.5, 0]])


def test_numbers_are_cut_at_their_quantiles():
    schema = Schema((PAY, Ordinal("size", ("s", "m"))))
    values = np.array([[0.0, 1], [1.0, 0], [2.0, 0], [3.0, 1], [4.0, 1]])
    codes = column_codes(schema, values, (50,))
    assert codes.tolist() == [[0, 1], [0, 0], [0, 0], [1, 1], [1, 1]]


@settings(max_examples=15)
@given(st.lists(st.floats(0, 10), min_size=3, max_size=8, unique=True))
def test_points_on_a_line_come_back_in_order(points):
    line = np.array(points)
    distances = np.abs(line[:, None] - line)
    if np.diff(np.sort(line)).min() < 0.05 * np.ptp(line):
        return
    embedded = embed_distances(distances)
    order = np.argsort(embedded).tolist()
    expected = np.argsort(line).tolist()
    assert order in (expected, expected[::-1])


def test_the_learnt_order_is_the_one_in_the_data():
    values = _random_rows()
    fitted = fit_category_values(Schema((JOBS, PAY)), values)
    order = "".join(str(name) for name, _ in fitted.order("job"))
    assert order in ("abcde", "edcba")
    numbers = [number for _, number in fitted.order("job")]
    assert numbers[0] == 0.0
    assert numbers[-1] == 1.0
    assert fitted == fit_category_values(Schema((JOBS, PAY)), values)
    assert hash(fitted) == hash(fit_category_values(Schema((JOBS, PAY)), values))


@pytest.mark.parametrize("method", ["abdm", "mvdm", "abdm-mvdm", "index"])
@pytest.mark.parametrize("smooth", [1.0, 0.5, 2.0])
def test_every_method_gives_distinct_numbers_that_span_the_range(method, smooth):
    values = _random_rows()
    before = values.copy()
    classes = (values[:, 1] > 4).astype(int)
    fitted = fit_category_values(Schema((JOBS, PAY)), values, classes, method, smooth=smooth)
    numbers = np.array(fitted.of("job"), np.float32)
    assert (numbers.min(), numbers.max()) == (0, 1)
    assert np.diff(np.sort(numbers)).min() > 1e-4
    np.testing.assert_array_equal(values, before)


def test_the_mean_of_both_methods_moves_with_its_weight():
    values = _random_rows()
    classes = np.random.default_rng(1).integers(0, 3, len(values))
    schema = Schema((JOBS, PAY))

    def fit(method, weight=0.5):
        return fit_category_values(schema, values, classes, method, weight).of("job")

    np.testing.assert_allclose(fit("abdm-mvdm", 1.0), fit("abdm"), atol=0.02)
    turned = np.abs(np.array(fit("abdm-mvdm", 0.0)) - fit("mvdm"))
    turned_round = np.abs(1 - np.array(fit("abdm-mvdm", 0.0)) - fit("mvdm"))
    assert min(turned.max(), turned_round.max()) < 0.02


def test_categories_alike_are_set_apart_in_the_order_of_the_schema():
    job = [0, 0, 1, 1, 2, 2, 3, 3]
    pay = [1, 9, 1, 9, 1, 9, 9, 9]  # a, b and c are the same to the other column
    values = np.array([job, pay], float).T
    schema = Schema((Categorical("job", tuple("abcd")), PAY))
    numbers = np.array(fit_category_values(schema, values, quantiles=(40,)).of("job"))
    gaps = np.diff(numbers[:3])
    assert (gaps > 0).all() or (gaps < 0).all() or numbers[3] in (0.0, 1.0)
    assert np.abs(gaps).max() < 0.01
    assert len(np.unique(numbers.astype(np.float32))) == 4


def test_columns_that_say_nothing_space_categories_equally():
    values = np.array([[job, 5.0] for job in range(5)])
    fitted = fit_category_values(Schema((JOBS, PAY)), values)
    np.testing.assert_allclose(fitted.of("job"), [0, 0.25, 0.5, 0.75, 1])


def test_a_category_without_rows_comes_after_the_others():
    values = _random_rows(jobs=4)
    fitted = fit_category_values(Schema((JOBS, PAY)), values)
    assert fitted.order("job")[-1] == ("e", 1.0)
    without = Schema((Categorical("job", tuple("abcd")), PAY))
    others = [name for name, _ in fit_category_values(without, values).order("job")]
    assert [name for name, _ in fitted.order("job")][:-1] == others
    # one category of three has rows: nothing to embed
    alone = Schema((Categorical("job", tuple("abc")), PAY))
    assert len(set(fit_category_values(alone, values[values[:, 0] == 0]).of("job"))) == 3


def test_one_category_is_zero_and_two_are_zero_and_one():
    schema = Schema((Categorical("one", ("x",)), Categorical("two", ("x", "y"))))
    fitted = fit_category_values(schema, np.array([[0.0, 0], [0, 1]]))
    assert fitted.numbers == ((0.0,), (0.0, 1.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "mvdm"}, "none were given; pass classes"),
        ({"method": "magic"}, "method='magic' is unknown; expected one of abdm, mvdm"),
        ({"weight": 2.0}, r"weight=2.0 is outside \[0, 1\]"),
        ({"smooth": 0.0}, "smooth=0.0; expected a positive exponent"),
        ({"quantiles": (25, 250)}, r"quantiles are \(25, 250\); expected percentages"),
        (
            {"method": "mvdm", "classes": np.zeros(3, int)},
            "expected one integer from 0 up for each",
        ),
        ({"method": "mvdm", "classes": np.zeros(400)}, "dtype float64; expected one integer"),
        ({"method": "mvdm", "classes": np.zeros(400, int), "alpha": 0.0}, "alpha is 0.0"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("without_type_checks")
def test_wrong_arguments_say_what_was_expected(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_category_values(Schema((JOBS, PAY)), _random_rows(), **arguments)


def test_incomplete_and_absent_rows_are_turned_away():
    values = _random_rows()
    values[7, 1] = np.nan
    with pytest.raises(ValueError, match=r"1 rows hold missing .* the first is row 7"):
        fit_category_values(Schema((JOBS, PAY)), values)
    with pytest.raises(ValueError, match="no rows to learn from"):
        fit_category_values(Schema((JOBS,)), np.empty((0, 1)))


def test_numbers_given_by_hand_are_checked():
    with pytest.raises(ValueError, match=r"expected numbers in \[0, 1\] that lie 1e-06 or"):
        CategoryValues(("job",), (("a", "b"),), ((0.5, 0.5 + 1e-8),))
    with pytest.raises(ValueError, match=r"expected numbers in \[0, 1\]"):
        CategoryValues(("job",), (("a", "b"),), ((0.5, 1.5),))
    with pytest.raises(ValueError, match="2 categories and 1 numbers"):
        CategoryValues(("job",), (("a", "b"),), ((0.5,),))
    with pytest.raises(ValueError, match="1 names, 0 lists of categories"):
        CategoryValues(("job",), (), ())
    with pytest.raises(ValueError, match="no categorical column 'town'; there are 'job'"):
        CategoryValues(("job",), (("a",),), ((0.5,),)).order("town")
