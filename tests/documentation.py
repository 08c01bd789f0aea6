"""The pages of the documentation, and what is in them: for the tests that read them."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *sorted(DOCS.rglob("*.md")),
]

PEERS = ("# alibi", "# DiCE", "# ReLax")
"""First lines of blocks that show another library's call: these aren't installed, nor run."""

_BLOCK = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One fenced block of a page.

    Attributes:
        page: where it stands.
        language: what stands behind the fence.
        code: its lines.
        line: the number of its first one.
    """

    page: Path
    language: str
    code: str
    line: int

    @property
    def is_session(self) -> bool:
        """Whether it has prompts and answers, which doctest runs."""
        return self.code.startswith(">>> ")

    @property
    def is_peers(self) -> bool:
        """Whether it is another library's call."""
        return self.code.startswith(tuple(f"{peer}\n" for peer in PEERS))


def name_of(page: Path) -> str:
    """The page's path in the repository, as the name of a test."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    text = page.read_text()
    return [
        Block(page, found[2].strip(), found[3], text.count("\n", 0, found.start(3)) + 1)
        for found in _BLOCK.finditer(text)
    ]


def programs(page: Path) -> list[Block]:
    """The Python blocks that a reader runs one after the other."""
    python = [block for block in blocks(page) if block.language == "python"]
    return [block for block in python if not block.is_session and not block.is_peers]
