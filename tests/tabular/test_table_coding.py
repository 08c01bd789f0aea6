"""The search space of a table: there and back, and what the model and its gradient see."""

import jax
import jax.numpy as jnp
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
    TableCoding,
    fit_category_values,
)
from jaxcf.tabular.columns import Scaling

AGE = Numeric("age", 17, 90, 1.0, mean=40.0, deviation=12.0)
PAY = Numeric("pay", -2.5, 1000.25, mean=300.0, deviation=100.0)
PRICE = Numeric("price", 0.1, 2.3, 0.1, mean=1.0, deviation=0.5)
SIZE = Ordinal("size", ("small", "medium", "large", "huge"))
SHARE = Ordinal("share", ("none", "half", "all"), encoding="unit")
JOB = Categorical("job", ("clerk", "sailor", "pilot", "cook"))
TOWN = Categorical("town", ("york", "hull", "leeds"), encoding="label")
SEX = Categorical("sex", ("f", "m", "x"), encoding="drop-first")
ONLY = Categorical("only", ("one",))
FIXED = Numeric("fixed", 5, 5, mean=5.0, deviation=0.0)
COLUMNS = (AGE, JOB, PAY, TOWN, SIZE, SEX, PRICE, SHARE, ONLY, FIXED)
NUMBERS = CategoryValues(
    ("job", "town", "sex", "only"),
    (JOB.categories, TOWN.categories, SEX.categories, ONLY.categories),
    ((0.5, 0.0, 1.0, 0.8), (1.0, 0.0, 0.25), (0.0, 1.0, 0.4), (0.0,)),
)


def _coding(scaling: Scaling = "unit", layout=None):
    return TableCoding(Schema(COLUMNS, scaling, layout), NUMBERS)


def _random_values(rows, seed=0):
    random = np.random.default_rng(seed)
    columns = []
    for column in COLUMNS:
        if isinstance(column, Numeric):
            drawn = random.uniform(column.lower, column.upper, rows)
            columns.append(column.on_grid(drawn))
        else:
            columns.append(random.integers(0, len(column.categories), rows).astype(float))
    return np.stack(columns, axis=1)


def _one_column(column, numbers=None):
    names = () if numbers is None else (column.name,)
    fitted = CategoryValues(
        names,
        () if numbers is None else (column.categories,),
        () if numbers is None else (numbers,),
    )
    return TableCoding(Schema((column,)), fitted)


def _shuffled_layout():
    places = np.random.default_rng(1).permutation(Schema(COLUMNS).width).tolist()
    layout = []
    for taken in Schema(COLUMNS).positions:
        layout.append(tuple(places[place] for place in taken))
    return tuple(layout)


@pytest.mark.parametrize("scaling", ["unit", "standard", "original"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_on_the_grid_the_model_gets_exactly_what_the_schema_encodes(scaling, shuffled):
    coding = _coding(scaling, _shuffled_layout() if shuffled else None)
    values = _random_values(200)
    given = np.asarray(jax.jit(coding.model_input)(coding.coordinates(values)))
    expected = coding.schema.encode(values)
    np.testing.assert_allclose(given, expected, rtol=1e-6, atol=1e-4)
    blocks = [place for i in (1, 5, 8) for place in coding.schema.positions[i]]
    codes = [coding.schema.positions[i][0] for i in (3, 4)]
    np.testing.assert_array_equal(given[:, blocks + codes], expected[:, blocks + codes])


def test_there_and_back_is_exact():
    coding = _coding()
    values = _random_values(300)
    coordinates = coding.coordinates(values)
    again = coding.values(coordinates, values, coordinates)
    np.testing.assert_array_equal(again.view(np.int64), values.view(np.int64))
    elsewhere = np.roll(values, 1, axis=0)
    found = coding.values(coordinates, elsewhere, coding.coordinates(elsewhere))
    np.testing.assert_allclose(found, values, atol=1e-4)
    gridded = [0, 1, 3, 4, 5, 7, 8]
    np.testing.assert_array_equal(found[:, gridded], values[:, gridded])


@settings(max_examples=50)
@given(st.lists(st.floats(-0.5, 1.5, width=32), min_size=10, max_size=10))
def test_anywhere_the_model_sees_the_values_that_are_reported(point):
    coding = _coding()
    z = np.array([point], np.float32)
    z[:, 8:] = 0
    inside = _random_values(1)
    values = coding.values(z, inside, np.full_like(z, 9))
    model_input = np.asarray(coding.model_input(z))
    reported = coding.schema.encode(values)
    smooth = [place for i in (0, 2, 6) for place in coding.schema.positions[i]]
    sharp = sorted(set(range(coding.schema.width)) - set(smooth))
    np.testing.assert_allclose(model_input[:, sharp], reported[:, sharp], atol=1e-7)
    # numbers are continuous in the search, and lie within half a step of what is reported
    np.testing.assert_allclose(model_input[:, smooth], reported[:, smooth], atol=0.05)


def test_the_gradient_says_which_category_helps():
    coding = _one_column(JOB, (0.5, 0.0, 1.0, 0.8))  # in order: sailor, clerk, cook, pilot
    slopes = jax.jacobian(lambda z: coding.model_input(z[None])[0])
    between = slopes(jnp.array([0.6]))[:, 0]  # clerk to cook, 0.3 apart
    np.testing.assert_allclose(between, [-1 / 0.3, 0, 0, 1 / 0.3], rtol=1e-5)
    on_clerk = slopes(jnp.array([0.5]))[:, 0]
    np.testing.assert_allclose(on_clerk, [(2 - 1 / 0.3) / 2, -1, 0, 1 / 0.6], rtol=1e-5)
    for at_end in (0.0, -0.3):
        np.testing.assert_allclose(slopes(jnp.array([at_end]))[:, 0], [2, -2, 0, 0], rtol=1e-5)
    for at_end in (1.0, 1.2):
        np.testing.assert_allclose(slopes(jnp.array([at_end]))[:, 0], [0, 0, 5, -5], rtol=1e-5)


def test_the_gradient_of_a_code_is_its_slope_between_neighbours():
    coding = _one_column(TOWN, (1.0, 0.0, 0.25))  # in order: hull 1, leeds 2, york 0
    slope = jax.grad(lambda z: coding.model_input(z[None])[0, 0])
    np.testing.assert_allclose(slope(jnp.array([0.1])), [4.0], rtol=1e-6)
    np.testing.assert_allclose(slope(jnp.array([0.7])), [-2 / 0.75], rtol=1e-6)
    np.testing.assert_allclose(slope(jnp.array([0.25])), [(4 - 2 / 0.75) / 2], rtol=1e-6)
    np.testing.assert_allclose(slope(jnp.array([0.0])), [4.0], rtol=1e-6)


def test_the_gradient_is_that_of_linear_interpolation():
    """Against finite differences of numpy's interpolation, strictly between the categories."""
    coding = _coding("original")
    z = np.random.default_rng(3).uniform(0.02, 0.98, (40, 10)).astype(np.float32)
    z[:, 8:] = 0
    weights = np.random.default_rng(4).normal(size=coding.schema.width)

    def interpolated(point):
        row = np.zeros(coding.schema.width)
        for place, (column, at) in enumerate(zip(COLUMNS, coding.schema.positions, strict=True)):
            if isinstance(column, Numeric):
                row[at[0]] = column.lower + point[place] * column.scale
                continue
            levels = coding.levels[place][: len(column.categories)].astype(float)
            order = np.argsort(levels)
            tables = np.eye(len(levels)) if len(at) > 1 else np.array(column.codes)[:, None]
            # a block may lack an entry for the first category
            for entry, values in zip(at, tables.T[tables.shape[1] - len(at) :], strict=True):
                row[entry] = np.interp(point[place], levels[order], values[order])
        return row @ weights

    along = jax.grad(lambda p: coding.model_input(p) @ jnp.asarray(weights))
    gradient = jax.jit(jax.vmap(along))(z)
    step = 1e-6
    for row in range(len(z)):
        point = z[row].astype(float)
        for place in range(8):
            up, down = point.copy(), point.copy()
            up[place] += step
            down[place] -= step
            expected = (interpolated(up) - interpolated(down)) / (2 * step)
            np.testing.assert_allclose(gradient[row, place], expected, rtol=1e-3, atol=1e-3)


def test_forward_and_reverse_derivatives_agree_under_jit_and_vmap():
    coding = _coding()
    z = jnp.asarray(np.random.default_rng(5).uniform(0, 1, (6, 10)), jnp.float32)
    forward = jax.jit(jax.vmap(jax.jacfwd(coding.model_input)))(z)
    reverse = jax.jit(jax.vmap(jax.jacrev(coding.model_input)))(z)
    np.testing.assert_allclose(forward, reverse, rtol=1e-6)
    of_one = jax.jit(coding.model_input)
    one_by_one = np.stack([of_one(row) for row in z])
    np.testing.assert_allclose(coding.model_input(z), one_by_one, rtol=1e-6)


def test_levels_and_steps_describe_the_grid():
    coding = _coding()
    assert coding.levels.shape == (10, 4)
    assert coding.levels.dtype == coding.steps.dtype == np.float32
    assert np.isinf(coding.levels[[0, 2, 6, 9]]).all()
    np.testing.assert_allclose(coding.levels[4], [0, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(coding.levels[3], [1, 0, 0.25, np.inf])
    np.testing.assert_allclose(coding.steps, [1 / 73, 0, 0, 0, 0, 0, 0.1 / 2.2, 0, 0, 0], rtol=1e-6)
    assert coding.constant.tolist() == [False] * 8 + [True, True]


def test_a_number_off_its_grid_or_out_of_range_is_kept_until_it_changes():
    coding = _one_column(AGE)
    values = np.array([[40.5], [120.0]])
    z = coding.coordinates(values)
    assert z[1, 0] > 1
    np.testing.assert_array_equal(coding.values(z, values, z), values)
    moved = z + np.float32(2 / 73)
    np.testing.assert_array_equal(coding.values(moved, values, z), [[42.0], [122.0]])


def test_limits_hold_for_what_has_changed_and_stay_on_the_grid():
    coding = _one_column(AGE)
    values = np.full((3, 1), 50.0)
    start = coding.coordinates(values)
    ends = np.array([[0.0], [1.0], start[0]], np.float32)
    found = coding.values(ends, values, start, np.array([30.5]), np.array([40.5]))
    np.testing.assert_array_equal(found, [[31.0], [40.0], [50.0]])
    per_row = coding.values(ends, values, start, np.array([[20.0], [0.0], [0.0]]), np.array([90.0]))
    np.testing.assert_array_equal(per_row, [[20.0], [90.0], [50.0]])
    # nothing of the grid lies between: each stays what it is
    narrow = coding.values(ends, values, start, np.array([30.2]), np.array([30.6]))
    np.testing.assert_array_equal(narrow, values)
    ordinal = TableCoding(Schema((SIZE,)), CategoryValues((), (), ()))
    ends = np.array([[0.0], [0.9]], np.float32)
    start = np.full_like(ends, 0.5)
    found = ordinal.values(ends, np.ones((2, 1)), start, np.array([1.0]), np.array([2.0]))
    np.testing.assert_array_equal(found, [[1.0], [2.0]])


def test_one_column_of_a_row_is_what_it_is_among_all():
    counted = Numeric("months", 1, 60, 1.0, special=(-8, -9))
    schema = Schema((*COLUMNS, counted))
    coding, random = TableCoding(schema, NUMBERS), np.random.default_rng(3)
    values = np.column_stack([_random_values(300), random.choice([-9.0, -8, 1, 30, 60], 300)])
    starts = coding.coordinates(values)
    ends = np.where(
        random.random(starts.shape) < 0.1, starts, random.uniform(-1.2, 1.2, starts.shape)
    )
    ends = ends.astype(np.float32)
    lower = np.where(random.random(ends.shape) < 0.5, -np.inf, 1.0)
    upper = np.where(random.random(ends.shape) < 0.5, np.inf, 2.0)
    steps = np.where(random.random(ends.shape) < 0.5, 0.0, 0.5)
    whole = coding.values(ends, values, starts, lower, upper, steps)
    feature, line = random.integers(0, len(schema.columns), 300), np.arange(300)
    at = line, feature
    rest = (array[at] for array in (values, starts, lower, upper, steps))
    np.testing.assert_array_equal(coding.values_of(feature, ends[at], *rest), whole[at])
    np.testing.assert_array_equal(coding.coordinates_of(feature, values[at]), starts[at])


def test_a_missing_value_is_nan_in_its_own_row_only():
    coding = _coding()
    values = _random_values(3)
    values[1, 1] = np.nan
    z = coding.coordinates(values)
    assert np.isnan(z).sum() == 1
    model_input = np.asarray(coding.model_input(z))
    assert np.isnan(model_input[1]).all()
    assert np.isfinite(model_input[[0, 2]]).all()
    assert np.isnan(coding.values(z, values, z)[1, 1])


def test_no_rows_are_no_rows():
    coding = _coding()
    empty = np.empty((0, 10))
    z = coding.coordinates(empty)
    assert coding.model_input(z).shape == (0, coding.schema.width)
    assert coding.values(z, empty, z).shape == (0, 10)


def test_equal_codings_hash_alike_so_that_jit_compiles_once():
    assert _coding() == _coding()
    assert hash(_coding()) == hash(_coding())
    traces = []

    def traced(coding, z):
        traces.append(1)
        return coding.model_input(z)

    compiled = jax.jit(traced, static_argnums=0)
    for _ in range(2):
        compiled(_coding(), jnp.zeros((1, 10)))
    assert len(traces) == 1


def test_a_table_of_numbers_only_needs_no_categories():
    schema = Schema.infer({"a": [1.0, 2.0], "b": [3, 5]}, scaling="standard")
    values = schema.read({"a": [1.0, 2.0], "b": [3, 5]})
    coding = TableCoding(schema, fit_category_values(schema, values))
    z = coding.coordinates(values)
    np.testing.assert_allclose(coding.model_input(z), [[-1, -1], [1, 1]])
    assert coding.levels.shape == (2, 0)


def test_category_values_of_another_schema_are_turned_away():
    with pytest.raises(ValueError, match=r"for the columns \['job', .*expected the schema's"):
        TableCoding(Schema((JOB,)), NUMBERS)


@pytest.mark.usefixtures("without_type_checks")
def test_wrong_limits_and_shapes_say_so():
    coding = _one_column(AGE)
    values = np.array([[40.0]])
    z = coding.coordinates(values)
    with pytest.raises(ValueError, match=r"'age' has lower=5.0 above upper=4.0 in row 0"):
        coding.values(z, values, z, np.array([5.0]), np.array([4.0]))
    with pytest.raises(ValueError, match=r"lower has shape \(2,\)"):
        coding.values(z, values, z, np.array([5.0, 6.0]))
    with pytest.raises(ValueError, match=r"values have shape \(1, 2\); expected \[n, 1\]"):
        coding.coordinates(np.zeros((1, 2)))
