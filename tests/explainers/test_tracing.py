"""A closer look at some rows: what it shows is the search that was made."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from helpers import (
    assert_close,
    damage_file,
    mlp,
    objective,
    search,
    with_array,
    with_metadata,
    without,
)

from jaxcf import (
    BlackBox,
    Constraints,
    EngineOptions,
    Explainer,
    Explanations,
    FittedExplainer,
    NearestMean,
    Refinement,
    Traces,
    solvers,
)
from jaxcf.search import lanes


@pytest.fixture
def by_hand() -> Traces:
    path = np.zeros((2, 3, 4), np.float32)
    path[1, 2] = np.nan
    return Traces(
        rows=np.array([5, 2]),
        evaluations=np.array([[0, 4, 9], [0, 3, -1]]),
        path=path,
        losses={"l1": np.ones((2, 10), np.float32), "l2": np.ones((2, 10), np.float32)},
        prototype=path[:, 0] + 1,
        nearest=path[:, :2] + 2,
        nearest_row=np.array([[8, 1], [3, -1]]),
        probabilities=np.where(path[..., :2] == 0, np.float32(0.5), np.float32(np.nan)),
    )


def test_a_file_holds_everything(by_hand, tmp_path):
    by_hand.save(tmp_path / "details.npz")
    loaded = Traces.load(tmp_path / "details.npz")
    assert len(loaded) == 2
    assert loaded.losses.keys() == {"l1", "l2"}
    for name in ("rows", "evaluations", "path", "prototype", "nearest", "nearest_row"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(by_hand, name))
    np.testing.assert_array_equal(loaded.probabilities, by_hand.probabilities)


def test_a_file_of_a_version_that_asked_nothing_on_the_way_is_read(by_hand, tmp_path):
    by_hand.save(tmp_path / "details.npz")
    damage_file(tmp_path / "details.npz", without("probabilities"))
    assert Traces.load(tmp_path / "details.npz").probabilities is None


DAMAGES = [
    (without("path"), "is damaged: it lacks path"),
    (with_array("rows", lambda a: a[:-1]), "is damaged: its arrays differ in length"),
    (with_array("rows", lambda a: a.astype(float)), "is damaged: rows has dtype float64"),
    (with_array("evaluations", lambda a: a[:, 0]), "is damaged: evaluations has dtype .* shape"),
    (with_array("evaluations", lambda a: a[:, :-1]), "is damaged: path has shape"),
    (with_array("path", lambda a: a[..., :-1]), "is damaged: path has shape"),
    (with_array("nearest", lambda a: a[:, :1]), "is damaged: nearest has shape"),
    (with_array("probabilities", lambda a: a[:, :1]), "is damaged: probabilities has shape"),
    (with_array("losses/l2", lambda a: a[:, :1]), "is damaged: losses/l2 has shape"),
    (with_array("losses/l2", lambda a: a.astype(str)), "is damaged: losses/l2 has dtype <U"),
    (with_array("extra", lambda a: a), "is damaged: unknown array 'extra'"),
    (with_metadata(format="jaxcf.models"), "holds no traces but 'jaxcf.models'"),
    (with_metadata(schema_version=99), "has schema version 99; this jaxcf reads version 1"),
]


@pytest.mark.parametrize(("change", "message"), DAMAGES, ids=[m for _, m in DAMAGES])
def test_a_file_that_holds_something_else_is_refused(by_hand, tmp_path, change, message):
    path = tmp_path / "details.npz"
    by_hand.save(path)
    damage_file(path, change)
    with pytest.raises(ValueError, match=message):
        Traces.load(path)


def test_other_files_name_what_reads_them(by_hand, tmp_path):
    by_hand.save(tmp_path / "details.npz")
    with pytest.raises(ValueError, match=r"no explanations but .*: read it with jaxcf\.Traces"):
        Explanations.load(tmp_path / "details.npz")


# --- made by an explainer --------------------------------------------------------------------


def fit(**options: Any) -> FittedExplainer:
    return mlp().fit(**options)


def searched_point(explanations, details):
    """The last point of each way, and the counterfactuals as the search left them."""
    last = (details.evaluations >= 0).sum(axis=1) - 1
    return details.path[np.arange(len(details)), last], explanations.counterfactual[details.rows]


SEARCHES = {
    "first flip": search(max_steps=40),
    "budget": search(max_steps=40, stop="budget"),
    "growing c": search(prediction_weight=0.1, weight_growth=1.3),
    "rounds": search(max_steps=12, prediction_weight=0.1, weight_rounds=4, stop="budget"),
    "converged": search("fista", stop="converged", max_steps=60, patience=5),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_the_way_starts_at_the_row_and_ends_where_the_search_did(name):
    explainer = fit(search=SEARCHES[name])
    explanations = explainer.explain(mlp().x)
    assert explanations.found.sum() >= 4
    details = explainer.trace(explanations, mlp().x_train, num_points=5)
    ends, expected = searched_point(explanations, details)
    assert_close(ends, expected)
    np.testing.assert_array_equal(details.path[:, 0], explanations.original[details.rows])
    shown = details.evaluations >= 0
    assert (np.diff(details.evaluations, axis=1)[shown[:, 1:]] > 0).all()
    assert shown.sum(axis=1).max() == 5
    said = details.probabilities
    assert said is not None
    np.testing.assert_array_equal(np.isnan(said).all(axis=2), ~shown)
    assert_close(said[:, 0], explanations.original_probabilities[details.rows])
    np.testing.assert_allclose(said[shown], mlp().predict(details.path[shown]), atol=1e-5)
    np.testing.assert_array_equal(np.isnan(details.path).all(axis=2), ~shown)


def test_losses_are_those_of_every_evaluation():
    recorded = search(max_steps=40, record_history=True, record_path=True)
    explainer = fit(search=recorded)
    explanations = explainer.explain(mlp().x)
    details = explainer.trace(explanations, mlp().x_train)
    for name, values in details.losses.items():
        whole = explanations.history[name][details.rows]
        assert_close(values, whole[:, : values.shape[1]])
        assert np.isnan(whole[:, values.shape[1] :]).all()
    chosen = details.evaluations[:, 1]
    m = np.arange(len(details))
    assert explanations.path is not None
    assert_close(details.path[:, 1], explanations.path[details.rows][m, chosen])


LAYOUTS = {
    "its own choice": lambda: EngineOptions(),
    "lanes that were given": lambda: EngineOptions(lanes=10, lanes_per_group=5),
    "two devices": lambda: EngineOptions(devices=tuple(jax.devices()[:2])),
}


@pytest.mark.parametrize(
    ("layout", "outside"),
    [*((layout, False) for layout in LAYOUTS), *((layout, True) for layout in list(LAYOUTS)[:2])],
)
def test_a_look_at_a_few_rows_is_no_other_program_than_the_search_of_many(
    layout, outside, monkeypatch
):
    traces, kept = [], lanes._evaluate_and_step
    monkeypatch.setattr(
        lanes, "_evaluate_and_step", lambda *given: (traces.append(1), kept(*given))[1]
    )
    predict = mlp().predict
    explainer = Explainer(
        # Another function each time: nothing is known of its programs.
        BlackBox(mlp().probabilities, num_classes=3) if outside else lambda x: predict(x),
        objective=objective("C"),
        search=search(max_steps=31, stop="budget"),
        feature_range=(-1.0, 1.0),
        engine=LAYOUTS[layout](),
    ).fit(mlp().x_train)
    explanations = explainer.explain(np.tile(mlp().x, (12, 1)))
    assert len(traces) <= 1  # a black box's program is that of all others
    of_the_search = len(traces)
    details = explainer.trace(explanations, mlp().x_train, num_rows=3)
    assert len(traces) == of_the_search
    ends, expected = searched_point(explanations, details)
    assert_close(ends, expected)
    assert all(np.isfinite(one[:, 0]).all() for one in details.losses.values())


def test_before_refinement_means_before_refinement():
    refinement = Refinement(line_search=True, sparsify=True)
    plain, refined = fit(encoder=False), fit(encoder=False, refinement=refinement)
    explanations = refined.explain(mlp().x)
    details = refined.trace(explanations, mlp().x_train)
    ends, _ = searched_point(explanations, details)
    assert_close(ends, plain.explain(mlp().x).counterfactual[details.rows])
    # Without an encoder prototypes are training rows.
    distances = np.abs(details.prototype[:, None] - mlp().x_train).max(axis=2)
    assert (distances.min(axis=1) == 0).all()


def test_what_was_asked_for_is_asked_for_again():
    x = mlp().x
    classes = mlp().probabilities(x).argmax(axis=1)
    target = (classes + 1 + np.arange(len(x)) % 2) % 3
    frozen = np.zeros(x.shape, bool)
    frozen[np.arange(len(x)), np.arange(len(x)) % 4] = True
    asked = {"target": target, "constraints": Constraints(frozen=frozen, step=[0.01] * 5)}
    explainer = fit(search=search(max_steps=60))
    explanations = explainer.explain(x, **asked)
    part = explanations[explanations.found][::-1]
    assert len(part) == 2
    details = explainer.trace(part, mlp().x_train, rows=[1, 0], **asked)
    assert details.rows.tolist() == [1, 0]
    ends, expected = searched_point(part, details)
    assert_close(ends, expected)
    with pytest.raises(ValueError, match="target is for 2 rows, and there is a row"):
        explainer.trace(part, mlp().x_train, target=target[:2])
    with pytest.raises(ValueError, match="frozen is for 2 rows, and there is a row"):
        explainer.trace(part, mlp().x_train, constraints=Constraints(frozen=frozen[:2]))


@pytest.mark.parametrize("asked", [{"target": "each"}, {"num_alternatives": 3}, {"target": 1}])
def test_one_row_may_have_several_counterfactuals(asked):
    explainer = fit(search=search(max_steps=60))
    explanations = explainer.explain(mlp().x, **asked)
    details = explainer.trace(explanations, mlp().x_train, target=asked.get("target"))
    ends, expected = searched_point(explanations, details)
    assert explanations.found[details.rows].sum() > 3
    assert_close(ends, expected)


def test_neighbours_are_training_rows_of_the_new_class():
    explainer = fit()
    explanations = explainer.explain(mlp().x)
    details = explainer.trace(explanations, mlp().x_train, num_neighbours=4)
    decided = mlp().probabilities(mlp().x_train).argmax(axis=1)
    new = explanations.counterfactual_class[details.rows]
    np.testing.assert_array_equal(details.nearest, mlp().x_train[details.nearest_row])
    np.testing.assert_array_equal(decided[details.nearest_row], np.repeat(new[:, None], 4, 1))
    codes = np.asarray(mlp().encode(mlp().x_train))
    ends = np.asarray(mlp().encode(explanations.counterfactual[details.rows]))
    for row, end in enumerate(ends):
        members = np.flatnonzero(decided == new[row])
        nearest = np.argsort(((codes[members] - end) ** 2).sum(axis=1))[:4]
        assert details.nearest_row[row].tolist() == members[nearest].tolist()
    # There is an encoder and no decoder: no way back from the prototypes.
    assert np.isnan(details.prototype).all()


def test_a_small_class_has_fewer_neighbours():
    x_train = mlp().x_train[:11]  # three or four rows of a class
    explainer = mlp().explainer(prototypes=NearestMean(k=2)).fit(x_train)
    details = explainer.trace(explainer.explain(mlp().x), x_train, num_neighbours=6)
    padded = details.nearest_row < 0
    assert padded[:, -1].all()
    assert not padded[:, 0].any()
    np.testing.assert_array_equal(np.isnan(details.nearest).all(axis=2), padded)


def test_prototypes_are_decoded_where_there_is_a_decoder():
    def decode(encodings):
        return encodings @ np.ones((4, 5), np.float32)

    explainer = mlp().fit(decode=decode, reconstruct=None)
    explanations = explainer.explain(mlp().x)
    details = explainer.trace(explanations, mlp().x_train)
    assert_close(details.prototype, decode(explanations.prototype[details.rows]))


def test_rows_that_were_not_searched_have_no_way():
    x = mlp().x.copy()
    x[1] = np.nan
    x[3, 0] = 1.5
    explainer = fit()
    explanations = explainer.explain(x)
    details = explainer.trace(explanations, mlp().x_train)
    assert sorted(details.rows.tolist()) == [0, 2, 4, 5]
    details = explainer.trace(explanations, mlp().x_train, rows=[1, 0, 3])
    assert (details.evaluations[[0, 2]] == -1).all()
    assert np.isnan(details.path[[0, 2]]).all()
    assert np.isfinite(details.path[1, 0]).all()
    assert (details.nearest_row[0] == -1).all()
    nothing = explainer.trace(explanations[[1, 3]], mlp().x_train)
    assert len(nothing) == 0


def test_what_does_not_belong_together_is_refused():
    explainer = fit()
    explanations = explainer.explain(mlp().x)
    with pytest.raises(ValueError, match=r"expected the rows .*fitted to, of shape \(60, 5\)"):
        explainer.trace(explanations, mlp().x_train[:-1])
    with pytest.raises(ValueError, match=r"made with search .*pass the explanations to the"):
        fit(search=search(max_steps=21)).trace(explanations, mlp().x_train)
    with pytest.raises(ValueError, match=r"made with search .*pass the explanations to the"):
        fit(search=search(solvers.adam(0.04))).trace(explanations, mlp().x_train)
    with pytest.raises(ValueError, match="num_points must be at least 2"):
        explainer.trace(explanations, mlp().x_train, num_points=1)
    with pytest.raises(IndexError):
        explainer.trace(explanations, mlp().x_train, rows=[9])


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("name", "value"), [("num_points", 2.5), ("num_neighbours", 0.5), ("num_rows", "3")]
)
def test_numbers_of_points_and_rows_are_whole(name, value):
    explainer = fit()
    explanations = explainer.explain(mlp().x)
    with pytest.raises(TypeError, match=f"{name} must be a whole number, got {value!r}"):
        explainer.trace(explanations, mlp().x_train, **{name: value})


@pytest.mark.parametrize("asked", ["each", 1, [[1, 2], [0, 2], [0, 1]] * 2])
@pytest.mark.parametrize("encoder", [True, False])
def test_another_target_than_that_of_the_explanations_is_refused(asked, encoder):
    explainer = fit(search=search(max_steps=30), encoder=encoder)
    x = mlp().x
    explanations = explainer.explain(x, target=asked)
    assert len(explainer.trace(explanations, mlp().x_train, target=asked)) > 2
    others: list[Any] = [2, 0]
    if asked == "each" or (asked == 1 and not encoder):  # else 1 is the nearest class anyway
        others.append(None)
    for other in others:
        with pytest.raises(ValueError, match="with another target; pass target= as explain was"):
            explainer.trace(explanations, mlp().x_train, target=other)


def test_explanations_of_a_version_that_knew_solvers_by_name_are_traced():
    explainer = fit()
    explanations = explainer.explain(mlp().x[:2])
    settings: Any = dict(explanations.settings)
    settings["search"] = dict(settings["search"])
    del settings["search"]["solver_options"]
    assert len(explainer.trace(replace(explanations, settings=settings), mlp().x_train)) == 2


def test_a_model_outside_jax_is_looked_at_too(tmp_path):
    box = BlackBox(mlp().probabilities, num_classes=3)
    explainer = Explainer(
        box, objective=objective("C"), search=search(max_steps=30), feature_range=(-1.0, 1.0)
    ).fit(mlp().x_train)
    explanations = explainer.explain(mlp().x)
    explanations.save(tmp_path / "file.npz")
    details = explainer.trace(Explanations.load(tmp_path / "file.npz"), mlp().x_train)
    ends, expected = searched_point(explanations, details)
    assert_close(ends, expected)
