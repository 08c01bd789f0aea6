"""Tables against peers: all answers are scored alike, and every peer asks the same model."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

import benchmarks
from benchmarks import tables, tables_process, tables_summary
from benchmarks.peer_process import Peer
from benchmarks.tables_measures import MEASURES, Scores, ranks, score, units
from benchmarks.tables_methods import OWN, Method, peers
from benchmarks.tables_process import Answers
from benchmarks.tables_tasks import Task, read, task
from benchmarks.tables_trees import trees_of
from jaxcf import BlackBox
from jaxcf.cli.terminal import Terminal
from jaxcf.tabular import Categorical, Numeric, Rule, Schema

PYTHONS = {tool: os.environ.get(f"JAXCF_{tool.upper()}_PYTHON") for tool in tables.TOOLS}

# Answers with the first training row of the other class; has none for the second row.
WORKER = f"""
import sys
sys.path.insert(0, {str(Path(benchmarks.__file__).parent)!r})
from peer_asking import work

def prepare(asked):
    known = asked.predict(asked.x_train).argmax(axis=1)
    print("libraries like to talk")
    def explain(values):
        print("also while they search")
        if (values == asked.x[1]).all():
            raise asked.settings["fails"] and ArithmeticError("no way there") or SystemExit("gone")
        while asked.settings["slow"] and (values == asked.x[2]).all():
            pass
        return asked.x_train[known != asked.predict(values[None])[0].argmax()][0]
    return "fake 1.0", explain

work(prepare)
"""

X_TRAIN = np.array(
    [[20.0, 0.5, 0], [30, 1.5, 1], [40, 2.5, 2], [50, 3.5, 0], [60, 4.5, 1], [70, 5.5, 2]]
)


def model(encoded):
    """The second class from the age of 50 on, or for pilots from 35 on."""
    odds = encoded[:, 0] - 49.5 + 15 * encoded[:, 3]
    second = 1 / (1 + np.exp(-odds))
    return np.stack([1 - second, second], axis=1)


@pytest.fixture
def small():
    columns = (
        Numeric("age", 20, 70, step=1.0),
        Numeric("pay", 0.5, 5.5),
        Categorical("job", ("clerk", "pilot", "sailor")),
    )
    schema = Schema(columns, "original")
    options = {"predict": BlackBox(model, 2), "schema": schema, "class_names": ("no", "yes")}
    x = np.array([[25.0, 1.0, 0], [34, 1.0, 0], [30, 1.0, 1]])
    y_train = model(schema.encode(X_TRAIN)).argmax(axis=1)
    return Task("small", "made up", schema, X_TRAIN, y_train, x, model, options)


@pytest.fixture
def fake(tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    settings = {"fails": True, "slow": False}
    return Peer("fake", "numpy", str(worker), sys.executable, "", "", "", settings)


def answers(*rows):
    found = Answers.nothing(len(rows), 3)
    found.values[:] = rows
    found.reached[:] = True
    return found


# ---- measures ----


def test_a_unit_is_the_median_deviation_but_no_less_than_a_twentieth_of_the_span(small):
    np.testing.assert_allclose(units(small), [15, 1.5, 1])
    # Nearly all alike: the deviation is 0, and what the middle of the rows spans as well.
    x = np.repeat(X_TRAIN[:1], 500, axis=0)
    x[0, 0] = 40
    np.testing.assert_allclose(units(replace(small, x_train=x)), [1, 1, 1])


def test_an_answer_is_worth_what_its_values_say(small):
    # Sixty years; a pilot of 36, beside a training row that isn't of the class.
    scores = score(small, answers([60, 1.0, 0], [36, 4.0, 1], [30, 1.0, 1]))
    assert scores.valid.tolist() == [True, True, False]
    np.testing.assert_array_equal(scores.changed, [1, 3, 0])
    np.testing.assert_allclose(scores.l1, [35 / 15, 2 / 15 + 2 + 1, 0])
    np.testing.assert_allclose(scores.l2, [35 / 15, np.sqrt(np.square([2 / 15, 2, 1]).sum()), 0])
    np.testing.assert_allclose(
        scores.to_training, [10 / 15 + 2.5 / 1.5, 24 / 15 + 0.5 / 1.5, np.nan]
    )


def test_what_is_no_row_of_the_table_is_not_valid(small):
    none = [np.nan] * 3
    for bad in (none, [60, 1.0, 3], [60, 1.0, 0.5], [60, 1.0, -1], [60, np.inf, 0]):
        scores = score(small, answers(bad, [60, 1.0, 0], [60, 1.0, 0]))
        assert scores.valid.tolist() == [False, True, True]
        assert np.isnan(scores.l1[0])


def test_numbers_are_those_that_the_table_can_hold(small):
    # 49.4 years are 49 and too few, 49.6 are 50; float32 of 1.00000001 is nothing that changed.
    scores = score(small, answers([49.4, 1.0, 0], [49.6, 1.0, 0], [50, 1.00000001, 1]))
    assert scores.valid.tolist() == [False, True, True]
    assert scores.off_grid.tolist() == [True, True, False]
    np.testing.assert_allclose(scores.l1, [24 / 15, 16 / 15, 20 / 15])
    assert scores.changed[2] == 1


def test_an_answer_against_the_rules_or_of_another_class_is_not_valid(small):
    rules = {"job": Rule(frozen=True), "pay": Rule(increase_only=True)}
    ruled = replace(small, rules=rules, target="yes")
    scores = score(ruled, answers([60, 1.0, 1], [60, 0.5, 0], [60, 1.5, 1]))
    assert scores.valid.tolist() == [False, False, True]
    asked_for_no = score(replace(small, target="no"), answers(*[[60, 1.0, 0]] * 3))
    assert not asked_for_no.valid.any()


def test_ranks_put_the_invalid_last_and_leave_out_rows_that_somebody_did_not_reach():
    def scores(reached, valid, values):
        column = np.array(values, float)
        arrays = np.array(reached, bool), np.array(valid, bool), column, column, column, column
        return Scores(*arrays, np.zeros(len(values), bool))

    found = ranks(
        {
            "one": scores([1, 1, 1], [1, 1, 1], [1, 2, 3]),
            "two": scores([1, 1, 1], [1, 0, 1], [1, 1, 3]),
            "three": scores([1, 1, 0], [0, 1, 0], [0, 3, np.nan]),
        }
    )
    for name in MEASURES:
        np.testing.assert_array_equal(found["one"][name], [1.5, 1, np.nan])
        np.testing.assert_array_equal(found["two"][name], [1.5, 3, np.nan])
        np.testing.assert_array_equal(found["three"][name], [3, 2, np.nan])


# ---- peers ----


def test_a_peer_asks_the_model_here_and_a_row_that_fails_costs_no_other(small, fake):
    found = tables_process.ask(fake, small, 3, 30)
    assert found.reached.all()
    # The first training rows of the other class.
    np.testing.assert_array_equal(found.values[[0, 2]], X_TRAIN[[3, 3]])
    assert np.isnan(found.values[1]).all()
    assert found.info["reasons"] == {"ArithmeticError: no way there": 1}
    assert found.info["system"] == "fake 1.0"
    # Those of the training rows belong to the preparation.
    np.testing.assert_array_equal(found.predictions, [1, 0, 1])
    assert (found.seconds >= 0).all()


def test_a_peer_that_takes_too_long_keeps_what_it_has_answered(small, fake):
    slow = replace(fake, settings={"fails": True, "slow": True})
    found = tables_process.ask(slow, small, 3, 1)
    assert found.reached.tolist() == [True, True, False]


def test_a_peer_that_dies_says_why(small, fake):
    with pytest.raises(RuntimeError, match=r"fake failed on small, made up:\n(.|\n)*gone"):
        tables_process.ask(replace(fake, settings={"fails": False, "slow": False}), small, 3, 30)


def test_what_was_answered_is_not_asked_again_unless_the_question_is_another(
    small, fake, tmp_path, monkeypatch
):
    monkeypatch.setattr(tables, "OWN", ())
    options = tables.parse(["--out", str(tmp_path), "--n", "3"])
    quiet = Terminal(quiet=True)

    def measured(task, peer):
        return tables.measure(task, [Method(peer, lambda task: None)], options, quiet)

    (first,), _ = measured(small, fake)
    gone = replace(fake, python="/no/such/python")
    (again,), _ = measured(small, gone)
    np.testing.assert_array_equal(first.answers.values, again.answers.values)
    assert again.answers.info == first.answers.info
    other = replace(small, probabilities=lambda encoded: model(encoded)[:, ::-1])
    for task_, peer in ((other, gone), (small, replace(gone, settings={"fails": 1}))):
        with pytest.raises(FileNotFoundError):
            measured(task_, peer)


def test_peers_that_cannot_do_a_task_say_so(small):
    methods = {one.peer.label: one for one in peers(tables.parse([]))}
    assert all("-python" in one.peer.missing for one in methods.values())
    ruled = replace(small, rules={"job": Rule(frozen=True)})
    assert methods["NICE, sparsity"].objection(ruled) == "it takes no rules"
    assert methods["NICE, sparsity"].objection(small) is None
    assert methods["treecf, exact"].objection(small) == "it is for trees of two classes"
    assert methods["DiCE, random"].objection(ruled) is None


@pytest.mark.parametrize(
    "forest",
    [RandomForestClassifier(5, random_state=0), HistGradientBoostingClassifier(max_iter=5)],
    ids=["forest", "boosting"],
)
def test_the_trees_that_a_peer_gets_are_those_of_the_model(small, forest):
    generator = np.random.default_rng(0)
    ages, jobs = generator.integers(20, 71, 200), generator.integers(0, 3, 200)
    values = np.stack([ages, np.round(generator.uniform(0.5, 5.5, 200), 2), jobs], axis=1)
    encoded = small.schema.encode(values)
    forest.fit(encoded, model(encoded).argmax(axis=1))
    trees = trees_of(forest, small.schema)
    assert trees is not None
    assert (trees.left_codes > 0).any()
    scores = trees.score(small.schema.read(encoded))
    decided = scores > trees.boundary
    np.testing.assert_array_equal(decided, forest.predict(encoded) == 1)
    share = scores if trees.boundary else 1 / (1 + np.exp(-scores))
    np.testing.assert_allclose(share, forest.predict_proba(encoded)[:, 1], rtol=1e-9)


@pytest.mark.parametrize("tool", tables.TOOLS)
def test_a_real_peer_finds_counterfactuals(tool):
    python = PYTHONS[tool]
    if python is None:
        pytest.skip(f"JAXCF_{tool.upper()}_PYTHON names no interpreter with {tool}")
    options = tables.parse([f"--{tool}-python", python])
    name = {"treecf": "forest", "alibi": "network"}.get(tool, "logistic")
    made = task("diabetes", read("diabetes", None), name)
    for method in peers(options):
        if method.peer.python is not None:
            found = tables_process.ask(method.peer, made, 1, 100)
            assert score(made, found).valid.all(), found.info


# ---- the command ----


def test_the_command_measures_jaxcf_and_says_who_is_missing(tmp_path, capsys):
    tables.main(["--quick", "--json", str(tmp_path / "rows.json"), "--out", str(tmp_path)])
    written = json.loads((tmp_path / "rows.json").read_text())
    rows = written["rows"]
    own = {one.label for one in OWN}
    assert {row["label"] for row in rows} == own | {f"{label}, n = 12" for label in own}
    for row in rows:
        assert row["valid"]["mean"] == 1
        assert row["valid"]["n"] == row["rows"] == (12 if row["many"] else 6)
        assert row["seconds_per_row"] > 0
        assert row["predictions_per_row"] > 0
    # The settings share the places 1, 2, ...
    places = [row["ranks"]["l1"]["mean"] for row in rows if not row["many"]]
    assert sum(places) == pytest.approx(len(own) * (len(own) + 1) / 2)
    page = (tmp_path / "table.md").read_text()
    assert "| iris, logistic: jaxcf, n = 12 | 12 | 1.00 |" in page
    # Its own cost is the best of the settings by its measure.
    by_measure = {name: page.split(f"| {name} | jaxcf |")[1] for name in ("columns", "to training")}
    assert by_measure["to training"].splitlines()[2].split(" | ")[3].startswith("**0")
    assert by_measure["columns"].splitlines()[2].split(" | ")[2].startswith("**1")
    assert set(written["skipped"]) == {one.peer.label for one in peers(tables.parse([]))}
    assert "alibi: left out" in capsys.readouterr().out


def test_pairs_are_compared_where_both_are_valid():
    def measured(label, own, valid, values):
        column = np.array(values, float)
        reached = np.ones(len(values), bool)
        scores = Scores(reached, np.array(valid), column, column, column, column, ~reached)
        return tables.Measured(label, own, False, Answers.nothing(len(values), 1), scores)

    mine = measured("jaxcf", True, [True, True, True, True], [1, 2, 5, 9])
    theirs = measured("peer", False, [True, True, True, False], [2, 2, 3, 1])
    (duel,) = tables_summary.duels([[mine, theirs]])
    assert duel["rows_where_both_are_valid"] == 3
    assert (duel["own_validity"], duel["peer_validity"]) == (1.0, 0.75)
    assert duel["l1"]["better"]["mean"] == pytest.approx(0.5)
    assert duel["l1"]["own"]["mean"] == pytest.approx(8 / 3)
