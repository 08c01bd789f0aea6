import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcf.data import stratified_split
from jaxcf.data.splitting import halves


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 10**6),
)
def test_split_is_a_partition_that_keeps_shares(labels, fraction, seed):
    labels = np.array(labels)
    train, test = stratified_split(labels, test_fraction=fraction, seed=seed)
    assert sorted([*train, *test]) == list(range(len(labels)))
    for label in np.unique(labels):
        count = (labels == label).sum()
        in_test = (labels[test] == label).sum()
        if count == 1:
            assert in_test == 0
        else:
            assert 1 <= in_test <= count - 1
            assert abs(in_test - fraction * count) <= 1


def test_same_seed_same_split_and_other_seed_other_split():
    labels = np.repeat(np.arange(4), 25)
    first = stratified_split(labels, seed=3)
    again = stratified_split(labels, seed=3)
    other = stratified_split(labels, seed=4)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


def test_split_is_the_one_it_has_always_been():
    train, test = stratified_split(np.repeat(np.arange(3), 40), seed=2019)
    digest = hashlib.sha256(np.concatenate([train, test]).astype("<i8").tobytes()).hexdigest()
    assert digest[:16] == "975915a2ed06a278"


def test_split_leaves_the_global_random_state_alone():
    before = repr(np.random.get_state())  # noqa: NPY002
    stratified_split(np.arange(10) % 2)
    assert repr(np.random.get_state()) == before  # noqa: NPY002


def test_text_labels_are_split_too():
    train, test = stratified_split(np.array(["a", "b"] * 8))
    assert (len(train), len(test)) == (12, 4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"test_fraction": 0.0}, ValueError, "strictly between 0 and 1"),
        ({"test_fraction": 1.0}, ValueError, "strictly between 0 and 1"),
        ({"test_fraction": float("nan")}, ValueError, "strictly between 0 and 1"),
        ({"test_fraction": "a quarter"}, TypeError, "must be a number, got str"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"seed": 1.5}, TypeError, "seed must be an integer, got float"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        stratified_split(np.arange(10) % 2, **options)


@pytest.mark.usefixtures("without_type_checks")
def test_labels_must_be_one_dimensional():
    with pytest.raises(ValueError, match=r"shape \(2, 2\); expected one label per row"):
        stratified_split(np.zeros((2, 2)))


@pytest.mark.parametrize("rows", [2, 7, 100])
def test_the_halves_are_disjoint_and_everything(rows):
    first, second = halves(rows, seed=3)
    assert abs(len(first) - len(second)) <= 1
    np.testing.assert_array_equal(np.sort(np.concatenate([first, second])), np.arange(rows))
