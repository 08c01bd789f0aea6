"""The pictures of the documentation show what its pages say of them."""

import numpy as np

from experiments import illustrations


def points_of(axis, label):
    (drawn,) = (one for one in axis.collections if one.get_label() == label)
    return np.asarray(drawn.get_offsets())


def test_prototypes_lead_to_where_the_other_class_is(tmp_path):
    x, predict = illustrations._train(0)
    other = x[np.asarray(predict(x)).argmax(axis=1) == 1]
    distance = []
    for axis in illustrations.draw_idea(0).axes:
        reached = points_of(axis, "counterfactual")
        assert (np.asarray(predict(reached))[:, 1] > illustrations._CONFIDENCE).all()
        distance.append(np.linalg.norm(reached[:, None] - other, axis=2).min(axis=1).mean())
    without, guided = distance
    assert guided < 0.7 * without


def test_both_pictures_are_written(tmp_path):
    illustrations.main(["--quick", "--out", str(tmp_path)])
    for name in ("idea.png", "noise.png"):
        assert (tmp_path / name).stat().st_size > 20_000
