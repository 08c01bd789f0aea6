"""Latent space as the explainer sees it: encodings, prototypes, and what was found, in a plane."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxcf.explainers.fitted import FittedExplainer
from jaxcf.plots.style import QUIET, axes_or_new, look
from jaxcf.predictors.blackbox import Failures
from jaxcf.predictors.inference import encode_all, predict_and_encode
from jaxcf.results.comparison import Results
from jaxcf.results.explanations import Explanations
from jaxcf.tabular.explainer import FittedTableExplainer
from jaxcf.utils.selection import evenly_spread
from jaxcf.utils.validation import check_finite, names_or_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Around a label, so that it can be read on top of points of any colour.
_HALO = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}


def latent_space(
    points: Float[np.ndarray, "n 2"],
    classes: Int[np.ndarray, " n"],
    ax: "Axes | None" = None,
    *,
    prototypes: Mapping[int, Float[np.ndarray, "_ 2"]] | None = None,
    class_names: Sequence[str] | None = None,
    kept_free: Float[np.ndarray, "_ 2"] | None = None,
    size: float = 5.0,
    keep_look: bool = True,
) -> "Axes":
    """Points of a plane by class, each class with its name at its middle, prototypes on top.

    Names lie on no prototype and on no other name, as far as their class has room for that.

    Args:
        points: `[n, 2]`, projected encodings.
        classes: `[n]`, >= 0, the class of each.
        ax: to draw on; None for a new figure.
        prototypes: class to `[k, 2]`, projected like the points: large, with a black edge, in the
            look of their class.
        class_names: one per class; their numbers where not given.
        kept_free: `[k, 2]`, what else no name shall hide, such as a path that is drawn later.
        size: of a point, in points of print.
        keep_look: whether class i has the i-th look, as in other pictures; else the classes that
            are there take the first looks.

    Returns:
        The axes.

    Raises:
        ValueError: if there is no point, or not one class per point.

    Examples:
        >>> import numpy as np
        >>> axes = latent_space(np.zeros((4, 2)), np.array([0, 0, 1, 1]))
        >>> [text.get_text() for text in axes.texts]
        ['0', '1']
    """
    if not len(points) or len(points) != len(classes):
        raise ValueError(
            f"{len(points)} points and {len(classes)} classes; pass at least one point, and one "
            "class per point"
        )
    ax = axes_or_new(ax, 5, 4.6)
    present = np.unique(classes)
    looks = {int(label): look(int(label) if keep_look else i) for i, label in enumerate(present)}
    for label, chosen in looks.items():
        members = points[classes == label]
        ax.scatter(
            *members.T,
            s=size**2 / 2,
            color=chosen.colour,
            marker=chosen.marker,
            alpha=0.45,
            linewidths=0,
        )
    for place, (label, marked) in enumerate((prototypes or {}).items()):
        chosen = looks.get(label, look(label))
        ax.scatter(
            *marked.T,
            s=(3 * size) ** 2 / 3,
            color=chosen.colour,
            marker=chosen.marker,
            edgecolors="black",
            linewidths=1.1,
            zorder=3,
            # One stands for all of them in a legend.
            label=None if place else "prototype",
        )
    others = [] if kept_free is None else [kept_free]
    marks = np.concatenate([np.empty((0, 2)), *(prototypes or {}).values(), *others])
    names = {
        label: str(label) if class_names is None else str(class_names[label]) for label in looks
    }
    members = [points[classes == label] for label in looks]
    whole: Any = ax.get_figure(root=True)
    inches = np.asarray(ax.get_window_extent().size) / whole.dpi
    scale = inches / np.maximum(np.ptp(points, axis=0), 1e-12)
    places = _places_of_names(members, list(names.values()), marks, scale)
    for name, where in zip(names.values(), places, strict=True):
        ax.annotate(
            name,
            tuple(where),
            fontsize=11,
            weight="bold",
            ha="center",
            va="center",
            bbox=_HALO,
            zorder=4,
        )
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_color(QUIET)
    return ax


# Half of a letter's width, and of a line's height with what lies around it, in inches.
_HALF_LETTER, _HALF_LINE = 0.055, 0.14

# Of a class with more points so many are tried.
_MOST_PLACES = 200


def _places_of_names(
    members: Sequence[np.ndarray], names: Sequence[str], marks: np.ndarray, scale: np.ndarray
) -> list[np.ndarray]:
    """For each class the free point of its inner half that is nearest to its median.

    Its median itself may lie where the class has no point. `scale` makes inches of coordinates.
    """
    taken, sizes = marks * scale, np.zeros((len(marks), 2))
    places = []
    for points, name in zip(members, names, strict=True):
        distance = np.square((points - np.median(points, axis=0)) * scale).sum(axis=1)
        inner = points[np.argsort(distance, kind="stable")[: -(-len(points) // 2)]]
        inner = inner[evenly_spread(len(inner), _MOST_PLACES)]
        size = np.array([_HALF_LETTER * (len(name) + 1), _HALF_LINE])
        apart = np.abs(inner[:, None] * scale - taken) - size - sizes
        room = apart.max(axis=2).min(axis=1, initial=np.inf)
        # The first that is free; where none is, that with the most room.
        chosen = inner[(room > 0).argmax() if (room > 0).any() else room.argmax()]
        places.append(chosen)
        taken = np.concatenate([taken, [chosen * scale]])
        sizes = np.concatenate([sizes, [size]])
    return places


PROJECTIONS = ("pca", "tsne")

# Fewer rows can be drawn larger.
_MANY_ROWS = 1000

# More prototypes than this hide what they lie among.
_MOST_PROTOTYPES = 40


class Plane(NamedTuple):
    """Points of latent space in a plane.

    Attributes:
        points: the groups that were given, `[n, 2]` each.
        labels: what the two directions are, in words.
    """

    points: list[np.ndarray]
    labels: tuple[str, str]


def project(
    encodings: Float[np.ndarray, "n features"],
    *others: Float[np.ndarray, "_ features"],
    method: str = "pca",
    seed: int = 0,
) -> Plane:
    """Lay out encodings in the plane, and further points among them.

    Args:
        encodings: `[n, features]`, n >= 2.
        others: further groups of points, `[k, features]` each. Principal components are those of
            the encodings alone; t-SNE, which can't place new points, lays out all together.
        method: "pca", the two directions in which the encodings differ most; or "tsne", which keeps
            neighbours together and nothing else: distances and empty space mean little.
        seed: of t-SNE.

    Returns:
        The encodings and the other groups in the plane.

    Raises:
        ValueError: if there are fewer than two encodings, or the method is unknown.

    Examples:
        >>> line = np.outer(np.arange(3.0), [3.0, 4.0])
        >>> plane = project(line, 2 * line[1:])
        >>> plane.points[1][:, 0].round(3).tolist(), plane.labels[0]
        ([5.0, 15.0], '1st principal component (100 % of the variance)')
    """
    if method not in PROJECTIONS:
        raise ValueError(f"unknown projection {method!r}; there are {', '.join(PROJECTIONS)}")
    if len(encodings) < 2:
        raise ValueError(f"a plane needs two encodings at least, got {len(encodings)}")
    if method == "tsne":
        from sklearn.manifold import TSNE

        together = np.concatenate([encodings, *others])
        # Its usual number of neighbours, 30, is too many for few points.
        perplexity = min(30.0, (len(together) - 1) / 3)
        embedded = TSNE(2, init="pca", perplexity=perplexity, random_state=seed)
        ends = np.cumsum([len(encodings), *map(len, others)])[:-1]
        return Plane(np.split(embedded.fit_transform(together), ends), ("t-SNE", ""))
    from sklearn.decomposition import PCA

    # One feature, or two points, have one direction: the plane is a line then.
    components = PCA(min(2, *encodings.shape), svd_solver="full").fit(encodings)
    points = [
        np.pad(components.transform(group), ((0, 0), (0, 2 - components.n_components_)))
        if len(group)
        else np.empty((0, 2))
        for group in (encodings, *others)
    ]
    shares = np.nan_to_num([*components.explained_variance_ratio_, 0.0])
    first, second = (
        f"{place} principal component ({100 * share:.0f} % of the variance)"
        for place, share in zip(("1st", "2nd"), shares, strict=False)
    )
    return Plane(points, (first, second))


def encoded_rows(
    fitted: FittedExplainer | FittedTableExplainer,
    x: Any,
    ax: "Axes | None" = None,
    *,
    explanations: Results | None = None,
    class_names: Sequence[str] | None = None,
    projection: str = "pca",
) -> "Axes":
    """Encodings of rows by predicted class, prototypes, and the ways to counterfactuals.

    Args:
        fitted: a fitted explainer; without an encoder the rows are their own encodings.
        x: `[n, *shape]`, finite, n >= 2; of a table's explainer, rows of the table.
        ax: to draw on; None for a new figure.
        explanations: whose prototypes are shown, with arrows from the originals to the
            counterfactuals (with "pca" along the path, where it was recorded; dotted where none was
            found). Few of them, or they hide each other. None shows the prototypes that up to 40 of
            the rows are drawn to (eq. 2).
        class_names: one per class; a table's own or their numbers where not given.
        projection: "pca" or "tsne", see `project`.

    Returns:
        The axes.

    Raises:
        ValueError: if there are fewer than two rows or one isn't finite, the explanations are of
            rows of another shape, names are too many or too few, the projection is unknown, or the
            model has changed since `fit`.

    Examples:
        >>> import jax
        >>> from jaxcf import Explainer
        >>> rows = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
        >>> fitted = Explainer(lambda x: jax.nn.softmax(4 * x)).fit(rows)
        >>> axes = encoded_rows(fitted, rows, class_names=["left", "right"])
        >>> sorted(text.get_text() for text in axes.texts)
        ['left', 'right']
    """
    if isinstance(fitted, FittedTableExplainer):
        class_names = class_names or fitted.class_names
        fitted, x = fitted.of_coordinates, fitted.coordinates(x)
    fitted.check_current()
    x = fitted.rows(x)
    if not len(x):
        raise ValueError("there is no row to draw")
    check_finite("rows", x)
    core = None if explanations is None else explanations.core
    if core is not None and core.original.shape[1:] != fitted.shape:
        raise ValueError(
            f"the explanations are of rows of shape {core.original.shape[1:]}, but the "
            f"explainer is of {fitted.shape}"
        )
    names = names_or_numbers("classes", class_names, fitted.num_classes)
    probabilities, encodings = predict_and_encode(
        fitted.models, fitted.params, x, Failures(warn=False)
    )
    classes = probabilities.argmax(axis=1)
    width = encodings[0].size
    ways: list[np.ndarray] = []
    found = np.empty(0, bool)
    if core is None:
        some = evenly_spread(len(x), _MOST_PROTOTYPES)
        others = classes[some, None] != np.arange(fitted.num_classes)
        prototype, target, _ = fitted.prototypes.select(encodings[some], others)
    else:
        prototype = core.prototype
        led = np.isfinite(prototype).all(axis=tuple(range(1, prototype.ndim)))
        target = np.where(led, core.target_class, -1)
        moved = (core.perturbation != 0).reshape(len(core), -1).any(axis=1)
        shown = core[moved]
        found = shown.found
        # t-SNE pushes the points of a path apart, into a zigzag.
        along = shown.path is not None and projection == "pca"
        routes = [_points(shown, row, along) for row in range(len(shown))]
        if routes:
            encoded = encode_all(fitted.models, fitted.params, np.concatenate(routes)).reshape(
                -1, width
            )
            ways = np.split(encoded, np.cumsum([len(one) for one in routes])[:-1])
    present = np.unique(target[target >= 0])
    marked = [np.unique(prototype[target == label].reshape(-1, width), axis=0) for label in present]
    plane = project(encodings.reshape(len(x), -1), *marked, *ways, method=projection)
    points, *placed = plane.points
    ax = latent_space(
        points,
        classes,
        ax,
        prototypes=dict(zip(present.tolist(), placed, strict=False)),
        class_names=names,
        kept_free=np.concatenate([np.empty((0, 2)), *placed[len(marked) :]]),
        size=5.0 if len(x) > _MANY_ROWS else 7.0,
    )
    for place, (way, arrived) in enumerate(zip(placed[len(marked) :], found, strict=True)):
        is_first = place == int(np.flatnonzero(found == arrived)[0])
        _draw_way(ax, way, bool(arrived), is_first)
    ax.set_xlabel(plane.labels[0], fontsize=8)
    ax.set_ylabel(plane.labels[1], fontsize=8)
    if ax.get_legend_handles_labels()[0]:
        legend_below(ax)
    return ax


def legend_below(ax: "Axes") -> None:
    """A legend below the axes, where it hides no point.

    Args:
        ax: whose axis across has a name.
    """
    ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=3, frameon=False)


def _points(explanations: Explanations, row: int, along: bool) -> np.ndarray:
    """From the original to the counterfactual, straight or along the path."""
    ends = explanations.original[row], explanations.counterfactual[row]
    if not along or explanations.path is None:
        return np.stack(ends)
    path = explanations.path[row]
    reached = np.isfinite(path.reshape(len(path), -1)).all(axis=1)
    return np.concatenate([path[reached], ends[1][None]]) if reached.any() else np.stack(ends)


def _draw_way(ax: "Axes", way: np.ndarray, found: bool, is_first: bool) -> None:
    """From the original to where it went; the first of its kind stands for all in the legend."""
    line = "-" if found else ":"
    label = "way to the counterfactual" if found else "no counterfactual found"
    colour = "black" if found else QUIET
    ax.plot(*way.T, color="white", linewidth=2.6, alpha=0.7, zorder=4)
    start = {"marker": "o", "markerfacecolor": "white", "markersize": 4, "markevery": [0]}
    name = label if is_first else None
    ax.plot(*way.T, color=colour, linewidth=1.1, linestyle=line, zorder=6, label=name, **start)
    if found:
        # A long enough last stretch: the head of an arrow has the direction of its own line.
        reach = np.linalg.norm(way - way[-1], axis=1)
        start = way[np.flatnonzero(reach >= 0.25 * reach.max())[-1]]
        head = {"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", tuple(way[-1]), tuple(start), arrowprops=head, zorder=6)
