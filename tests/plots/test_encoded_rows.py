"""Latent space in the plane: where points are put, and what is drawn among them."""

from typing import Any

import numpy as np
import pytest
from helpers import KINDS, conv, mlp, objective, pixels, search, texts

from jaxcf.plots import encoded_rows
from jaxcf.plots.latent import PROJECTIONS, project


def test_principal_components_keep_the_distances_of_a_plane():
    rng = np.random.default_rng(0)
    corner = np.linalg.qr(rng.normal(size=(5, 2)))[0]
    flat = rng.normal(size=(30, 2)) * [3, 1]
    plane = project(flat @ corner.T, (flat[:4] + 1) @ corner.T)
    first, second = plane.points
    expected = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    np.testing.assert_allclose(
        np.linalg.norm(first[:, None] - first[None], axis=2), expected, atol=1e-9
    )
    # The others lie where they would among the first, all moved alike.
    moved = second - first[:4]
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-9)
    shares = [int(label.split("(")[1].split(" ")[0]) for label in plane.labels]
    assert sum(shares) == 100
    assert shares[0] > shares[1]


@pytest.mark.parametrize("method", PROJECTIONS)
def test_the_same_points_are_put_in_the_same_places(method):
    rows = np.random.default_rng(0).normal(size=(20, 4))
    first, again = (project(rows, rows[:3], method=method).points for _ in range(2))
    assert [len(part) for part in first] == [20, 3]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_feature_is_a_line():
    points = project(np.arange(4.0)[:, None], np.empty((0, 1))).points
    np.testing.assert_array_equal(points[0][:, 1], 0)
    assert points[1].shape == (0, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_and_the_prototypes_that_rows_are_drawn_to_are_shown(kind):
    fitted = mlp().fit(encoder=kind != "kdtree", prototypes=KINDS[kind])
    x = mlp().x_train
    axes: Any = encoded_rows(fitted, x, class_names=["one", "two", "three"])
    assert set(texts(axes)) == {"one", "two", "three"}
    counts = [len(drawn.get_offsets()) for drawn in axes.collections]
    assert sum(counts[:3]) == len(x)
    if kind == "kmeans":
        assert sum(counts[3:]) <= 3 * KINDS[kind].k
    assert "of the variance" in axes.get_xlabel()
    assert len(np.unique(pixels(axes).reshape(-1, 3), axis=0)) > 10


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_arrows_lead_from_originals_to_counterfactuals(projection):
    options = search(record_path=True)
    fitted = mlp().fit(objective=objective("C"), search=options)
    explanations = fitted.explain(mlp().x)
    axes: Any = encoded_rows(
        fitted, mlp().x_train, explanations=explanations, projection=projection
    )
    arrows = [text for text in axes.texts if text.arrow_patch is not None]
    assert len(arrows) == explanations.found.sum() > 0
    ways = [line for line in axes.lines if line.get_color() == "black"]
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert named[:2] == ["prototype", "way to the counterfactual"]
    points = {len(line.get_xdata()) for line in ways}
    assert points == {2} if projection == "tsne" else max(points) > 2


def test_images_are_encoded_first():
    axes: Any = encoded_rows(conv().fit(), conv().x_train)
    assert sum(len(drawn.get_offsets()) for drawn in axes.collections[:3]) == len(conv().x_train)


def test_what_cannot_be_laid_out_is_named():
    fitted, x = mlp().fit(), mlp().x_train[:8].copy()
    with pytest.raises(ValueError, match="unknown projection 'umap'; there are pca, tsne"):
        encoded_rows(fitted, x, projection="umap")
    with pytest.raises(ValueError, match="two encodings at least, got 1"):
        encoded_rows(fitted, x[:1])
    with pytest.raises(ValueError, match="no row to draw"):
        encoded_rows(fitted, x[:0])
    with pytest.raises(ValueError, match="expected \\[n, 5\\]"):
        encoded_rows(fitted, x[:, :3])
    with pytest.raises(ValueError, match="got 2 names for 3 classes"):
        encoded_rows(fitted, x, class_names=["a", "b"])
    of_images = conv().fit().explain(conv().x[:1])
    with pytest.raises(ValueError, match=r"of rows of shape \(8, 8, 1\), but the explainer is of"):
        encoded_rows(fitted, x, explanations=of_images)
    x[3, 0] = np.nan
    with pytest.raises(ValueError, match=r"1 of 8 rows hold NaN or infinite values, .* row 3"):
        encoded_rows(fitted, x)
