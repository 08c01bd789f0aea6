"""Judges of counterfactuals: what they say is kept, and nothing is done twice."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from benchmarks import (
    common,
    judged,
    judged_configurations,
    judged_drawing,
    judged_judges,
    judged_measures,
)
from benchmarks.judged_judges import NETWORKS, OTHERS, Affine, FreshJudge, gradient_histograms
from jaxcf import Explainer, Explanations, Objective, data, models
from jaxcf.data import Dataset
from jaxcf.results.evaluation import COUNTERFACTUAL, NOISE, REAL, UNCHANGED
from jaxcf.search.status import Status

COUNT = 8


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def judges(digits):
    """One that always finds the nearest mean of a class, and one that always says 3."""
    means = np.stack([digits.x_train[digits.y_train == label].mean(axis=0) for label in range(10)])

    def nearest(x):
        return -np.square(np.asarray(x)[:, None] - means[None]).sum(axis=(2, 3, 4))

    def three(x):
        return np.tile(np.eye(10)[3], (len(x), 1))

    return [
        FreshJudge(name, kind, ask, 0.0, ask(digits.x_test).argmax(axis=1), {})
        for name, kind, ask in (("nearest", NETWORKS, nearest), ("three", OTHERS, three))
    ]


@pytest.fixture(scope="module")
def explanations(digits):
    """Of eight test images, one of a 3 among them; what was found for the others is a 3."""
    classes = digits.y_test[:COUNT]
    original = digits.x_test[:COUNT]
    counterfactual = np.repeat(digits.x_test[digits.y_test == 3][:1], COUNT, axis=0)
    status = np.where(classes == 3, Status.NOT_FOUND, Status.FOUND)
    new, certain = np.full(COUNT, 3), np.eye(10)
    whole = np.arange(COUNT), classes, certain[classes], new, certain[new], new
    ends = np.zeros((COUNT, 2)), np.full(COUNT, 5), np.ones(COUNT)
    seconds = {"prototypes": 1.0, "search": 2.0, "total": 3.0}
    return Explanations(original, counterfactual, status, *whole, *ends, seconds=seconds)


@pytest.fixture(scope="module")
def measured(digits, judges, explanations):
    court = judged_measures.Court(common.load_models("digits"), digits, judges, 0)
    return judged_measures.measure(explanations, 0, court)


def test_what_is_done_is_not_done_again_and_the_rest_is(
    tmp_path, monkeypatch, capsys, judges, explanations, measured
):
    asked = []
    monkeypatch.setattr(judged, "kept_judges", lambda *_, **__: judges)
    monkeypatch.setattr(judged, "_explain", lambda one, *_: asked.append(one.name) or explanations)
    monkeypatch.setattr(judged, "measure", lambda *_: measured)
    small = ["--data", "digits", "--count", str(COUNT), "--out", str(tmp_path)]
    folder = tmp_path / "digits"

    with monkeypatch.context() as patched:
        patched.setattr(judged, "_show", lambda *_: None)  # of two lines below
        judged.main([*small, "--configurations", "D"])
    first = judged.read_lines(folder / "rows.jsonl")
    assert asked == ["D"]
    assert first[0]["subjects"][REAL]["distance"]["mean"] == measured[REAL]["distance"].mean
    judged.main([*small, "--configurations", "D", "A"])
    # D once more, since seconds are compared with those of the same run.
    assert asked == ["D", "D", "A"]
    both = judged.read_lines(folder / "rows.jsonl")
    assert [row["configuration"] for row in both] == ["D", "A"]
    assert both[:1] == first
    # Other rows or other judges are something else.
    for other in (["--first", "1"], ["--seed", "1"]):
        assert not judged._of_this_run(both, judged._options([*small, *other]))
    assert "7 of 8" in capsys.readouterr().out
    table = (folder / "table.md").read_text()
    assert "| A | 7 of 8 | 0.8750 | 1.000 [1.000, 1.000] | 1.000 " in table
    assert {"frontier.png", "shown.png"} <= {path.name for path in folder.iterdir()}
    judged.main(["--draw", str(folder / "rows.jsonl"), str(tmp_path / "again.png")])
    assert (tmp_path / "again.png").read_bytes() == (folder / "frontier.png").read_bytes()


def test_rows_that_were_not_found_are_failures_and_controls_are_read(measured):
    assert set(measured) == {COUNTERFACTUAL, UNCHANGED, NOISE, REAL}
    values = {name: interval.mean for name, interval in measured[COUNTERFACTUAL].items()}
    assert values["found"] == values["valid"] == values[f"oracle {OTHERS}, all rows"] == 7 / 8
    assert values[f"oracle {NETWORKS}"] == values["judge three"] == 1
    assert values["stays"] == 0
    assert values["distance"] == pytest.approx(values["l1"] + values["l2"])
    assert measured[UNCHANGED]["distance"].mean == 0
    assert measured[UNCHANGED][f"stays {NETWORKS}"].mean > 0.8
    assert measured[REAL]["judge three"].n == 7
    assert measured[NOISE][f"oracle {NETWORKS}"].mean < 0.5
    assert measured[NOISE]["l0"].mean <= measured[COUNTERFACTUAL]["l0"].mean


def test_where_nothing_was_found_there_is_a_line_that_says_so(digits, judges, explanations):
    status = np.full(COUNT, Status.NOT_FOUND)
    court = judged_measures.Court(common.load_models("digits"), digits, judges, 0)
    values = judged_measures.measure(replace(explanations, status=status), 0, court)
    assert values[COUNTERFACTUAL]["found"].mean == 0
    assert values[COUNTERFACTUAL][f"oracle {NETWORKS}, all rows"].mean == 0
    assert np.isnan(values[COUNTERFACTUAL][f"oracle {NETWORKS}"].mean)


def test_every_configuration_is_one_of_an_explainer(digits, tmp_path):
    models.save_guide(tmp_path / "mine.npz", models.pretrained_guide("digits"))
    options = judged._options(["--data", "digits", "--guides", str(tmp_path / "mine.npz")])
    guides = judged.load_guides(options)
    plain = replace(guides["mine"], name="plain", confidence=0.8)
    networks = common.load_models("digits")
    given = judged_configurations.Given(networks, digits, guides, lambda: plain)
    every = judged_configurations.configurations(list(guides))
    explainers = {one.name: Explainer(**one.options(given)) for one in every}
    names = "D", "near", "near, mine", "near, all 2 guides", "near without a guide"
    assert [len(explainers[name].guides) for name in names] == [0, 1, 1, 2, 0]
    sure = "near, ordinary guide", "near, ordinary guide, as sure as the shipped", "near at 0.99"
    asked = [explainers[name].guides[0].confidence for name in sure]
    assert asked == [0.8, guides["shipped"].confidence, 0.99]
    one = explainers["near, C, prototype 10 in the guide's features"]
    assert one.encode is not None
    features = one.encode(one.params, digits.x_test[:2])
    np.testing.assert_array_equal(features, guides["shipped"].features(digits.x_test[:2]))
    assert isinstance(one.objective, Objective)
    assert one.objective.prototype_weight == 10
    with pytest.raises(ValueError, match="there is no configuration 'E'"):
        judged_configurations.chosen(every, ["D", "E"])


def test_an_ordinary_guide_is_built_like_the_robust_one_and_withstands_less(digits, tmp_path):
    robust = models.pretrained_guide("digits")
    training = robust.metadata["training"] | {"epochs": 3, "rows": 1000}
    like = replace(robust, metadata={"training": training})
    path = tmp_path / "ordinary.npz"
    made = judged.kept_ordinary(digits, like, path)
    assert made.network.architecture == robust.network.architecture
    assert made.accuracy > 0.8
    assert made.robust_accuracy < robust.robust_accuracy - 0.1
    assert made.metadata["training"]["adversary"] is None
    kept = judged.kept_ordinary(digits.first(train=1), like, path)
    assert kept.confidence == made.confidence


def test_judges_come_back_as_they_were_kept(digits: Dataset, tmp_path, monkeypatch):
    small = digits.first(train=150, test=40)
    monkeypatch.setattr(judged_judges, "_THREE", ())
    monkeypatch.setattr(judged_judges, "_FURTHER", {"affine": judged_judges._affine})
    made = judged_judges.kept_judges(small, tmp_path, seed=0, updates=20)
    monkeypatch.setattr(judged_judges, "_Training", lambda *_: None)
    kept = judged_judges.kept_judges(small, tmp_path, seed=0, updates=20)
    names = ["affine", "k-NN", "SVM", "SVM on gradients"]
    assert [judge.name for judge in kept] == [judge.name for judge in made] == names
    for one, other in zip(made, kept, strict=True):
        scores = np.asarray(other.predict(small.x_test))
        np.testing.assert_array_equal(scores.argmax(axis=1), one.decided)
        assert one.accuracy == other.accuracy == (one.decided == small.y_test).mean()
        assert one.kind == NETWORKS or one.accuracy > 0.75
    with pytest.raises(ValueError, match="made for 40 test images"):
        judged_judges.kept_judges(digits.first(test=30), tmp_path, seed=0)


def test_data_that_were_kept_are_those_that_were_loaded(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (6, 4, 4, 1), np.uint8)
    labels = np.arange(6) % 3
    made = data.from_arrays(
        pixels, labels, pixels[::-1], labels, name="mnist", class_names=list("abc")
    )
    monkeypatch.setattr(data, "load", lambda *_, **__: made)
    options = judged._options(["--out", str(tmp_path)])
    judged.load_data(options)
    monkeypatch.undo()
    kept = judged.load_data(options)
    for name in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(made, name))
    assert kept.class_names == ("a", "b", "c")


def test_a_guide_asked_for_more_and_more_is_a_line_of_the_frontier(explanations, measured):
    numbers = {
        subject: {name: value._asdict() for name, value in values.items()}
        for subject, values in measured.items()
    }
    names = "D", "near at 0.5", "near at 0.9"
    rows = [
        {"configuration": name, "subjects": numbers, "found": 7, "data": "digits"} for name in names
    ]
    for panel in judged_drawing.frontier(rows).axes:
        lines = {line.get_label(): line for line in panel.lines}
        assert np.size(lines["near at a confidence of 0.5 to 0.9"].get_xdata()) == 2
        assert [text.get_text() for text in panel.texts] == ["0.5", "0.9"]


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    judged.write_lines(path, [{"configuration": "D"}])
    with pytest.raises(ValueError, match="line 1, lacks"):
        judged.read_lines(path)


def test_histograms_of_gradients_see_edges_and_no_brightness(digits):
    images = digits.x_test[:5]
    histograms = gradient_histograms(images)
    np.testing.assert_allclose(gradient_histograms(images / 2 + 0.1), histograms, atol=0.03)
    turned = gradient_histograms(np.rot90(images, axes=(1, 2)))
    assert (np.abs(turned - histograms).max(axis=1) > 0.1).all()


def test_images_are_moved_and_kept_whole_where_nothing_is_varied(digits):
    images = digits.x_test[:3]
    still = Affine(image_shape=(8, 8, 1), degrees=0, stretch=0, slant=0, move=0)
    key = jax.random.key(0)
    np.testing.assert_allclose(jax.jit(still)(key, images), images, atol=1e-6)
    moved = np.asarray(jax.jit(Affine(image_shape=(8, 8, 1)))(key, images.reshape(3, 64)))
    assert (np.abs(moved.reshape(images.shape) - images).max(axis=(1, 2, 3)) > 0.1).all()
