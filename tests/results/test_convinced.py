"""Who was convinced: as the search decided, whatever the explanations came from."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import made_explanations
from made_explanations import images, with_guides

from jaxcf import Explanations, Status
from jaxcf.results.convinced import agreement, found_and_agreed, new_classes, who_was_convinced


def asked_of(*confidence: float, needed: int, **changes):
    """Explanations with so many guides, which give the new class 0.6."""
    plain = made_explanations((4,))
    said = np.full((6, len(confidence), 3), 0.2, np.float32)
    new = plain.counterfactual_class if "status" not in changes else plain.target_class
    said[np.arange(6), :, new] = 0.6
    asked = {f"guide {number}": one for number, one in enumerate(confidence, 1)}
    settings = {"guides": {"confidence": asked, "needed": needed}}
    return replace(
        plain,
        guide_original_probabilities=said[:, :, ::-1],
        guide_probabilities=said,
        settings=settings,
        **changes,
    )


def test_a_guide_is_convinced_where_it_decides_so_and_is_sure_enough():
    model, least, half, most = who_was_convinced(asked_of(0.0, 0.5, 0.7, needed=1))
    assert (model.name, half.name) == ("the model", "guide 2")
    assert model.convinced.all()
    assert [one.convinced.all() for one in (least, half)] == [True, True]
    assert not most.convinced.any()
    np.testing.assert_array_equal(half.after, np.float32(0.6))
    assert [one.asked for one in (least, half)] == ["to decide for it", "more than 50 %"]


def test_rows_that_needed_the_guide_are_judged_by_the_class_that_the_model_decides_for():
    status = np.array([0, 0, 0, 0, Status.GUIDE_NOT_CONVINCED, Status.NOT_FOUND])
    explanations = asked_of(0.9, needed=1, status=status)
    changed = replace(explanations, target_class=(explanations.counterfactual_class + 1) % 3)
    decided = changed.counterfactual_class
    assert new_classes(changed).tolist() == [*decided[:5], changed.target_class[5]]
    model, guide = who_was_convinced(changed)
    assert model.convinced.tolist() == [True] * 5 + [False]
    assert not guide.convinced.any()


def test_rows_of_which_nothing_is_known_convince_nobody():
    explanations = with_guides(images(40))
    invalid = explanations.status == Status.INVALID_INPUT
    for one in who_was_convinced(explanations):
        assert np.isnan(one.after[invalid]).all()
        assert (one.reads_before[invalid] == -1).all()
        assert not one.convinced[invalid].any()


@pytest.mark.parametrize(
    ("guides", "needed", "words"),
    [
        (1, 1, "the model and its guide agree"),
        (2, 2, "the model and both guides agree"),
        (3, 3, "the model and all 3 guides agree"),
        (3, 2, "the model and at least 2 of 3 guides agree"),
    ],
)
def test_who_agrees_in_words(guides, needed, words):
    explanations = asked_of(*[0.5] * guides, needed=needed)
    assert agreement(explanations) == words
    assert found_and_agreed(explanations) == f"6 of 6 found (100.0 %); {words}"
    lost = replace(explanations, status=np.full(6, Status.GUIDE_NOT_CONVINCED))
    assert found_and_agreed(lost) == "0 of 6 found (0.0 %)"


def test_a_model_alone_has_nobody_to_agree_with():
    explanations = made_explanations((4,))
    assert who_was_convinced(explanations) == ()
    assert agreement(explanations) is None
    assert found_and_agreed(explanations) == str(explanations.counts)


@pytest.mark.parametrize(
    "guides",
    [
        [],
        {"confidence": {"a": 0.5}, "needed": 1},
        {"confidence": {"a": 0.5, "b": None}, "needed": 1},
        {"confidence": {"a": 0.5, "b": 0.5}, "needed": 3},
        {"confidence": {"a": 0.5, "b": 0.5}},
    ],
)
def test_a_file_whose_guides_are_not_those_of_its_arrays_is_refused(guides, tmp_path):
    explanations = asked_of(0.5, 0.5, needed=1)
    explanations.save(tmp_path / "right.npz")
    assert agreement(Explanations.load(tmp_path / "right.npz")) == agreement(explanations)
    replace(explanations, settings={"guides": guides}).save(tmp_path / "wrong.npz")
    with pytest.raises(ValueError, match=r"wrong\.npz is damaged: its settings have the guides"):
        Explanations.load(tmp_path / "wrong.npz")
