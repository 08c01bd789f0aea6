"""Pages and pictures that lie outside docs/ come into the site, and links to them are rewritten.

The pages are written for a forge: `../results/mnist/figure2.png` is right there. In the site the
same file lies at `results/mnist/figure2.png`, and `../benchmarks/README.md` at `benchmarks.md`.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

PAGES = {"benchmarks/README.md": "benchmarks.md", "CONTRIBUTING.md": "contributing.md"}
"""Path in the repository to path in the site; README.md is the site's first page."""

_FIRST_PAGE = ("README.md", "index.md")
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_PICTURE = re.compile(r'<img [^>]*src="([^"]+)"[^>]*>')
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages above, and every picture and table of results/."""
    for path, place in PAGES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    for pattern in ("*.png", "*.md"):
        for found in sorted((ROOT / "results").rglob(pattern)):
            place = found.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, abs_src_path=str(found)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links, and name the language of examples that start with a prompt."""
    source = page.file.src_uri
    origin = {place: path for path, place in PAGES.items()}.get(source, f"docs/{source}")
    parts = _FENCE.split(markdown)
    for number, part in enumerate(parts):
        if part.startswith("```"):
            # A forge knows "python"; only Pygments' "pycon" tells prompts from output.
            parts[number] = part.replace("```python\n>>>", "```pycon\n>>>", 1)
        else:
            parts[number] = _LINK.sub(lambda found: _rewritten(found, origin, source), part)
    return "".join(parts)


def on_page_content(html: str, **kwargs: object) -> str:
    """Let a picture be opened by itself, for those who read on a small screen."""
    return _PICTURE.sub(r'<a class="picture" href="\1">\g<0></a>', html)


def _rewritten(link: re.Match[str], origin: str, source: str) -> str:
    if "://" in link[2]:
        return link[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link[2]))
    place = (PAGES | dict([_FIRST_PAGE])).get(path, path.removeprefix("docs/"))
    return link[1] + posixpath.relpath(place, posixpath.dirname(source) or ".") + link[3]
