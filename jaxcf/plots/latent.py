"""Encodings as points of a plane: where the classes lie, and the way a search takes among them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from jaxcf.plots.style import QUIET, axes_or_new, look

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
    size: float = 5.0,
    keep_look: bool = True,
) -> "Axes":
    """Points of a plane by class, each class with its name at its middle, prototypes on top.

    Args:
        points: `[n, 2]`, projected encodings.
        classes: `[n]`, >= 0, the class of each.
        ax: to draw on; None for a new figure.
        prototypes: class to `[k, 2]`, projected like the points: large, with a black edge, in the
            look of their class.
        class_names: one per class; their numbers where not given.
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
    for label, marked in (prototypes or {}).items():
        chosen = looks.get(label, look(label))
        ax.scatter(
            *marked.T,
            s=(3 * size) ** 2 / 3,
            color=chosen.colour,
            marker=chosen.marker,
            edgecolors="black",
            linewidths=1.1,
            zorder=3,
        )
    marks = np.concatenate([np.empty((0, 2)), *(prototypes or {}).values()])
    for label in looks:
        name = str(label) if class_names is None else str(class_names[label])
        ax.annotate(
            name,
            tuple(_place_of_name(points[classes == label], marks)),
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


def _place_of_name(members: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """A point of the class near its median, which itself may lie where the class has none."""
    distance = np.square(members - np.median(members, axis=0)).sum(axis=1)
    if not len(marks):
        return members[distance.argmin()]
    # Not on top of a prototype: the freest place in the inner half of the class.
    inner = members[np.argsort(distance)[: -(-len(members) // 2)]]
    room = np.square(inner[:, None] - marks[None]).sum(axis=2).min(axis=1)
    return inner[room.argmax()]


def path_overlay(
    path: Float[np.ndarray, "k 2"],
    ax: "Axes | None" = None,
    *,
    goal: Float[np.ndarray, "2"] | None = None,
    name: str = "path",
) -> "Axes":
    """The way of one search over a plane: from a circle to a star, and the prototype's cross.

    Args:
        path: `[k, 2]`, the projected points in their order, k >= 1.
        ax: to draw on, usually those of `latent_space`; None for a new figure.
        goal: the projected prototype that the search was drawn to.
        name: of the path, for the legend.

    Returns:
        The axes.

    Raises:
        ValueError: if the path has no point.

    Examples:
        >>> import numpy as np
        >>> axes = path_overlay(np.array([[0.0, 0.0], [1.0, 1.0]]), goal=np.array([2.0, 1.0]))
        >>> axes.get_legend_handles_labels()[1]
        ['path', 'original', 'counterfactual', 'prototype']
    """
    if not len(path):
        raise ValueError("the path has no point; explain with SearchOptions(record_path=True)")
    ax = axes_or_new(ax, 5, 4.6)
    ax.plot(*path.T, color="white", linewidth=3.4, zorder=5)
    # A dot at every update would run together; a dozen still show where it is slow.
    ax.plot(
        *path.T,
        color="black",
        linewidth=1.4,
        marker=".",
        markersize=5,
        markevery=max(1, len(path) // 12),
        zorder=6,
        label=name,
    )
    ends = [("original", path[0], "o", 45), ("counterfactual", path[-1], "*", 130)]
    if goal is not None:
        ends.append(("prototype", goal, "X", 65))
    for label, point, marker, area in ends:
        ax.scatter(
            *point,
            s=area,
            marker=marker,
            color="white",
            edgecolors="black",
            linewidths=1.1,
            zorder=7,
            label=label,
        )
    return ax
