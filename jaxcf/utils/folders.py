"""Where files that can be made anew are kept."""

import os
from pathlib import Path


def default_cache_dir() -> Path:
    """Return `$XDG_CACHE_HOME/jaxcf`, or `~/.cache/jaxcf` where that variable is not set."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "jaxcf"
