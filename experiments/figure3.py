"""Figure 3: which way does a counterfactual take, in pixels and through latent space?

    python -m experiments.figure3 [--data-dir DIR] [--limit N]

A 9 shall become a 4, and a 1 an 8 (`explain(x, target=4)`), with objective D under jaxcf's default
settings and under the report's. The search keeps every point it evaluates
(`SearchOptions(record_path=True)`). For one test image of each pair the picture shows some of
these points as images, then the prototype, decoded, each with what the classifier reads and how
surely; and beside them the whole path through latent space, seen from the side: to the right is the
direction from the original to the prototype, upwards the one at right angles to it in which the
encodings around differ most (the first principal component of the 200 of each class that are
nearest to the original's). Unlike t-SNE's, this plane has a place for new points, and no other
plane shows more of the way to the prototype.

One path proves little, so the first `--rows` test images of each pair are searched, and measured in
the latent space itself:

- `start`, `end`: distance of the original's and of the counterfactual's encoding to the prototype.
- `approach`: `1 - end / start`, the share of the way to the prototype that was covered.
- `detour`: length of the path divided by the straight distance between its ends, >= 1.

Means are over the rows where a counterfactual was found; `found` says for how many.

On MNIST, 200 images per pair, shipped networks (two minutes of processor time on 2 cores; 95 %
intervals in results/mnist/figure3.csv):

| pair | settings | found | steps | start | end | approach | detour |
|---|---|---|---|---|---|---|---|
| 9 to 4 | default | 1.000 | 7 | 3.45 | 0.75 | 0.77 | 1.41 |
| 9 to 4 | report | 0.835 | 83 | 3.43 | 0.70 | 0.79 | 1.50 |
| 1 to 8 | default | 1.000 | 15 | 4.11 | 0.58 | 0.86 | 1.99 |
| 1 to 8 | report | 0.065 | 172 | 4.40 | 0.54 | 0.88 | 1.61 |

The decision changes when four fifths of the way to the prototype are covered, on a path one and a
half times to twice as long as the straight one. Under the report's settings hardly a 1 becomes an
8. In the picture the reason can be seen: the prototype, the mean of the 15 eights nearest to a 1,
looks much like a 1 itself, and the classifier's own pull stays at c = 1; the default settings,
whose c grows, find all.
"""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments import common, explaining, latents, tables
from experiments.plots import path_overlay
from jaxcf import Explanations, FittedExplainer, metrics, presets
from jaxcf.data import Dataset
from jaxcf.plots.images import path_strip, reading
from jaxcf.plots.latent import latent_space
from jaxcf.plots.style import new_figure
from jaxcf.predictors.blackbox import Failures
from jaxcf.predictors.inference import predict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAIRS = ((9, 4), (1, 8))
"""From and to: what the report shows."""

SETTINGS = {"default": None, "report": "report"}
"""Names of the settings, and their presets."""

SHOWN_IMAGES = 7
"""Points of the path that are shown as images."""

SHOWN_ENCODINGS = 200
"""Training encodings behind a path: so many of each class, those nearest to the original's."""


class Searched(NamedTuple):
    """One pair of classes under one of the settings.

    Attributes:
        pair: the class before and the class asked for.
        settings: a key of `SETTINGS`.
        rows: `[n]`, numbers of the test images.
        explanations: of these, with their paths.
        encoded: per row its path through latent space, `[steps + 1, features]`.
        measured: one value per row, by name.
    """

    pair: tuple[int, int]
    settings: str
    rows: np.ndarray
    explanations: Explanations
    encoded: list[np.ndarray]
    measured: dict[str, np.ndarray]


def main(arguments: Sequence[str] | None = None) -> None:
    """Search, measure and draw."""
    made = common.parser(__doc__)
    made.add_argument("--rows", type=int, default=200, metavar="N", help="per pair, at most")
    made.add_argument("--objective", default="D", help="default: %(default)s")
    options = common.read(made, arguments, limit=None, rows=8)
    dataset = common.load_data(options)
    model_set = common.load_model_set(options, dataset)
    fitted = explaining.fit(model_set, dataset, **presets.named(None, options.objective))
    train, test = (latents.describe(fitted, x) for x in (dataset.x_train, dataset.x_test))
    searched = []
    for pair in PAIRS:
        # Right before: else "9 to 4" would show a 7 that the classifier takes for a 9.
        right = (test.classes == pair[0]) & (dataset.y_test == pair[0])
        rows = np.flatnonzero(right)[: options.rows]
        for name in SETTINGS:
            common.say(f"{pair[0]} to {pair[1]}, {name} settings, {len(rows)} images")
            searched.append(_search(options, fitted, dataset, rows, pair, name))
    summary = [_summary(one, options.seed) for one in searched]
    common.write(
        options,
        "figure3",
        summary,
        instances=tables.stack(
            (
                {"from": one.pair[0], "to": one.pair[1], "settings": one.settings},
                {"test_row": one.rows, **one.measured},
            )
            for one in searched
        ),
        figure=_figure(searched, fitted, train),
        search={one.settings: one.explanations.settings for one in searched},
        shown_rows={f"{a} to {b}": _shown(searched, (a, b))[1] for a, b in PAIRS},
    )
    columns = ("pair", "settings", "found", "steps", "approach", "detour")
    tables.show(f"Paths under objective {options.objective}", summary, columns)


def _search(
    options: argparse.Namespace,
    fitted: FittedExplainer,
    dataset: Dataset,
    rows: np.ndarray,
    pair: tuple[int, int],
    name: str,
) -> Searched:
    explainer = explaining.under(fitted, SETTINGS[name], options.objective, record_path=True)
    explanations = explainer.explain(dataset.x_test[rows], target=pair[1])
    encoded = _encode_paths(fitted, explanations)
    return Searched(pair, name, rows, explanations, encoded, _measure(explanations, encoded))


def _encode_paths(fitted: FittedExplainer, explanations: Explanations) -> list[np.ndarray]:
    assert explanations.path is not None  # asked for, and there are rows
    reached = explanations.steps + 1
    points = [path[:count] for path, count in zip(explanations.path, reached, strict=True)]
    encodings = latents.describe(fitted, np.concatenate(points)).encodings
    return np.split(encodings, np.cumsum(reached)[:-1])


def _measure(explanations: Explanations, encoded: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    goal = explanations.prototype.reshape(len(explanations), -1)
    first, last = (np.stack([path[end] for path in encoded]) for end in (0, -1))
    start, end = (np.linalg.norm(points - goal, axis=1) for points in (first, last))
    straight = np.linalg.norm(last - first, axis=1)
    length = [np.linalg.norm(np.diff(path, axis=0), axis=1).sum() for path in encoded]
    values = {
        "steps": explanations.steps,
        "l1": explanations.l1,
        "start": start,
        "end": end,
        "approach": 1 - end / start,
        "detour": np.asarray(length) / np.maximum(straight, 1e-12),
    }
    found = explanations.found
    return {"found": found} | {name: np.where(found, v, np.nan) for name, v in values.items()}


def _summary(searched: Searched, seed: int) -> dict[str, Any]:
    before, after = searched.pair
    head = {"pair": f"{before} to {after}", "settings": searched.settings}
    return head | {"n": len(searched.rows)} | metrics.mean_intervals(searched.measured, seed=seed)


def _shown(searched: Sequence[Searched], pair: tuple[int, int]) -> tuple[int, int]:
    """Which row is shown, by place and test row: the middle one of those found under all settings.

    By the number of updates under the report's settings, so neither the easiest nor the hardest.
    """
    both = [one for one in searched if one.pair == pair]
    found = np.all([one.explanations.found for one in both], axis=0)
    candidates = np.flatnonzero(found) if found.any() else np.arange(len(found))
    steps = both[-1].explanations.steps[candidates]
    place = int(candidates[np.argsort(steps, kind="stable")[len(steps) // 2]])
    return place, int(both[0].rows[place])


def _figure(
    searched: Sequence[Searched], fitted: FittedExplainer, train: latents.Described
) -> "Figure":
    figure = new_figure(11.5, 2.25 * len(searched))
    parts = figure.subfigures(len(searched), 1, squeeze=False)
    for part, one in zip(parts[:, 0], searched, strict=True):
        place, row = _shown(searched, one.pair)
        outcome = "found" if one.explanations.found[place] else "not found"
        part.suptitle(
            f"{one.pair[0]} to {one.pair[1]}, {one.settings} settings: test image {row}, {outcome} "
            f"after {one.explanations.steps[place]} updates",
            fontsize=10,
        )
        strip, plane = part.subplots(1, 2, width_ratios=(4.1, 1))
        _draw_strip(strip, one, place, fitted)
        _draw_path(plane, one, place, train)
    return figure


def _draw_strip(axis: "Axes", one: Searched, place: int, fitted: FittedExplainer) -> None:
    explanation = one.explanations[place]
    assert explanation.path is not None
    last = int(explanation.steps[0])
    updates = np.unique(np.linspace(0, last, SHOWN_IMAGES).round().astype(int))
    decoded = fitted.models.reconstruction(
        fitted.params,
        jnp.asarray(explanation.original),
        jnp.asarray(explanation.prototype),
    )
    images = np.concatenate([explanation.path[0, updates], np.asarray(decoded)])
    said = predict(fitted.models, fitted.params, images, Failures())
    classes = [str(label) for label in range(said.shape[1])]
    names = {0: "original", last: f"update {last}"}
    labels = [*(names.get(update, str(update)) for update in updates.tolist()), "prototype"]
    read = [reading(one, classes) for one in said]
    path_strip(images, [f"{a}\n{b}" for a, b in zip(labels, read, strict=True)], axis)


def _draw_path(axis: "Axes", one: Searched, place: int, train: latents.Described) -> None:
    path, goal = one.encoded[place], one.explanations.prototype[place].ravel()
    distance = np.linalg.norm(train.encodings - path[0], axis=1)
    near = np.concatenate(
        [
            members[np.argsort(distance[members])[:SHOWN_ENCODINGS]]
            for members in (np.flatnonzero(train.classes == label) for label in one.pair)
        ]
    )
    plane = _plane(path[0], goal, train.encodings[near])
    points = (train.encodings[near] - path[0]) @ plane
    way, end = (path - path[0]) @ plane, (goal - path[0]) @ plane
    # A name under the star, or on the way, couldn't be read.
    kept_free = np.concatenate([way, end[None]])
    latent_space(points, train.classes[near], axis, kept_free=kept_free, keep_look=False, size=4)
    path_overlay(way, axis, goal=end)
    axis.set_xlabel("towards the prototype", fontsize=8)
    axis.legend(
        fontsize=7, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, labelspacing=1.1
    )


def _plane(start: np.ndarray, goal: np.ndarray, encodings: np.ndarray) -> np.ndarray:
    """Two directions `[features, 2]`: to the goal, and the widest at right angles to it."""
    towards = (goal - start) / np.linalg.norm(goal - start)
    rest = encodings - np.outer(encodings @ towards, towards)
    _, _, components = np.linalg.svd(rest - rest.mean(axis=0), full_matrices=False)
    return np.stack([towards, components[0]], axis=1)


if __name__ == "__main__":
    main()
