"""Pictures as files."""

import os
from typing import TYPE_CHECKING

from jaxcf import storage

if TYPE_CHECKING:
    from matplotlib.artist import Artist


def save(picture: "Artist", path: str | os.PathLike[str]) -> None:
    """Write a picture as a PNG file, at once or not at all.

    Args:
        picture: a figure, or axes for the figure that they are on.
        path: of the file.

    Examples:
        >>> import tempfile
        >>> from jaxcf.plots import changed_columns
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(changed_columns({"C": {"age": 0.1}}), f"{folder}/columns.png")
    """
    figure = picture.get_figure(root=True)
    assert figure is not None
    storage.write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=130))
