import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxcf.data import Dataset, from_arrays

IMAGES = np.zeros((4, 3, 3, 1), dtype=np.float32)
TABLE = np.array([[0.0, 10.0], [1.0, 20.0], [0.5, 30.0], [0.2, 15.0]])
LABELS = np.array([0, 1, 0, 1])


def build(
    x_train: Any = TABLE,
    y_train: Any = LABELS,
    x_test: Any = None,
    y_test: Any = LABELS,
    **options: Any,
) -> Dataset:
    x_test = x_train if x_test is None else x_test
    return from_arrays(x_train, y_train, x_test, y_test, **{"name": "toy", **options})


def test_uint8_images_are_divided_by_255():
    pixels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
    images = build(pixels)
    assert images.kind == "image"
    assert images.shape == (8, 8, 1)
    assert images.x_train.dtype == np.float32
    np.testing.assert_array_equal(images.x_train, (pixels / 255).astype(np.float32))
    np.testing.assert_array_equal(np.rint(images.x_train * 255), pixels)
    assert images.feature_names is None
    assert images.offset is None
    assert images.scale is None


def test_jax_arrays_and_lists_are_taken():
    table = build(jnp.asarray(TABLE), jnp.asarray(LABELS), y_test=LABELS.tolist())
    assert isinstance(table.x_train, np.ndarray)
    assert table.y_train.dtype == table.y_test.dtype == np.int32


def test_the_range_comes_from_the_training_rows_only():
    table = build(TABLE, x_test=TABLE * 2)
    assert table.x_train.min() == 0
    assert table.x_train.max() == 1
    assert table.x_test.max() > 1
    assert table.offset is not None
    assert table.scale is not None
    np.testing.assert_allclose(table.offset, [0, 10])
    np.testing.assert_allclose(table.scale, [1, 20])


def test_a_constant_column_becomes_zero_with_scale_one():
    table = build(np.array([[7.0, 1.0], [7.0, 2.0], [7.0, 3.0], [7.0, 4.0]]))
    assert table.scale is not None
    assert table.scale[0] == 1
    np.testing.assert_array_equal(table.x_train[:, 0], 0)
    np.testing.assert_array_equal(table.to_original(table.x_train)[:, 0], 7)


@given(
    hnp.arrays(np.float64, (5, 3), elements=st.floats(-1e6, 1e6, allow_subnormal=False, width=32))
)
def test_scaling_and_back_returns_the_original(values):
    table = build(values, np.zeros(5, int), y_test=np.zeros(5, int))
    assert table.x_train.min() >= 0
    assert table.x_train.max() <= 1
    magnitude = np.abs(values).max(axis=0) + 1e-30
    difference = np.abs(table.to_original(table.x_train) - values) / magnitude
    assert difference.max() <= 1e-6


def test_scaled_values_are_taken_as_they_are():
    scaled = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]], dtype=np.float32)
    table = build(scaled, offset=0.0, scale=1.0)
    np.testing.assert_array_equal(table.x_train, scaled)
    np.testing.assert_array_equal(table.to_original(scaled), scaled)
    assert table.offset is not None
    assert table.offset.shape == (2,)


def test_units_work_on_jax_arrays():
    table = build()
    assert isinstance(table.to_original(jnp.asarray(table.x_train)), jnp.ndarray)


@pytest.mark.parametrize("x", [np.zeros((4, 3)), np.zeros(()), np.zeros((2, 1))])
def test_units_need_every_column(x):
    with pytest.raises(ValueError, match="expected 2 values on the last axis"):
        build().to_original(x)


def test_units_of_one_row_and_of_stacks_of_rows():
    table = build()
    whole = table.to_original(table.x_train)
    np.testing.assert_array_equal(table.to_original(table.x_train[0]), whole[0])
    np.testing.assert_array_equal(table.to_original(table.x_train.reshape(2, 2, 2))[1, 1], whole[3])


def test_default_and_given_names():
    assert build().class_names == ("0", "1")
    assert build().feature_names == ("feature_0", "feature_1")
    named = build(class_names=["no", "yes", "never seen"], feature_names=["a", "b"])
    assert named.num_classes == 3
    assert named.feature_names == ("a", "b")


def test_first_keeps_the_first_rows():
    table = build().first(train=3, test=99)
    assert table.x_train.shape == (3, 2)
    assert table.y_train.shape == (3,)
    assert len(table.x_test) == 4
    with pytest.raises(ValueError, match="train must be at least 1, got 0"):
        build().first(train=0)


def test_the_data_set_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        build().name = "other"  # pyright: ignore[reportAttributeAccessIssue]


def test_images_have_no_units():
    with pytest.raises(ValueError, match="holds images, which have no per-column units"):
        build(IMAGES).to_original(IMAGES)


NOT_FINITE = TABLE.copy()
NOT_FINITE[2, 1] = np.nan
INFINITE_IMAGES = IMAGES.copy()
INFINITE_IMAGES[1] = np.inf


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"name": ""}, ValueError, "expected a non-empty string"),
        ({"x_train": np.array([["a"]])}, TypeError, "x_train has dtype <U1; expected numbers"),
        ({"x_train": np.zeros((4, 3, 3))}, ValueError, r"Add the channel axis with x\[..., None\]"),
        ({"x_train": np.zeros(4)}, ValueError, r"x_train has shape \(4,\); expected images"),
        ({"x_train": np.zeros((0, 2))}, ValueError, "holds nothing"),
        ({"x_test": np.zeros((4, 3))}, ValueError, r"shape \(2,\) and x_test of shape \(3,\)"),
        ({"y_train": LABELS[:3]}, ValueError, r"y_train has shape \(3,\).*\(4,\)"),
        ({"y_test": LABELS[:, None]}, ValueError, r"y_test has shape \(4, 1\)"),
        ({"y_train": LABELS * 1.0}, TypeError, "y_train has dtype float64; expected integer"),
        ({"y_train": np.array(["a"] * 4)}, TypeError, "np.unique"),
        ({"y_train": LABELS - 1}, ValueError, "holds the label -1"),
        ({"class_names": ["only"]}, ValueError, "go up to 1 and class_names holds 1 names"),
        ({"class_names": ["a", "a"]}, ValueError, "class_names repeats a"),
        ({"class_names": "ab"}, TypeError, "class_names is one string"),
        ({"feature_names": ["a"]}, ValueError, "expected one per column, 2"),
        ({"x_train": NOT_FINITE}, ValueError, "1 values that are not finite.*row 2.*'feature_1'"),
        ({"x_test": NOT_FINITE}, ValueError, "x_test holds 1 values"),
        ({"x_train": INFINITE_IMAGES}, ValueError, "9 values that are not finite"),
        (
            {"x_train": IMAGES + 2},
            ValueError,
            r"from 2 to 2; expected uint8.*or floats",
        ),
        ({"x_train": IMAGES.astype(int) - 1}, ValueError, "holds int64 values from -1 to -1"),
        ({"x_train": IMAGES, "offset": 0.0}, ValueError, "offset was given with images"),
        ({"x_train": IMAGES, "feature_names": ["a"]}, ValueError, "applies to tables only"),
        ({"offset": 0.0}, ValueError, "offset and scale go together"),
        ({"offset": 0.0, "scale": 0.0}, ValueError, "expected scale > 0"),
        ({"offset": [0.0] * 3, "scale": 1.0}, ValueError, r"offset has shape \(3,\)"),
        ({"offset": np.nan, "scale": 1.0}, ValueError, "offset holds a value that is not finite"),
        ({"offset": 0.0, "scale": 1.0}, ValueError, "'feature_1' runs from 10 to 30"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_wrong_arrays(options, error, message):
    with pytest.raises(error, match=message):
        build(**options)
