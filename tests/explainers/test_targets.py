"""Every form in which a target may be said, and how a wrong one is answered."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcf.explainers.targets import read_targets


def test_none_allows_every_class():
    targets = read_targets(None, 2, 3)
    assert targets.allowed.all()
    assert targets.allowed.shape == (2, 3)
    assert not targets.unknown.any()


@pytest.mark.parametrize("one", [1, np.int64(1), np.uint8(1)])
def test_one_class_is_meant_for_all_rows(one):
    assert read_targets(one, 2, 3).allowed.tolist() == [[False, True, False]] * 2


@settings(max_examples=20)
@given(st.lists(st.sets(st.integers(0, 4), min_size=1), min_size=1, max_size=6))
def test_collections_and_the_mask_they_make_say_the_same(collections):
    n = len(collections)
    from_lists = read_targets([list(one) for one in collections], n, 5)
    mask = np.array([[index in one for index in range(5)] for one in collections])
    np.testing.assert_array_equal(from_lists.allowed, mask)
    from_mask = read_targets(mask, n, 5)
    np.testing.assert_array_equal(from_mask.allowed, mask)
    assert not from_lists.unknown.any()
    assert not from_mask.unknown.any()


@pytest.mark.parametrize(
    "classes", [[2, 0, 1], (2, 0, 1), np.array([2, 0, 1]), np.array([2, 0, 1], np.uint8)]
)
def test_one_class_per_row(classes):
    expected = np.eye(3, dtype=bool)[[2, 0, 1]]
    np.testing.assert_array_equal(read_targets(classes, 3, 3).allowed, expected)


def test_jax_arrays_are_read_like_numpy_arrays():
    expected = np.eye(3, dtype=bool)[[2, 0]]
    np.testing.assert_array_equal(read_targets(jnp.array([2, 0]), 2, 3).allowed, expected)
    np.testing.assert_array_equal(read_targets(jnp.asarray(expected), 2, 3).allowed, expected)
    np.testing.assert_array_equal(read_targets(jnp.array(1), 2, 3).allowed[:, 1], True)


def test_frames_are_read_like_arrays():
    mask = np.array([[False, True, True], [True, False, False]])
    frame = pd.DataFrame(mask, columns=["a", "b", "c"])
    np.testing.assert_array_equal(read_targets(frame, 2, 3).allowed, mask)
    classes = pd.Series([2, 0], index=[7, 8])
    np.testing.assert_array_equal(read_targets(classes, 2, 3).allowed, np.eye(3)[[2, 0]])


def test_the_callers_mask_is_left_alone():
    mask = np.ones((2, 3), bool)
    read_targets(mask, 2, 3).allowed[:] = False
    assert mask.all()


@pytest.mark.parametrize(
    "target",
    [
        np.array([1, 7, -1]),
        [1, 7, -1],
        [1, 2**70, -(2**70)],
        np.array([1, 2**64 - 1, 7], np.uint64),
        [[1], [7], [-1]],
        [[1], [0, 7], []],
        np.array([[False, True, False], [False] * 3, [False] * 3]),
    ],
    ids=repr,
)
def test_a_row_that_asks_for_an_unknown_class_is_marked_and_spares_the_others(target):
    targets = read_targets(target, 3, 3)
    assert targets.unknown.tolist() == [False, True, True]
    assert targets.allowed.tolist() == [[False, True, False], [False] * 3, [False] * 3]


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (3, ValueError, "target class 3 does not exist: there are classes 0 to 2"),
        (-1, ValueError, "target class -1 does not exist"),
        ([0, 1], ValueError, "target has 2 entries for 3 rows; one per row is needed"),
        (np.ones((3, 4), bool), ValueError, r"must have shape \(3, 3\), got \(3, 4\)"),
        (np.array([True, False, True]), ValueError, r"must have shape \(3, 3\), got \(3,\)"),
        ("cat", TypeError, "must be a class number, one per row, .* got str"),
        (1.0, TypeError, "must be a class number, one per row, .* got float"),
        (True, TypeError, "must be a class number, one per row, .* got bool"),
        (["cat", "dog", "cow"], TypeError, "target of row 0 must be a collection of class numbers"),
        ([[0], 1, [2]], TypeError, "target of row 1 must be a collection of class numbers"),
        ([[0], [1.5], [2]], TypeError, r"target of row 1 must hold class numbers, got \[1.5\]"),
        (np.array([0.0, 1.0, 2.0]), TypeError, "target of row 0 must be a collection"),
        # A mask as nested lists must not be read as the classes 0 and 1.
        ([[False, True, False]] * 3, TypeError, "target of row 0 .* class numbers"),
        ([True, False, True], TypeError, "class number"),
        ({0, 1, 2}, TypeError, r"got set; for the same classes in every row pass \[\[0, 1\]\]"),
        ({0: 1, 1: 2, 2: 0}, TypeError, "got dict; for the same"),
        ((one for one in [0, 1, 2]), TypeError, "got generator; for the same"),
    ],
    ids=lambda given: repr(given).split(" at 0x")[0],
)
@pytest.mark.usefixtures("without_type_checks")
def test_a_wrong_target_says_what_was_given_and_expected(target, error, message):
    with pytest.raises(error, match=message):
        read_targets(target, 3, 3)
