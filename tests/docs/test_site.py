"""The documentation site builds without a warning, and needs no network when it is read."""

import importlib
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
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
