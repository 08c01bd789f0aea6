"""Arrays as Parquet: what is written comes back, the same content as the same file."""

import numpy as np
import pytest

from jaxcf.utils.parquet import column_sizes, from_parquet, to_parquet

COLUMNS = {
    "row": np.arange(3),
    "status": ["found", None, "not_found"],
    "x": np.arange(24, dtype=np.float32).reshape(3, 2, 4),
    "one": np.full((3, 1), np.nan),
    "half": np.ones((3, 2), np.float16),
    "code": np.array([-1, 0, 1], np.int8),
    "found": np.array([True, False, True]),
}


def test_what_is_written_comes_back():
    columns, description = from_parquet(to_parquet(COLUMNS, {"made": ["here", 1]}))
    assert description == {"made": ["here", 1]}
    assert list(columns) == list(COLUMNS)
    assert columns.pop("status").tolist() == COLUMNS["status"]
    for name, array in columns.items():
        np.testing.assert_array_equal(array, COLUMNS[name])
        assert array.dtype == np.asarray(COLUMNS[name]).dtype
        array[:] = 0  # it is the reader's own


def test_the_same_content_is_the_same_file():
    one = to_parquet(COLUMNS, {"a": 1, "b": 2})
    assert one == to_parquet(COLUMNS, {"b": 2, "a": 1})
    assert one != to_parquet(COLUMNS, {"a": 1, "b": 3})


@pytest.mark.parametrize("change", [lambda c: c[:-9], lambda c: b"PAR1" + c[9:], lambda _: b""])
def test_a_damaged_file_is_refused(change):
    with pytest.raises(ValueError, match="no part that jaxcf wrote, or is damaged"):
        from_parquet(change(to_parquet(COLUMNS, {})))


def test_a_file_of_others_is_refused(tmp_path):
    import pandas as pd

    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="no part that jaxcf wrote"):
        from_parquet((tmp_path / "other.parquet").read_bytes())


def test_how_large_columns_are_is_known_without_reading_them(tmp_path):
    arrays = {"x": np.zeros((500, 3, 4), np.float32), "score.list": np.ones(500)}
    (tmp_path / "part.parquet").write_bytes(to_parquet(arrays, {}))
    sizes = column_sizes(tmp_path / "part.parquet")
    assert list(sizes) == list(arrays)
    for name, array in arrays.items():
        assert sizes[name] == pytest.approx(array.nbytes, rel=0.1)


@pytest.mark.parametrize("content", [b"", b"PAR1 and nothing else"])
def test_of_a_damaged_file_no_size_is_known(content, tmp_path):
    (tmp_path / "part.parquet").write_bytes(content)
    with pytest.raises(ValueError, match="no part that jaxcf wrote, or is damaged"):
        column_sizes(tmp_path / "part.parquet")
    with pytest.raises(FileNotFoundError):
        column_sizes(tmp_path / "none.parquet")
