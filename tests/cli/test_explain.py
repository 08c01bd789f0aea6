"""The command line, run in this process on the embedded data, as a user would call it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trained_once
from helpers import assert_close, assert_same_answers
from PIL import Image

import jaxcf
from jaxcf import Explanations, FittedExplainer, Status, data, metrics, models, presets
from jaxcf.cli import explain, run_folder
from jaxcf.cli import main as cli
from jaxcf.cli.run_folder import read_run
from jaxcf.utils.json_files import plain, read_json

SUMMARY_KEYS = {
    "run",
    "n",
    "found",
    "needed",
    "status",
    "steps",
    "l1",
    "l2",
    "elastic_net",
    "changed",
    "im1",
    "im2",
    "guide_probability",
    "guides_convinced",
    "reset_features",
    "reset_l1",
    "seconds",
}


# The cheapest runs, for tests that any run will do.
NO_DETAILS = ("--details", "0")
ANY_RUN = ("--guide", "none", *NO_DETAILS)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "digits"
    assert cli.main(["explain", "digits", "--limit", "40", "--out", str(folder)]) == 0
    return folder


def test_explain_writes_the_documented_files(digits_run):
    assert {file.name for file in digits_run.iterdir()} == {
        "explanations.npz",
        "summary.json",
        "config.json",
        "details.npz",
        "grid.png",
        "job.json",
        "parts",
        "true_classes.npz",
    }
    np.testing.assert_array_equal(
        read_run(digits_run).true_classes, data.load("digits").y_test[:40]
    )
    explanations = Explanations.load(digits_run / "explanations.npz")
    np.testing.assert_array_equal(explanations.original, data.load("digits").x_test[:40])
    with Image.open(digits_run / "grid.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10


def test_details_are_of_the_rows_of_the_run(digits_run):
    run = read_run(digits_run)
    details, explanations = run.traces, run.core
    assert details is not None
    assert len(details) == 24
    last = (details.evaluations >= 0).sum(axis=1) - 1
    ends = details.path[np.arange(len(details)), last]
    # The search's end lies as much farther as its way back has come.
    away = metrics.l1(ends - explanations.original[details.rows])
    back = explanations.scores["reset_l1"][details.rows]
    assert_close(away, explanations.l1[details.rows] + back)
    shown = explanations.original_class[details.rows]
    assert set(shown) == set(explanations.original_class[explanations.found])
    digits = data.load("digits")
    np.testing.assert_array_equal(details.nearest, digits.x_train[details.nearest_row])
    assert np.isfinite(details.prototype).all()


def test_a_run_is_overwritten_only_if_asked_to_and_then_wholly(digits_run, capsys):
    shutil.copytree(digits_run, "run")
    Path("run", "notes.txt").write_text("mine")
    arguments = ["explain", "digits", "--limit", "4", *ANY_RUN, "--quiet", "--out", "run"]
    assert cli.main(arguments) == 1
    refused = capsys.readouterr().err
    assert "run holds a run already" in refused
    assert "--limit is 4, and was 40" in refused
    assert len(read_run("run").core) == 40
    assert cli.main([*arguments, "--overwrite", "--json"]) == 0
    run, document = read_run("run"), json.loads(capsys.readouterr().out)
    assert (len(run.core), run.traces) == (4, None)
    assert document["run"] == run.id != read_run(digits_run).id
    files = sorted(document["files"])
    kept = ["config.json", "explanations.npz", "grid.png", "job.json", "parts", "summary.json"]
    assert files == [*kept, "true_classes.npz"]
    assert len(Explanations.load("run")) == 4
    assert sorted(file.name for file in Path("run").iterdir()) == sorted([*files, "notes.txt"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "digits", "--target", "eleven"], "its classes are 0, 1"),
        (["explain", "digits", "--out", "file"], "file is no folder"),
        (["explain", "digits", "--out", "file/run"], "file is no folder"),
        (["explain", "digits", "--learning-rate", "-1"], "learning_rate"),
        (["explain", "digits", "--guide", "nowhere.npz"], "nowhere.npz"),
        (["train", "digits", "--out", "file"], "pass --overwrite"),
        (["train", "digits", "--out", "file/models.npz"], "file is no folder"),
        (["train", "digits", "--out", "folder"], "it is a folder"),
        (["evaluate", "run", "--eps", "0"], "--eps must be > 0"),
    ],
)
def test_what_can_be_known_is_said_before_any_work(arguments, message, monkeypatch, capsys):
    def work(*arguments, **options):
        raise AssertionError("the models were asked for")

    for name in ("pretrained", "load_models", "train_models"):
        monkeypatch.setattr(models, name, work)
    Path("file").touch()
    Path("folder").mkdir()
    assert cli.main([*arguments, "--quiet"]) == 1
    assert message in capsys.readouterr().err
    assert sorted(file.name for file in Path().iterdir()) == ["file", "folder"]


def test_judges_say_what_they_read(digits_run, capsys):
    run = Path(shutil.copytree(digits_run, "run"))
    judges = trained_once.train_judges(data.load("digits"))
    models.save_judges("models/digits-judges.npz", judges)
    assert cli.main(["evaluate", "run", "--judges"]) == 0
    assert "judges read the new class" in capsys.readouterr().out
    evaluation = read_json(run / "evaluation.json")
    assert evaluation["judges"] == {judge.name: judge.accuracy for judge in judges}
    before = Explanations.load(digits_run / "explanations.npz")
    after = Explanations.load("run/explanations.npz")
    found = before.found
    read = [np.asarray(one.predict(after.counterfactual)).argmax(axis=1) for one in judges]
    new = np.mean([one == before.counterfactual_class for one in read], axis=0)
    np.testing.assert_allclose(after.scores["oracle"][found], new[found], rtol=1e-6)
    assert np.isnan(after.scores["oracle"][~found]).all()
    assert evaluation["oracle"] == pytest.approx(new[found].mean())
    assert 0 <= evaluation["stays_original"] <= 1 - evaluation["oracle"]
    assert_same_answers(replace(after, scores=before.scores), before)
    assert after.scores.keys() == before.scores.keys() | {"oracle", "stays_original"}


SECONDS = {
    *("start", "data", "models", "prototypes", "compile", "search", "refinement", "scores"),
    *("parts", "files", "pictures", "details", "other", "total"),
}


def test_summary_agrees_with_the_explanations(digits_run):
    summary = read_json(digits_run / "summary.json")
    explanations = Explanations.load(digits_run / "explanations.npz")
    assert summary.keys() == SUMMARY_KEYS
    assert summary["steps"].keys() == {"median", "p99", "mean"}
    seconds = dict(summary["seconds"])
    assert seconds.keys() == SECONDS
    assert seconds.pop("total") == pytest.approx(sum(seconds.values()), abs=0.01)
    assert min(seconds.values()) >= 0
    assert seconds["other"] < sum(seconds.values()) / 2
    found = explanations.found
    assert summary["n"] == 40
    assert summary["found"] == found.sum() >= 38
    assert summary["guides_convinced"] == 1
    assert sum(summary["status"].values()) == 40
    np.testing.assert_allclose(summary["l1"], explanations.l1[found].mean(), rtol=1e-6)
    np.testing.assert_allclose(summary["im1"], explanations.scores["im1"][found].mean(), rtol=1e-6)
    assert summary["seconds"]["total"] >= summary["seconds"]["search"] > 0


def test_only_found_rows_have_a_score(digits_run):
    explanations = Explanations.load(digits_run / "explanations.npz")
    for values in explanations.scores.values():
        np.testing.assert_array_equal(np.isfinite(values), explanations.found)


def test_config_says_what_was_asked_for_and_used(digits_run):
    config = read_json(digits_run / "config.json")
    assert config["command"]["limit"] == 40
    assert config["data"]["test_rows"] == 40
    assert config["models"] == config["guide"] == "shipped"
    assert config["settings"]["search"] == plain(presets.near()["search"].settings())
    assert config["settings"]["im_eps"] == 1e-8


def test_evaluate_confirms_every_found_row(digits_run, capsys):
    assert cli.main(["evaluate", str(digits_run), "--eps", "1e-5"]) == 0
    evaluation = read_json(digits_run / "evaluation.json")
    summary = read_json(digits_run / "summary.json")
    assert evaluation["confirmed"] == evaluation["found"] == summary["found"]
    assert evaluation["im_eps"] == 1e-5
    assert evaluation["validity"] == summary["found"] / 40
    assert "of 40 that needed one" in capsys.readouterr().out
    (digits_run / "evaluation.json").unlink()


def test_target_by_name_is_reached(capsys):
    assert (
        cli.main(["explain", "digits", "--limit", "12", "--target", "3", *ANY_RUN, "--out", "to3"])
        == 0
    )
    explanations = Explanations.load("to3/explanations.npz")
    already = explanations.status == Status.ALREADY_IN_TARGET
    assert (already == (explanations.original_class == 3)).all()
    assert (explanations.counterfactual_class[explanations.found] == 3).all()
    assert explanations.found.sum() + already.sum() >= 11
    needed = 12 - already.sum()
    assert read_json("to3/summary.json")["needed"] == needed
    said = f"found {explanations.found.sum()} of {needed}"
    assert said in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("kind", ["nearest", "kdtree", "kmeans"])
def test_prototypes_can_be_chosen(kind):
    arguments = ["explain", "digits", "--limit", "8", "--prototypes", kind, "--k", "2", *ANY_RUN]
    assert cli.main([*arguments, "--out", kind]) == 0
    prototypes = read_json(f"{kind}/config.json")["settings"]["prototypes"]
    assert prototypes["kind"] == kind
    assert prototypes["k"] == 2


def test_presets_and_single_options_combine():
    arguments = ["explain", "digits", "--limit", "4", "--preset", "report", "--objective", "C"]
    assert cli.main([*arguments, "--max-steps", "7", *NO_DETAILS, "--out", "run"]) == 0
    settings = read_json("run/config.json")["settings"]
    assert settings["search"]["solver"] == "subgradient_adam"
    assert settings["search"]["max_steps"] == 7
    assert settings["search"]["weight_rounds"] == 1
    assert settings["objective"]["weights"]["prototype"] == 200.0
    assert Explanations.load("run/explanations.npz").steps.max() <= 7


def test_tables_are_explained_too(capsys):
    assert cli.main(["explain", "breast_cancer", "--limit", "20", *NO_DETAILS, "--out", "run"]) == 0
    summary = read_json("run/summary.json")
    assert summary["n"] == 20
    assert summary["found"] >= 19
    assert cli.main(["evaluate", "run", "--judges"]) == 1
    assert "breast_cancer has no judges: they are networks of images" in capsys.readouterr().err


def test_interrupting_twice_keeps_what_was_finished(monkeypatch, ctrl_c):
    write = run_folder.NewRun.write_config

    def write_config(*arguments):
        ctrl_c()
        write(*arguments)

    monkeypatch.setattr("jaxcf.cli.terminal.Terminal.progress_bar", lambda self: ctrl_c)
    monkeypatch.setattr(run_folder.NewRun, "write_config", write_config)
    arguments = ["--limit", "40", "--lanes", "8", "--guide", "none", "--out", "run"]
    status = cli.main(["explain", "digits", *arguments])
    assert status == cli.EXIT_INTERRUPTED
    explanations = Explanations.load("run/explanations.npz")
    assert len(explanations) == 40
    assert 0 < explanations.found.sum() < 40
    assert set(explanations.status.tolist()) <= {Status.FOUND, Status.INTERRUPTED}
    assert read_json("run/summary.json")["status"]["interrupted"] > 0
    assert read_run("run").traces is None


def test_interrupting_the_scores_keeps_the_run(monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(explain, "with_interpretability", interrupt)
    arguments = ["explain", "digits", "--limit", "4", "--guide", "none", "-q", "--out", "run"]
    assert cli.main(arguments) == cli.EXIT_INTERRUPTED
    assert read_run("run").core.found.all()


def test_interrupting_the_closer_look_keeps_the_run(monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(FittedExplainer, "trace", interrupt)
    arguments = ["explain", "digits", "--limit", "4", "--guide", "none", "-q", "--out", "run"]
    assert cli.main(arguments) == cli.EXIT_INTERRUPTED
    assert read_run("run").core.found.all()
    assert read_json("run/summary.json")["found"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "digit"], "did you mean digits?"),
        (["explain", "mnist", "--data-dir", "nowhere"], "nowhere"),
        (["explain", "digits", "--models", "nowhere.npz"], "nowhere.npz"),
        (["evaluate", "nowhere"], "jaxcf explain"),
        (["explain", "digits", "--k", "100000", "--limit", "4"], "--k 100000 neighbours"),
    ],
)
def test_failures_say_why_in_one_line(arguments, message, capsys):
    assert cli.main([*arguments, *(["--quiet"] if arguments[0] == "explain" else [])]) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("jaxcf: error: ")
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    "arguments", [[], ["explain"], ["explain", "digits", "--objective", "G"], ["nonsense"]]
)
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage: jaxcf" in capsys.readouterr().err


@pytest.fixture
def trained_at_once(monkeypatch):
    """Training gives the shipped models of another data set, and takes no time."""
    monkeypatch.setattr(
        "jaxcf.models.train_models", lambda *_, **__: models.pretrained("breast_cancer")
    )


def commands(run):
    """Each command, writing into the current folder."""
    shutil.copytree(run, "copy")
    return [
        ["explain", "digits", "--limit", "4", *ANY_RUN, "--out", "run"],
        ["evaluate", "copy"],
        ["train", "breast_cancer", "--overwrite"],
        ["info"],
        ["info", "copy"],
        ["info", "copy/explanations.npz"],
        ["info", "models/breast_cancer.npz"],
    ]


@pytest.mark.usefixtures("trained_at_once")
def test_json_is_one_document_and_quiet_is_quiet(digits_run, capsys):
    documents = []
    for arguments in commands(digits_run):
        assert cli.main([*arguments, "--quiet"]) == 0
        captured = capsys.readouterr()
        assert captured.out == captured.err == ""
        if arguments[0] != "explain":  # tests of --config have it
            assert cli.main([*arguments, "--json"]) == 0
            documents.append(json.loads(capsys.readouterr().out))
    evaluated, trained, here, run, explanations, weights = documents
    assert evaluated["confirmed"] == run["found"] == explanations["found"]
    assert (evaluated["out"], evaluated["files"]) == ("copy", ["evaluation.json"])
    assert run["settings"] == read_json("copy/config.json")["settings"]
    assert trained == weights | {"out": "models/breast_cancer.npz"}
    assert here["versions"]["jaxcf"] == jaxcf.__version__
    assert "digits" in here["data_sets"]
    assert here["devices"]


def test_errors_with_json_leave_the_output_empty(capsys):
    assert cli.main(["info", "nowhere.npz", "--json", "--quiet"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "nowhere.npz" in captured.err


def test_info_names_data_and_describes_runs(digits_run, capsys):
    assert cli.main(["info"]) == 0
    assert "breast_cancer" in capsys.readouterr().out
    assert cli.main(["info", str(digits_run)]) == 0
    assert "of 40" in capsys.readouterr().out
    assert cli.main(["info", str(digits_run / "explanations.npz")]) == 0
    assert "of 40" in capsys.readouterr().out
