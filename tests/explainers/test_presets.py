"""The presets hold the settings that their sources state."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import mlp

from jaxcf import Explainer, NearestMean, SearchOptions, presets, solvers
from jaxcf.objective import NAMED_OBJECTIVES, Objective


@pytest.mark.parametrize("letter", NAMED_OBJECTIVES)
def test_report_is_what_its_numbers_were_made_with(letter):
    preset = presets.report(letter)
    objective, search = preset["objective"], preset["search"]
    assert (objective.l1_weight, objective.l2_weight, objective.margin) == (0.1, 1.0, 0.0)
    assert objective.reconstruction_weight == 100.0
    if "prototype" in objective.terms:
        assert objective.prototype_weight == (200.0 if letter in "CE" else 100.0)
    assert preset["prototypes"] == NearestMean(k=15)
    assert search.solver == solvers.subgradient_adam(1e-2)
    assert (search.stop, search.max_steps, search.weight_rounds) == ("first_flip", 500, 1)
    assert search.prediction_weight == 1.0


@pytest.mark.parametrize("letter", NAMED_OBJECTIVES)
def test_report_text_is_what_its_text_states(letter):
    preset = presets.report_text(letter)
    assert (preset["objective"].margin, preset["objective"].prototype_weight) == (0.01, 200.0)
    assert preset["prototypes"] == NearestMean(k=10)
    assert (preset["search"].max_steps, preset["search"].weight_rounds) == (5000, 1)


def test_paper_searches_for_c_with_fista_and_keeps_the_best():
    search = presets.paper()["search"]
    assert search.solver == solvers.fista(1e-2)
    assert (search.stop, search.max_steps, search.weight_rounds) == ("budget", 500, 10)


@pytest.mark.parametrize("letter", NAMED_OBJECTIVES)
def test_alibi_is_what_its_documentation_states(letter):
    preset = presets.alibi(letter)
    objective, search = preset["objective"], preset["search"]
    assert (objective.l1_weight, objective.margin, objective.prototype_weight) == (0.1, 0.0, 100.0)
    assert preset["prototypes"] == NearestMean(k=None)
    assert search.solver == solvers.reference_fista(1e-2)
    assert (search.stop, search.max_steps, search.prediction_weight) == ("budget", 1000, 10.0)
    assert search.weight_rounds == (1 if letter in "EF" else 10)


@pytest.mark.parametrize("name", presets.NAMED_PRESETS)
@pytest.mark.parametrize("letter", NAMED_OBJECTIVES)
def test_every_preset_makes_an_explainer(name, letter):
    preset = presets.named(name, letter)
    assert preset == presets.NAMED_PRESETS[name](letter)
    Explainer(mlp().predict, mlp().encode, mlp().reconstruct, **preset)


@pytest.mark.parametrize("name", presets.NAMED_PRESETS)
def test_every_preset_explains(name):
    preset = presets.named(name, "D")
    rounds = 2 if preset["search"].weight_growth == 1 else 1
    few = replace(preset["search"], max_steps=5, extra_steps=0, weight_rounds=rounds)
    explainer = Explainer(
        mlp().predict, mlp().encode, mlp().reconstruct, **(preset | {"search": few})
    )
    result = explainer.fit(mlp().x_train).explain(mlp().x[:2])
    assert np.isfinite(result.counterfactual).all()


def test_an_unknown_preset_says_which_there_are():
    with pytest.raises(ValueError, match="unknown preset 'dice'; there are report, report-text"):
        presets.named("dice")


def test_no_preset_is_the_default_settings():
    expected = {"objective": Objective.named("C"), "search": SearchOptions()}
    assert presets.named(None, "C") == expected


def test_distance_is_measured_by_what_images_are_made_of():
    rng = np.random.default_rng(0)
    photographs = rng.uniform(size=(20, 8, 8, 3))
    strokes = np.where(rng.uniform(size=(20, 8, 8, 1)) < 0.7, 0.0, photographs[..., :1])
    for scale in (1, 255):
        assert presets.distance_weights(scale * photographs)["l1_weight"] == 0
        assert presets.distance_weights(scale * strokes)["l1_weight"] == 1
        # White paper is a background as well as black.
        assert presets.distance_weights(scale * (1 - strokes))["l1_weight"] == 1
    near = presets.near("A", photographs)["objective"]
    assert (near.l1_weight, near.l2_weight) == (0, 1)
