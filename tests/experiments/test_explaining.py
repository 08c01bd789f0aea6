"""An interrupted experiment goes on where it was, and only with what is really its own."""

import numpy as np
import pytest

from experiments import explaining
from jaxcf import Explanations, data, models, presets


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """An explainer of the digits' models, some rows, where they are kept, and the explanations."""
    dataset = data.load("digits").first(test=8)
    model_set = models.pretrained("digits")
    fitted = explaining.fit(model_set, dataset, **presets.named("report"))
    fitted = explaining.under(fitted, "report", "D")
    path = tmp_path_factory.mktemp("kept") / "digits" / "D.npz"
    made = explaining.explain_or_load(fitted, dataset.x_test, path, model_set)
    return model_set, fitted, dataset.x_test, path, made


def test_what_was_explained_is_read_again(explained, monkeypatch):
    model_set, fitted, x, path, made = explained
    monkeypatch.setattr(type(fitted), "explain", None)
    read = explaining.explain_or_load(fitted, x, path, model_set)
    np.testing.assert_array_equal(read.counterfactual, made.counterfactual)
    # What it took when it was made, not what reading it took.
    assert read.seconds == made.seconds


def test_what_is_kept_of_other_rows_or_settings_is_refused(explained):
    model_set, fitted, x, path, _ = explained
    other = explaining.under(fitted, "report", "A")
    for explainer, rows in ((other, x), (fitted, x[::-1]), (fitted, x[:4])):
        with pytest.raises(ValueError, match="other rows, settings or models"):
            explaining.explain_or_load(explainer, rows, path, model_set)


def test_what_is_kept_of_other_models_is_refused(explained, tmp_path):
    model_set, fitted, x, path, made = explained
    flattened = np.full_like(made.original_probabilities, 0.1)
    content = vars(Explanations.load(path)) | {"original_probabilities": flattened}
    Explanations(**content).save(tmp_path / "D.npz")
    with pytest.raises(ValueError, match="other rows, settings or models"):
        explaining.explain_or_load(fitted, x, tmp_path / "D.npz", model_set)
