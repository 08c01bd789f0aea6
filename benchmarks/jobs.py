"""Jobs of many rows: how fast beside one call of `explain`, in how much memory, in which files.

    python -m benchmarks.jobs [--rows 1000000] [--plain-rows 50000] [--folder DIR] [--quick]
                              [--json FILE]

The rows of a table of 12 columns are made as they are read, so that memory holds none but those
under way. First some of them are explained in one call, then all of them by one worker of a job; a
folder that holds part of the job already is gone on with, and its rate is that of the rest. Rates
are by the clock, and by the CPU's time, which others on the machine disturb less. Memory is what
the process holds (its resident set) at every twentieth of the way. At last the job is listed,
checked (some rows of it) and summed up, each timed.
"""

import argparse
import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import common
from jaxcf import jobs
from jaxcf.explainers.progress import Progress
from jaxcf.jobs import Job
from jaxcf.jobs.summary import summary_of
from jaxcf.results.parts import Part, Rows, pieces_of
from jaxcf.tabular import Schema, TableExplainer

_BLOCK = 4096
_JOBS = np.array(["clerk", "farmer", "nurse", "pilot", "sailor", "teacher"])
_PLACES = np.array(["coast", "hills", "plain", "town"])
_CHECKED_ROWS = 10_000
_MANY_PARTS = 10_000


def main() -> None:
    """Measure, print, write."""
    options = _options()
    source = _Made(options.rows)
    fitted = _explainer(source)
    row = _plain(fitted, source, options.plain_rows)
    with contextlib.ExitStack() as places:
        folder = options.folder or Path(places.enter_context(tempfile.TemporaryDirectory()))
        row |= _job(fitted, source, folder) | _afterwards(fitted, folder, options.rows)
    row |= {
        "system": common.SYSTEM,
        "share": row["rate"] / row["plain_rate"],
        "cpu_share": row["cpu_rate"] / row["plain_cpu_rate"],
    }
    common.print_table(
        f"{options.rows} rows of 12 columns",
        ("", "value"),
        [[name, str(value)] for name, value in row.items()],
    )
    if options.json is not None:
        common.write(options.json, [row])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the row")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the job")
    parser.add_argument("--plain-rows", type=int, default=50_000, help="of one call of explain")
    parser.add_argument("--folder", type=Path, help="of the job; a new one, where not given")
    return common.quickly(parser.parse_args(), rows=6000, plain_rows=3000)


class _Made:
    """Rows that are made when they are read, always the same."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def rows(self, start: int, stop: int) -> dict[str, np.ndarray]:
        first, last = start // _BLOCK, (stop - 1) // _BLOCK
        blocks = [_block(number) for number in range(first, last + 1)]
        joined = {name: np.concatenate([one[name] for one in blocks]) for name in blocks[0]}
        window = slice(start - first * _BLOCK, stop - first * _BLOCK)
        return {name: column[window] for name, column in joined.items()}

    def fingerprint(self) -> str:
        return f"{self._count} made rows"


def _block(number: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(number)
    columns: dict[str, np.ndarray] = {"age": rng.integers(18, 80, _BLOCK)}
    for place in range(7):
        columns[f"amount {place}"] = rng.gamma(2.0, 10.0 * (place + 1), _BLOCK).round(1)
    columns["hours"] = rng.integers(5, 70, _BLOCK)
    columns["children"] = rng.integers(0, 5, _BLOCK)
    columns["job"] = rng.choice(_JOBS, _BLOCK)
    columns["place"] = rng.choice(_PLACES, _BLOCK)
    return columns


def _explainer(source: _Made) -> Any:
    training = source.rows(0, _BLOCK)
    schema = Schema.infer(training)
    width = schema.encode(schema.read(training)).shape[1]
    rng = np.random.default_rng(0)
    hidden = rng.normal(0, 1.5, (width, 32)).astype(np.float32)
    out = rng.normal(0, 1, (32, 2)).astype(np.float32)

    def predict(x: Any) -> Any:
        return jax.nn.softmax(jax.numpy.tanh(x @ hidden) @ out)

    return TableExplainer(predict, schema).fit(training)


def _plain(fitted: Any, source: _Made, count: int) -> dict[str, Any]:
    count = min(count, len(source))
    fitted.explain(source.rows(0, min(count, 3000)))  # compiles
    table = source.rows(0, count)
    began, cpu_began = time.perf_counter(), time.process_time()
    explanations = fitted.explain(table)
    rate = count / (time.perf_counter() - began)
    return {
        "plain_rows": count,
        "plain_rate": rate,
        "plain_cpu_rate": count / (time.process_time() - cpu_began),
        "plain_found": float(explanations.found.mean()),
        "plain_memory": _memory(),
    }


def _job(fitted: Any, source: _Made, folder: Path) -> dict[str, Any]:
    held: list[tuple[float, float]] = []

    def look(progress: Progress) -> None:
        share = progress.done / (progress.total or 1)
        if not held or share >= held[-1][0] + 0.05:
            held.append((share, _memory()))

    there = len(source)
    if (folder / "job.json").exists():
        there = sum(one.size for one in Job.open(folder).missing())
    began, cpu_began = time.perf_counter(), time.process_time()
    job = jobs.run(fitted, source, folder, on_progress=look)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    sizes = [job.folder.file_of(part).stat().st_size for part in job.folder.parts()]
    return {
        "rows": len(source),
        "rate": there / seconds,
        "cpu_rate": there / cpu_seconds,
        "seconds": seconds,
        "memory": [[round(share, 2), round(size, 1)] for share, size in held],
        "parts": len(sizes),
        "bytes_per_row": sum(sizes) / len(source),
        "largest_part": max(sizes),
        "manifest": (folder / "job.json").stat().st_size,
    }


def _afterwards(fitted: Any, folder: Path, rows: int) -> dict[str, Any]:
    began = time.perf_counter()
    job = Job.open(folder)
    assert job.complete
    listed = time.perf_counter() - began
    began = time.perf_counter()
    summary = summary_of(job.stream())
    summed = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as place:
        some = _Made(min(rows, _CHECKED_ROWS))
        jobs.run(fitted, some, place)
        began = time.perf_counter()
        assert jobs.check(fitted, some, place).holds
        checked = time.perf_counter() - began
    names = [Part(Rows(one * 1024, one * 1024 + 1024), "0" * 32) for one in range(_MANY_PARTS)]
    with tempfile.TemporaryDirectory() as place:
        parts = Path(place) / "parts"
        parts.mkdir()
        for part in names:
            (parts / part.name).touch()
        job_of_many = Job(type(job.folder)(Path(place), {"rows": _MANY_PARTS * 1024}))
        began = time.perf_counter()
        assert len(pieces_of(job_of_many.folder.parts())) == _MANY_PARTS
        many = time.perf_counter() - began
    return {
        "found": summary["found"] / max(1, summary["needed"]),
        "listed_seconds": listed,
        "summed_seconds": summed,
        f"checked_seconds_of_{len(some)}": checked,
        f"listed_seconds_of_{_MANY_PARTS}_parts": many,
    }


def _memory() -> float:
    """What the process holds, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
