"""Pictures of the documentation: what a prototype is for, and what noise looks like.

    python -m experiments.illustrations [--data-dir DIR]

`idea.png` is a model of two features, trained on the spot: where counterfactuals end without and
with a prototype, both at the first point that the model is sure of. `noise.png` shows the first
test image of each class that the classifier gets right, its counterfactuals under objective A and
under D with two kinds of prototypes, and a real image of the class that the last of these has.
Nothing is chosen by hand. Both are written to docs/pictures/ (`--out`), nothing is measured.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.common import save_figure
from experiments import common, explaining
from jaxcf import Explainer, KDTree, KMeans, Objective, SearchOptions, solvers
from jaxcf.data import Dataset
from jaxcf.models import ModelSet
from jaxcf.plots.style import QUIET, look, new_figure, show_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN = 6
"""Points of two features whose counterfactuals are drawn."""

_CONFIDENCE = 0.8
"""What the model shall be sure of, so that the counterfactuals lie beyond the boundary."""

Predict = Callable[[Any], Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw both."""
    made = common.parser(__doc__)
    made.set_defaults(out=Path("docs/pictures"))
    options = common.read(made, arguments)
    save_figure(draw_idea(options.seed), options.out / "idea.png")
    dataset = common.load_data(options)
    model_set = common.load_model_set(options, dataset)
    save_figure(draw_noise(model_set, dataset), options.out / "noise.png")
    common.say(f"wrote idea.png and noise.png to {options.out}")


def draw_idea(seed: int) -> "Figure":
    """Counterfactuals of a model of two features, without and with prototypes."""
    x, predict = _train(seed)
    decided = np.asarray(predict(x)).argmax(axis=1)
    # From one end of the first class to the other.
    shown = x[decided == 0][np.argsort(x[decided == 0, 1])]
    shown = shown[np.linspace(0, len(shown) - 1, _SHOWN).round().astype(int)]
    figure = new_figure(9.2, 4.1)
    panels = {
        "without prototypes: where the decision changes": "A",
        "with prototypes: towards examples of the other class": "E",
    }
    for axis, (title, letter) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        explainer = Explainer(
            predict,
            objective=Objective.named(letter, confidence=_CONFIDENCE),
            prototypes=KDTree(k=5),
            # Small steps and a c that grows slowly: the way is what is shown.
            search=SearchOptions(solver=solvers.adam(0.005), weight_growth=1.1),
        )
        explanations = explainer.fit(x).explain(shown)
        _draw_decision(axis, predict, x, decided)
        prototypes = explanations.prototype if letter == "E" else None
        _draw_ways(axis, shown, explanations.counterfactual, prototypes)
        axis.set_title(title, fontsize=10)
    figure.legend(
        *figure.axes[1].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=5,
        frameon=False,
        fontsize=9,
    )
    return figure


def _train(seed: int) -> tuple[np.ndarray, Predict]:
    """Rows of two features in [0, 1] and logistic regression of their classes, in JAX.

    One class has any second feature, the other a low one: a change of the first feature alone is
    enough for the model, and leads to where no row is.
    """
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    anywhere = np.stack([rng.normal(0.2, 0.06, 150), rng.uniform(0, 1, 150)], axis=1)
    low = rng.normal((0.78, 0.2), (0.07, 0.09), (150, 2))
    x = np.concatenate([anywhere, low]).clip(0, 1).astype(np.float32)
    fitted = LogisticRegression(C=10).fit(x, np.repeat([0, 1], 150))
    weights, bias = (np.asarray(part, np.float32) for part in (fitted.coef_[0], fitted.intercept_))

    def predict(x: Any) -> Any:
        other = jax.nn.sigmoid(x @ weights + bias)
        return jnp.stack([1 - other, other], axis=1)

    return x, predict


def _draw_decision(axis: "Axes", predict: Predict, x: np.ndarray, classes: np.ndarray) -> None:
    side = np.linspace(-0.08, 1.08, 120, dtype=np.float32)
    mesh = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    other = np.asarray(predict(mesh))[:, 1].reshape(len(side), len(side))
    colours = [look(label).colour for label in (0, 1)]
    axis.contourf(side, side, other, levels=[0, 0.5, 1], colors=colours, alpha=0.13)
    axis.contour(side, side, other, levels=[0.5], colors=QUIET, linewidths=1)
    for label in (0, 1):
        chosen = look(label)
        axis.scatter(
            *x[classes == label].T, s=9, color=chosen.colour, marker=chosen.marker, alpha=0.4, lw=0
        )
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_aspect("equal")


def _draw_ways(
    axis: "Axes", start: np.ndarray, end: np.ndarray, prototypes: np.ndarray | None
) -> None:
    for one, other in zip(start, end, strict=True):
        axis.annotate(
            "", other, one, arrowprops={"arrowstyle": "-", "color": "black", "lw": 1.4}, zorder=4
        )
    marked = [("original", start, "o", 42), ("counterfactual", end, "*", 110)]
    if prototypes is not None:
        marked.append(("prototype", prototypes, "X", 55))
    for name, points, marker, area in marked:
        axis.scatter(
            *points.T,
            s=area,
            marker=marker,
            color="white",
            edgecolors="black",
            zorder=5,
            label=name,
        )


def draw_noise(model_set: ModelSet, dataset: Dataset) -> "Figure":
    """One image of each class, what each objective makes of it, and a real image."""
    settings = {
        "A: no prototype": {"objective": "A"},
        "D: mean of 15\nneighbours": {"objective": "D"},
        "D: k-means,\nK = 5": {"objective": "D", "prototypes": KMeans(k=5)},
    }
    fitted = {
        name: explaining.fit(model_set, dataset, **options) for name, options in settings.items()
    }
    predicted = np.asarray(model_set.predict(dataset.x_test)).argmax(axis=1)
    right = predicted == dataset.y_test
    rows = np.array(
        [np.flatnonzero(right & (predicted == label))[0] for label in np.unique(predicted)]
    )
    lines = {"original": (dataset.x_test[rows], predicted[rows])}
    for name, explainer in fitted.items():
        explanations = explainer.explain(dataset.x_test[rows])
        lines[name] = explanations.counterfactual, explanations.counterfactual_class
    last = lines[name][1]
    real = np.array([np.flatnonzero(right & (predicted == label))[1] for label in last])
    lines["a real image"] = dataset.x_test[real], last
    return _draw_lines(lines)


def _draw_lines(lines: dict[str, tuple[np.ndarray, np.ndarray]]) -> "Figure":
    count = len(next(iter(lines.values()))[0])
    figure = new_figure(0.98 * count + 0.9, 1.22 * len(lines))
    axes = figure.subplots(len(lines), count, squeeze=False)
    for line, (name, (images, classes)) in zip(axes, lines.items(), strict=True):
        for axis, image, decided in zip(line, images, classes, strict=True):
            show_image(axis, image, 0, 1)
            axis.set_xlabel(f"model: {decided}", fontsize=8, labelpad=2)
        line[0].set_ylabel(name, fontsize=9)
    return figure


if __name__ == "__main__":
    main()
