import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MNIST_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(os.environ.get("JAXCF_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("prepared data not present (set JAXCF_DATA)")
    return folder


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def idx_bytes() -> Callable[[np.ndarray], bytes]:
    return to_idx


def to_idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 0x08, array.ndim, *array.shape)
    return header + array.tobytes()


@pytest.fixture(scope="session")
def small_mnist() -> dict[str, np.ndarray]:
    """Arrays as MNIST has them, with a few random images."""
    return few_images()


def few_images() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "train-images-idx3-ubyte.gz": generator.integers(0, 256, (40, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte.gz": np.arange(40, dtype=np.uint8) % 10,
        "t10k-images-idx3-ubyte.gz": generator.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte.gz": np.arange(20, dtype=np.uint8) % 10,
    }


@pytest.fixture
def small_originals(tmp_path) -> Path:
    """Four files in the format of MNIST, with a few random images."""
    folder = tmp_path / "originals"
    folder.mkdir()
    for file, array in few_images().items():
        (folder / file).write_bytes(gzip.compress(to_idx(array)))
    return folder


@pytest.fixture
def prepared_mnist(tmp_path, small_originals) -> Path:
    """A prepared folder of a few images; what is returned holds `mnist/<version>`."""
    from jaxcf.data.preparing import prepare

    originals = {file: small_originals / file for file in MNIST_FILES}
    prepare("mnist", tmp_path / "source", originals=originals, checksums={})
    return tmp_path / "source" / "tfds"
