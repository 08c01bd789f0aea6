"""The folder of a run is read in one way, whatever it holds."""

import numpy as np
import pytest
from helpers import mlp

from jaxcf import Traces
from jaxcf.cli.run_folder import (
    CONFIG_FILE,
    EXPLANATIONS_FILE,
    TRACES_FILE,
    read_run,
    write_config,
)
from jaxcf.utils import storage


@pytest.fixture
def folder(tmp_path):
    mlp().fit().explain(mlp().x[:2]).save(tmp_path / EXPLANATIONS_FILE)
    write_config(tmp_path, {"command": {}, "data": {}, "models": "shipped", "settings": {}})
    return tmp_path


def test_a_run_with_and_without_details(folder):
    run = read_run(folder)
    assert run.core is run.explanations
    assert run.traces is None
    x = np.zeros((1, 2, 3), np.float32)
    where = np.array([[0, 1]])
    Traces(np.array([1]), where, x, {}, x[:, 0], x, where).save(folder / TRACES_FILE)
    details = read_run(folder).traces
    assert details is not None
    assert details.rows.tolist() == [1]


def test_what_is_no_run_or_damaged_says_so(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is no run: it has no config\.json"):
        read_run(tmp_path / "nowhere")
    storage.write_json(folder / CONFIG_FILE, [])
    with pytest.raises(ValueError, match=r"it has no schema_version"):
        read_run(folder)
