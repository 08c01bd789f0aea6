"""Several counterfactuals per row: one per class, and alternatives led by other prototypes."""

import jax
import numpy as np
import pytest
from helpers import assert_close, compilations, mlp, objective, search

from jaxcf import Constraints, Explainer, Refinement, Status, metrics
from jaxcf.explainers import batch as batches
from jaxcf.prototypes import alternatives


def test_each_class_gives_what_that_class_alone_gives():
    fitted = mlp().fit()
    matrix = fitted.explain(mlp().x, target="each")
    n, k = len(mlp().x), mlp().num_classes
    np.testing.assert_array_equal(matrix.source_row, np.repeat(np.arange(n), k))
    for index in range(k):
        alone = fitted.explain(mlp().x, target=index)
        part = matrix[index::k]
        np.testing.assert_array_equal(part.status, alone.status)
        assert_close(part.counterfactual, alone.counterfactual)
    own = np.tile(np.arange(k), n) == matrix.original_class
    np.testing.assert_array_equal(matrix.status == Status.ALREADY_IN_TARGET, own)


def test_rules_of_each_row_go_with_its_copies():
    x = mlp().x
    frozen = np.random.default_rng(0).random(x.shape) < 0.4
    matrix = mlp().fit().explain(x, target="each", constraints=Constraints(frozen=frozen))
    frozen = frozen[matrix.source_row]
    np.testing.assert_array_equal(matrix.counterfactual[frozen], x[matrix.source_row][frozen])


@pytest.mark.parametrize("kind", ["nearest", "kdtree", "kmeans"])
def test_alternatives_begin_with_the_usual_one_and_differ(kind):
    fitted = mlp().fit(
        encoder=kind != "kdtree", prototypes=kind, objective=objective("C"), search=search()
    )
    usual = fitted.explain(mlp().x)
    several = fitted.explain(mlp().x, num_alternatives=3)
    assert_close(several[::3].counterfactual, usual.counterfactual)
    flat = several.prototype.reshape(len(several), -1)
    for row in range(len(mlp().x)):
        assert len(np.unique(flat[several.source_row == row], axis=0)) == 3
    diversity = several.scores["diversity"]
    for row in range(len(mlp().x)):
        mine = (several.source_row == row) & several.found
        if mine.sum() > 1:
            assert np.unique(diversity[mine]).size == 1
            assert_close(
                diversity[mine][0], np.float32(metrics.diversity(several.counterfactual[mine]))
            )
        else:
            assert np.isnan(diversity[mine]).all()
    assert np.nanmax(diversity) > 0
    mean = several.summary()["diversity"]
    assert mean == pytest.approx(float(np.nanmean(diversity[several.found])), rel=1e-5)


def test_the_sparsity_pass_keeps_alternatives_apart():
    fitted = mlp().fit(search=search(), refinement=Refinement(sparsify=True))
    several = fitted.explain(mlp().x, num_alternatives=3)
    usual = fitted.explain(mlp().x)
    assert_close(several[::3].counterfactual, usual.counterfactual)
    for row in range(len(mlp().x)):
        mine = several.counterfactual[(several.source_row == row) & several.found]
        assert len(np.unique(mine, axis=0)) == len(mine)
    assert several.found.mean() > 0.5
    assert (several.scores["reset_features"] > 0).any()


def test_alternatives_cluster_once_and_more_of_them_compile_nothing(monkeypatch):
    monkeypatch.setattr(batches, "_PREPARED_TOGETHER", 8)
    clustered = []
    monkeypatch.setattr(
        batches,
        "candidates_of",
        lambda *arguments: clustered.append(1) or alternatives.candidates_of(*arguments),
    )
    fitted = mlp().fit(refinement=Refinement(sparsify=True))
    x = np.repeat(mlp().x, 4, axis=0)
    fitted.explain(x, num_alternatives=2)
    assert len(clustered) == 1
    with compilations() as compiled:
        fitted.explain(x[::2], num_alternatives=4)
    assert not compiled


def test_alternatives_keep_to_the_target():
    several = mlp().fit().explain(mlp().x, target=1, num_alternatives=2)
    assert (several.target_class[several.target_class >= 0] == 1).all()
    assert (several.counterfactual_class[several.found] == 1).all()


def test_alternatives_without_a_prototype_term_are_refused():
    fitted = mlp().fit(objective=objective("A"))
    with pytest.raises(ValueError, match="has no prototype term"):
        fitted.explain(mlp().x, num_alternatives=2)
    with pytest.raises(ValueError, match="num_alternatives must be at least 1"):
        fitted.explain(mlp().x, num_alternatives=0)


def test_one_counterfactual_is_not_found_several_times():
    one_place = np.tile([[-0.5, 0.2]], (5, 1))
    x = np.concatenate([np.random.default_rng(0).uniform(0.1, 1, (20, 2)), one_place])
    weights = np.array([[4.0, -4.0], [0.0, 0.0]])
    fitted = Explainer(lambda rows: jax.nn.softmax(rows @ weights)).fit(x)
    several = fitted.explain(x[:2], num_alternatives=3)
    assert several.status.tolist() == [Status.FOUND, Status.NO_OTHER, Status.NO_OTHER] * 2
    assert np.isnan(several.scores["diversity"]).all()
