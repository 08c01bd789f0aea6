"""`jaxcf explain --config`: a recorded run again, with other options, or refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxcf import Explanations
from jaxcf.cli import main as cli
from jaxcf.cli.terminal import Outcome
from jaxcf.utils.json_files import read_json, write_json

ARRAYS = ("counterfactual", "status", "probabilities", "steps", "prototype", "prediction_weight")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def assert_identical(one, other):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded") / "run"
    options = ["--limit", "12", "--objective", "C", "--prototypes", "kmeans", "--k", "2"]
    more = ["--seed", "5", "--max-steps", "80", "--learning-rate", "0.02", "--target", "3"]
    more += ["--details", "0", "--guide", "none"]
    assert cli.main(["explain", "digits", *options, *more, "-q", "--out", str(folder)]) == 0
    return folder


def test_a_run_is_repeated_bit_for_bit(recorded, capsys):
    Path("runs/digits-C").mkdir(parents=True)  # so another folder must be taken
    assert cli.main(["explain", "--config", str(recorded / "config.json"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["out"] == "runs/digits-C-2"
    # Nobody said where to: once all of it stands in files of the run, its parts go.
    files = sorted(document["files"])
    assert files == sorted(file.name for file in Path("runs/digits-C-2").iterdir())
    assert {*files, "job.json", "parts"} == {file.name for file in recorded.iterdir()}
    summary = read_json("runs/digits-C-2/summary.json")
    assert {name: document[name] for name in summary} == summary
    before = Explanations.load(recorded / "explanations.npz")
    assert_identical(before, Explanations.load("runs/digits-C-2/explanations.npz"))
    config = read_json("runs/digits-C-2/config.json")
    assert config["settings"] == read_json(recorded / "config.json")["settings"]
    assert config["command"]["target"] == "3"


def test_options_beside_it_come_first(recorded):
    config = str(recorded / "config.json")
    arguments = ["--config", config, "--limit", "5", "--max-steps", "3", "-q", "--out", "few"]
    assert cli.main(["explain", *arguments]) == 0
    assert len(Explanations.load("few/explanations.npz")) == 5
    settings = read_json("few/config.json")["settings"]
    assert settings["search"]["max_steps"] == 3
    assert settings["prototypes"] == {"kind": "kmeans", "k": 2, "seed": 5}


# --- what is taken from the file ---------------------------------------------------------------

COMMAND = {"data": "my.csv", "label": "paid", "rule": ["age:increase", "job:frozen"], "limit": 7}


@pytest.fixture
def taken(monkeypatch):
    """The options with which `explain` is called."""
    asked = []

    def explain(options, terminal):
        asked.append(options)
        return Outcome({})

    monkeypatch.setattr("jaxcf.cli.explain.explain", explain)

    def take(command, *arguments):
        write(command)
        assert cli.main(["explain", "--config", "config.json", *arguments]) == 0
        return asked[-1]

    return take


def write(command, /, **changes):
    rest = {"data": {}, "models": "", "settings": {}}
    content = {"schema_version": 1, "command": command, **rest} | changes
    write_json("config.json", content)


def test_what_is_not_in_the_file_is_as_ever(taken):
    options = taken(COMMAND)
    assert (options.data, options.label, options.limit, options.seed) == ("my.csv", "paid", 7, 0)
    assert options.rule == ["age:increase", "job:frozen"]
    assert options.model_takes is None


def test_values_equal_to_the_default_override_too(taken):
    assert taken({"data": "digits", "seed": 7}).seed == 7
    assert taken({"data": "digits", "seed": 7}, "--seed", "0").seed == 0


def test_repeatable_options_are_replaced_as_a_whole(taken):
    assert taken(COMMAND, "--rule", "age:decrease").rule == ["age:decrease"]
    assert taken(COMMAND, "other.csv").data == "other.csv"


def test_neither_place_nor_trust_are_taken(taken):
    command = COMMAND | {"out": "there", "model": "m.joblib", "trust_model_file": True}
    command |= {"overwrite": True}
    options = taken(command)
    assert (options.out, options.overwrite) == (None, False)
    assert options.model == Path("m.joblib")
    assert options.trust_model_file is False
    assert taken(command, "--trust-model-file").trust_model_file is True


def test_a_recorded_model_file_is_not_loaded_without_trust_given_anew(capsys):
    Path("my.csv").write_text("age,paid\n1,no\n2,yes\n")
    write(COMMAND | {"rule": [], "model": "m.joblib", "trust_model_file": True})
    assert cli.main(["explain", "--config", "config.json"]) == 1
    assert "pass --trust-model-file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"command": {"data": "digits", "limits": 4}}, "no option 'limits' (did you mean limit?)"),
        ({"command": {"data": "digits", "help": True}}, "no option 'help'"),
        ({"command": {"data": "digits", "config": "x"}}, "no option 'config'"),
        ({"command": {"data": "digits", "limit": "4"}}, "'limit' is '4'; expected a whole number"),
        ({"command": {"data": "digits", "limit": 4.5}}, "'limit' is 4.5; expected a whole number"),
        ({"command": {"data": "digits", "limit": 0}}, "'limit' is 0: must be at least 1"),
        ({"command": {"data": "digits", "limit": True}}, "'limit' is True; expected a whole"),
        ({"command": {"data": "digits", "limit": False}}, "'limit' is False; expected a whole"),
        ({"command": {"data": "digits", "limit": [1, 2]}}, "'limit' is [1, 2]; expected a whole"),
        ({"command": {"data": "digits", "seed": None}}, "'seed' is None; expected a whole number"),
        ({"command": {"data": "digits", "confidence": "0.9"}}, "expected a number"),
        (
            {"command": {"data": "digits", "objective": "G"}},
            "is 'G'; expected one of A",
        ),
        ({"command": {"data": "digits", "stop": "budgt"}}, "did you mean budget?"),
        ({"command": {"data": "digits", "trust_model_file": 1, "model_takes": 3}}, "a text"),
        ({"command": {"data": "a.csv", "rule": "age:up"}}, "expected a list of texts"),
        ({"command": {"data": "a.csv", "rule": ["age:up", 3]}}, "expected a list of texts"),
        ({"command": {"data": 3}}, "'data' is 3; expected a text"),
        ({"command": ["digits"]}, "'command' must be an object"),
        ({"schema_version": 2}, "schema version 2"),
        ({"schema_version": None}, "schema version None"),
    ],
)
def test_a_damaged_config_is_refused(changes, message, capsys):
    write({"data": "digits"}, **changes)
    assert cli.main(["explain", "--config", "config.json"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("jaxcf: error: config.json")
    assert message in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"command": {"data": "digits"}}', "{"])
def test_what_is_no_config_is_refused(text, capsys):
    Path("config.json").write_text(text)
    assert cli.main(["explain", "--config", "config.json"]) == 1
    assert "config.json" in capsys.readouterr().err
    assert cli.main(["explain", "--config", "nowhere.json"]) == 1
    assert "nowhere.json" in capsys.readouterr().err


def test_a_config_without_data_needs_it_on_the_command_line(capsys):
    write({"limit": 4})
    with pytest.raises(SystemExit):
        cli.main(["explain", "--config", "config.json"])
    assert "needs DATA" in capsys.readouterr().err
