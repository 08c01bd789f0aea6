"""Counterfactuals and controls are scored alike, and only rows that were found."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from jaxcf import Explainer, Status, data, models
from jaxcf.results import evaluation
from jaxcf.results.evaluation import Autoencoders, RealImages


@dataclass(frozen=True)
class Judge:
    """The explained model itself as a judge, and one that always says the same class."""

    name: str
    always: int | None = None

    def predict(self, x):
        logits = np.asarray(MODELS.predict(x))
        return logits if self.always is None else np.eye(10)[np.full(len(logits), self.always)]

    def features(self, x):
        return np.asarray(MODELS.predict(x))[:, :3]


MODELS = models.pretrained("digits")
JUDGES = (Judge("itself"), Judge("says 3", 3))


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def explanations(digits):
    explainer = Explainer(**MODELS.functions(), feature_range=(0.0, 1.0)).fit(digits.x_train)
    found = explainer.explain(digits.x_test[:120])
    status = found.status.copy()
    status[:20] = Status.NOT_FOUND
    return replace(found, status=status)


def evaluate(explanations, digits, **changes):
    arguments = {
        "predict": MODELS.predict,
        "judges": JUDGES,
        "autoencoders": {"own": Autoencoders(MODELS.reconstruct, MODELS.class_reconstruct())},
        "real": RealImages(digits.x_train, digits.y_train, digits.x_test, digits.y_test),
        "survival_autoencoder": MODELS.reconstruct,
    }
    return evaluation.evaluate(explanations, **(arguments | changes))


@pytest.fixture(scope="module")
def evaluated(explanations, digits):
    return evaluate(explanations, digits)


def test_only_found_rows_are_scored_and_all_subjects_have_the_same_metrics(evaluated, explanations):
    count = int(explanations.found.sum())
    assert count <= 100
    assert evaluated.found.tolist() == explanations.found.tolist()
    names = list(evaluated.values[evaluation.COUNTERFACTUAL])
    for subject in evaluation.SUBJECTS:
        assert list(evaluated.values[subject]) == names
        assert {len(values) for values in evaluated.values[subject].values()} == {count}


def test_what_is_known_of_the_controls_comes_out(evaluated):
    counterfactual, unchanged, noise, real = (
        evaluated.values[subject] for subject in evaluation.SUBJECTS
    )
    assert counterfactual["valid"].all()
    assert not unchanged["valid"].any()
    assert (unchanged["l0"] == 0).all()
    assert (unchanged["l2"] == 0).all()
    assert np.isnan(unchanged["high frequency"]).all()
    # The noise is as long as the change, less what the range cuts off.
    assert (noise["l2"] <= counterfactual["l2"] * (1 + 1e-5)).all()
    assert noise["l2"].mean() > 0.5 * counterfactual["l2"].mean()
    assert real["valid"].mean() > 0.9
    assert real["train distance"].mean() < unchanged["train distance"].mean()


def test_judges_are_asked_about_every_subject(evaluated):
    for subject in evaluation.SUBJECTS:
        values = evaluated.values[subject]
        np.testing.assert_array_equal(values["judge itself"], values["valid"])
        share = (values["judge itself"].astype(float) + values["judge says 3"]) / 2
        np.testing.assert_allclose(values["oracle"], share)
        np.testing.assert_allclose(values["transfer gap"], values["valid"] - share)


def test_the_summary_counts_rows_and_holds_its_means(evaluated, explanations):
    summary = evaluated.summary()
    assert summary["l1"].n == explanations.found.sum()
    assert summary["l1"].mean == pytest.approx(explanations.l1[explanations.found].mean())
    assert summary["l1"].lower < summary["l1"].mean < summary["l1"].upper
    far, near = (evaluated.summary(one)["frechet"] for one in ("unchanged", "real target"))
    assert near.mean < far.mean


def test_a_metric_that_cannot_tell_unchanged_from_real_images_carries_no_information(evaluated):
    assert evaluated.is_informative("valid")
    assert evaluated.separation("valid") < 0.1
    assert evaluated.separation("train distance") > 0.9
    values = {
        subject: dict(columns)
        | {"chance": np.random.default_rng(0).normal(size=len(columns["l1"]))}
        for subject, columns in evaluated.values.items()
    }
    chance = replace(evaluated, values=values)
    assert chance.separation("chance") == pytest.approx(0.5)
    assert not chance.is_informative("chance")
    assert np.isnan(evaluated.separation("high frequency"))


def test_the_order_of_the_rows_does_not_matter_for_scores_of_single_rows(
    evaluated, explanations, digits
):
    turned = evaluate(explanations[::-1], digits)
    for metric in ("l1", "valid", "oracle", "im1 own", "train distance", "high frequency"):
        np.testing.assert_allclose(
            turned.values[evaluation.COUNTERFACTUAL][metric][::-1],
            evaluated.values[evaluation.COUNTERFACTUAL][metric],
            rtol=1e-4,
            atol=1e-5,
        )


def test_nothing_found_has_no_scores(explanations, digits):
    nothing = evaluate(
        replace(explanations, status=np.full(len(explanations), Status.NOT_FOUND)), digits
    )
    for subject in evaluation.SUBJECTS:
        assert all(len(values) == 0 for values in nothing.values[subject].values())
        assert all(interval.n == 0 for interval in nothing.summary(subject).values())
    assert np.isnan(nothing.separation("l1"))


def test_parts_are_combined_row_by_row(evaluated):
    twice = evaluation.combine([evaluated, evaluated])
    assert twice.summary()["l1"].n == 2 * evaluated.summary()["l1"].n
    assert twice.summary()["l1"].mean == pytest.approx(evaluated.summary()["l1"].mean)
    assert twice.frechet["noise"].n == 0
    assert evaluation.combine([evaluated]) is evaluated


def test_a_class_without_test_images_is_an_error(explanations, digits):
    few = digits.y_test < 2
    real = RealImages(digits.x_train, digits.y_train, digits.x_test[few], digits.y_test[few])
    with pytest.raises(ValueError, match="has no test image to stand as control"):
        evaluate(explanations, digits, real=real)
