"""The benchmarks measure what they say: on the embedded digits, a few rows each."""

import os
from argparse import Namespace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import latency, limit, scaling, solvers, threads
from jaxcf import Explainer, data, models, presets
from jaxcf.predictors import calling
from jaxcf.predictors.functions import ModelFunctions


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def fitted(digits):
    functions = models.pretrained("digits").functions()
    explainer = Explainer(**functions, **presets.report("D"), feature_range=(0.0, 1.0))
    return explainer.fit(digits.x_train)


def test_the_arithmetic_of_the_mnist_networks_is_that_of_their_convolutions():
    functions = models.pretrained("mnist").functions()
    params, output = functions.pop("params"), functions.pop("output")
    described = SimpleNamespace(
        models=ModelFunctions(**functions, output=output, takes_params=True),
        params=params,
        shape=(28, 28, 1),
    )
    classifier = 28**2 * 9 * 16 + 14**2 * 9 * 16 * 32 + 7**2 * 32 * 10
    encoder = 28**2 * 9 * 16 + 14**2 * 9 * 16 * 16 + 7**2 * 9 * 16
    decoder = 7**2 * 4 * 16 + 14**2 * 4 * 16 * 16 + 28**2 * 9 * 16
    assert limit.forward_flops(described) == 2 * (classifier + encoder + decoder)  # type: ignore[arg-type]


@pytest.mark.usefixtures("without_type_checks")  # lowering rebuilds the objective from no values
def test_occupied_lanes_run_and_a_lane_step_has_a_cost(fitted, digits):
    lanes = limit.occupied_lanes(fitted, digits.x_test[:4])
    assert (np.asarray(lanes.state.status) == 100).all()
    row = limit.lane_step_cost(fitted, digits.x_test, size=4, threads=2)
    assert row["milliseconds_per_lane_step"] > 0
    assert row["compiled_megaflop"] > 0


def test_the_engines_efficiency_counts_every_evaluation(fitted, digits):
    best = {"milliseconds_per_lane_step": 1.0}
    result = limit.engine_efficiency(fitted, digits.x_test[:4], best)
    again = fitted.explain(digits.x_test[:4])
    assert result["lane_steps"] == again.steps.sum() + 4
    assert result["efficiency"] == pytest.approx(result["lane_steps"] / 1e3 / result["seconds"])


def test_noisy_rows_are_the_same_for_the_same_numbers_and_within_the_range(digits):
    x = digits.x_test
    rows = scaling.noisy_rows(x, np.arange(len(x) - 2, len(x) + 2))
    np.testing.assert_array_equal(rows, scaling.noisy_rows(x, np.arange(len(x) - 2, len(x) + 2)))
    assert rows.min() >= 0
    assert rows.max() <= 1
    np.testing.assert_allclose(rows[2:], x[:2], atol=6 * scaling.NOISE)
    assert (rows[2:] != x[:2]).any()


def test_scaling_measures_all_rows(capsys):
    options = Namespace(data="digits", data_dir=None, weights=None, preset=None, quick=True)
    row = scaling.measure(options, n=40, lanes=16, threads=os.cpu_count() or 1)
    assert (row["n"], row["lanes"]) == (40, 16)
    assert 0 < row["validity"] <= 1
    assert row["lane_steps"] >= 40


def test_the_curve_of_the_best_objective_never_rises_and_the_first_flip_is_scored(fitted, digits):
    options = Namespace(max_steps=20)
    rule = solvers.candidates()["proximal Adam 0.03, momentum 0.5"]
    curve = solvers.objective_curve(fitted, digits.x_test[:4], rule, options)
    assert curve.shape == (21,)
    assert (np.diff(curve) <= 0).all()
    grown = solvers.first_flip(fitted, digits.x_test[:4], rule, 1.1, options)
    assert grown["validity"] > 0
    # Scored with c = 1, whatever c it was found with.
    assert grown["objective_value"] < curve[0] * 4


def test_one_row_is_timed_beside_a_bare_loop(fitted, digits):
    row = latency.one_row(fitted, digits.x_test[:2])
    assert row["steps"] >= 1
    assert row["seconds_of_its_search"] <= row["seconds_of_the_call"]
    assert row["seconds_of_the_bare_loop"] > 0


def test_openmp_is_timed_both_ways_in_turn():
    limits = []
    seconds = threads.in_turn(lambda: limits.append(calling.ROWS_FOR_THREADS), repeats=2)
    assert limits == [0, 100_001] * 2
    assert set(seconds) == {"own", "one"}
