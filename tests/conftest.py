"""What every test runs under; the type checks at run time are in pyproject.toml (addopts)."""

import atexit
import gc
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import jax
import pytest
import type_checker  # noqa: F401 (before the package is imported, whose functions it checks)

# Compiling takes most of the suite's time. What one test compiles serves the next, in the other
# workers and in the processes that tests start. A run of the suite begins with nothing, unless
# JAXCF_TESTS_COMPILED names a folder of programs, which is kept for the next.
if "JAXCF_TESTS_RUN" not in os.environ:
    _folder = tempfile.mkdtemp(prefix="jaxcf-tests-")
    atexit.register(shutil.rmtree, _folder, ignore_errors=True)
    os.environ["JAXCF_TESTS_RUN"] = _folder
    _compiled = os.environ.get("JAXCF_TESTS_COMPILED", f"{_folder}/compiled")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _compiled
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    # As here, or their programs would be others.
    os.environ["JAX_NUM_CPU_DEVICES"] = "4"
    # A test runs its programs for a moment, but waits a second for each. XLA compiles them in a
    # fifth of the time like this, and in a third where they aren't for a moment, see
    # `programs_run_long`. With XLA_FLAGS set, to nothing too, all is compiled as for a user.
    if "XLA_FLAGS" not in os.environ:
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
        # In one piece: split into the usual 32, to which the cores of one compilation would be
        # given, programs as small as these take half as much processor time again.
        _flags = "--xla_backend_optimization_level=1 --xla_cpu_parallel_codegen_split_count=1"
        if jax.__version_info__ < (0, 12):  # newer ones have no others, and abort on the flag
            _flags += " --xla_cpu_use_fusion_emitters=false"
        os.environ["XLA_FLAGS"] = _flags
    # The workers share the cores: threads of theirs would spin while they wait for one another.
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(_name, "1")
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
_QUICKLY = os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS") == "1"
jax.config.update("jax_disable_most_optimizations", _QUICKLY)

# Before jax starts its backends: the sharding tests need four devices.
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
# Strict dtype promotion isn't possible for all: optax.adam itself raises 0.9 to an integer power.
# `test_solvers.py` checks it where the library's own code is all there is.

# Traces make garbage by the million, most of which goes without being looked for.
gc.set_threshold(100_000, 20, 100)

# How long an example takes depends on who else is busy, and on who has compiled it before.
hypothesis.settings.register_profile("jaxcf", deadline=None)
hypothesis.settings.load_profile("jaxcf")


@pytest.fixture
def without_type_checks():
    """For values that the type checks would turn away before the library can say its own word."""
    from helpers import type_checks  # not before the type checks are installed

    with type_checks(False):
        yield


@pytest.fixture
def ctrl_c():
    """What Ctrl-C does, as a function.

    Signals end a program as they do in a terminal, also where tests run in the background (Ctrl-C
    is ignored) or under nohup (so is a terminal that was closed).
    """
    ways: dict[int, Any] = dict.fromkeys((signal.SIGTERM, signal.SIGHUP), signal.SIG_DFL)
    ways[signal.SIGINT] = signal.default_int_handler
    before = {number: signal.signal(number, way) for number, way in ways.items()}
    yield lambda *_: signal.raise_signal(signal.SIGINT)
    for number, way in before.items():
        signal.signal(number, way)


@pytest.fixture(scope="module")
def programs_run_long():
    """For tests whose programs are worth more of the compiler's time."""
    from trained_once import long_programs  # not before the type checks are installed

    jax.clear_caches()
    with long_programs():
        yield


# Of 65,530, with room for those of the next module.
_MOST_MAPS = 20_000


@pytest.fixture(autouse=True, scope="module")
def programs_are_let_go():
    """Every compiled program holds memory maps, and Linux kills a process with 65,530 of them."""
    yield
    maps = Path("/proc/self/maps")
    if not maps.exists() or maps.read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()
