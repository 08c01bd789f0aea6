"""The benchmark against peers: everything is judged alike, and a missing peer is said to miss."""

import importlib.util
import json
import os
import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import common, peer_process, peer_scores, peer_tables, peers
from benchmarks.peer_process import Peer
from benchmarks.peer_scores import Scores
from jaxcf import Explainer, data, models, presets

# An interpreter with torch, where this one has none.
TORCH = peer_process.torch_interpreter(os.environ.get("JAXCF_TORCH_PYTHON"))
N, MAX_STEPS = 4, 60

# Answers with the images in reverse order.
FAKE_WORKER = """
import json, sys
import numpy as np
arrays = dict(np.load(sys.argv[1]))
settings = json.loads(arrays["settings"].tobytes())
assert settings["tolerance"] > 0 and "x_train" in arrays
info = {"system": "fake 1.0", "threads": 1, "setup_seconds": 0.5, "processor_seconds": 2.0,
        "largest_difference": 0.0}
n = len(arrays["x"])
np.savez(sys.argv[2], counterfactual=arrays["x"][::-1], steps=np.full(n, 7),
         seconds=np.ones(n), info=np.frombuffer(json.dumps(info).encode(), np.uint8))
"""


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def networks():
    return models.pretrained("digits")


@pytest.fixture(scope="module")
def fitted(digits, networks):
    preset = presets.report("D")
    preset["search"] = replace(preset["search"], max_steps=MAX_STEPS)
    explainer = Explainer(**networks.functions(), **preset, feature_range=(0.0, 1.0))
    return explainer.fit(digits.x_train)


@pytest.fixture(scope="module")
def run(fitted, digits):
    measured = peers.Jaxcf("jaxcf report, n = 4", fitted, digits.x_test[:N])
    measured.warm_up()
    measured.measure()
    return measured


@pytest.fixture
def fake(tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text(FAKE_WORKER)
    settings = {"n": N, "max_steps": 7}
    return Peer("fake", "numpy", str(worker), sys.executable, "", "none", "none", settings)


def scores(valid, values):
    column = np.array(values, float)
    return Scores(np.array(valid), column, column, None, None)


def test_scores_are_those_of_the_explanations_themselves(fitted, networks, run):
    result = run.result
    scored = peer_scores.score(fitted, networks, result, result.counterfactual)
    np.testing.assert_array_equal(scored.valid, result.found)
    # The report's c is 1, as in every score.
    value = sum(result.losses.values(), start=np.zeros(N))
    np.testing.assert_allclose(scored.objective_value, value, rtol=1e-5)
    np.testing.assert_allclose(scored.elastic_net, result.elastic_net, rtol=1e-5)
    assert scored.im1 is not None
    assert scored.im1.shape == (N,)


def test_an_unchanged_image_is_not_valid_and_an_image_of_another_class_is(fitted, networks, run):
    result = run.result
    unchanged = peer_scores.score(fitted, networks, result, result.original)
    assert not unchanged.valid.any()
    assert unchanged.means()["elastic_net"] is None
    swapped = peer_scores.score(fitted, networks, result, result.original[::-1].copy())
    other = result.original_class != result.original_class[::-1]
    np.testing.assert_array_equal(swapped.valid, other)


def test_pairs_are_compared_on_the_rows_that_both_found():
    one = scores([True, True, False], [1.0, 2.0, 100.0])
    other = scores([True, False, True], [3.0, 100.0, 5.0])
    compared = peer_scores.compare(one, other)
    assert compared["both"] == 1
    assert compared["objective_value"] == compared["elastic_net"] == [1.0, 3.0]


def test_equal_quality_takes_the_fastest_run_that_is_as_good_and_finds_as_many():
    peer = scores([True, True], [2.0, 2.0])
    candidates = [
        ("finds fewer", scores([True, False], [1.0, 1.0]), 0.1),
        ("is worse", scores([True, True], [3.0, 2.0]), 0.2),
        ("is as good", scores([True, True], [2.0, 2.0]), 0.3),
        ("is slower", scores([True, True], [1.0, 1.0]), 0.4),
    ]
    reached = peer_scores.at_equal_quality(peer, candidates, "elastic_net")
    assert reached is not None
    assert reached["label"] == "is as good"
    assert peer_scores.at_equal_quality(peer, candidates[:2], "elastic_net") is None


def test_a_peer_is_run_by_its_interpreter_scored_and_shown(
    fake, run, networks, digits, tmp_path, capsys
):
    peer_process.check_interpreter(fake)
    calls = len(run.seconds)
    measured = peers.beside(fake, [run], networks, digits.x_train[:50])
    assert len(run.seconds) == calls + 2
    assert measured.seconds_per_instance == 1.0
    scored = peer_scores.score(run.fitted, networks, run.result, run.result.counterfactual)
    pairs, equal = peers.comparisons([run], {run.label: scored}, [measured])
    assert pairs[0]["labels"] == [run.label, "fake"]
    rows = [peers.jaxcf_row(run, scored), peers.peer_row(measured)]
    assert rows[1]["system"] == "fake 1.0"
    assert rows[1]["ratios"][run.label] > 0
    peer_tables.show("digits", rows, equal, {"alibi": "not given"})
    assert "alibi: left out, not given" in capsys.readouterr().out
    common.write(tmp_path / "rows.json", rows, pairs=pairs, equal_quality=equal)
    written = json.loads((tmp_path / "rows.json").read_text())
    assert written["rows"][1]["steps"]["mean"] == 7
    assert written["machine"]["jaxcf"]
    peer_tables.plot(rows, tmp_path / "rows.png")
    assert (tmp_path / "rows.png").stat().st_size > 1000


def test_without_interpreters_every_peer_says_what_it_needs(fitted, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    made = peers.peers(fitted, peers.parse(["--quick"]))
    assert {peer.python for peer in made} == {None}
    assert all("--torch-python" in p.missing or "--alibi-python" in p.missing for p in made)


def test_a_worker_that_fails_says_why(fake, run, networks, digits):
    arrays = peer_process.exchanged(networks, run.result, digits.x_train[:50])
    del arrays["x_train"]
    with pytest.raises(RuntimeError, match=r"fake failed (.|\n)*AssertionError"):
        peer_process.run(fake, arrays)
    with pytest.raises(RuntimeError, match="can't start /no/such/python"):
        peer_process.check_interpreter(replace(fake, python="/no/such/python"))


def test_networks_for_tables_are_turned_down(run, digits):
    with pytest.raises(ValueError, match="convolutional ones only"):
        peer_process.exchanged(models.pretrained("breast_cancer"), run.result, digits.x_train)


@pytest.mark.skipif(TORCH is None, reason="torch is not installed (set JAXCF_TORCH_PYTHON)")
@pytest.mark.parametrize("mode", ["single", "batch", "shrinking"])
def test_torch_takes_the_same_steps(mode, fitted, run, networks, digits):
    options = peers.parse(["--quick", *(["--torch-python", TORCH] if TORCH else [])])
    peer = next(one for one in peers.peers(fitted, options) if one.settings.get("mode") == mode)
    peer = replace(peer, settings=peer.settings | {"max_steps": MAX_STEPS})
    arrays = peer_process.exchanged(networks, run.result, digits.x_train[:50])
    result = peer_process.run(peer, arrays)
    # Adam's first step goes by the sign of the gradient, which rounding decides where it vanishes.
    assert np.median(np.abs(result.steps - run.result.steps)) <= 0.05 * MAX_STEPS
    assert np.median(np.abs(result.counterfactual - run.result.counterfactual)) <= 1e-2


@pytest.mark.skipif(TORCH is None, reason="torch is not installed (set JAXCF_TORCH_PYTHON)")
def test_networks_that_differ_stop_the_worker(fitted, run, networks, digits):
    options = peers.parse(["--quick", *(["--torch-python", TORCH] if TORCH else [])])
    arrays = peer_process.exchanged(networks, run.result, digits.x_train[:50])
    arrays["expected/logits"] = arrays["expected/logits"] + 1e-3
    with pytest.raises(RuntimeError, match="torch's networks differ from jaxcf's"):
        peer_process.run(peers.peers(fitted, options)[0], arrays)
