"""The page: one HTML file that holds everything and may load nothing."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from jaxcf.plots.style import BRIGHTER, CHANGED, DARKER, FOUND, MAIN, MISSED, SAME, Ink
from jaxcf.report.packing import PackedArray
from jaxcf.utils.json_files import plain

_STYLES = ("page.css", "parts.css", "cards.css", "instance.css", "print.css")
_SCRIPTS = (
    "data.js",
    "text.js",
    "choice.js",
    "pictures.js",
    "charts.js",
    "overview.js",
    "controls.js",
    "download.js",
    "features.js",
    "cards.js",
    "gallery.js",
    "opening.js",
    "search.js",
    "instance.js",
    "start.js",
)
"""In this order; they share one scope, so what runs at once comes last."""

RUN_MARK = '<meta name="jaxcf-run" content="{}">'
"""How a page says which run it is of."""


def page(
    title: str,
    payload: Mapping[str, Any],
    arrays: Mapping[str, PackedArray],
    run: str | None = None,
) -> str:
    """Put the page together.

    Args:
        title: of the page.
        payload: what the page knows at once, JSON-able.
        arrays: what it reads when it is needed, by name.
        run: of which run it is, if of one.

    Returns:
        The HTML. Nothing in it that comes from data is markup, and its policy forbids every
        request and every script and style but its own.

    Examples:
        >>> text = page("<b>", {"name": "</script>"}, {})
        >>> "<title>&lt;b&gt;</title>" in text, text.count("</script>")  # payload and program
        (True, 2)
    """
    style = _colours() + "".join(_asset(name) for name in _STYLES)
    script = '"use strict";\n' + "".join(_asset(name) for name in _SCRIPTS)
    described = {name: array.description() for name, array in arrays.items()}
    parts = {
        "title": html.escape(title),
        "run": "" if run is None else RUN_MARK.format(html.escape(run)),
        "policy": (
            f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
        "style": style,
        "payload": embedded_json(dict(payload) | {"arrays": described}),
        "blocks": "\n".join(_blocks(arrays)),
        "script": script,
    }
    text = _asset("report.html")
    pieces = text.split("%%")
    # Odd pieces are names of parts: one pass, so that no part is searched for markers itself.
    return "".join(parts[one] if place % 2 else one for place, one in enumerate(pieces))


def _colours() -> str:
    """The colours of pictures as variables of the style sheet, for light grounds and dark ones."""
    fixed = {"darker": DARKER, "same": SAME, "brighter": BRIGHTER}
    inks: dict[str, Ink] = {"accent": MAIN, "good": FOUND, "bad": MISSED}
    light = {name: ink.area for name, ink in inks.items()} | {"changed": CHANGED}
    light |= {f"{name}-text": ink.on_light for name, ink in inks.items()}
    dark = {name: ink.on_dark for name, ink in inks.items()}
    dark |= {f"{name}-text": ink.on_dark for name, ink in inks.items()}
    dark["changed"] = f"color-mix(in srgb, {MAIN.area} 40%, #000)"
    on_dark = _variables(dark)
    return (
        f":root {{ {_variables(fixed | light)} }}\n"
        f"@media screen {{ :root[data-theme='dark'] {{ {on_dark} }} }}\n"
        "@media screen and (prefers-color-scheme: dark) "
        f"{{ :root:not([data-theme='light']) {{ {on_dark} }} }}\n"
    )


def _variables(values: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {value};" for name, value in values.items())


def _asset(name: str) -> str:
    return (resources.files("jaxcf.report") / "assets" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def embedded_json(value: Any) -> str:
    r"""JSON that may stand in a script element, whatever texts it holds.

    Args:
        value: JSON-able, without NaN.

    Returns:
        The JSON, with every < escaped: nothing in it can end the element or open a comment.

    Raises:
        ValueError: if a number in it isn't finite.

    Examples:
        >>> embedded_json({"name": "</script><!--"})
        '{"name":"\\u003c/script>\\u003c!--"}'
    """
    text = json.dumps(plain(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _blocks(arrays: Mapping[str, PackedArray]) -> list[str]:
    # Base64 has no character that HTML would read, and the names are the library's own.
    return [
        f'<script type="application/octet-stream" id="{name}/{number}">{block}</script>'
        for name, array in arrays.items()
        for number, block in enumerate(array.blocks)
    ]
