"""What a GPU is measured by keeps what it has, whatever ends it."""

import gzip
import time
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import accelerator, accelerator_parts
from benchmarks.accelerator_job import Job, read_mnist, timed
from benchmarks.accelerator_parts import Part, counted_lane_steps
from benchmarks.accelerator_table import markdown
from jaxcf import EngineOptions, Explainer, data, models


@pytest.fixture
def job(tmp_path):
    return Job(True, None, tmp_path, time.monotonic() + 60)


def test_a_part_is_measured_in_a_process_of_its_own_and_once(tmp_path, capsys):
    asked = ["--small", "--parts", "memory 8", "--out", str(tmp_path)]
    accelerator.main(asked)
    (row,) = accelerator.read_rows(tmp_path / "rows.jsonl")
    assert row["part"] == "memory 8"
    assert row["n"] == 32
    assert row["found"] == 1
    assert row["seconds"] > 0
    assert row["stop"] == "first_flip"
    assert row["peak_gib"] >= row["peak_gib_of_fit"] > 0
    assert {"device", "jax", "python"} <= row.keys()
    printed = capsys.readouterr().out
    assert "2 x 8 lanes, memory" in printed
    assert (tmp_path / "table.md").read_text() == printed.removesuffix("\n")

    accelerator.main(asked)
    accelerator.main(["--table", str(tmp_path)])
    assert accelerator.read_rows(tmp_path / "rows.jsonl") == [row]
    assert capsys.readouterr().out == 2 * printed


@pytest.fixture
def made_up(monkeypatch):
    """Two parts: one that fails after its first row, and one that doesn't."""

    def fails(job):
        yield {"what": "half", "n": 1}
        raise ArithmeticError("no way on")

    parts = {
        "fails": Part(fails, 0, 60),
        "goes on": Part(lambda job: iter([{"what": "whole", "n": 2}]), 0, 60),
        "long": Part(fails, 1000, 2000),
    }
    monkeypatch.setattr(accelerator_parts, "PARTS", parts)


@pytest.mark.usefixtures("made_up")
def test_a_part_that_fails_keeps_its_rows_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    def apart(options, name, work, seconds, on_cpu):
        try:
            accelerator.measure((name, str(seconds)), False, None, options.out, work)
        except SystemExit as ended:
            return f"{ended.code}: {(work / 'fault.txt').read_text()}"

    monkeypatch.setattr(accelerator, "_apart", apart)
    accelerator.main(["--out", str(tmp_path), "--budget", "100"])
    rows = accelerator.read_rows(tmp_path / "rows.jsonl")
    assert [(row["part"], row.get("what")) for row in rows] == [
        ("fails", "half"),
        ("fails", None),
        ("goes on", "whole"),
        ("long", None),
    ]
    assert rows[1]["error"] == "3: ArithmeticError: no way on"
    assert "1000 needed" in rows[3]["skipped"]
    captured = capsys.readouterr()
    assert "no way on" in captured.err
    assert (
        "| fails | - | - | - | - | - | - | error: 3: ArithmeticError: no way on |" in captured.out
    )


@pytest.mark.usefixtures("made_up")
def test_a_part_that_there_is_not_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(ValueError, match="no part 'images'; there are fails, goes on, long"):
        accelerator.main(["--out", str(tmp_path), "--parts", "goes on", "images"])
    assert not (tmp_path / "rows.jsonl").exists()


def test_a_row_that_was_cut_off_is_left_out_and_one_that_was_repeated_counts_once(tmp_path):
    file = tmp_path / "rows.jsonl"
    for row in (
        {"part": "images", "what": "digits", "n": 1, "jax": "1"},
        {"part": "images", "error": "lost"},
        {"part": "images", "what": "digits", "n": 2, "jax": "1", "off": np.inf, "agrees": False},
        {"part": "lanes", "skipped": "3 s | left"},
    ):
        accelerator.append(file, row)
    whole = accelerator.read_rows(file)
    file.write_bytes(file.read_bytes() + b'{"part": "images", "wh')
    assert accelerator.read_rows(file) == whole
    assert markdown(whole).splitlines()[2:] == [
        "|  | n | s | first, s | rows per second | found | stop | more |",
        "|---|---|---|---|---|---|---|---|",
        "| digits | 2 | - | - | - | - | - | off inf, agrees no |",
        "| lanes | - | - | - | - | - | - | skipped: 3 s / left |",
    ]


def test_no_repeat_is_begun_after_the_deadline(job):
    calls = []
    late = timed(replace(job, small=False, deadline=time.monotonic()), lambda: calls.append(1))
    assert len(calls) == 1
    assert late.median is None
    assert len(timed(replace(job, small=False), int, repeats=3).seconds) == 3


def test_every_evaluation_of_a_search_is_a_lane_step_of_use():
    digits = data.load("digits")
    functions = models.pretrained("digits").functions()
    layout = EngineOptions(lanes=8, lanes_per_group=4)
    fitted = Explainer(**functions, engine=layout).fit(digits.x_train[:300])
    with counted_lane_steps() as counted:
        explanations = fitted.explain(digits.x_test[:9])
    # A search that needs k updates evaluates k + 1 points.
    assert counted["used"] == explanations.steps.sum() + 9
    assert counted["used"] < counted["made"]
    assert counted["made"] % 4 == 0


def test_mnist_is_read_from_its_original_files_in_their_order(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    labels = np.array([0, 1, 1, 0, 1, 0], np.uint8)
    for split, rows in (("train", slice(0, 4)), ("t10k", slice(4, 6))):
        for kind, array in (("images-idx3", images[rows]), ("labels-idx1", labels[rows])):
            lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
            content = bytes([0, 0, 8, array.ndim]) + lengths + array.tobytes()
            (tmp_path / f"{split}-{kind}-ubyte.gz").write_bytes(gzip.compress(content))
    dataset = read_mnist(tmp_path)
    np.testing.assert_allclose(dataset.x_train[..., 0], images[:4] / 255, rtol=1e-6)
    np.testing.assert_array_equal(dataset.y_test, labels[4:])
    assert dataset.name == "mnist"
