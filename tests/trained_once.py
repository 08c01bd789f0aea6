"""Judges that are trained once in a run of the suite, whichever test or page asks for them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from jaxcf import data, models
from jaxcf.models import judges
from jaxcf.utils.fingerprints import fingerprint


@contextmanager
def long_programs() -> Iterator[None]:
    """Inside, programs are compiled as for a user: for those that run longer than that takes."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


def train_judges(
    dataset: data.Dataset, *, seed: int = 0, updates: int | None = None
) -> tuple[models.Judge, ...]:
    """What `jaxcf.models.train_judges` gives for the same, which is the same every time."""
    rows = fingerprint([dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test])
    folder = Path(os.environ["JAXCF_TESTS_RUN"], "trained")
    path = folder / f"judges-{rows}-{seed}-{updates}.npz"
    if not path.is_file():
        with long_programs():
            # A file appears at once, so two workers that train the same do no harm.
            judges.save_judges(path, judges.train_judges(dataset, seed=seed, updates=updates))
    return models.load_judges(path)
