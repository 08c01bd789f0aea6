"""Run notebooks from top to bottom and keep their outputs: `python .ci/run_notebooks.py FILES`."""

import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient


def digest(notebook: Any) -> str:
    """What tells whether the code is still that of the outputs."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()


def main(paths: list[Path]) -> None:
    """Write each notebook back with the outputs of one run, or fail with its first error."""
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            cell.metadata.clear()
        with tempfile.TemporaryDirectory() as folder:
            NotebookClient(
                notebook,
                timeout=600,
                # two outputs differ where something changed, not by the time of day
                record_timing=False,
                coalesce_streams=True,
                # what a notebook writes doesn't stay
                resources={"metadata": {"path": folder}},
            ).execute()
        notebook.metadata["language_info"] = {"name": "python"}
        notebook.metadata["outputs_of"] = digest(notebook)
        nbformat.write(notebook, path)
        print(path)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
