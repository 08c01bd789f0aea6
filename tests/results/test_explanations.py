"""The result: selection, summary, and the file it goes into and comes back from."""

import builtins
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
from helpers import (
    TABLES,
    assert_same_answers,
    damage_file,
    mlp,
    objective,
    search,
    with_array,
    with_metadata,
    without,
)

from jaxcf import Explanations, Objective, SearchOptions, Status, solvers
from jaxcf.utils.array_files import read_arrays


@pytest.fixture(scope="module")
def mixed() -> Explanations:
    """Found, not found, already in target, invalid, out of range and unknown target in one."""
    x = mlp().x.copy()
    classes = mlp().probabilities(x).argmax(axis=1)
    target = (classes + 1) % 3
    target[1] = classes[1]
    target[4] = 9
    x[2, 0] = np.nan
    x[3, 1] = 1.5
    recorded = {"record_history": True, "record_path": True}
    options = search("fista", max_steps=40, prediction_weight=20.0, **recorded)
    answers = mlp().fit(objective=objective("C"), search=options)
    return answers.explain(x, target=target).with_scores(im1=np.arange(6.0))


def test_the_mixed_rows_are_as_meant(mixed):
    assert mixed.status.tolist()[1:5] == [
        Status.ALREADY_IN_TARGET,
        Status.INVALID_INPUT,
        Status.OUT_OF_RANGE,
        Status.UNKNOWN_TARGET,
    ]
    assert mixed.found[0]
    assert not mixed.found[1:5].any()
    assert len(mixed.messages) == len(mixed) == 6
    np.testing.assert_array_equal(mixed.counterfactual[1:5], mixed.original[1:5])


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        (slice(1, 4), [1, 2, 3]),
        (slice(None, None, -2), [5, 3, 1]),
        (2, [2]),
        (-1, [5]),
        (np.int64(3), [3]),
        ([4, 0, 4], [4, 0, 4]),
        (np.array([True, False, False, False, False, True]), [0, 5]),
        ([], []),
        ([True] + 5 * [False], [0]),
        (pandas.Series([False, True, True, False, False, False], index=list("uvwxyz")), [1, 2]),
    ],
    ids=repr,
)
def test_indexing_chooses_rows_of_everything(mixed, rows, chosen):
    part = mixed[rows]
    assert len(part) == len(chosen)
    for name in ("original", "status", "steps", "probabilities", "prototype", "path"):
        np.testing.assert_array_equal(getattr(part, name), getattr(mixed, name)[chosen])
    for table in TABLES:
        for key, values in getattr(part, table).items():
            np.testing.assert_array_equal(values, getattr(mixed, table)[key][chosen])
    assert part.settings == mixed.settings


def test_found_rows_can_be_chosen_by_their_own_mask(mixed):
    assert mixed[mixed.found].found.all()
    assert len(mixed[mixed.found]) == mixed.found.sum()


def test_masks_can_be_combined(mixed):
    target = mixed.target_class[0]
    part = mixed[mixed.found & (mixed.target_class == target)]
    kept = [row for row in range(6) if mixed.found[row] and mixed.target_class[row] == target]
    assert part.source_row.tolist() == kept


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (6, IndexError, "row 6 does not exist: there are 6, 0 to 5"),
        ([0, -7], IndexError, "row -7 does not exist"),
        (np.ones(5, bool), IndexError, "the mask has 5 entries, but there are 6 rows"),
        (np.ones(6), TypeError, r"ndarray of shape \(6,\) and type float64; .* as in x > 0.5"),
        (2.0, TypeError, r"float of shape \(\) and type float64; expected a mask"),
        (np.ones((6, 3), bool), TypeError, r"ndarray of shape \(6, 3\) and type bool; expected"),
        ((0, 1), TypeError, r"\(0, 1\) is no row; expected a mask"),
        (True, TypeError, "True is no row"),
        ("found", TypeError, "'found' is no row"),
        (None, TypeError, "None is no row"),
    ],
    ids=repr,
)
def test_what_chooses_no_rows_says_why(mixed, rows, error, message):
    with pytest.raises(error, match=message):
        mixed[rows]


def test_rows_come_one_by_one_in_a_loop(mixed):
    assert [int(one.source_row[0]) for one in mixed] == list(range(6))


def test_distances_are_of_the_change_and_zero_for_untouched_rows(mixed):
    d = mixed.counterfactual[0] - mixed.original[0]
    np.testing.assert_allclose(mixed.l1[0], np.abs(d).sum(), rtol=1e-5)
    np.testing.assert_allclose(mixed.l2[0], np.sqrt((d**2).sum()), rtol=1e-5)
    assert mixed.l0[0] == np.count_nonzero(d)
    # beta of the objective, 0.05
    np.testing.assert_allclose(
        mixed.elastic_net[0], 0.05 * np.abs(d).sum() + (d**2).sum(), rtol=1e-5
    )
    for distance in (mixed.l0, mixed.l1, mixed.l2, mixed.elastic_net):
        np.testing.assert_array_equal(distance[1:5], 0)


def test_the_summary_averages_over_found_rows_only(mixed):
    summary = mixed.summary()
    found = mixed.found
    assert summary["n"] == 6
    assert summary["found"] == found.sum() > 0
    assert sum(summary["status"].values()) == 6
    assert summary["status"]["invalid_input"] == 1
    assert summary["l1"] == pytest.approx(mixed.l1[found].mean())
    assert summary["l2"] == pytest.approx(mixed.l2[found].mean())
    assert summary["changed"] == pytest.approx(mixed.l0[found].mean())
    assert summary["im1"] == pytest.approx(np.arange(6.0)[found].mean())
    assert summary["steps"]["median"] == np.median(mixed.steps[found])
    # What happened to the others can't move it.
    nonsense = mixed.counterfactual.copy()
    nonsense[~found] = 1e6
    assert replace(mixed, counterfactual=nonsense).summary() == summary
    json.dumps(summary)


@pytest.mark.parametrize("rows", [[], [1, 2]])
def test_a_summary_without_found_rows_has_no_means_rather_than_zeros(mixed, rows):
    summary = mixed[rows].summary()
    assert summary["found"] == 0
    means = [summary[key] for key in ("l1", "l2", "elastic_net", "changed", "im1")]
    assert means == [None] * 5
    assert summary["steps"] == {"median": None, "p99": None, "mean": None}


def test_scores_need_one_value_per_row(mixed):
    with pytest.raises(ValueError, match=r"the score 'bad' has shape \(5,\); expected \(6,\)"):
        mixed.with_scores(bad=np.zeros(5))


def test_a_table_has_one_line_per_row(mixed):
    table = mixed.to_pandas()
    assert len(table) == 6
    assert table["status"].tolist()[2] == "invalid_input"
    assert table["im1"].tolist() == list(range(6))
    np.testing.assert_array_equal(table["l1"], mixed.l1)
    np.testing.assert_array_equal(table["loss_l2"], mixed.losses["l2"])
    part = mixed[mixed.found][::-1].to_pandas()
    np.testing.assert_array_equal(part["row"], np.flatnonzero(mixed.found)[::-1])


def test_a_table_holds_names_and_probabilities_where_asked_to(mixed):
    table = mixed.to_pandas(class_names=["a", "b", "c"], probabilities=True)
    known = mixed.original_class >= 0
    assert table["original_class"].isna().tolist() == (~known).tolist()
    named = ["abc"[label] for label in mixed.original_class[known]]
    assert table["original_class"][known].tolist() == named
    for place, name in enumerate("abc"):
        np.testing.assert_array_equal(table[f"probability_{name}"], mixed.probabilities[:, place])
    numbered = mixed.to_pandas(probabilities=True)
    np.testing.assert_array_equal(numbered["original_class"], mixed.original_class)
    assert list(numbered.columns[-3:]) == [f"probability_{label}" for label in range(3)]
    with pytest.raises(ValueError, match="got 2 names for 3 classes"):
        mixed.to_pandas(class_names=["a", "b"])


def test_the_columns_of_a_table_are_documented(mixed):
    page = (Path(__file__).parents[2] / "docs" / "summary.md").read_text()
    part = page.partition("## The columns of to_pandas")[2].partition("\n## ")[0]
    for column in mixed.to_pandas(probabilities=True):
        kind = re.sub("^(loss|probability)_.*", r"\1_NAME", str(column))
        assert f"`{kind}`" in part or column in mixed.scores, column


def test_without_pandas_the_table_says_how_to_get_it(mixed, monkeypatch):
    original_import = builtins.__import__

    def no_pandas(name, *arguments, **options):
        if name == "pandas":
            raise ImportError(name)
        return original_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", no_pandas)
    with pytest.raises(ImportError, match=r"pip install 'jaxcf\[pandas\]'"):
        mixed.to_pandas()


# --- on disk -------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [slice(None), []], ids=["all", "none"])
def test_a_file_holds_everything(mixed, tmp_path, rows):
    mixed = mixed[rows]
    path = tmp_path / "answers.npz"
    mixed.save(path)
    loaded = Explanations.load(path)
    assert_same_answers(loaded, mixed)
    np.testing.assert_array_equal(loaded.counterfactual, mixed.counterfactual)
    assert loaded.settings == json.loads(json.dumps(mixed.settings))
    np.testing.assert_array_equal(loaded.path, mixed.path)
    assert loaded.seconds == mixed.seconds
    assert loaded.summary() == mixed.summary()


def test_without_a_path_there_is_none_in_the_file(mixed, tmp_path):
    path = tmp_path / "answers.npz"
    replace(mixed, path=None).save(path)
    assert Explanations.load(path).path is None
    assert "path" not in read_arrays(path)[0]


def test_scores_may_come_in_a_list_of_numbers(mixed):
    scored = mixed.with_scores(mine=[2.0] * len(mixed))
    assert scored.summary()["mine"] == 2
    with pytest.raises(TypeError, match="score 'mine' must hold numbers, got dtype <U1"):
        mixed.with_scores(mine=["a"] * len(mixed))
    for name in ("needed", "loss_l1", "probability_0"):
        with pytest.raises(ValueError, match="a score can't be called"):
            mixed.with_scores(**{name: np.zeros(len(mixed))})


def test_explanations_are_equal_to_themselves_alone(mixed):
    assert mixed == mixed
    assert mixed != replace(mixed)
    assert {mixed: 1}[mixed] == 1


def test_options_of_any_number_type_can_be_saved(tmp_path):
    options = SearchOptions(
        solver=solvers.adam(),
        max_steps=np.int64(2),
        prediction_weight=np.float32(1),
        weight_rounds=np.int32(1),
        tolerance=np.float64(1e-3),
    )
    weighted = Objective.named("A", l1_weight=np.float32(0.1))
    result = mlp().fit(search=options, objective=weighted).explain(mlp().x[:1])
    result.save(tmp_path / "file")
    recorded = Explanations.load(tmp_path / "file").settings
    assert recorded["search"]["max_steps"] == 2
    assert recorded["search"]["prediction_weight"] == 1.0
    assert recorded["objective"]["weights"]["l1"] == pytest.approx(0.1)


def test_a_failing_save_leaves_the_old_file(mixed, tmp_path):
    path = tmp_path / "answers.npz"
    mixed.save(path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        replace(mixed, settings={"model": object()}).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["answers.npz"]


DAMAGES = [
    (without("status"), "is damaged: it lacks status"),
    (without("steps", "original"), "is damaged: it lacks original, steps"),
    (with_array("steps", lambda a: a[:-1]), "is damaged: its arrays differ in length"),
    (with_array("losses/l1", lambda a: a[:-1]), "is damaged: its arrays differ in length"),
    (with_array("steps", lambda a: a[0]), "is damaged: its arrays differ in length"),
    (
        with_array("counterfactual", lambda a: a[:, :-1]),
        "counterfactual has shape .* where original has",
    ),
    (with_array("probabilities", lambda a: a[:, :-1]), "is damaged: .*probabilities"),
    (with_array("target_class", lambda a: a - 2), "is damaged: target_class holds -[23]; expected"),
    (with_array("status", lambda a: a + 50), "is damaged: unknown status codes"),
    (with_array("status", lambda a: a.astype(str)), "is damaged: .*status"),
    (with_array("probabilities", lambda a: a[:, 0]), "is damaged: probabilities has .* shape"),
    (with_array("losses/l1", lambda a: a.astype(str)), "is damaged: losses/l1 has dtype <U"),
    (with_array("steps", lambda a: a.astype(str)), "is damaged: .*steps"),
    (with_array("original", lambda a: a.astype(str)), "is damaged: .*original"),
    (with_array("path", lambda a: a[:-1]), "is damaged: its arrays differ in length"),
    (with_array("path", lambda a: a[..., :-1]), "is damaged: its path has shape .*, its rows"),
    (with_array("surprise", lambda a: a), "is damaged: unknown array 'surprise'"),
    (with_array("surprise/l1", lambda a: a), "is damaged: unknown array 'surprise/l1'"),
    (with_metadata(format="jaxcf.models"), "holds no explanations but 'jaxcf.models'"),
    (with_metadata(schema_version=99), "has schema version 99; this jaxcf reads version 2"),
    (with_metadata(settings=[1]), "is damaged: .*settings"),
]


@pytest.mark.parametrize(("change", "message"), DAMAGES, ids=[m for _, m in DAMAGES])
def test_a_file_that_holds_something_else_is_refused(mixed, tmp_path, change, message):
    path = tmp_path / "answers.npz"
    mixed.save(path)
    damage_file(path, change)
    with pytest.raises(ValueError, match=message):
        Explanations.load(path)


def test_a_missing_or_cut_off_file_says_so(mixed, tmp_path):
    with pytest.raises(FileNotFoundError):
        Explanations.load(tmp_path / "none.npz")
    mixed.save(tmp_path / "answers.npz")
    whole = (tmp_path / "answers.npz").read_bytes()
    (tmp_path / "answers.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"answers\.npz is not a file that jaxcf wrote, or is dam"):
        Explanations.load(tmp_path / "answers.npz")
