"""What becomes of a job that is killed, told to end, or left without a disk: nothing is lost.

    python -m benchmarks.killed [--kills 100] [--quick] [--json FILE]

A small job is killed with SIGKILL at random moments, each time the same call goes on, until it is
done; then another is begun, until it was killed so often. Likewise with SIGTERM, with a disk that
is full and a folder that becomes read-only (on file systems in memory, which only root can mount),
with damaged and truncated parts, and with a second process on the same folder. Every job must come
to the end of one that nothing disturbed: each row once, equal to the last bit, and nothing left
over.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from jaxcf import Explainer, Explanations, Objective, SearchOptions, jobs
from jaxcf.jobs import Job, JobInterrupted, JobOptions
from jaxcf.results.explanations import pack

_ROWS, _FEATURES = 480, 6
_OPTIONS = JobOptions(rows_per_unit=8, rows_per_part=16, seconds_per_part=0.05)
_COMPILED = "JAXCF_KILLED_COMPILED"
# A file system that takes some parts of the job, and not all.
_SMALL_DISK = "256k"


def main() -> None:
    """Disturb jobs in every way, print, write."""
    options = _options()
    random.seed(options.seed)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ[_COMPILED] = str(folder / "compiled")
        began = time.perf_counter()
        whole = folder / "whole" / "job"
        _check(_wait(_start(whole)), 0)
        seconds = _job_seconds(folder / "timed" / "job")
        for name, disturb in _WAYS.items():
            count = options.kills if name == "SIGKILL" else max(1, options.kills // 5)
            rows.append({"way": name, **_series(disturb, folder / name, whole, count, seconds)})
    for row in rows:
        row["system"] = common.SYSTEM
    common.print_table(
        f"jobs of {_ROWS} rows, {time.perf_counter() - began:.0f} s",
        ("way", "disturbed", "jobs", "rows each", "equal"),
        [
            [str(row[name]) for name in ("way", "disturbed", "jobs", "rows", "equal")]
            for row in rows
        ],
    )
    if options.json is not None:
        common.write(options.json, rows)
    if not all(row["equal"] for row in rows):
        sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="five kills")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the rows")
    parser.add_argument("--kills", type=int, default=100, help="by SIGKILL; of others a fifth")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    return common.quickly(parser.parse_args(), kills=5)


# --- the job ---------------------------------------------------------------------------------


def _run(folder: Path, begun: int | None = None) -> Job:
    """The job, in a process in which JAX hasn't run before."""
    import jax

    # What one process has compiled serves the next: else they would be killed before any row.
    jax.config.update("jax_compilation_cache_dir", os.environ[_COMPILED])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    rng = np.random.default_rng(0)
    hidden, out = rng.normal(size=(_FEATURES, 16)), 2 * rng.normal(size=(16, 3))
    x = rng.uniform(-1, 1, (_ROWS, _FEATURES)).astype(np.float32)
    hidden, out = hidden.astype(np.float32), out.astype(np.float32)

    def predict(x: Any) -> Any:
        return jax.nn.softmax(jax.numpy.tanh(x @ hidden) @ out)

    search = SearchOptions(max_steps=200, stop="budget")
    explainer = Explainer(predict, objective=Objective.named("C"), search=search)
    fitted = explainer.fit(x[:100])
    if begun is not None:
        os.write(begun, b".")
    return jobs.run(fitted, x, folder, options=_OPTIONS)


def _start(folder: Path) -> int:
    """A process that does the job, once it has begun to."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        return child
    status = 1
    try:
        os.close(reading)
        _run(folder, writing)
        status = 0
    except JobInterrupted:
        status = 130
    except OSError:
        status = 74
    finally:
        os._exit(status)


def _wait(child: int) -> int:
    """The exit status of a process; of one that was killed, the signal with a minus."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _check(status: int, *expected: int) -> None:
    if status not in expected:
        raise AssertionError(f"the job ended with {status}; expected {expected}")


def _job_seconds(folder: Path) -> float:
    child = _start(folder)
    began = time.perf_counter()
    _check(_wait(child), 0)
    return time.perf_counter() - began


# --- the ways --------------------------------------------------------------------------------


def _series(
    disturb: Callable[[Path, float], Iterator[int]],
    place: Path,
    whole: Path,
    count: int,
    seconds: float,
) -> dict[str, Any]:
    """Disturb jobs so often; each, once it is done, is compared."""
    disturbed = done = 0
    equal = True
    while disturbed < count:
        with _folder(place, disturb) as folder:
            if folder is None:
                break
            for more in disturb(folder, seconds):
                disturbed += more
                if disturbed >= count:
                    break
            _check(_wait(_start(folder)), 0)
            # In a process of its own: Arrow's threads don't survive a fork.
            equal &= _in_child(partial(_is_whole, folder, whole))
            done += 1
    return {"disturbed": disturbed, "jobs": done, "rows": _ROWS, "equal": equal and done > 0}


@contextmanager
def _folder(place: Path, disturb: Any) -> Iterator[Path | None]:
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as made:
        if disturb not in (_full_disk, _read_only):
            yield Path(made) / "job"
            return
        size = _SMALL_DISK if disturb is _full_disk else "16m"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", made], capture_output=True
        )
        if mounted.returncode:
            yield None
            return
        try:
            yield Path(made) / "job"
        finally:
            subprocess.run(["umount", made], check=True)


def _ended_by(number: int, *expected: int) -> Callable[[Path, float], Iterator[int]]:
    def disturb(folder: Path, seconds: float) -> Iterator[int]:
        while True:
            child = _start(folder)
            time.sleep(random.uniform(0, seconds))
            os.kill(child, number)
            status = _wait(child)
            _check(status, 0, *expected)
            if status == 0:  # it was done before
                return
            yield 1

    return disturb


def _full_disk(folder: Path, seconds: float) -> Iterator[int]:
    _check(_wait(_start(folder)), 74)
    subprocess.run(["mount", "-o", "remount,size=16m", str(folder.parent)], check=True)
    yield 1


def _read_only(folder: Path, seconds: float) -> Iterator[int]:
    child = _start(folder)
    while not any(folder.glob("parts/part-*")):
        time.sleep(0.005)
    while subprocess.run(
        ["mount", "-o", "remount,ro", str(folder.parent)], capture_output=True
    ).returncode:
        time.sleep(0.001)  # a part is being written
    _check(_wait(child), 74)
    subprocess.run(["mount", "-o", "remount,rw", str(folder.parent)], check=True)
    yield 1


def _damaged(folder: Path, seconds: float) -> Iterator[int]:
    _check(_wait(_start(folder)), 0)
    for part in random.sample(sorted(folder.glob("parts/part-*")), 4):
        content = bytearray(part.read_bytes())
        if random.random() < 0.5:
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        else:
            del content[random.randrange(len(content)) :]
        part.write_bytes(bytes(content))
    yield 1


def _two_processes(folder: Path, seconds: float) -> Iterator[int]:
    for child in [_start(folder), _start(folder)]:
        _check(_wait(child), 0)
    yield 1


_WAYS: dict[str, Callable[[Path, float], Iterator[int]]] = {
    "SIGKILL": _ended_by(signal.SIGKILL, -signal.SIGKILL),
    "SIGTERM": _ended_by(signal.SIGTERM, 130, -signal.SIGTERM),
    "full disk": _full_disk,
    "read-only folder": _read_only,
    "damaged parts": _damaged,
    "two processes": _two_processes,
}


def _in_child(holds: Callable[[], bool]) -> bool:
    child = os.fork()
    if child:
        return _wait(child) == 0
    status = 1
    try:
        status = 0 if holds() else 1
    finally:
        os._exit(status)


def _is_whole(folder: Path, whole: Path) -> bool:
    left = [path for path in folder.rglob("*") if path.name.startswith(".")]
    mine, theirs = (pack(Explanations.load(one)) for one in (folder, whole))
    once = np.array_equal(mine["source_row"], np.arange(_ROWS))
    same = all(np.array_equal(mine[name], theirs[name], equal_nan=True) for name in theirs)
    return not left and once and same and mine.keys() == theirs.keys()


if __name__ == "__main__":
    main()
