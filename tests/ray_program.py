"""A local cluster of Ray that does the jobs of `tests/jobs/test_on_ray.py`.

    python tests/ray_program.py FOLDER

The process waits at the end, with a job under way that doesn't come to its own, to be killed.
"""

import os
import signal
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from helpers import mlp
from pyarrow import csv

from jaxcf import EngineOptions, jobs
from jaxcf.jobs import JobOptions
from jaxcf.tabular import Schema, TableExplainer

X = np.tile(mlp().x, (4, 1)) + np.linspace(0, 0.05, 24, dtype=np.float32)[:, None]
OPTIONS = JobOptions(rows_per_unit=4, rows_per_part=4)
TABLE_OPTIONS = JobOptions(rows_per_unit=4)


def ready() -> Any:
    """What explains `X`."""
    return mlp().fit(engine=EngineOptions(lanes=4, lanes_per_group=2))


def table() -> dict[str, np.ndarray]:
    """Rows of two types, one of which lacks an entry."""
    job = np.array(["clerk", "nurse", "pilot", None, "nurse", "clerk", "pilot"], object)
    return {"job": job, "age": np.array([20, 31, 44, 50, 61, 38, 27])}


def ready_for_table() -> Any:
    """What explains `table`."""
    import jax

    rows = {name: column[:3] for name, column in table().items()}
    schema = Schema.infer(rows)
    hidden = np.random.default_rng(0).normal(0, 2, (schema.encode(schema.read(rows)).shape[1], 2))
    predict = lambda x: jax.nn.softmax(x @ hidden.astype(np.float32))  # noqa: E731
    engine = EngineOptions(lanes=4, lanes_per_group=2)
    return TableExplainer(predict, schema, engine=engine).fit(rows)


def disturbed(place: Path, how: str) -> Any:
    """`ready`; one worker is killed when it is about to name its second part, or waits forever."""
    named = 0

    def look(event: str, arguments: Any) -> None:
        nonlocal named
        if event != "os.rename" or "part-" not in str(arguments[1]):
            return
        named += 1
        if named == 2 and how == "waits":
            time.sleep(3600)
        if named == 2:
            try:
                os.close(os.open(place / "killed", os.O_CREAT | os.O_EXCL))
            except FileExistsError:  # it is another one's turn to live
                return
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)
    return ready()


def main() -> None:
    """Do the jobs."""
    ray, data = import_module("ray"), import_module("ray.data")
    place = Path(sys.argv[1])
    root = Path(__file__).parent.parent
    ray.init(
        num_cpus=4,
        include_dashboard=False,
        object_store_memory=100 * 2**20,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": f"{root}:{root / 'tests'}"}},
    )
    on_ray = partial(jobs.ray_data, options=OPTIONS, num_workers=2)
    arrays = data.from_numpy([X[:7], X[7:15], X[15:]])
    on_ray(partial(disturbed, place, "is killed"), arrays, place / "killed one")
    for number, rows in enumerate((slice(3), slice(3, None))):
        lines = [f"{job or ''},{age}" for job, age in zip(*table().values(), strict=True)][rows]
        (place / f"{number}.csv").write_text("\n".join(["job,age", *lines, ""]))
    # To pandas an empty entry is missing; to Arrow where it is told so.
    missing = csv.ConvertOptions(strings_can_be_null=True)
    paths = [str(place / f"{number}.csv") for number in range(2)]
    files = data.read_csv(paths, convert_options=missing)
    jobs.ray_data(ready_for_table, files, place / "table", options=TABLE_OPTIONS)
    try:
        on_ray(ready, arrays.random_shuffle(), place / "shuffled")
    except ValueError as error:
        print(error, flush=True)
    on_ray(partial(disturbed, place, "waits"), arrays, place / "cut off")


if __name__ == "__main__":
    main()
