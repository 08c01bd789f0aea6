"""`jaxcf explain --details`: a closer look at some rows, once the run is written."""

from collections.abc import Callable
from pathlib import Path

from jaxcf.details import Details
from jaxcf.run_folder import DETAILS_FILE
from jaxcf.terminal import Terminal


def write_details(
    out: Path, num_rows: int, look_closer: Callable[..., Details], terminal: Terminal
) -> None:
    """Write `details.npz` beside the explanations.

    Args:
        out: folder of the run, its other files written: whoever interrupts this keeps them.
        num_rows: how many rows; 0 for no file.
        look_closer: called with `num_rows`; gives their details.
        terminal: for progress.
    """
    file = out / DETAILS_FILE
    # That of an earlier run would be of other rows.
    file.unlink(missing_ok=True)
    if num_rows:
        terminal.say(f"looking closely at up to {num_rows} rows")
        look_closer(num_rows=num_rows).save(file)
