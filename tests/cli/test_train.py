"""`jaxcf train DATA --guide`, and where other commands find the guide of a data set."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jaxcf import data, models
from jaxcf.cli import main as cli
from jaxcf.cli.dataset_models import find_guide


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def trained(monkeypatch):
    """What trainings were asked for; each gives the shipped guide under another name."""
    asked = []

    def train(dataset, *, seed, quick, on_progress):
        asked.append((dataset.name, seed, quick))
        on_progress("guide", 1, 1, 0.5)
        return replace(models.pretrained_guide("digits"), name="mine")

    monkeypatch.setattr("jaxcf.models.train_guide", train)
    return asked


def test_a_guide_is_trained_shown_and_found(trained, capsys):
    assert cli.main(["train", "digits", "--guide", "--quick", "--seed", "3"]) == 0
    assert trained == [("digits", 3, True)]
    captured = capsys.readouterr()
    for word in ("accuracy", "moved against it", "confidence"):
        assert word in captured.out
    assert "written to models/digits-guide.npz" in captured.err
    found = find_guide(data.load("digits"))
    assert found is not None
    guide, origin = found
    assert (guide.name, origin) == ("mine", "models/digits-guide.npz")
    assert cli.main(["info", origin, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["confidence"] == guide.confidence
    assert document["robust_accuracy"] == guide.robust_accuracy
    assert cli.main(["train", "digits", "--guide"]) == 1
    assert "is there already" in capsys.readouterr().err


def test_without_a_file_the_shipped_guide_is_found_or_none():
    digits = data.load("digits")
    found = find_guide(digits)
    assert found is not None
    assert found[1] == "shipped"
    assert find_guide(replace(digits, name="others")) is None
    with pytest.raises(ValueError, match=r"guides of shipped take rows of shape \(8, 8, 1\)"):
        find_guide(replace(digits, class_names=("a", "b")))


def test_quick_is_for_guides(capsys):
    assert cli.main(["train", "digits", "--quick"]) == 1
    assert "pass --guide as well" in capsys.readouterr().err
    assert not Path("models").exists()
