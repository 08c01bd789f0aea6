r"""Equations: `$...$` and `$$...$$`, as forges read them, become MathML when the site is built.

A Markdown extension rather than a replacement in the pages, so that docstrings in the API reference
have it too, and code is left alone.
"""

import re
from xml.etree.ElementTree import Element

import latex2mathml.converter
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from markdown.preprocessors import Preprocessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority

# Below fenced code (25), which is out of the way by then, and above the rest.
_AFTER_CODE_BLOCKS = 24
# Below code spans (190), above backslash escapes (180): \{ belongs to the formula.
_AFTER_CODE_SPANS = 185

_NUMBER = re.compile(r"\\tag\{([^}]*)\}")
_BLOCK = re.compile(r"^[ ]{0,3}\$\$(.+?)\$\$[ ]*$", re.MULTILINE | re.DOTALL)
# A dollar sign before a space or a digit's price tag is none: "$5 and $6" stays as it is.
_INLINE = r"(?<![\\$\w])\$(?=[^\s$])([^$]*?[^\s$\\])\$(?![\w$])"


def to_mathml(formula: str, display: str) -> str:
    """A formula of LaTeX as MathML; `display` is "inline" or "block"."""
    return latex2mathml.converter.convert(formula.strip(), display=display)


class _Blocks(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        def store(found: re.Match[str]) -> str:
            number = _NUMBER.search(found[1])
            html = to_mathml(_NUMBER.sub("", found[1]), "block")
            if number:
                html += f"<span>({number[1]})</span>"
            return f"\n\n{self.md.htmlStash.store(f'<div class=equation>{html}</div>')}\n\n"

        return _BLOCK.sub(store, "\n".join(lines)).split("\n")


class _Inline(InlineProcessor):
    def handleMatch(self, m: re.Match[str], data: str) -> tuple[Element | str, int, int]:
        return self.md.htmlStash.store(to_mathml(m[1], "inline")), m.start(0), m.end(0)


class Equations(Extension):
    """The Markdown extension."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Register both kinds."""
        md.preprocessors.register(_Blocks(md), "equation_blocks", _AFTER_CODE_BLOCKS)
        md.inlinePatterns.register(_Inline(_INLINE, md), "equations", _AFTER_CODE_SPANS)


@event_priority(100)  # before mkdocstrings copies the list of extensions
def on_config(config: MkDocsConfig) -> None:
    """Add the extension to those of mkdocs.yml."""
    config.markdown_extensions.append(Equations())  # type: ignore[arg-type]
