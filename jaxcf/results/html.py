"""Tables and images as HTML, for notebooks: plain values in, no colours and no scripts out.

Everything is escaped; colours are the notebook's own, so that dark ones stay dark.
"""

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxcf.utils.images import value_range

_IMAGE_HEIGHT = 56


class Table(NamedTuple):
    """Lines of cells, and a head of as many if there is one."""

    rows: Sequence[Sequence[str]]
    head: Sequence[str] = ()


def page(
    title: str,
    tables: Sequence[Table],
    *,
    folded: Mapping[str, Table],
    images: Float[np.ndarray, "2 k h w c"] | None,
    settings: Mapping[str, Any],
    seconds: Mapping[str, float],
) -> str:
    """A result at a glance.

    Args:
        title: the first line.
        tables: in this order; those without rows are left out.
        folded: further tables, by the title that unfolds them.
        images: `[2, k, h, w, 1 or 3]`, originals and counterfactuals, shown above each other.
        settings: what produced the result.
        seconds: by part of the work.

    Returns:
        HTML.

    Examples:
        >>> shown = page("1 of 2 found", [Table([["a < b", "3"]])], folded={}, images=None,
        ...     settings={}, seconds={})
        >>> "1 of 2 found" in shown, "a &lt; b" in shown
        (True, True)
    """
    parts = [f"<strong>{html.escape(title)}</strong>"]
    parts += [_table(table) for table in tables if table.rows]
    parts += [] if images is None else [_strip(images)]
    parts += [_folded(name, _table(table)) for name, table in folded.items()]
    recorded = json.dumps(dict(settings), indent=1, default=str)
    spent = ", ".join(f"{name} {value:.2f}" for name, value in seconds.items())
    body = f"<pre>{html.escape(recorded)}</pre><p>seconds: {html.escape(spent) or '-'}</p>"
    return f"<div>{''.join(parts)}{_folded('settings', body)}</div>"


def titled_table(title: str, rows: Mapping[str, str]) -> str:
    """Names and values under a title.

    Args:
        title: the first line.
        rows: value by name.

    Returns:
        HTML.

    Examples:
        >>> "<strong>Options</strong>" in titled_table("Options", {"stop": "budget"})
        True
    """
    return under_title(title, Table(list(rows.items())))


def under_title(title: str, table: Table) -> str:
    """A table under a title.

    Args:
        title: the first line.
        table: what stands below.

    Returns:
        HTML.

    Examples:
        >>> "<strong>a &amp; b</strong>" in under_title("a & b", Table([["steps", "3"]]))
        True
    """
    return f"<div><strong>{html.escape(title)}</strong>{_table(table)}</div>"


def _strip(pairs: np.ndarray) -> str:
    low, high = value_range(pairs)
    pictures = np.ones((*pairs.shape[:4], 4), np.float32)
    pictures[..., :3] = (pairs - low) / (high - low)
    # Clear pixels between them, which have the notebook's colour.
    pictures = np.pad(pictures, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)))
    # One line of originals, one of counterfactuals: [2, k, h, w, 4] to [2 h, k w, 4].
    lines = pictures.transpose(0, 2, 1, 3, 4).reshape(2 * pictures.shape[2], -1, 4)
    # PIL, which writes no other way than matplotlib does, without a canvas.
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray((lines * 255).round().astype(np.uint8)).save(content, format="png")
    data = base64.b64encode(content.getvalue()).decode()
    return (
        f'<p><img alt="{pairs.shape[1]} originals above their counterfactuals" '
        f'style="height:{2 * _IMAGE_HEIGHT}px;image-rendering:pixelated" '
        f'src="data:image/png;base64,{data}"></p>'
    )


def _table(table: Table) -> str:
    def line(cells: Sequence[str], kind: str) -> str:
        style = ' style="text-align:left;padding:1px 8px"'
        return f"<tr>{''.join(f'<{kind}{style}>{html.escape(c)}</{kind}>' for c in cells)}</tr>"

    heading = f"<thead>{line(table.head, 'th')}</thead>" if table.head else ""
    body = "".join(line(cells, "td") for cells in table.rows)
    return f"<table>{heading}<tbody>{body}</tbody></table>"


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{html.escape(title)}</summary>{body}</details>"
