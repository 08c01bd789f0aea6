import numpy as np
import pytest
import trained_once
from helpers import damage_file

from jaxcf.data import from_arrays, load
from jaxcf.models import kept_judges, load_judges, save_judges, train_judges


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def judges(digits):
    return trained_once.train_judges(digits)


@pytest.fixture
def saved(judges, tmp_path):
    path = tmp_path / "judges.npz"
    save_judges(path, judges)
    return path


def test_three_good_judges_of_three_kinds_none_of_them_an_explained_one(judges):
    kinds = {type(judge.network).__name__ for judge in judges}
    assert len(kinds) == 3
    assert not kinds & {"ConvolutionalClassifier", "ResidualClassifier", "DenseClassifier"}
    assert min(judge.accuracy for judge in judges) > 0.9


def test_the_accuracy_stated_is_the_accuracy_measured(judges, digits):
    for judge in judges:
        right = np.asarray(judge.predict(digits.x_test)).argmax(1) == digits.y_test
        assert right.mean() == pytest.approx(judge.accuracy, abs=0.003)


def test_features_are_few_and_the_logits_are_linear_in_them(judges, digits):
    x = digits.x_test
    for judge in judges:
        features, logits = np.asarray(judge.features(x)), np.asarray(judge.predict(x))
        assert features.shape[1] <= 64
        with_one = np.concatenate([features, np.ones((len(x), 1))], axis=1)
        fitted = with_one @ np.linalg.lstsq(with_one, logits, rcond=None)[0]
        np.testing.assert_allclose(fitted, logits, atol=1e-2)


def test_each_states_which_rows_it_saw(judges, digits):
    rows = len(digits.x_train)
    assert [judge.training["half"] for judge in judges] == ["first", "second", "all"]
    assert [judge.training["rows"] for judge in judges] == [rows // 2, rows - rows // 2, rows]
    assert [judge.training["noise"] > 0 for judge in judges] == [False, False, True]


def test_digits_are_never_mirrored_or_moved(judges):
    for judge in judges:
        varied = judge.training["augmentation"]
        assert varied is None or (not varied["flip"] and varied["shift"] == 0)


def test_what_is_loaded_is_what_was_saved(judges, saved, digits):
    again = load_judges(saved)
    x = digits.x_test
    for old, new in zip(judges, again, strict=True):
        assert (new.name, new.accuracy, new.training) == (old.name, old.accuracy, old.training)
        np.testing.assert_array_equal(new.predict(x), old.predict(x))


KEY = "mixer/dense/kernel"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda a, d: a.pop(KEY), "lacks the array 'mixer/dense/kernel'"),
        (lambda a, d: a.update({KEY: a[KEY] * np.nan}), "holds NaN or infinity"),
        (lambda a, d: d.update(format="jaxcf models"), "holds no jaxcf judges"),
        (lambda a, d: d["metadata"].pop("noisy"), "of the judge 'noisy'"),
        (lambda a, d: d["metadata"]["noisy"].update(accuracy=7.0), "accuracy 7.0"),
        (lambda a, d: d["metadata"]["mixer"].pop("training"), "the training None"),
        (
            lambda a, d: d["architectures"].update(
                mixer={"kind": "DenseClassifier", "num_features": 3, "num_classes": 2}
            ),
            "no valid mixer: it is a DenseClassifier",
        ),
    ],
)
def test_a_wrong_file_says_what_is_wrong(saved, damage, message):
    damage_file(saved, damage)
    with pytest.raises(ValueError, match=message):
        load_judges(saved)


def test_a_damaged_file_is_an_error(saved):
    saved.write_bytes(saved.read_bytes()[:200])
    with pytest.raises(ValueError, match="damaged"):
        load_judges(saved)


def test_names_must_differ(judges, tmp_path):
    with pytest.raises(ValueError, match="expected different names"):
        save_judges(tmp_path / "judges.npz", (judges[0], judges[0]))


def test_tables_have_no_judges():
    x, y = np.zeros((4, 3), np.float32), np.array([0, 1, 0, 1], np.int32)
    with pytest.raises(ValueError, match="expected 'image'"):
        train_judges(from_arrays(x, y, x, y, name="rows"))


def test_judges_are_trained_once_and_kept(judges, digits, tmp_path, monkeypatch):
    trained = []

    def train(dataset, **options):
        trained.append((dataset, options["updates"]))
        return judges

    monkeypatch.setattr("jaxcf.models.judges.train_judges", train)
    path = tmp_path / "kept" / "judges.npz"
    for _ in range(2):
        kept = kept_judges(path, lambda: digits, updates=4)
        assert [judge.name for judge in kept] == [judge.name for judge in judges]
    assert trained == [(digits, 4)]
