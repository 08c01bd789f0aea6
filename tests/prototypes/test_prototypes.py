"""Prototypes against brute-force numpy, the choice of target (eq. 2), what can't be built."""

import numpy as np
import pytest
from helpers import assert_close

from jaxcf import KDTree, KMeans, NearestMean, prototypes

RNG = np.random.default_rng(0)
CLASSES = np.repeat(np.arange(3), [12, 9, 15])
ENCODINGS = (RNG.normal(size=(36, 2, 2)) + CLASSES[:, None, None]).astype(np.float32)
QUERIES = RNG.normal(1.0, 1.0, (7, 2, 2)).astype(np.float32)
ALLOWED = RNG.random((7, 3)) < 0.6
ALLOWED[0] = [False, True, True]


def brute_force(kind, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The class's prototype for one query, in float64."""
    rows, query = rows.reshape(len(rows), -1).astype(np.float64), query.ravel().astype(np.float64)
    order = np.argsort(np.linalg.norm(rows - query, axis=1), kind="stable")
    if isinstance(kind, KDTree):
        return rows[order[kind.k - 1]]
    return rows[order[: kind.k]].mean(axis=0)


@pytest.mark.parametrize(
    "kind",
    [NearestMean(k=1), NearestMean(k=4), NearestMean(k=None), KDTree(), KDTree(k=3, leaf_size=2)],
    ids=repr,
)
def test_every_prototype_and_the_choice_of_target_are_those_of_brute_force(kind):
    fitted = prototypes.fit(kind, ENCODINGS, CLASSES, 3)
    chosen = fitted.select(QUERIES, ALLOWED)
    for row, query in enumerate(QUERIES):
        expected = [brute_force(kind, query, ENCODINGS[one == CLASSES]) for one in range(3)]
        distances = np.linalg.norm(np.stack(expected) - query.ravel(), axis=1)
        np.testing.assert_allclose(chosen.distances[row], distances, rtol=1e-5)
        if not ALLOWED[row].any():
            assert chosen.target_class[row] == -1
            np.testing.assert_array_equal(chosen.prototype[row], 0)
            continue
        nearest = np.where(ALLOWED[row], distances, np.inf).argmin()
        assert chosen.target_class[row] == nearest
        assert_close(chosen.prototype[row].ravel(), expected[nearest].astype(np.float32))
    assert chosen.prototype.shape == QUERIES.shape


def test_eq_2_leaves_the_own_class_out_only_where_it_is_not_allowed():
    encodings = np.array([[0.0], [1.0], [5.0]])
    fitted = prototypes.fit(KDTree(), encodings, np.array([0, 1, 2]), 3)
    allowed = np.array([[True, True, True], [False, True, True], [False, False, True]])
    chosen = fitted.select(np.zeros((3, 1)), allowed)
    assert chosen.target_class.tolist() == [0, 1, 2]
    assert chosen.prototype.ravel().tolist() == [0.0, 1.0, 5.0]


def test_the_first_class_wins_a_tie():
    fitted = prototypes.fit(KDTree(), np.array([[-1.0], [1.0]]), np.array([0, 1]), 2)
    assert fitted.select(np.zeros((1, 1)), np.ones((1, 2), bool)).target_class.tolist() == [0]


def test_k_means_prototypes_are_the_centres_of_well_separated_clusters():
    centres = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    rows = np.concatenate([centres + offset for offset in ([0, 0.1], [0, -0.1], [0.1, 0])])
    encodings = np.concatenate([rows, rows + 100])
    fitted = prototypes.fit(KMeans(k=3), encodings, np.repeat([0, 1], 9), 2)
    queries = np.array([[1.0, 1.0], [8.0, 1.0], [2.0, 7.0]])
    chosen = fitted.select(queries, np.tile([True, False], (3, 1)))
    np.testing.assert_allclose(chosen.prototype, centres + np.array([0.1 / 3, 0]), atol=1e-5)
    distances = np.linalg.norm(queries - chosen.prototype, axis=1)
    np.testing.assert_allclose(chosen.distances[:, 0], distances, rtol=1e-5)


def test_k_means_with_the_same_seed_gives_the_same_prototypes():
    first, second = (prototypes.fit(KMeans(k=3, seed=1), ENCODINGS, CLASSES, 3) for _ in range(2))
    everything = np.ones((7, 3), bool)
    np.testing.assert_array_equal(
        first.select(QUERIES, everything).prototype, second.select(QUERIES, everything).prototype
    )


def test_many_queries_go_through_blocks_without_a_seam():
    fitted = prototypes.fit(NearestMean(k=2), ENCODINGS, CLASSES, 3)
    many = np.tile(QUERIES, (600, 1, 1))  # 4200 rows: more than two blocks
    chosen = fitted.select(many, np.ones((4200, 3), bool))
    once = fitted.select(QUERIES, np.ones((7, 3), bool))
    np.testing.assert_array_equal(chosen.target_class, np.tile(once.target_class, 600))
    assert_close(chosen.prototype, np.tile(once.prototype, (600, 1, 1)))


def test_no_queries_give_no_prototypes():
    fitted = prototypes.fit(KDTree(), ENCODINGS, CLASSES, 3)
    chosen = fitted.select(QUERIES[:0], ALLOWED[:0])
    assert chosen.prototype.shape == (0, 2, 2)
    assert chosen.distances.shape == (0, 3)


def test_a_class_without_rows_has_no_prototype_and_is_never_chosen():
    with pytest.warns(UserWarning, match=r"no training row is of the classes \[1\]"):
        fitted = prototypes.fit(KDTree(), ENCODINGS[CLASSES != 1], CLASSES[CLASSES != 1], 3)
    assert [one is None for one in fitted.classes] == [False, True, False]
    allowed = np.tile([[False, True, True], [False, True, False]], (1, 1))
    chosen = fitted.select(QUERIES[:2], allowed)
    assert chosen.target_class.tolist() == [2, -1]
    assert np.isinf(chosen.distances[:, 1]).all()


@pytest.mark.parametrize(
    ("kind", "name"), [(NearestMean(k=10), "k"), (KDTree(k=10), "k"), (KMeans(k=10), "k")]
)
def test_more_neighbours_than_the_class_has_rows_is_an_error(kind, name):
    message = rf"{name}=10 .* only 9 training rows are of class 1, .* pass k <= 9"
    with pytest.raises(ValueError, match=message):
        prototypes.fit(kind, ENCODINGS, CLASSES, 3)


def test_as_many_neighbours_as_the_class_has_rows_are_its_mean():
    fitted = prototypes.fit(NearestMean(k=9), ENCODINGS, CLASSES, 3)
    chosen = fitted.select(QUERIES, np.tile([False, True, False], (7, 1)))
    mean = ENCODINGS[CLASSES == 1].mean(axis=0)
    assert_close(chosen.prototype, np.tile(mean, (7, 1, 1)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NearestMean(k=0), "k must be at least 1, got 0"),
        (lambda: KDTree(k=-1), "k must be at least 1, got -1"),
        (lambda: KDTree(leaf_size=0), "leaf_size must be at least 1"),
        (lambda: KMeans(k=0), "k must be at least 1"),
        (lambda: prototypes.named("kmedoids"), "unknown kind of prototype 'kmedoids'; there are n"),
        (
            lambda: prototypes.fit(KDTree(), ENCODINGS[:0], CLASSES[:0], 3),
            "prototypes are made of training rows, and there are none",
        ),
        (
            lambda: prototypes.fit(KDTree(), ENCODINGS, CLASSES[:5], 3),
            "36 encodings need as many classes, got 5",
        ),
        (
            lambda: prototypes.fit(
                KDTree(), np.where(np.arange(36)[:, None, None] == 4, np.nan, ENCODINGS), CLASSES, 3
            ),
            "1 training rows have encodings that are not finite, the first is row 4",
        ),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_what_cannot_be_built_says_why(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", prototypes.NAMED_KINDS)
def test_kinds_are_known_by_name(name):
    assert prototypes.named(name).name == name
    assert prototypes.named(name, k=2).k == 2
