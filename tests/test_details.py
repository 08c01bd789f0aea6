"""A closer look at some rows: what it shows is the search that was made."""

import numpy as np
import pytest
from helpers import damage_file, with_array, with_metadata, without

from jaxcf import Details, Explanations


@pytest.fixture
def by_hand() -> Details:
    path = np.zeros((2, 3, 4), np.float32)
    path[1, 2] = np.nan
    return Details(
        rows=np.array([5, 2]),
        evaluations=np.array([[0, 4, 9], [0, 3, -1]]),
        path=path,
        losses={"l1": np.ones((2, 10), np.float32), "l2": np.ones((2, 10), np.float32)},
        prototype=path[:, 0] + 1,
        nearest=path[:, :2] + 2,
        nearest_row=np.array([[8, 1], [3, -1]]),
    )


def test_a_file_holds_everything(by_hand, tmp_path):
    by_hand.save(tmp_path / "details.npz")
    loaded = Details.load(tmp_path / "details.npz")
    assert len(loaded) == 2
    assert loaded.losses.keys() == {"l1", "l2"}
    for name in ("rows", "evaluations", "path", "prototype", "nearest", "nearest_row"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(by_hand, name))


DAMAGES = [
    (without("path"), "is damaged: it lacks path"),
    (with_array("rows", lambda a: a[:-1]), "is damaged: its arrays differ in length"),
    (with_array("rows", lambda a: a.astype(float)), "is damaged: rows has dtype float64"),
    (with_array("evaluations", lambda a: a[:, 0]), "is damaged: evaluations has dtype .* shape"),
    (with_array("evaluations", lambda a: a[:, :-1]), "is damaged: path has shape"),
    (with_array("path", lambda a: a[..., :-1]), "is damaged: path has shape"),
    (with_array("nearest", lambda a: a[:, :1]), "is damaged: nearest has shape"),
    (with_array("losses/l2", lambda a: a[:, :1]), "is damaged: losses/l2 has shape"),
    (with_array("losses/l2", lambda a: a.astype(str)), "is damaged: losses/l2 has dtype <U"),
    (with_array("extra", lambda a: a), "is damaged: unknown array 'extra'"),
    (with_metadata(format="jaxcf.models"), "holds no details but 'jaxcf.models'"),
    (with_metadata(schema_version=99), "has schema version 99; this jaxcf reads version 1"),
]


@pytest.mark.parametrize(("change", "message"), DAMAGES, ids=[m for _, m in DAMAGES])
def test_a_file_that_holds_something_else_is_refused(by_hand, tmp_path, change, message):
    path = tmp_path / "details.npz"
    by_hand.save(path)
    damage_file(path, change)
    with pytest.raises(ValueError, match=message):
        Details.load(path)


def test_other_files_name_what_reads_them(by_hand, tmp_path):
    by_hand.save(tmp_path / "details.npz")
    with pytest.raises(ValueError, match=r"no explanations but .*: read it with jaxcf\.Details"):
        Explanations.load(tmp_path / "details.npz")
