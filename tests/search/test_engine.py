"""Many at once: refill, groups, laziness, devices, the way round convolutions."""

import os
import signal
import threading
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_same_answers, conv, linear, mlp, objective, search

from jaxcf import (
    BlackBox,
    EngineOptions,
    Explainer,
    ExplanationInterrupted,
    SearchOptions,
    Status,
    solvers,
)
from jaxcf.explainers import run
from jaxcf.search import engine
from jaxcf.search.engine import _choose_layout
from jaxcf.utils.threads import cores


def many(count: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    x = mlp().x[rng.integers(0, 6, count)]
    return np.clip(x + rng.normal(0, 0.1, x.shape), -0.99, 0.99).astype(np.float32)


@pytest.fixture(scope="module")
def alone():
    """63 rows, each searched in a lane of its own."""
    ready = mlp().fit(engine=EngineOptions(lanes=63, lanes_per_group=63))
    return ready.explain(many(63))


@pytest.mark.parametrize(
    ("lanes", "lanes_per_group", "steps_per_chunk"), [(3, 3, 1), (12, 4, 5), (8, 4, 100)]
)
def test_rows_beyond_the_lanes_are_searched_like_the_first_ones(
    alone, lanes, lanes_per_group, steps_per_chunk
):
    options = EngineOptions(lanes, lanes_per_group, steps_per_chunk)
    ready = mlp().fit(engine=options)
    assert_same_answers(ready.explain(many(63)), alone)
    assert len(set(alone.steps.tolist())) > 5  # so lanes fell free at different times


def test_every_row_is_reported_once_and_progress_only_grows(alone):
    ready = mlp().fit(engine=EngineOptions(lanes=8, lanes_per_group=4))
    reports = []
    result = ready.explain(many(63), on_progress=reports.append)
    done = [report.done for report in reports]
    assert done == sorted(done)
    assert done[-1] == 63
    assert reports[-1].found == result.found.sum() == alone.found.sum()
    assert {report.total for report in reports} == {63}
    seconds = [report.seconds for report in reports]
    assert seconds == sorted(seconds)


def test_the_last_searches_of_many_end_as_they_would_among_few():
    def above_the_middle(x: np.ndarray) -> np.ndarray:
        above = (x[:, 0] > 0.5).astype(float)
        return np.stack([1 - above, above], axis=1)

    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (400, 3)).astype(np.float32)
    start = x[:300] * [0.0, 1, 1] + [0.47, 0, 0]
    start[[7, 100, 299], 0] = 0.02, 0.1, 0.05  # these are far from the middle
    slow = SearchOptions(solver=solvers.adam(0.004))
    explainer = Explainer(BlackBox(above_the_middle, 2), objective="E", search=slow)
    found = [
        explainer.fit(x).with_options(engine=EngineOptions(lanes=lanes)).explain(start)
        for lanes in (512, 16)
    ]
    assert_same_answers(*found)
    assert found[0].found.all()
    assert np.median(found[0].steps) < 30 < 80 < np.sort(found[0].steps)[-3]
    asked, alone = (one.scores["predictions"] for one in found)
    np.testing.assert_array_equal(asked, alone)


def test_streams_are_pulled_lazily():
    pulled = []

    def batches():
        for number in range(20):
            pulled.append(number)
            yield many(63)[3 * number : 3 * number + 3]

    ready = mlp().fit(engine=EngineOptions(lanes=4))
    stream = ready.stream(batches())
    assert pulled == []
    next(stream)
    # Four lanes hold parts of at most two batches beside the one that has ended; one more waits.
    assert len(pulled) <= 5
    assert len(list(stream)) == 19
    assert pulled == list(range(20))


def test_a_stream_that_is_left_early_pulls_no_more():
    pulled = []

    def batches():
        for number in range(1000):
            pulled.append(number)
            yield mlp().x

    for answers in mlp().fit().stream(batches()):
        assert len(answers) == 6
        break
    assert len(pulled) < 10


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize(
    ("last", "error", "message"),
    [(OSError("disk gone"), OSError, "disk gone"), (mlp().x[:, :3], ValueError, "shape")],
    ids=["raises", "wrong shape"],
)
def test_an_error_of_the_stream_comes_after_the_answers_to_what_came_before(
    last, error, message, in_order
):
    def batches():
        yield mlp().x
        yield mlp().x[:2]
        if isinstance(last, Exception):
            raise last
        yield last
        yield mlp().x

    ready, parts = mlp().fit(), []
    with pytest.raises(error, match=message):
        parts.extend(ready.stream(batches(), in_order=in_order))
    parts = {part.settings["batch"]: part for part in parts}
    assert parts.keys() == {0, 1}
    assert_same_answers(parts[0], ready.explain(mlp().x))
    assert_same_answers(parts[1], ready.explain(mlp().x[:2]))


def test_a_slow_row_holds_back_neither_memory_nor_what_else_is_finished(monkeypatch):
    monkeypatch.setattr(run, "_ROWS_PER_LANE", 2)
    fast, slow = [0.0, -0.55, 0.0], [0.9, 0.9, 0.0]
    pulled = []

    def batches():
        for number in range(40):
            pulled.append(number)
            yield np.array([fast, fast if number else slow], np.float32)

    layout = EngineOptions(lanes=4, lanes_per_group=4, steps_per_chunk=1)
    ready = linear().fit(engine=layout, search=search(max_steps=60))
    stream = ready.stream(batches())
    first = next(stream)
    assert first.steps[1] > 8 * first.steps[0]
    assert len(pulled) == 4  # of two rows each, for four lanes
    in_order = [first, *stream]
    assert [part.settings["batch"] for part in in_order] == list(range(40))

    soonest = list(ready.stream(batches(), in_order=False))
    numbers = [part.settings["batch"] for part in soonest]
    assert numbers.index(0) > 10
    assert sorted(numbers) == list(range(40))
    for number, part in zip(numbers, soonest, strict=True):
        assert_same_answers(part, in_order[number])


def test_streamed_batches_of_bad_rows_keep_their_place():
    bad = np.full_like(mlp().x[:2], np.nan)
    parts = list(mlp().fit().stream([bad, mlp().x, bad[:0], bad]))
    assert [len(part) for part in parts] == [2, 6, 0, 2]
    assert_same_answers(parts[1], mlp().fit().explain(mlp().x))
    for part in (parts[0], parts[3]):
        np.testing.assert_array_equal(part.status, Status.INVALID_INPUT)


# --- Ctrl-C --------------------------------------------------------------------------------


@pytest.mark.usefixtures("ctrl_c")
def test_a_long_chunk_is_stopped_between_its_steps(monkeypatch):
    advance, calls = engine.lanes.advance, []
    stopping = threading.Event()

    def advance_and_press(*arguments):
        calls.append(arguments[-1])
        if len(calls) == 12:
            os.kill(os.getpid(), signal.SIGINT)
            assert stopping.wait(60)
        return advance(*arguments)

    monkeypatch.setattr(engine.lanes, "advance", advance_and_press)
    monkeypatch.setattr(engine, "Event", lambda: stopping)
    monkeypatch.setattr(engine, "_PIECE_SECONDS", 0.0)
    layout = EngineOptions(lanes=8, lanes_per_group=8, steps_per_chunk=1000)
    ready = mlp().fit(engine=layout, search=search(stop="budget", max_steps=1000))
    with pytest.raises(ExplanationInterrupted) as caught:
        ready.explain(mlp().x)
    assert calls == [0, *[1] * 11]  # none for the time of compiling
    kept = caught.value.explanations
    assert kept.found.sum() > 2
    np.testing.assert_array_equal(kept.steps[kept.found], 11)


# --- devices -------------------------------------------------------------------------------


def test_the_default_layout_depends_on_the_rows_and_the_devices():
    most = 32 * max(4, cores())
    rows_to_lanes = {0: 1, 1: 1, 5: 8, 100: 128, 10**6: most}
    for rows, expected in rows_to_lanes.items():
        groups, size = _choose_layout(EngineOptions(), rows)
        assert groups * size == expected
    devices = tuple(jax.devices()[:2])
    for options in (EngineOptions(devices=devices), EngineOptions(lanes=5, devices=devices)):
        for rows in (1, 7, None):
            assert _choose_layout(options, rows)[1] % 2 == 0


def test_another_device_than_the_default_gives_the_same():
    other = EngineOptions(lanes=4, devices=(jax.devices()[1],))
    assert_same_answers(mlp().fit(engine=other).explain(mlp().x), mlp().fit().explain(mlp().x))


@pytest.mark.parametrize("count", [1, 2])
def test_params_that_live_on_one_device_are_brought_to_where_they_are_needed(count):
    params = jax.device_put(np.float32(2.0), jax.devices()[0])
    devices = tuple(jax.devices()[2 - count : 2])

    def predict(params, x):
        return linear().predict(params * x)

    plain = linear().explainer(encoder=False)
    ready = replace(plain, predict=predict, reconstruct=None, params=params)
    expected = ready.fit(linear().x_train).explain(linear().x)
    spread = replace(ready, engine=EngineOptions(lanes=4, devices=devices))
    assert_same_answers(spread.fit(linear().x_train).explain(linear().x), expected)


def test_a_model_that_loops_from_a_constant_runs_on_several_devices():
    def predict(x):
        # What such a loop starts with is the same on every device; what it ends with isn't.
        halves = jax.lax.fori_loop(0, 2, lambda _, total: total + 0.5 * x, jnp.zeros(x.shape))
        return linear().predict(halves)

    ready = replace(linear().explainer(), predict=predict, reconstruct=None)
    expected = ready.fit(linear().x_train).explain(linear().x)
    spread = replace(ready, engine=EngineOptions(lanes=4, devices=tuple(jax.devices()[:2])))
    assert_same_answers(spread.fit(linear().x_train).explain(linear().x), expected)


# --- convolutions --------------------------------------------------------------------------


def test_step_by_step_and_in_a_compiled_loop_is_the_same_search(monkeypatch):
    options = {
        "objective": objective("D"),
        "search": search("adam", max_steps=12),
        "engine": EngineOptions(lanes=4, lanes_per_group=2, steps_per_chunk=5),
    }
    answers = {}
    for slow in (True, False):
        monkeypatch.setattr(engine, "slow_in_a_loop", lambda *_, slow=slow: slow)
        answers[slow] = conv().fit(**options).explain(conv().x)
    assert_same_answers(answers[True], answers[False])
    assert answers[True].found.any()


def test_images_keep_their_shape_and_singles_their_answers():
    ready = conv().fit(objective=objective("D"), search=search("adam", max_steps=12))
    result = ready.explain(conv().x)
    assert result.counterfactual.shape == (9, 8, 8, 1)
    assert result.prototype.shape == (9, 4, 4)
    predicted = conv().probabilities(result.counterfactual).argmax(axis=1)
    np.testing.assert_array_equal(predicted, result.counterfactual_class)
    for row in (0, 4):
        single = ready.explain(conv().x[row : row + 1])
        assert_close(single.counterfactual[0], result.counterfactual[row])


def test_a_models_convolution_is_noticed():
    sees = engine.slow_in_a_loop
    for problem, expected in ((conv(), True), (mlp(), False)):
        assert sees(problem.fit().models, None, None, problem.x) == expected


@pytest.mark.parametrize("name", ["lanes", "lanes_per_group", "steps_per_chunk"])
def test_wrong_options_say_what_is_wrong(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        replace(EngineOptions(), **{name: 0})
