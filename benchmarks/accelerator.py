"""All that is to be known of an accelerator, in the order of what it is worth, within a budget.

    python -m benchmarks.accelerator --out DIR [--budget 420] [--data-dir DIR] [--small]
        [--parts NAME ...]
    python -m benchmarks.accelerator --table DIR

Answers beside those of a CPU; MNIST's test set under D and under `near`; lanes per group; one
lane-step beside the device's own rates; Adult; the training of a guide; images of CIFAR-10's shape;
memory; precision (`accelerator_answers.py`, `accelerator_parts.py`). Without `--data-dir`, or with
`--small`, which is for a CPU, the data are those that come with scikit-learn. MNIST's four original
files are read as they are, without tensorflow-datasets.

Each part is a process of its own: so it starts with nothing in the device's memory, and one that
fails, or takes longer than is left of the budget, is ended and written down as such while the
others go on. Its rows are in `DIR/rows.jsonl` as soon as they are known, so what was cut off keeps
what it had; parts whose rows are there aren't measured again. What the processes say is in
`DIR/log.txt`. At the end, and with `--table` from what is kept alone, the rows are printed as
Markdown.

Programs that one part has compiled are there for the next, as in the processes of a user who sets
JAX's compilation cache; `first` is the first call of a process, compilation included.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import accelerator_table
from jaxcf.utils.files import write_atomically
from jaxcf.utils.json_files import plain

_ROWS, _LOG, _TABLE = "rows.jsonl", "log.txt", "table.md"

# What a part may still be writing when it should end: its process is given so much longer.
_GRACE = 5.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure part by part and print; a part's own process comes through here as well.

    Args:
        arguments: without the program's name; None takes those of the process.
    """
    options = _options(arguments)
    if options.table is not None:
        print(accelerator_table.markdown(read_rows(options.table / _ROWS)))
        return
    if options.measure is not None:
        measure(options.measure, options.small, options.data_dir, options.out, options.work)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        run(options, Path(work))
    text = accelerator_table.markdown(read_rows(options.out / _ROWS))
    write_atomically(options.out / _TABLE, lambda file: file.write(text.encode()))
    print(text)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("--out", type=Path, metavar="DIR", help="where the rows are kept")
    made.add_argument("--budget", type=float, default=420, metavar="SECONDS", help="for all parts")
    made.add_argument("--data-dir", type=Path, metavar="DIR", help="where MNIST and Adult lie")
    made.add_argument("--small", action="store_true", help="embedded data, few rows, for a CPU")
    made.add_argument("--parts", nargs="+", metavar="NAME", help="some of them; default: all")
    made.add_argument("--table", type=Path, metavar="DIR", help="print the rows that are kept")
    made.add_argument("--measure", nargs=2, metavar=("NAME", "SECONDS"), help=argparse.SUPPRESS)
    made.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = made.parse_args(arguments)
    if options.out is None and options.table is None:
        made.error("--out is missing: where the rows are kept")
    for name in ("out", "data_dir", "table"):
        path = getattr(options, name)
        setattr(options, name, path and path.resolve())
    return options


def run(options: argparse.Namespace, work: Path) -> None:
    """Each part in a process of its own, as long as the budget lasts.

    Args:
        options: of the command.
        work: an empty folder, for programs that are compiled and what one part leaves to another.

    Raises:
        ValueError: if a part is asked for that there isn't.
    """
    from benchmarks.accelerator_parts import PARTS, SMALL_PARTS

    parts = SMALL_PARTS if options.small else PARTS
    chosen = options.parts or list(parts)
    unknown = sorted(set(chosen) - set(parts))
    if unknown:
        raise ValueError(f"there is no part {unknown[0]!r}; there are {', '.join(parts)}")
    rows_file = options.out / _ROWS
    ends = time.monotonic() + options.budget
    terminal = Console(stderr=True)
    pending = {name for name in chosen if not _done(rows_file, name)}
    # What those leave isn't kept from one run to the next.
    pending |= {parts[name].after for name in pending} - {None}
    for name in (name for name in parts if name in pending):
        part, left = parts[name], ends - time.monotonic()
        least = 1 if options.small else part.least
        if left < least:
            reason = f"{max(left, 0):.0f} s left, {least:.0f} needed"
            append(rows_file, {"part": name, "skipped": reason})
            terminal.print(f"{name}: skipped, {reason}")
            continue
        began = time.monotonic()
        fault = _apart(options, name, work, min(left, part.most), part.on_cpu)
        if fault is not None:
            append(rows_file, {"part": name, "error": fault})
        took = time.monotonic() - began
        terminal.print(f"{name}: {took:.0f} s{'' if fault is None else f', {fault}'}")


def _apart(
    options: argparse.Namespace, name: str, work: Path, seconds: float, on_cpu: bool
) -> str | None:
    """A part in a process of its own; what went wrong if something did."""
    command = [sys.executable, "-m", "benchmarks.accelerator", "--out", str(options.out)]
    command += ["--work", str(work), "--measure", name, f"{seconds:.1f}"]
    command += ["--small"] if options.small else []
    command += [] if options.data_dir is None else ["--data-dir", str(options.data_dir)]
    with open(options.out / _LOG, "a", encoding="utf-8") as log:
        log.write(f"== {name}\n")
        log.flush()
        try:
            ended = subprocess.run(
                command,
                stdout=log,
                stderr=log,
                timeout=seconds + _GRACE,
                env=_environment(work, on_cpu, options.small),
                # Where the benchmarks are found.
                cwd=Path(__file__).parents[1],
            )
        except subprocess.TimeoutExpired:
            return f"ended after {seconds + _GRACE:.0f} s"
    if ended.returncode == _FAILED:
        return (work / _FAULT).read_text()
    return None if not ended.returncode else f"ended with exit code {ended.returncode}"


def _environment(work: Path, on_cpu: bool, small: bool) -> dict[str, str]:
    compiled = {
        "JAX_COMPILATION_CACHE_DIR": str(work / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    if small:  # whose programs run for a moment, and take the most of it to compile
        compiled["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    # What the caller has set is kept; the part that compares has a CPU alone.
    return compiled | dict(os.environ) | ({"JAX_PLATFORMS": "cpu"} if on_cpu else {})


# How a part's process ends that has left in that file what went wrong.
_FAILED, _FAULT = 3, "fault.txt"


def measure(
    asked: tuple[str, str], small: bool, data_dir: Path | None, out: Path, work: Path
) -> None:
    """One part, in this process; its rows are on the disk one by one.

    Args:
        asked: its name, and how many seconds it has.
        small: whether it is to be done in seconds on a CPU.
        data_dir: where data lie, if anywhere.
        out: the folder of the rows.
        work: for what one part leaves to another.
    """
    name, seconds = asked
    deadline = time.monotonic() + float(seconds)
    from benchmarks.accelerator_job import Job, machine
    from benchmarks.accelerator_parts import PARTS, SMALL_PARTS

    part = (SMALL_PARTS if small else PARTS)[name]
    try:
        # Repeats end a little sooner: what follows the last of them takes time as well.
        job = Job(small, data_dir, work, deadline - 0.2 * float(seconds))
        for row in part.measure(job):
            append(out / _ROWS, {"part": name, **row, **machine()})
    except Exception as error:
        traceback.print_exc()
        (work / _FAULT).write_text(f"{type(error).__name__}: {str(error)[:300]}")
        sys.exit(_FAILED)


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Write one more row at the end of a file, in one piece and onto the disk."""
    # JSON has no infinity, and a row that is off by one is worth reading.
    finite = {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in plain(row).items()
    }
    line = json.dumps(finite, allow_nan=False) + "\n"
    with open(path, "ab", buffering=0) as file:
        file.write(line.encode())
        os.fsync(file.fileno())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, those that were cut off in the middle left out; none without the file."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "part" in row:
            rows.append(row)
    return rows


def _done(path: Path, name: str) -> bool:
    mine = [row for row in read_rows(path) if row["part"] == name]
    return bool(mine) and not any(key in mine[-1] for key in ("error", "skipped"))


if __name__ == "__main__":
    main()
