"""JSON: what is written comes back, at once or not at all, and what isn't plain is refused."""

import json
import os

import pytest

from jaxcf.utils.json_files import read_json, write_json


def test_json_comes_back(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1, None, "c"]})
    assert read_json(tmp_path / "a.json") == {"b": [1, None, "c"]}
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": [1, None, "c"]}
    for text in ("{", "NaN", "[1e999]", "[-Infinity]", "[" * 10**5, "[" * 99 + "]" * 99, "\xff"):
        (tmp_path / "a.json").write_text(text, encoding="latin-1")
        with pytest.raises(ValueError, match=r"a\.json is damaged"):
            read_json(tmp_path / "a.json")


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, float("nan"))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
