"""Figure 2's quick run: prototypes of every kind, and whose encodings surround them."""

import csv
import gzip
import json

import numpy as np
import pytest

from experiments import figure2, latents
from experiments.latents import Described, Neighbourhood


@pytest.fixture(scope="module")
def written(tmp_path_factory, models_dir):
    out = tmp_path_factory.mktemp("results")
    figure2.main(["--quick", "--out", str(out), "--models-dir", str(models_dir)])
    return out / "digits"


@pytest.fixture(scope="module")
def rows(written):
    return json.loads((written / "figure2.json").read_text())["rows"]


@pytest.fixture(scope="module")
def instances(written):
    with gzip.open(written / "figure2-instances.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


def test_every_kind_has_every_number_of_neighbours_or_centroids(rows):
    kinds = ["nearest", "kmeans", "kmeans chosen", "kdtree"]
    assert [(row["kind"], row["k"]) for row in rows] == [
        (kind, k) for k in (1, 15) for kind in kinds
    ]
    counts = {(row["kind"], row["k"]): row["prototypes"] for row in rows}
    # All centroids of ten classes; elsewhere one prototype per test image.
    assert counts["kmeans", 1] == 10
    assert counts["kmeans", 15] == 150
    assert counts["nearest", 1] == counts["kmeans chosen", 15] == 60
    assert counts["kdtree", 1] == 30


def test_shares_lie_within_their_intervals_and_are_those_of_the_instances(rows, instances):
    for row in rows:
        mine = [
            line for line in instances if (line["kind"], int(line["k"])) == (row["kind"], row["k"])
        ]
        assert len(mine) == row["prototypes"]
        for name in ("purity", "own_majority"):
            values = np.array([float(line[name]) for line in mine])
            assert ((values >= 0) & (values <= 1)).all()
            assert row[name]["mean"] == pytest.approx(values.mean(), abs=1e-4)
            assert 0 <= row[name]["lower"] <= row[name]["mean"] <= row[name]["upper"] <= 1


def test_the_middle_of_a_class_is_purer_than_its_rim(rows):
    purity = {(row["kind"], row["k"]): row["purity"]["mean"] for row in rows}
    # The one nearest encoding of another class lies at the border between the two.
    assert purity["nearest", 1] < purity["nearest", 15]
    assert purity["kmeans", 1] > purity["nearest", 1]


def test_the_neighbourhood_counts_classes():
    n = 2 * latents.NEIGHBOURS
    train = Described(np.repeat([0, 1], n), np.repeat([[0.0], [10.0]], n, axis=0))
    points = np.array([[1.0], [9.0], [9.0]])
    purity, own_majority = Neighbourhood(train, 2).around(points, np.array([0, 1, 0]))
    assert purity.tolist() == [1.0, 1.0, 0.0]
    assert own_majority.tolist() == [True, True, False]


def test_the_picture_is_written(written):
    assert (written / "figure2.png").read_bytes().startswith(b"\x89PNG")
