"""Results as HTML, for notebooks: numbers in tables, a few images, no colours and no scripts.

Everything is escaped; colours are the notebook's own, so that dark ones stay dark.
"""

import base64
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxcf import metrics
from jaxcf.details import representative_rows
from jaxcf.naming import names_or_numbers
from jaxcf.status import Status

if TYPE_CHECKING:
    from jaxcf.explanations import Explanations
    from jaxcf.fitted_explainer import FittedExplainer
    from jaxcf.tabular.explanations import TableExplanations

# Distances of so many rows at a time: those of 10,000 photographs would need gigabytes at once.
_BLOCK = 1024

# More classes than this are no table at a glance.
_MOST_CLASSES = 12

_SHOWN_IMAGES, _IMAGE_HEIGHT = 8, 56


def explanations_html(
    explanations: "Explanations", class_names: Sequence[str] | None = None
) -> str:
    """What became of the rows, how far they moved, from which class to which, and the settings.

    Args:
        explanations: any number of rows.
        class_names: one per class; their numbers where not given.

    Returns:
        HTML. Medians are over the found rows only.

    Examples:
        >>> from jaxcf import Explanations
        >>> rows = np.zeros((1, 2), np.float32)
        >>> explanations = Explanations(rows, rows + 1, *[np.zeros(1, np.int8)] * 3,
        ...     np.ones((1, 2)), np.ones(1, int), np.ones((1, 2)), *[np.ones(1, int)] * 4)
        >>> "1 of 1 found" in explanations_html(explanations)
        True
    """
    changed, l1, l2 = _found_distances(explanations)
    features = explanations.original[0].size if len(explanations) else 0
    rows = {
        "updates": _median(explanations.steps[explanations.found]),
        f"changed features, of {features}": _median(changed),
        "L1": _median(l1),
        "L2": _median(l2),
    }
    rows |= {
        name: _median(values[explanations.found]) for name, values in explanations.scores.items()
    }
    return _page(explanations, rows, class_names, _strip(explanations))


def table_html(explanations: "TableExplanations") -> str:
    """The same of a table, with how often each column changed.

    Args:
        explanations: any number of rows.

    Returns:
        HTML.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> from jaxcf.tabular import TableExplainer
        >>> table = {"age": [20, 30, 50, 60]}
        >>> weights = jnp.array([[-8.0, 8.0]])
        >>> fitted = TableExplainer(lambda x: jax.nn.softmax((x - 0.5) @ weights)).fit(table)
        >>> "4 of 4 found" in table_html(fitted.explain(table))
        True
    """
    core, found = explanations.explanations, explanations.found
    changed = explanations.changed[found]
    rows = {
        "updates": _median(core.steps[found]),
        f"changed columns, of {len(explanations.coding.schema.names)}": _median(
            changed.sum(axis=1)
        ),
    }
    rows |= {name: _median(values[found]) for name, values in core.scores.items()}
    often = sorted(
        zip(explanations.coding.schema.names, changed.sum(axis=0).tolist(), strict=True),
        key=lambda one: -one[1],
    )
    shares = [[name, f"{100 * count / len(changed):.0f} %"] for name, count in often if count]
    body = _details("changed columns", _table(shares)) if shares else ""
    return _page(core, rows, explanations.class_names, body)


def explainer_html(fitted: "FittedExplainer") -> str:
    """What a fitted explainer minimises, and the classes it has prototypes of.

    Args:
        fitted: the explainer.

    Returns:
        HTML.

    Examples:
        >>> import jax
        >>> from jaxcf import Explainer
        >>> rows = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
        >>> "KDTree(k=1" in explainer_html(Explainer(lambda x: jax.nn.softmax(x)).fit(rows))
        True
    """
    settings = fitted.objective.settings()
    lower, upper = fitted.feature_range[:2]
    members = [len(one) for one in fitted.prototypes.members]
    rows = [
        ["terms", ", ".join(settings["terms"])],
        ["weights", ", ".join(f"{name} {one:g}" for name, one in settings["weights"].items())],
        ["prototypes", repr(fitted.prototypes.kind)],
        ["one instance", f"{fitted.shape}, from {np.min(lower):g} to {np.max(upper):g}"],
        ["one encoding", str(fitted.latent_shape)],
        ["training rows", f"{sum(members)}, by predicted class: {', '.join(map(str, members))}"],
        ["stop", fitted.options.search.stop],
    ]
    return f"<div><strong>FittedExplainer</strong>{_table(rows)}</div>"


def _page(
    explanations: "Explanations",
    medians: Mapping[str, str],
    class_names: Sequence[str] | None,
    middle: str,
) -> str:
    count, found = len(explanations), int(explanations.found.sum())
    share = f" ({100 * found / count:.1f} %)" if count else ""
    codes, counts = np.unique(explanations.status[~explanations.found], return_counts=True)
    reasons = [
        [str(number), Status(code).message] for code, number in zip(codes, counts, strict=True)
    ]
    parts = [f"<strong>{found} of {count} found{share}</strong>"]
    parts += [_table(reasons)] if reasons else []
    parts.append(_table(medians.items(), ["", "median of the found rows"]))
    parts += [middle, _transitions(explanations, class_names)]
    settings = json.dumps(dict(explanations.settings), indent=1, default=str)
    seconds = ", ".join(f"{name} {value:.2f}" for name, value in explanations.seconds.items())
    body = f"<pre>{html.escape(settings)}</pre><p>seconds: {html.escape(seconds) or '-'}</p>"
    return f"<div>{''.join(parts)}{_details('settings', body)}</div>"


def _found_distances(explanations: "Explanations") -> tuple[np.ndarray, ...]:
    """Changed features, L1 and L2 of the found rows."""
    rows = np.flatnonzero(explanations.found)
    blocks = [np.empty((3, 0))]
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        change = explanations.counterfactual[block] - explanations.original[block]
        blocks.append(np.stack([metrics.l0(change), metrics.l1(change), metrics.l2(change)]))
    return tuple(np.concatenate(blocks, axis=1))


def _median(values: np.ndarray) -> str:
    finite = values[np.isfinite(values)]
    return f"{np.median(finite):.4g}" if len(finite) else "-"


def _transitions(explanations: "Explanations", class_names: Sequence[str] | None) -> str:
    number = explanations.probabilities.shape[1]
    found = explanations.found
    if number > _MOST_CLASSES or not found.any():
        return ""
    names = names_or_numbers("classes", class_names, number)
    counts = np.zeros((number, number), int)
    places = explanations.original_class[found], explanations.counterfactual_class[found]
    np.add.at(counts, places, 1)
    lines = [
        [name, *(str(count) if count else "" for count in line)]
        for name, line in zip(names, counts.tolist(), strict=True)
    ]
    return _details("from class (lines) to class (columns)", _table(lines, ["", *names]))


def _strip(explanations: "Explanations") -> str:
    """A few found images above their counterfactuals; none where rows are no images."""
    from jaxcf.plots.style import is_image, value_range

    if not is_image(explanations.original.shape[1:]) or not explanations.found.any():
        return ""
    from matplotlib.image import imsave

    shown = min(_SHOWN_IMAGES, int(explanations.found.sum()))
    rows = representative_rows(explanations.found, explanations.original_class, shown)
    pairs = np.stack([explanations.original[rows], explanations.counterfactual[rows]])
    low, high = value_range(pairs)
    pairs = ((pairs - low) / (high - low)).reshape(*pairs.shape[:4], -1)
    pictures = np.ones((*pairs.shape[:4], 4), np.float32)
    pictures[..., :3] = pairs
    # Clear pixels between them, which have the notebook's colour.
    pictures = np.pad(pictures, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)))
    # One line of originals, one of counterfactuals: [2, k, h, w, 4] to [2 h, k w, 4].
    lines = pictures.transpose(0, 2, 1, 3, 4).reshape(2 * pictures.shape[2], -1, 4)
    content = io.BytesIO()
    imsave(content, lines, format="png")
    data = base64.b64encode(content.getvalue()).decode()
    return (
        f'<p><img alt="{shown} originals above their counterfactuals" '
        f'style="height:{2 * _IMAGE_HEIGHT}px;image-rendering:pixelated" '
        f'src="data:image/png;base64,{data}"></p>'
    )


def _table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    def line(cells: Sequence[str], kind: str) -> str:
        style = ' style="text-align:left;padding:1px 8px"'
        return f"<tr>{''.join(f'<{kind}{style}>{html.escape(c)}</{kind}>' for c in cells)}</tr>"

    heading = f"<thead>{line(head, 'th')}</thead>" if head else ""
    body = "".join(line(cells, "td") for cells in rows)
    return f"<table>{heading}<tbody>{body}</tbody></table>"


def _details(title: str, body: str) -> str:
    return f"<details><summary>{html.escape(title)}</summary>{body}</details>"
