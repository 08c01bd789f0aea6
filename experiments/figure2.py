"""Figure 2: where in latent space do the prototypes lie, and among whose encodings?

    python -m experiments.figure2 [--data-dir DIR] [--limit N]

A prototype shall pull the counterfactual towards its class, so it had better lie among that class's
encodings. The picture shows the encodings of training images in the plane (t-SNE, which keeps
neighbours together and nothing else, so distances and empty space mean little) with two kinds of
prototype on top: on the left the nearest-mean prototypes (K = 15) that some test images are drawn
to, on the right the three k-means centroids of each class.

What the picture suggests is then counted, in the latent space itself rather than in its t-SNE: for
every prototype, how many of the 50 nearest training encodings have its class (purity), and whether
no other class has more of them. "Class" is what the classifier predicts, as for the prototypes.

- `nearest`: mean of the K encodings of a class nearest to the test image's; the prototype each test
  image is drawn to.
- `kmeans`: every centroid, each counted once; `kmeans chosen`: the one that each test image is
  drawn to.
- `kdtree`: the K-th nearest training image in pixels, encoded; for the first `--tree-rows` test
  images, since a tree is slow in 784 dimensions.

On MNIST, 10,000 test images, shipped networks (nine minutes of processor time on 2 cores; 95 %
intervals in results/mnist/figure2.csv), the mean purity:

| K | 1 | 3 | 5 | 10 | 15 | 50 |
|---|---|---|---|---|---|---|
| nearest | 0.50 | 0.52 | 0.57 | 0.64 | 0.68 | 0.82 |
| kmeans chosen | 0.98 | 0.99 | 0.98 | 0.95 | 0.93 | 0.91 |
| kmeans | 0.99 | 0.99 | 0.99 | 0.98 | 0.98 | 0.97 |
| kdtree | 0.60 | 0.72 | 0.77 | 0.83 | 0.83 | 0.90 |

The encodings of another class that are nearest to an image are those at that class's rim: of the
report's nearest-mean prototypes (K = 15) one in four lies where another class has more encodings
than its own (0.26, 95 % interval 0.25 to 0.27); of its k-means centroids (K = 3) none.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from experiments import common, explaining, latents, tables
from experiments.latents import Described, Neighbourhood
from experiments.plots import curves_with_intervals
from jaxcf import FittedExplainer, KDTree, KMeans, NearestMean, metrics, prototypes
from jaxcf.data import Dataset
from jaxcf.plots.latent import latent_space, legend_below, project
from jaxcf.plots.style import new_figure
from jaxcf.prototypes.fitted import FittedPrototypes
from jaxcf.prototypes.kinds import PrototypeKind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBERS = (1, 3, 5, 10, 15, 50)
SHOWN_K = {"nearest": 15, "kmeans": 3}
"""The prototypes in the picture: the report's settings."""


class Placed(NamedTuple):
    """Prototypes of one kind: where they are, and of which class."""

    points: np.ndarray
    classes: np.ndarray


class Rows(NamedTuple):
    """Rows in the space that a kind of prototype searches in, with the classes predicted."""

    x: np.ndarray
    classes: np.ndarray


def main(arguments: Sequence[str] | None = None) -> None:
    """Count and draw."""
    made = common.parser(__doc__)
    made.add_argument("--numbers", nargs="+", type=int, default=list(NUMBERS), metavar="K")
    made.add_argument("--shown-encodings", type=int, default=3000, metavar="N")
    made.add_argument("--shown-rows", type=int, default=100, metavar="N")
    made.add_argument("--tree-rows", type=int, default=300, metavar="N")
    options = common.read(
        made, arguments, numbers=[1, 15], shown_encodings=500, shown_rows=30, tree_rows=30
    )
    dataset = common.load_data(options)
    fitted = explaining.fit(common.load_model_set(options, dataset), dataset)
    train, test = (latents.describe(fitted, x) for x in (dataset.x_train, dataset.x_test))
    neighbourhood = Neighbourhood(train, dataset.num_classes)

    placed = dict(_prototypes(options, dataset, train, test, fitted))
    around = {key: neighbourhood.around(*one) for key, one in placed.items()}
    summary = [
        {"kind": kind, "k": k, "prototypes": len(one.purity)}
        | metrics.mean_intervals(one._asdict(), seed=options.seed)
        for (kind, k), one in around.items()
    ]
    common.write(
        options,
        "figure2",
        summary,
        instances=tables.stack(
            (
                {"kind": kind, "k": k},
                {"class": placed[kind, k].classes, **one._asdict()},
            )
            for (kind, k), one in around.items()
        ),
        figure=_figure(options, dataset, train, test, summary),
        neighbours=latents.NEIGHBOURS,
    )
    title = f"Prototypes among the {latents.NEIGHBOURS} nearest training encodings"
    tables.show(title, summary, ("kind", "k", "prototypes", "purity", "own_majority"))


def _prototypes(
    options: argparse.Namespace,
    dataset: Dataset,
    train: Described,
    test: Described,
    fitted: FittedExplainer,
) -> Iterator[tuple[tuple[str, int], Placed]]:
    """Every kind's prototypes for every K, as points of latent space."""
    latent_train, latent_test = Rows(train.encodings, train.classes), Rows(*reversed(test))
    pixels_train = Rows(dataset.x_train, train.classes)
    pixels_test = Rows(dataset.x_test[: options.tree_rows], test.classes[: options.tree_rows])
    for k in options.numbers:
        common.say(f"prototypes, K = {k}")
        yield ("nearest", k), _chosen(_fit(NearestMean(k), latent_train), latent_test)
        clusters = _fit(KMeans(k, seed=options.seed), latent_train)
        yield ("kmeans", k), _centroids(clusters, latent_train)
        yield ("kmeans chosen", k), _chosen(clusters, latent_test)
        images = _chosen(_fit(KDTree(k), pixels_train), pixels_test)
        encodings = latents.describe(fitted, images.points).encodings
        yield ("kdtree", k), Placed(encodings, images.classes)


def _fit(kind: PrototypeKind, train: Rows) -> FittedPrototypes:
    return prototypes.fit(kind, train.x, train.classes, int(train.classes.max()) + 1)


def _chosen(fitted: FittedPrototypes, test: Rows) -> Placed:
    """The prototype that each test row is drawn to: the nearest of another class (eq. 2)."""
    allowed = test.classes[:, None] != np.arange(len(fitted.classes))
    selection = fitted.select(test.x, allowed)
    return Placed(selection.prototype, selection.target_class)


def _centroids(fitted: FittedPrototypes, train: Rows) -> Placed:
    """All centroids: each is the nearest one to some row of its class."""
    points, classes = [], []
    for label, one in enumerate(fitted.classes):
        if one is not None:
            points.append(np.unique(one.query(train.x[train.classes == label]).prototype, axis=0))
            classes.append(np.full(len(points[-1]), label))
    return Placed(np.concatenate(points), np.concatenate(classes))


def _figure(
    options: argparse.Namespace,
    dataset: Dataset,
    train: Described,
    test: Described,
    summary: Sequence[Mapping[str, Any]],
) -> "Figure":
    generator = np.random.default_rng(options.seed)
    count = min(options.shown_encodings, len(train.classes))
    rows = np.sort(generator.choice(len(train.classes), count, replace=False))
    latent_train = Rows(train.encodings, train.classes)
    some = Rows(test.encodings[: options.shown_rows], test.classes[: options.shown_rows])
    marked = {
        "nearest": _chosen(_fit(NearestMean(SHOWN_K["nearest"]), latent_train), some),
        "kmeans": _centroids(
            _fit(KMeans(SHOWN_K["kmeans"], seed=options.seed), latent_train), latent_train
        ),
    }
    common.say(f"t-SNE of {count} encodings and the prototypes")
    points, *projected = project(
        train.encodings[rows],
        *(one.points for one in marked.values()),
        method="tsne",
        seed=options.seed,
    ).points

    figure = new_figure(12.5, 4.6)
    axes = figure.subplots(1, 3, width_ratios=(4.4, 4.4, 3.4))
    titles = {
        "nearest": f"nearest mean, K = {SHOWN_K['nearest']}: those of {len(some.x)} test images",
        "kmeans": f"k-means, K = {SHOWN_K['kmeans']}: all centroids",
    }
    for axis, (kind, one), where in zip(axes, marked.items(), projected, strict=False):
        by_class = {int(c): where[one.classes == c] for c in np.unique(one.classes)}
        latent_space(
            points, train.classes[rows], axis, prototypes=by_class, class_names=dataset.class_names
        )
        axis.set_title(titles[kind], fontsize=10)
        legend_below(axis)
    series = {
        kind: [row["purity"] for row in summary if row["kind"] == kind]
        for kind in dict.fromkeys(row["kind"] for row in summary)
    }
    curves_with_intervals(
        options.numbers,
        series,
        axes[2],
        x_label="K",
        y_label=f"share of its class among {latents.NEIGHBOURS} nearest",
        log_x=True,
    )
    axes[2].set_xticks(options.numbers, [str(k) for k in options.numbers])
    axes[2].minorticks_off()
    axes[2].set_title("purity of the surroundings", fontsize=10)
    return figure


if __name__ == "__main__":
    main()
