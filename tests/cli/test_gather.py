"""Runs in parts: shards and `jaxcf gather`, the same command after SIGTERM, large runs."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_close

from jaxcf import Explanations, Traces
from jaxcf.cli import main as cli
from jaxcf.cli.run_folder import read_run
from jaxcf.jobs import Job
from jaxcf.results.explanations import pack
from jaxcf.utils.json_files import read_json

RUN = ("explain", "digits", "--limit", "24", "--guide", "none", "--details", "0", "--lanes", "8")
RUN += ("--unit-rows", "8")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert cli.main([*RUN, "--quiet", "--out", str(folder)]) == 0
    return folder


def assert_same_run(folder, whole):
    mine, theirs = (pack(Explanations.load(Path(one))) for one in (folder, whole))
    for name, array in theirs.items():
        np.testing.assert_array_equal(mine[name], array, err_msg=name)


def test_shards_are_gathered_once_all_are_there(whole, capsys):
    assert cli.main([*RUN, "-q", "--out", "run", "--shard", "2/2"]) == 0
    assert sorted(path.name for path in Path("run").iterdir()) == [
        "job.json",
        "parts",
        "true_classes.npz",
    ]
    assert cli.main(["gather", "run", "-q"]) == 1
    assert "rows 0 to 7 are missing of 24; run the shards again" in capsys.readouterr().err
    assert cli.main([*RUN, "-q", "--json", "--out", "run", "--shard", "1/2"]) == 0
    assert json.loads(capsys.readouterr().out)["missing"] == []
    assert cli.main(["gather", "run", "-q"]) == 0
    assert_same_run("run", whole)
    assert_same_run("run/explanations.npz", whole / "explanations.npz")
    read = read_run("run")
    assert (read.id, read.config["command"]["limit"]) == (read_run(whole).id, 24)
    assert "jaxcf-run" in Path("run", "report.html").read_text()[:4096]
    part = min(Path("run", "parts").iterdir())
    part.write_bytes(part.read_bytes()[:-1])
    assert cli.main(["gather", "run", "-q"]) == 1
    assert "(parts: 1 damaged, now taken away): rows 0 to 7" in capsys.readouterr().err


@pytest.mark.parametrize("where", [("--out", "run"), ()])
def test_the_same_command_goes_on_after_sigterm(where, whole, monkeypatch, capsys):
    out = Path("run" if where else "runs/digits-D")

    def end(progress):
        if any(out.glob("parts/part-*")):
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr("jaxcf.cli.terminal.Terminal.progress_bar", lambda self: end)
        assert cli.main([*RUN, *where, "--part-rows", "8"]) == 128 + signal.SIGTERM
    assert "the same command goes on where it was" in capsys.readouterr().err
    job = Job.open(out)
    assert 0 < sum(rows.size for rows in job.missing()) < 24
    assert read_run(out).core.scores["interrupted"].any()
    assert cli.main([*RUN, "-q", *where]) == 0
    assert_same_run(out / "explanations.npz", whole / "explanations.npz")
    assert (out / "parts").exists() == bool(where)
    if where:  # it is done, says so once more, and keeps what was made of it
        Path("run", "report.html").write_text("mine")
        assert cli.main([*RUN, *where]) == 0
        assert "run is complete: nothing was left to do" in capsys.readouterr().err
        assert Path("run", "report.html").read_text() == "mine"
    else:
        assert cli.main([*RUN, "-q"]) == 0
        assert Path("runs/digits-D-2").exists()


def test_a_run_is_checked_and_what_was_tampered_with_is_named(whole, capsys):
    shutil.copytree(whole, "run")
    assert cli.main(["check", "run", "-q", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["holds"]
    assert document["checked"]["found"] == read_json("run/summary.json")["found"]
    assert read_json("run/certificate.json")["content"] == document["content"]
    assert read_run("run").core.found.any()
    Explanations.load("run").with_scores(im1=np.zeros(24)).save(
        "run/explanations.npz", run=read_run("run").id
    )
    for name, before, after in (
        ("summary.json", '"found": ', '"found": 1'),
        ("config.json", '"limit": 24', '"limit": 25'),
    ):
        file = Path("run", name)
        file.write_text(file.read_text().replace(before, after, 1))
    assert cli.main(["check", "run"]) == 1
    said = capsys.readouterr().err
    assert "explanations.npz: scores/im1 isn't that of the parts" in said
    assert "summary.json: found isn't that of the rows" in said
    assert "config.json: command isn't that of the job" in said
    assert "it doesn't hold; see run/certificate.json" in said


def test_a_run_holds_whatever_is_made_of_its_rows_later(whole, capsys):
    shutil.copytree(whole, "run")
    assert cli.main([*RUN, "-q", "--out", "run", "--details", "2"]) == 0
    assert len(Traces.load("run/details.npz")) == 2
    assert cli.main([*RUN, "-q", "--out", "./run", "--details", "2", "--lanes", "4"]) == 0
    assert cli.main([*RUN, "--out", "run", "--details", "2", "--lanes", "4"]) == 0
    assert "run is complete: nothing was left to do" in capsys.readouterr().err
    assert cli.main(["check", "run", "-q"]) == 0


def test_a_run_that_is_too_large_for_one_file_stays_in_parts(whole, monkeypatch, capsys):
    monkeypatch.setattr("jaxcf.cli.finished._MOST_BYTES", 0)
    monkeypatch.setattr("jaxcf.cli.finished.SHOWN_ROWS", 6)
    monkeypatch.setattr("jaxcf.cli.run_folder.SHOWN_ROWS", 6)
    assert cli.main([*RUN, "-q", "--out", "run", "--part-rows", "8"]) == 0
    names = sorted(path.name for path in Path("run").iterdir())
    kept = ["config.json", "grid.png", "job.json", "parts", "summary.json"]
    assert names == [*kept, "true_classes.npz"]
    assert_same_run("run", whole)
    mine, theirs = (read_json(one / "summary.json") for one in (Path("run"), whole))
    for name in theirs.keys() - {"run", "seconds"}:
        if isinstance(theirs[name], dict):
            assert mine[name].keys() == theirs[name].keys()
            for key, value in theirs[name].items():
                assert_close(np.float32(mine[name][key]), np.float32(value), f"{name}.{key}")
        else:
            assert_close(np.float32(mine[name]), np.float32(theirs[name]), name)
    shown = read_run("run", some_rows=True)
    assert (len(shown.core), shown.shown_of) == (6, 24)
    assert shown.core.source_row.tolist() == [0, 4, 9, 13, 18, 23]
    assert cli.main(["report", "run", "-q"]) == 0
    assert "6 of 24 rows" in Path("run", "report.html").read_text()
    capsys.readouterr()
    assert cli.main(["info", "run"]) == 1
    assert "24 rows in parts, too many for one file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shard", "3"], "expected I/N with I from 1 to N"),
        (["--shard", "3/2", "--out", "run"], "expected I/N with I from 1 to N"),
        (["--shard", "1/2"], "--shard needs --out DIR"),
        (["--shard", "1/2", "--out", "run", "--restart"], "give it once, without --shard"),
        (["--part-seconds", "0"], "seconds_per_part must be > 0"),
    ],
)
def test_what_does_not_go_together_is_refused_before_any_work(more, message, capsys):
    assert cli.main([*RUN, "-q", *more]) == 1
    assert message in capsys.readouterr().err
    assert list(Path().iterdir()) == []
