"""The documentation site builds without a warning, and needs no network when it is read."""

import html
import importlib
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from browsers import CHROMIUM, chromium
from documentation import ROOT

from jaxcf.cli import main as cli

pytest.importorskip("mkdocs", reason="mkdocs isn't installed; pip install '.[docs]'")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    place = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place


class _Loaded(HTMLParser):
    """What a page makes the browser load, and its text outside of code."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.text: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.loaded.append(given.get("src") or "")
        if tag == "link" and given.get("rel") in ("stylesheet", "preconnect", "icon", "preload"):
            self.loaded.append(given.get("href") or "")
        if tag in ("code", "pre", "script", "style", "math", "svg"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        if self._inside and tag == self._inside[-1]:
            self._inside.pop()

    def handle_data(self, data):
        if not self._inside:
            self.text.append(data)


def read(page):
    parser = _Loaded()
    parser.feed(page.read_text())
    return parser


def test_no_page_loads_anything_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        for address in read(page).loaded:
            assert not re.match(r"(https?:)?//", address), f"{page.name}: {address}"
            local = address.split("?")[0]
            if local and not local.startswith("data:") and page.name != "404.html":
                assert (page.parent / local).exists(), f"{page.name}: {address}"


def test_equations_are_drawn_and_examples_are_code(site):
    for page in site.rglob("*.html"):
        text = "".join(read(page).text)
        assert "$$" not in text, page
        assert r"\frac" not in text, page
        assert ">>>" not in text, f"{page}: an example that isn't taken for one"
    method = (site / "method.html").read_text()
    for number in range(1, 11):
        assert f"</math><span>({number})</span>" in method


def test_words_in_equations_are_set_as_words(site):
    """Neither as products of italic letters, as ENC is without \\text, nor as commands by name."""
    for page in site.rglob("*.html"):
        for formula in re.findall(r"<math.*?</math>", page.read_text(), re.DOTALL):
            for letters in re.findall(r"(?:<mi>[a-zA-Z]</mi>)+", formula):
                word = re.sub(r"<.*?>", "", letters)
                assert not re.search(r"[A-Z]{2}|.{4}", word), f"{page.name}: {word}"
            assert not re.search(r"<mi>(\\|&#x0005C;)", formula), f"{page.name}: {formula}"
            # A norm has two bars: one bar before an index is one that was meant for two.
            assert not re.search(r"<msu\w+><mo[^>]*>(\||&#x0007C;)", formula), page.name


def test_the_reference_shows_docstrings_and_types_as_they_were_written(site):
    for page in (site / "api").glob("*.html"):
        code = page.read_text()
        assert "<blockquote" not in code, f"{page.name}: a description that begins with >"
        for title in ("Returns", "Yields"):
            for items in re.findall(rf">{title}:</span>.*?<ul>(.*?)</ul>", code, re.DOTALL):
                assert items.count("<li") == 1, f"{page.name}: {html.unescape(items)}"
        text = html.unescape(re.sub(r"<[^>]+>", "", code))
        assert not re.search(r"\[\w+(\.\w+)?, \w+ \* \w+\]", text), f"{page.name}: a product"


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_pages_and_signatures_fit_a_phone(site):
    pytest.importorskip("playwright", reason="playwright isn't installed; pip install '.[dev]'")
    with chromium() as browser:
        tab = browser.new_page(viewport={"width": 390, "height": 844})
        for page in sorted(site.rglob("*.html")):
            tab.goto(page.as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") <= 390, page.name
            too_wide = tab.evaluate(
                "[...document.querySelectorAll('.doc-signature code')]"
                ".filter(code => code.scrollWidth > code.clientWidth).map(code => code.innerText)"
            )
            assert too_wide == [], page.name


def public_names():
    """Classes and functions; a constant says what it is where it is used."""
    for module in ("", ".tabular", ".metrics", ".plots", ".data", ".models", ".report"):
        members = importlib.import_module(f"jaxcf{module}")
        yield from (name for name in members.__all__ if callable(getattr(members, name)))


def test_every_public_name_is_in_the_reference(site):
    pages = " ".join(page.read_text() for page in (site / "api").glob("*.html"))
    places = set(re.findall(r'id="jaxcf[\w.]*\.(\w+)"', pages))
    assert set(public_names()) <= places


def test_every_command_shows_its_help(site, capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    commands = re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE)
    assert "explain" in commands
    page = (site / "commands.html").read_text()
    for command in commands:
        assert f"usage: jaxcf {command} " in page, f"docs/commands.md has no place for {command}"
