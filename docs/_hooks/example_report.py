"""A report to look at: that of the embedded digits, made when the site is built."""

import tempfile
from functools import lru_cache
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from jaxcf import Explainer, data, models, report

PLACE = "example-report.html"
_MARK = "<!-- example report -->"
_SENTENCE = f"[Here is one]({PLACE}), of all 451 test images."


@lru_cache(maxsize=1)  # `mkdocs serve` builds again whenever a page changes
def example() -> bytes:
    """The page, as `jaxcf.report.write` makes it."""
    digits, networks = data.load("digits"), models.pretrained("digits")
    fitted = Explainer(**networks.functions()).fit(digits.x_train)
    explanations = fitted.explain(digits.x_test)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / PLACE
        report.write(
            path,
            explanations,
            traces=fitted.trace(explanations, digits.x_train),
            class_names=digits.class_names,
            true_classes=digits.y_test,
            title="Digits: what would make the classifier read another one?",
        )
        return path.read_bytes()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the report to the site."""
    files.append(File.generated(config, PLACE, content=example()))
    return files


def on_page_markdown(markdown: str, **kwargs: object) -> str:
    """Link to it where a page asks for that; a forge hasn't got it, and shows no broken link."""
    return markdown.replace(_MARK, _SENTENCE)
