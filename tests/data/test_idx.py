import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxcf.data import read_idx

DTYPES = st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]).map(np.dtype)
SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)


@given(array=hnp.arrays(DTYPES, SHAPES), zipped=st.booleans())
def test_reading_returns_what_was_written(idx_bytes, array, zipped):
    content = idx_bytes(array)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "array"
        file.write_bytes(gzip.compress(content) if zipped else content)
        read = read_idx(file)
    assert read.shape == array.shape
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array)


@given(array=hnp.arrays(DTYPES, SHAPES), data=st.data())
def test_a_file_cut_anywhere_is_refused(idx_bytes, array, data):
    content = idx_bytes(array)
    kept = data.draw(st.integers(0, len(content) - 1))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cut"
        file.write_bytes(content[:kept])
        with pytest.raises(ValueError, match="expected"):
            read_idx(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"starts with the bytes \(none\)"),
        (b"PNG!", "two zero bytes"),
        (bytes([0, 0, 7, 1, 0, 0, 0, 0]), "starts with the bytes 00 00 07 01"),
        (bytes([0, 0, 8, 2, 0, 0, 0, 1]), "ends within its header: 8 bytes; expected 12"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 2, 1]), "holds 9 bytes; expected 10"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 2, 1, 2, 3]), "holds 11 bytes; expected 10"),
        (gzip.compress(b"\0" * 2000, mtime=0)[:-12], "cannot be unzipped"),
        (bytes([0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255]), "holds 12 bytes"),
    ],
)
def test_wrong_content(tmp_path, content, message):
    file = tmp_path / "wrong"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(file)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read_idx(tmp_path / "absent")
