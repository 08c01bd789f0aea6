"""One run: interruptions, empty calls, what is recorded, and the last word of the model."""

import contextlib
import json
import signal
import threading
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_answers, mlp, objective, search

from jaxcf import (
    BlackBox,
    EngineOptions,
    Explainer,
    ExplanationInterrupted,
    Refinement,
    SearchOptions,
    Status,
    solvers,
)
from jaxcf.explainers.batch import BatchSearch
from jaxcf.search.engine import Engine, _Group


@pytest.fixture(scope="module")
def ready():
    return mlp().fit(engine=EngineOptions(lanes=2, lanes_per_group=2, steps_per_chunk=2))


def test_ctrl_c_keeps_every_row_and_the_finished_ones_answers(ready):
    x = np.tile(mlp().x, (3, 1))
    x[4, 0] = np.nan
    expected = ready.explain(x)

    def stop_at_five(progress):
        if progress.done >= 5:
            raise KeyboardInterrupt

    with pytest.raises(ExplanationInterrupted, match="interrupted") as caught:
        ready.explain(x, on_progress=stop_at_five)
    kept = caught.value.explanations
    assert isinstance(caught.value, KeyboardInterrupt)
    assert len(kept) == len(x)
    interrupted = kept.status == Status.INTERRUPTED
    assert kept.status[4] == Status.INVALID_INPUT
    assert 5 <= (~interrupted).sum() < len(x)
    finished = np.flatnonzero(~interrupted)
    np.testing.assert_array_equal(kept.scores["interrupted"], interrupted)
    assert_same_answers(replace(kept, scores={})[finished], expected[finished])
    np.testing.assert_array_equal(kept.counterfactual[interrupted], x[interrupted])
    kept.summary()


def test_ctrl_c_while_rows_are_prepared_or_compiled_keeps_every_row(ready, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    for name in ("compile", "search"):
        with monkeypatch.context() as patch:
            patch.setattr(Engine, name, interrupt)
            with pytest.raises(ExplanationInterrupted) as caught:
                ready.explain(mlp().x)
        assert len(caught.value.explanations) == 6
        np.testing.assert_array_equal(caught.value.explanations.status, Status.INTERRUPTED)


@pytest.fixture(scope="module")
def whole_budget():
    """Every row is searched for 20 updates, whatever is found before."""
    layout = EngineOptions(lanes=8, lanes_per_group=4, steps_per_chunk=3)
    return mlp().fit(engine=layout, search=search(stop="budget"))


def interrupted_at_look(number, interrupt, ready, monkeypatch):
    """Explanations during which something happens when the lanes are looked at for so manyth."""
    looks, look = [], _Group.look

    def interrupting(group):
        looks.append(1)
        if len(looks) == number:
            interrupt()
        look(group)

    with monkeypatch.context() as patch:
        patch.setattr(_Group, "look", interrupting)
        with pytest.raises(ExplanationInterrupted) as caught:
            ready.explain(mlp().x)
    return caught.value.explanations


@pytest.mark.parametrize("swallowed", [False, True])
def test_ctrl_c_keeps_what_was_found_so_far(swallowed, ctrl_c, whole_budget, monkeypatch):
    def interrupt():
        with contextlib.suppress(*[KeyboardInterrupt] if swallowed else []):
            ctrl_c()

    kept = interrupted_at_look(12, interrupt, whole_budget, monkeypatch)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    whole = whole_budget.explain(mlp().x)
    found = kept.found
    assert found.sum() > 1
    assert (kept.steps[found] < 20).all()
    assert (kept.scores["interrupted"] == 1).all()
    np.testing.assert_array_equal(kept.status[~found], Status.INTERRUPTED)
    np.testing.assert_array_equal(kept.counterfactual[~found], mlp().x[~found])
    # Confirmed like all others, only not the nearest that would have been found.
    decided = mlp().probabilities(kept.counterfactual).argmax(axis=1)
    np.testing.assert_array_equal(decided, kept.counterfactual_class)
    np.testing.assert_array_equal(decided != kept.original_class, found)
    assert np.isfinite(kept.losses["l1"][found]).all()
    assert (kept.elastic_net[found] >= whole.elastic_net[found] - 1e-6).all()


def test_a_second_ctrl_c_keeps_the_rows_but_calls_none_found_that_is_not_confirmed(
    ctrl_c, whole_budget, monkeypatch
):
    monkeypatch.setattr(BatchSearch, "_look_at", ctrl_c)
    kept = interrupted_at_look(12, ctrl_c, whole_budget, monkeypatch)
    np.testing.assert_array_equal(kept.status, Status.INTERRUPTED)
    assert (kept.original_class >= 0).all()
    moved = (kept.counterfactual != mlp().x).any(axis=1)
    assert moved.sum() > 1
    np.testing.assert_array_equal(kept.counterfactual_class == -1, moved)
    kept.summary()


def test_a_model_can_be_interrupted_at_every_call_and_nothing_false_is_found():
    asked = []

    def predict(x):
        asked.append(len(x))
        if len(asked) in presses:
            raise KeyboardInterrupt
        return mlp().probabilities(x)

    presses: set[int] = set()
    box = BlackBox(predict, 3, max_rows_per_call=2)
    explainer = replace(
        mlp().explainer(
            prototypes="kdtree", encoder=False, search=search(stop="budget", max_steps=4)
        ),
        predict=box,
        refinement=Refinement(line_search=True, sparsify=True),
    )
    ready = explainer.fit(mlp().x_train)
    asked.clear()
    whole = ready.explain(mlp().x)
    calls, found = len(asked), []
    for first in np.linspace(1, calls - 1, 4).astype(int).tolist():
        for again in (0, 2):
            presses, asked[:] = {first, first + again}, []
            with pytest.raises(ExplanationInterrupted) as caught:
                ready.explain(mlp().x)
            kept = caught.value.explanations
            assert len(asked) <= first + 3  # three calls are the final look
            decided = mlp().probabilities(kept.counterfactual).argmax(axis=1)
            np.testing.assert_array_equal(
                decided[kept.found], kept.counterfactual_class[kept.found]
            )
            assert (decided != kept.original_class)[kept.found].all()
            found.append(kept.found.sum())
    assert found[0] == 0
    assert found[-2:] == [whole.found.sum(), 2]  # again after one call of the final look


def test_ctrl_c_inside_a_callback_of_a_compiled_model_is_no_error(ctrl_c):
    waiting = []

    def on_host(x):
        if waiting:
            waiting.pop()
            ctrl_c()
        return mlp().probabilities(np.asarray(x))

    def predict(x):
        shape = jax.ShapeDtypeStruct((x.shape[0], 3), jnp.float32)
        return jax.pure_callback(on_host, shape, jax.lax.stop_gradient(x))

    explainer = replace(mlp().explainer(objective=objective("E")), predict=predict)
    ready = explainer.fit(mlp().x_train)
    ready.explain(mlp().x)
    waiting.append(1)
    with pytest.raises(ExplanationInterrupted) as caught:
        ready.explain(mlp().x)
    assert len(caught.value.explanations) == 6


def test_ctrl_c_ends_a_stream_after_the_batches_that_had_begun(ready):
    def batches():
        yield mlp().x[:3]
        yield mlp().x[3:]
        raise KeyboardInterrupt

    parts = []
    with pytest.raises(KeyboardInterrupt):
        parts.extend(ready.stream(batches()))
    assert [len(part) for part in parts] == [3, 3]
    assert (parts[-1].status == Status.INTERRUPTED).any()


def test_an_error_of_the_callers_progress_function_is_the_callers(ready):
    def broken(progress):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ready.explain(mlp().x, on_progress=broken)


def test_no_rows_give_an_empty_answer(ready, tmp_path):
    result = ready.explain(mlp().x[:0])
    assert len(result) == 0
    assert result.counterfactual.shape == (0, 5)
    assert result.probabilities.shape == (0, 3)
    assert result.summary()["found"] == 0
    assert set(result.losses) == set(objective("C").term_names)
    assert list(ready.stream([])) == []
    result.save(tmp_path / "none")


def test_one_row_is_a_batch_of_one(ready):
    single = ready.explain(mlp().x[2:3])
    assert single.counterfactual.shape == (1, 5)
    assert_same_answers(single, ready.explain(mlp().x)[2])


def test_the_callers_arrays_are_left_alone(ready):
    x, target = mlp().x.copy(), np.ones((6, 3), bool)
    target[np.arange(6), mlp().probabilities(x).argmax(axis=1)] = False
    before = target.copy()
    result = ready.explain(x, target=target)
    np.testing.assert_array_equal(target, before)
    np.testing.assert_array_equal(x, mlp().x)
    assert_same_answers(result, ready.explain(mlp().x))


def test_explaining_twice_gives_the_same_bits(ready):
    first, second = ready.explain(mlp().x), ready.explain(mlp().x)
    assert first.counterfactual.tobytes() == second.counterfactual.tobytes()


def test_losses_are_those_of_the_counterfactual_and_add_up():
    ready = mlp().fit(objective=objective("D"))
    result = ready.explain(mlp().x)
    d = (result.counterfactual - result.original).astype(np.float64)
    x = jnp.asarray(result.counterfactual)
    offset = np.asarray(mlp().encode(x)) - result.prototype
    residual = np.asarray(mlp().reconstruct(x)) - result.counterfactual
    sorted_rest = np.where(
        np.arange(3) == result.original_class[:, None], -1, result.probabilities
    ).max(axis=1)
    margin = result.probabilities[np.arange(6), result.original_class] - sorted_rest
    expected = {
        "prediction": 4.0 * np.maximum(margin, 0),
        "l1": 0.05 * np.abs(d).sum(axis=1),
        "l2": (d**2).sum(axis=1),
        "reconstruction": 0.5 * (residual**2).sum(axis=1),
        "prototype": 10.0 * (offset**2).sum(axis=1),
    }
    assert tuple(result.losses) == tuple(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(result.losses[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


def test_what_rounding_takes_back_is_moved_on():
    """A model that rounds batches of the search's size otherwise than all others."""

    def predict(x):
        score = 4 * (x.sum(axis=1) - 1) + (0.02 if len(x) == 3 else 0)
        return jax.nn.softmax(jnp.stack([-score, score], axis=1))

    x = np.random.default_rng(0).uniform(0, 0.4, (40, 2)).astype(np.float32)
    explainer = Explainer(
        predict, feature_range=(0, 1), engine=EngineOptions(lanes=3, lanes_per_group=3),
        search=SearchOptions(max_steps=2000, solver=solvers.normalized(0.004, 0.0)),
    )  # fmt: skip
    result = explainer.fit(np.concatenate([x, x + 0.5])).explain(x)
    assert result.found.all()
    assert (predict(result.counterfactual).argmax(axis=1) == 1).all()


def test_a_decision_that_does_not_hold_when_asked_again_is_not_called_found():
    # A model that is kinder to batches of the search's size than to any other.
    def predict(x):
        honest = mlp().predict(x)
        return honest[:, jnp.array([1, 2, 0])] if len(x) == 3 else honest

    explainer = mlp().explainer(engine=EngineOptions(lanes=3, lanes_per_group=3))
    result = replace(explainer, predict=predict).fit(mlp().x_train).explain(mlp().x)
    np.testing.assert_array_equal(result.status, Status.NOT_CONFIRMED)
    assert not result.found.any()
    assert "not when the counterfactual was predicted again" in result.messages[0]
    np.testing.assert_array_equal(result.counterfactual_class, result.original_class)


def test_the_settings_say_what_was_done(ready):
    result = ready.explain(mlp().x)
    settings = json.loads(json.dumps(dict(result.settings)))
    assert settings["objective"] == {
        "prediction": "probability",
        "terms": ["prediction", "l1", "l2", "prototype"],
        "weights": {"l1": 0.05, "l2": 1.0, "prototype": 10.0},
        "margin": 0.0,
        "confidence": 0.0,
    }
    assert settings["prototypes"] == {"kind": "nearest", "k": 3}
    expected = {"solver": "adam", "stop": "first_flip", "max_steps": 20, "weight_growth": 1.0}
    assert settings["search"].items() >= expected.items()
    assert settings["lanes"] == 2
    assert {"jax", "jaxcf"} <= settings["versions"].keys()


def test_the_seconds_are_those_of_the_parts(ready):
    seconds = ready.explain(mlp().x).seconds
    assert seconds.keys() == {"prototypes", "compile", "search", "refinement", "total"}
    assert all(value >= 0 for value in seconds.values())
    parts = sum(value for name, value in seconds.items() if name != "total")
    assert seconds["total"] * 0.5 - 0.05 <= parts <= seconds["total"] * 1.01 + 0.01


def test_the_seconds_of_those_who_take_the_rows_are_no_ones_of_the_search(ready):
    waited = threading.Event()

    def look(progress):
        waited.wait(0.05)

    x = mlp().x
    seconds = {}
    for explanations in ready.stream(iter([x, x]), on_progress=look):
        waited.wait(0.2)
        seconds = explanations.seconds
    parts = sum(value for name, value in seconds.items() if name != "total")
    assert parts <= seconds["total"] * 1.01 + 0.01


def test_progress_counts_every_row_that_was_asked_for(ready):
    x = mlp().x.copy()
    x[3, 0] = np.nan
    reports = []
    ready.explain(x, on_progress=reports.append)
    assert reports[-1].done == reports[-1].total == 6
    ready.explain(np.full_like(x, np.nan), on_progress=reports.append)
    assert (reports[-1].done, reports[-1].found) == (6, 0)


def test_history_of_rows_that_were_not_searched_is_missing():
    ready = mlp().fit(search=search(record_history=True))
    x = mlp().x.copy()
    x[0, 0] = np.nan
    result = ready.explain(x)
    for values in result.history.values():
        assert values.shape == (6, 21)
        assert np.isnan(values[0]).all()
        assert np.isfinite(values[1:, 0]).all()
