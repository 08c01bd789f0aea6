"""What every test runs under; the type checks at run time are in pyproject.toml (addopts)."""

import jax
import jaxtyping
import pytest

# Before jax starts its backends: the sharding tests need two devices.
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
# Strict dtype promotion isn't possible for all: optax.adam itself raises 0.9 to an integer power.
# `test_solvers.py` checks it where the library's own code is all there is.


@pytest.fixture
def without_type_checks():
    """For values that the type checks would turn away before the library can say its own word."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True, scope="module")
def programs_are_let_go():
    """Every compiled program holds memory maps, and Linux kills a process with 65,530 of them."""
    yield
    jax.clear_caches()
