"""The folder of a run: it belongs to one run, and is read in one way, whatever it holds."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_explanations import images, table, traces

from jaxcf import plots, report
from jaxcf.cli.run_folder import (
    COLUMNS_FILE,
    CONFIG_FILE,
    COUNTERFACTUALS_FILE,
    EXPLANATIONS_FILE,
    GRID_FILE,
    REPORT_FILE,
    RUN,
    RUN_FILES,
    SUMMARY_FILE,
    TRACES_FILE,
    NewRun,
    claimed_folder,
    read_run,
    run_of,
)
from jaxcf.cli.table_csv import write_counterfactuals
from jaxcf.cli.terminal import Terminal
from jaxcf.tabular import Categorical, Numeric, Schema
from jaxcf.utils.json_files import write_json

CONFIG = {"command": {}, "data": {"name": "made"}, "models": "shipped", "settings": {}}
FILES = (
    *(EXPLANATIONS_FILE, TRACES_FILE, SUMMARY_FILE, CONFIG_FILE, GRID_FILE),
    *(COUNTERFACTUALS_FILE, REPORT_FILE),
)


def write_run(folder, command=(), details=1):
    """A run with a file of every kind."""
    explanations = images(4, (5, 5))
    run = NewRun.begin(folder, explanations, dict(command))
    run.write_traces(details, lambda num_rows: traces(explanations), Terminal(quiet=True))
    run.write_config(CONFIG)
    run.write_json(SUMMARY_FILE, {})
    run.write_picture(GRID_FILE, lambda: plots.grid(explanations))
    run.write(REPORT_FILE, lambda path: report.write(path, explanations, run=run.id))
    run.write(COUNTERFACTUALS_FILE, lambda path: write_counterfactuals(path, table(3), run=run.id))
    return run


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return write_run(root / "one"), write_run(root / "two", {"seed": 1})


@pytest.fixture
def folder(two_runs, tmp_path):
    return Path(shutil.copytree(two_runs[0].folder, tmp_path / "run"))


def test_a_run_with_and_without_details(folder):
    run = read_run(folder)
    assert run.core is run.explanations
    assert run.traces is not None
    assert run.traces.rows.tolist() == [0, 2]
    (folder / TRACES_FILE).unlink()
    assert read_run(folder).traces is None


def test_every_file_says_which_run_it_is_of(two_runs):
    one, other = two_runs
    assert sorted(one.files) == sorted(FILES) == sorted(os.listdir(one.folder))
    assert {run_of(one.folder / name) for name in FILES} == {one.id}
    assert {run_of(other.folder / name) for name in FILES} == {other.id} != {one.id}
    assert read_run(one.folder).id == one.id


def test_the_same_run_again_has_the_same_id_wherever_it_is_written(two_runs, tmp_path):
    again = {"out": "elsewhere", "overwrite": True}
    assert NewRun.begin(tmp_path, images(4, (5, 5)), again).id == two_runs[0].id
    other = images(4, (5, 5))
    other.counterfactual[0, 0, 0] += 1
    assert NewRun.begin(tmp_path, other, again).id != two_runs[0].id


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_run_is_named(two_runs, folder, name):
    shutil.copy(two_runs[1].folder / name, folder)
    with pytest.raises(ValueError, match="holds files of different runs: ") as error:
        read_run(folder)
    assert name in str(error.value)


def test_names_that_look_like_formulas_are_drawn_as_they_are(tmp_path):
    names = (r"$\foo$", "$", "a_b^c")
    schema = Schema((Numeric(names[0], 18, 90), Numeric("$", 0, 99), Categorical("^", names)))
    run = NewRun(tmp_path, "abc")
    run.write_picture(COLUMNS_FILE, lambda: plots.changes(table(20, schema)))
    assert run_of(tmp_path / COLUMNS_FILE) == "abc"


def test_pictures_and_pages_without_their_note_are_no_other_runs(folder):
    from PIL import Image

    with Image.open(folder / GRID_FILE) as picture:
        picture.copy().save(folder / GRID_FILE, pnginfo=None)
    (folder / REPORT_FILE).write_text("<!DOCTYPE html>")
    assert run_of(folder / GRID_FILE) is run_of(folder / REPORT_FILE) is None
    read_run(folder)


def test_runs_from_before_files_said_so_are_read(folder):
    for name in FILES:
        if name not in (EXPLANATIONS_FILE, CONFIG_FILE):
            (folder / name).unlink()
    images(4, (5, 5)).save(folder / EXPLANATIONS_FILE)
    write_json(folder / CONFIG_FILE, CONFIG | {"schema_version": 1})
    assert read_run(folder).id is None


def test_a_new_run_leaves_nothing_of_the_one_before(folder):
    (folder / "notes.txt").write_text("mine")
    run = NewRun.begin(folder, images(3, (5, 5)), {})
    assert sorted(os.listdir(folder)) == sorted([EXPLANATIONS_FILE, "notes.txt"])
    assert run.files == [EXPLANATIONS_FILE]


def test_a_run_that_cannot_be_written_spares_the_one_before(folder, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        NewRun.begin(folder, images(3, (5, 5)), {})
    assert len(read_run(folder).core) == 4
    assert sorted(os.listdir(folder)) == sorted(FILES)


def config_with(**changes):
    return CONFIG | {"schema_version": 1} | changes


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ([], "it has no schema_version"),
        (config_with(settings=None), "'settings' must be an object"),
        (config_with(data={"name": None}), r"data\.name is None"),
        (config_with(data={"classes": ["a", None]}), r"data\.classes is \['a', None\]"),
        (config_with(data={"offset": [None], "scale": [1]}), r"data\.offset is \[None\]"),
        (config_with(command={"data_dir": 3}), r"command\.data_dir is 3"),
        (config_with(run=7), "run is 7"),
        (config_with(guide=["a.npz"]), r"guide is \['a\.npz'\]"),
        (config_with(data={"classes": ["a", "b"]}), "it has 2 classes where .* has 10"),
        (config_with(data={"features": ["a"]}), "it has 1 features where .* has 5, 5"),
    ],
)
def test_a_damaged_config_is_refused(folder, two_runs, config, message):
    if isinstance(config, dict):
        config = {RUN: two_runs[0].id} | config
    write_json(folder / CONFIG_FILE, config)
    with pytest.raises(ValueError, match=message) as error:
        read_run(folder)
    assert CONFIG_FILE in str(error.value)


def test_details_of_rows_that_there_are_not_are_refused(folder, two_runs):
    closer = traces(images(4, (5, 5)))
    replace(closer, rows=np.array([0, 4])).save(folder / TRACES_FILE, run=two_runs[0].id)
    with pytest.raises(ValueError, match=r"details\.npz is of row 4"):
        read_run(folder)
    traces(images(4, (6, 5))).save(folder / TRACES_FILE, run=two_runs[0].id)
    with pytest.raises(ValueError, match=r"details\.npz is of rows of shape \(6, 5\)"):
        read_run(folder)


def test_what_is_no_run_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is no run: it has no config\.json"):
        read_run(tmp_path / "nowhere")


# --- claiming a folder ---------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def claim(out=None, overwrite=False):
    return claimed_folder(None if out is None else Path(out), "name", overwrite=overwrite)


def test_runs_that_begin_at_once_take_folders_of_their_own(here):
    with claim() as first, claim() as second:
        assert (str(first), str(second)) == ("runs/name", "runs/name-2")
        (second / EXPLANATIONS_FILE).touch()
    # Of the first nothing came.
    assert os.listdir("runs") == ["name-2"]
    with claim() as third:
        assert str(third) == "runs/name"


def test_nothing_is_left_of_a_run_that_failed(here):
    with pytest.raises(KeyboardInterrupt), claim("new/one"):
        raise KeyboardInterrupt
    assert os.listdir() == []


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_folder_that_holds_a_run_is_refused_unless_it_may_be_overwritten(here, name):
    Path("mine").mkdir()
    Path("mine", "notes.txt").touch()
    with claim("mine"):
        pass
    Path("mine", name).touch()
    with pytest.raises(FileExistsError, match=rf"mine holds a run already \({name}\).*--overwrite"):
        claim("mine").__enter__()
    with claim("mine", overwrite=True) as folder:
        assert (folder / name).exists()


def test_a_folder_that_cannot_be_written_is_refused(here):
    Path("file").touch()
    for out in ("file", "file/run"):
        with pytest.raises(NotADirectoryError, match="file is no folder"):
            claim(out).__enter__()
    with pytest.raises(OSError, match="too long"):
        claim("x" * 300).__enter__()
    assert os.listdir() == ["file"]
