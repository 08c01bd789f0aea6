"""The entry: every bad input says what was given and what to do, and spares the good rows."""

import time
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_same_answers, linear, mlp, objective, search

from jaxcf import Explainer, KDTree, NearestMean, Objective, SearchOptions, Status

NAN, INF = np.float32(np.nan), np.float32(np.inf)


@pytest.fixture(scope="module")
def ready():
    return mlp().fit()


@pytest.fixture(scope="module")
def good(ready):
    return ready.explain(mlp().x)


# --- bad rows beside good ones -------------------------------------------------------------


def assert_good_rows_are_spared(result, good, bad_rows):
    rest = np.setdiff1d(np.arange(len(good)), bad_rows)
    assert_same_answers(result[rest], good[rest])
    assert not result.found[bad_rows].any()


@pytest.mark.parametrize("value", [NAN, INF, -INF], ids=str)
def test_rows_that_are_not_finite_are_marked_and_left_alone(ready, good, value):
    x = mlp().x.copy()
    x[1, 2] = x[4, 0] = value
    result = ready.explain(x)
    assert_good_rows_are_spared(result, good, [1, 4])
    assert result.status[[1, 4]].tolist() == [Status.INVALID_INPUT] * 2
    assert "NaN or infinite" in result.messages[1]
    np.testing.assert_array_equal(result.counterfactual[[1, 4]], x[[1, 4]])
    for name in ("original_class", "counterfactual_class", "target_class"):
        assert (getattr(result, name)[[1, 4]] == -1).all()
    assert np.isnan(result.probabilities[1]).all()
    assert (result.steps[[1, 4]] == 0).all()
    assert np.isfinite(result.perturbation).all()


def test_rows_outside_a_range_that_was_asked_for_are_marked(ready, good):
    x = mlp().x.copy()
    x[0, 0], x[5, 3] = 1.01, -1.01
    result = ready.explain(x)
    assert_good_rows_are_spared(result, good, [0, 5])
    assert result.status[[0, 5]].tolist() == [Status.OUT_OF_RANGE] * 2
    assert "outside its range" in result.messages[0]
    np.testing.assert_array_equal(result.counterfactual[[0, 5]], x[[0, 5]])
    # They are still described.
    assert (result.original_class[[0, 5]] >= 0).all()


def test_without_a_range_rows_outside_the_training_rows_keep_their_own_values():
    free = mlp().fit(feature_range=None)
    x = mlp().x.copy()
    lowest, highest = mlp().x_train.min(axis=0), mlp().x_train.max(axis=0)
    x[0, 1] = highest[1] + 0.5
    result = free.explain(x)
    assert result.status[0] != Status.OUT_OF_RANGE
    lower, upper = np.minimum(lowest, x), np.maximum(highest, x)
    assert (result.counterfactual >= lower).all()
    assert (result.counterfactual <= upper).all()


def test_a_row_that_asks_for_an_unknown_class_is_marked(ready):
    original = mlp().probabilities(mlp().x).argmax(axis=1)
    target = (original + 1) % 3
    expected = ready.explain(mlp().x, target=target)
    target[2], target[3] = 3, -7
    result = ready.explain(mlp().x, target=target)
    assert_good_rows_are_spared(result, expected, [2, 3])
    assert result.status[[2, 3]].tolist() == [Status.UNKNOWN_TARGET] * 2
    assert result.messages[2] == "the requested class does not exist"


def test_rows_that_are_already_in_the_target_stay_as_they_are(ready):
    original = mlp().probabilities(mlp().x).argmax(axis=1)
    result = ready.explain(mlp().x, target=int(original[0]))
    already = original == original[0]
    np.testing.assert_array_equal(result.status == Status.ALREADY_IN_TARGET, already)
    np.testing.assert_array_equal(result.counterfactual[already], mlp().x[already])
    assert (result.steps[already] == 0).all()


def test_found_rows_are_of_the_class_that_was_asked_for():
    ready = mlp().fit(search=search("fista", max_steps=80, prediction_weight=20.0))
    original = mlp().probabilities(mlp().x).argmax(axis=1)
    target = (original + 2) % 3
    result = ready.explain(mlp().x, target=target)
    assert result.found.sum() >= 3
    np.testing.assert_array_equal(result.counterfactual_class[result.found], target[result.found])
    np.testing.assert_array_equal(result.target_class, target)


def test_a_class_without_training_rows_is_no_target_and_says_so():
    classes = mlp().probabilities(mlp().x_train).argmax(axis=1)
    original = mlp().probabilities(mlp().x).argmax(axis=1)
    gone = int(original[0])
    with pytest.warns(UserWarning, match=rf"no training row is of the classes \[{gone}\]"):
        partial = mlp().explainer().fit(mlp().x_train[classes != gone])
    result = partial.explain(mlp().x, target=gone)
    rest = original != gone
    np.testing.assert_array_equal(result.status[rest], Status.NO_PROTOTYPE)
    assert result.messages[int(rest.argmax())] == "no requested class has a prototype"
    free = partial.explain(mlp().x)
    assert (free.target_class != gone).all()


def test_rows_without_features_are_refused():
    with pytest.raises(ValueError, match=r"got shape \(60, 0\); of one number at least each"):
        mlp().explainer().fit(mlp().x_train[:, :0])


def test_probabilities_of_training_rows_may_be_a_list_but_must_be_some(good):
    said = np.asarray(mlp().predict(mlp().x_train))
    result = mlp().explainer().fit(mlp().x_train, probabilities=said.tolist()).explain(mlp().x)
    np.testing.assert_array_equal(result.counterfactual, good.counterfactual)
    wrong = said.copy()
    wrong[7] = -3.0
    with pytest.raises(ValueError, match=r"of training row 7 are \[-3. -3. -3.\]; expected"):
        mlp().explainer().fit(mlp().x_train, probabilities=wrong)
    with pytest.raises(TypeError, match="probabilities must hold numbers, got dtype <U"):
        mlp().explainer().fit(mlp().x_train, probabilities=said.astype(str))


@pytest.mark.usefixtures("without_type_checks")
def test_constraints_of_another_kind_are_refused(ready):
    wrong: Any = {"lower": 0.0}
    with pytest.raises(TypeError, match="constraints must be Constraints, got dict"):
        ready.explain(mlp().x, constraints=wrong)
    with pytest.raises(TypeError, match="constraints must be Constraints, got dict"):
        ready.trace(ready.explain(mlp().x), mlp().x_train, constraints=wrong)


def test_explainers_with_arrays_can_be_compared():
    options: dict[str, Any] = {"params": np.ones(3), "feature_range": (np.zeros(5), np.ones(5))}
    first, second = (Explainer(lambda p, x: x, **options) for _ in range(2))
    assert first == first
    assert first != second
    assert len({first, second}) == 2


def breaking(where: str, value: float):
    """The mlp with a model that breaks down where the first feature exceeds 0.999."""

    def predict(x):
        broken = x[:, :1] > 0.999
        return jnp.where(broken, value, mlp().predict(x))

    def encode(x):
        return jnp.where(x[:, :1] > 0.999, value, mlp().encode(x))

    functions = {"predict": predict} if where == "predict" else {"encode": encode}
    return replace(mlp().explainer(), **functions).fit(mlp().x_train)


@pytest.mark.parametrize("value", [NAN, INF], ids=str)
@pytest.mark.parametrize("where", ["predict", "encode"])
def test_rows_for_which_a_model_is_not_finite_are_marked(good, where, value):
    x = mlp().x.copy()
    x[[1, 2], 0] = 1.0
    result = breaking(where, value).explain(x)
    assert_good_rows_are_spared(result, good, [1, 2])
    assert result.status[[1, 2]].tolist() == [Status.MODEL_NOT_FINITE] * 2
    assert "a model returned NaN" in result.messages[1]
    np.testing.assert_array_equal(result.counterfactual[[1, 2]], x[[1, 2]])


@pytest.mark.parametrize("value", [NAN, INF], ids=str)
def test_a_model_that_breaks_down_on_the_way_ends_that_row_only(value):
    # Class 0 lies at x_0 > -0.1; the way there leads over a cliff at x_0 = -0.2.
    def predict(x):
        broken = (x[:, :1] > -0.2) & (x[:, 1:2] > 0)
        return jnp.where(broken, value, linear().predict(x))

    x = np.array([[-0.5, 0.4, 0.0], [-0.5, -0.4, 0.0]], np.float32)
    explainer = replace(linear().explainer(encoder=False, search=search(max_steps=60)))
    safe = linear().x_train[linear().x_train[:, 1] < 0]
    result = replace(explainer, predict=predict).fit(safe).explain(x)
    expected = explainer.fit(safe).explain(x)
    assert result.status.tolist() == [Status.MODEL_NOT_FINITE, Status.FOUND]
    assert_same_answers(result[1], expected[1])
    assert np.isfinite(result.counterfactual).all()
    assert result.counterfactual_class[0] == 1


# --- bad calls -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((4, 6)), ValueError, r"x has shape \(4, 6\); expected \[n, 5\] as in training"),
        (np.zeros(5), ValueError, r"x has shape \(5,\).*; pass x\[None\] for one instance"),
        (np.zeros((2, 5, 1)), ValueError, r"x has shape \(2, 5, 1\)"),
        ([["a"] * 5], TypeError, "x must hold numbers, got dtype <U1; encode categories"),
        (np.array([[None] * 5]), TypeError, "x must hold numbers, got dtype object"),
        (np.zeros((1, 5), complex), TypeError, "x must hold numbers, got dtype complex128"),
        (3.0, ValueError, r"x must be an array of rows \[n, \*shape\], got a single number"),
        (None, TypeError, "x must hold numbers, got dtype object"),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("without_type_checks")
def test_rows_of_another_shape_or_type_are_refused(ready, x, error, message):
    with pytest.raises(error, match=message):
        ready.explain(x)


@pytest.mark.parametrize(
    "x",
    [
        mlp().x.astype(np.float64),
        jnp.asarray(mlp().x),
        mlp().x.tolist(),
    ],
    ids=["float64", "jax", "list"],
)
def test_any_array_of_numbers_will_do(ready, good, x):
    assert_same_answers(ready.explain(x), good)


def test_integers_and_booleans_are_numbers(ready):
    assert ready.explain(np.zeros((1, 5), np.uint8)).original.dtype == np.float32
    assert len(ready.explain(np.zeros((1, 5), bool))) == 1


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (3, ValueError, "target class 3 does not exist: there are classes 0 to 2"),
        ([0, 1], ValueError, "target has 2 entries for 6 rows"),
        ("cat", TypeError, "target must be a class number, one per row"),
    ],
)
def test_a_wrong_target_is_refused_before_anything_is_searched(ready, target, error, message):
    with pytest.raises(error, match=message):
        ready.explain(mlp().x, target=target)


@pytest.mark.parametrize(
    ("feature_range", "message"),
    [
        ((0.0,), r"feature_range must be \(lower, upper\)"),
        ("ab", r"feature_range must be \(lower, upper\) of numbers or arrays, got 'ab'"),
        ((np.zeros(4), 1.0), r"lower end of feature_range has shape \(4,\), .* of shape \(5,\)"),
        ((0.0, np.ones((2, 5))), r"upper end of feature_range has shape \(2, 5\)"),
        ((1.0, 0.0), "feature_range needs lower <= upper everywhere"),
        ((np.nan, 1.0), "feature_range needs lower <= upper everywhere, and no NaN"),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("without_type_checks")
def test_a_wrong_range_is_refused(feature_range, message):
    with pytest.raises(ValueError, match=message):
        mlp().fit(feature_range=feature_range)


# --- bad training rows ---------------------------------------------------------------------


def test_training_rows_that_are_not_finite_are_refused():
    x = mlp().x_train.copy()
    x[7, 0], x[9, 1] = NAN, INF
    with pytest.raises(
        ValueError, match=r"2 of 60 training rows hold NaN .* first is row 7; remove"
    ):
        mlp().explainer().fit(x)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((0, 5)), ValueError, r"x_train must hold training rows .* got shape \(0, 5\)"),
        (np.zeros(5), ValueError, r"x_train must hold training rows \[n, \*shape\], got shape"),
        ([["a"] * 5], TypeError, "x_train must hold numbers, got dtype <U1"),
    ],
    ids=repr,
)
def test_training_rows_of_another_shape_or_type_are_refused(x, error, message):
    with pytest.raises(error, match=message):
        mlp().explainer().fit(x)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(59, int), r"labels must be 60 class numbers.* got shape \(59,\)"),
        (np.zeros(60), "labels must be 60 class numbers.* dtype float64"),
        (np.full(60, 3), "labels must lie in 0 to 2, got 3 to 3"),
        (np.full(60, -1), "labels must lie in 0 to 2, got -1 to -1"),
    ],
    ids=["length", "dtype", "large", "negative"],
)
def test_wrong_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        mlp().explainer().fit(mlp().x_train, labels=labels)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_labels_take_the_place_of_predicted_classes(dtype):
    labels = (np.arange(60) % 2).astype(dtype)  # not what the model says
    with pytest.warns(UserWarning, match=r"no training row is of the classes \[2\]"):
        ready = mlp().explainer(prototypes=NearestMean(k=None)).fit(mlp().x_train, labels=labels)
    result = ready.explain(mlp().x, target=1)
    mean = np.asarray(mlp().encode(mlp().x_train[labels == 1])).mean(axis=0)
    rows = result.target_class == 1
    assert rows.any()
    assert_close(result.prototype[rows], np.tile(mean, (rows.sum(), 1)))


def test_k_beyond_the_rows_of_a_class_is_refused():
    with pytest.raises(
        ValueError, match=r"k=50 neighbours .* only .* training rows are of .*; pass k <="
    ):
        mlp().fit(prototypes=NearestMean(k=50))


# --- bad models: within a second, whatever they cost ---------------------------------------


def expensive(x):
    """So slow that a test that ran it would be noticed."""
    return jax.lax.fori_loop(0, 10**9, lambda _, x: jnp.sin(x), x)


@pytest.mark.parametrize(
    ("functions", "error", "message"),
    [
        (
            {"predict": lambda x: expensive(x)[:, 0]},
            ValueError,
            r"predict returned shape \(2,\) for a batch of shape \(2, 5\); expected \(2, classes\)",
        ),
        (
            {"predict": lambda x: expensive(x)[:, :1]},
            ValueError,
            r"predict returned shape \(2, 1\).*at least 2 classes",
        ),
        (
            {"predict": lambda x: expensive(x)[:1]},
            ValueError,
            r"predict returned shape \(1, 5\).*one row of class probabilities",
        ),
        (
            {"predict": lambda x: jnp.argsort(expensive(x))},
            TypeError,
            "predict returned int32; expected one array of floating-point numbers",
        ),
        (
            {"predict": lambda x: (expensive(x), x)},
            TypeError,
            "predict returned tuple; expected one array",
        ),
        (
            {"predict": lambda x: expensive(x) @ jnp.ones((7, 3))},
            TypeError,
            r"predict could not be called on a float32 batch of shape \(2, 5\)",
        ),
        (
            {"predict": lambda params, x: x},
            TypeError,
            r"predict could not be called .* or of \(params, batch\)",
        ),
        (
            {"encode": lambda x: expensive(x)[0]},
            ValueError,
            r"encode returned shape \(5,\).*expected \(2, \*latent\)",
        ),
        (
            {"reconstruct": lambda x: expensive(x)[:, :3]},
            ValueError,
            r"reconstruct returned shape \(2, 3\) for a batch of shape \(2, 5\); an autoencoder",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
@pytest.mark.usefixtures("without_type_checks")
def test_a_model_that_does_not_fit_is_refused_within_a_second(functions, error, message):
    explainer = replace(mlp().explainer(), **functions)
    began = time.perf_counter()
    with pytest.raises(error, match=message):
        explainer.fit(mlp().x_train)
    assert time.perf_counter() - began < 1.0


def test_logits_passed_as_probabilities_are_noticed_and_welcome_when_declared():
    def logits(x):
        return 10 * jnp.log(mlp().predict(x))

    explainer = replace(mlp().explainer(), predict=logits)
    with pytest.raises(ValueError, match=r"sum to 1 \(pass output='logits' if they are logits"):
        explainer.fit(mlp().x_train)
    result = replace(explainer, output="logits").fit(mlp().x_train).explain(mlp().x)
    assert_close(result.original_probabilities.sum(axis=1), np.ones(6, np.float32))
    expected = mlp().probabilities(mlp().x).argmax(axis=1)
    np.testing.assert_array_equal(result.original_class, expected)


def test_a_model_that_is_never_finite_is_refused():
    explainer = replace(mlp().explainer(), predict=lambda x: mlp().predict(x) * jnp.nan)
    with pytest.raises(
        ValueError, match="NaN or infinite values for 60 of 60 training rows; check"
    ):
        explainer.fit(mlp().x_train)


def test_an_encoder_that_is_never_finite_is_refused():
    explainer = replace(mlp().explainer(), encode=lambda x: mlp().encode(x) / 0)
    with pytest.raises(ValueError, match="60 training rows have encodings that are not finite"):
        explainer.fit(mlp().x_train)


# --- options -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"predict": 3}, TypeError, "predict must be a function, got int"),
        ({"predict": None}, TypeError, "predict must be a function, got NoneType"),
        ({"encode": "x"}, TypeError, "encode must be a function, got str"),
        ({"output": "scores"}, ValueError, "'probabilities' or 'logits', got 'scores'"),
        ({"objective": "G"}, ValueError, "unknown objective 'G'; the named ones are A, B"),
        ({"prototypes": "median"}, ValueError, "unknown kind of prototype 'median'"),
        (
            {"objective": "D", "reconstruct": None},
            ValueError,
            r"has a reconstruction term \(B, D, F\) but no reconstruct function.*objective='C'",
        ),
        ({"prototypes": KDTree()}, ValueError, "'kdtree' lie in input space .* leave encode out"),
        ({"decode": lambda z: z}, ValueError, "decode needs an encode function and stands in for"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
@pytest.mark.usefixtures("without_type_checks")
def test_wrong_options_say_what_is_wrong(options, error, message):
    with pytest.raises(error, match=message):
        replace(mlp().explainer(), **options)


def test_defaults_take_the_richest_objective_the_functions_allow():
    richest: dict[str, dict[str, Any]] = {
        "C": {"encode": mlp().encode},
        "D": {"encode": mlp().encode, "reconstruct": mlp().reconstruct},
    }
    for name, functions in richest.items():
        ready = Explainer(mlp().predict, **functions, prototypes=NearestMean(k=3)).fit(
            mlp().x_train
        )
        assert ready.objective == Objective.named(name)
    assert Explainer(mlp().predict).fit(mlp().x_train).prototypes.kind == KDTree()


def test_a_decoder_is_an_autoencoder_with_the_encoder():
    def decode(code):
        # The idle feature is lost in the code.
        return jnp.tanh(code @ jnp.ones((4, 5)))

    def reconstruct(x):
        return decode(mlp().encode(x))

    base = mlp().explainer(objective=objective("D"))
    apart = replace(base, reconstruct=reconstruct).fit(mlp().x_train).explain(mlp().x)
    shared = replace(base, reconstruct=None, decode=decode).fit(mlp().x_train).explain(mlp().x)
    assert_same_answers(shared, apart)


def test_params_reach_every_function_and_are_traced():
    traces = 0

    def predict(params, x):
        nonlocal traces
        traces += 1
        return mlp().predict(params["scale"] * x)

    explainer = replace(
        mlp().explainer(objective=objective("D")),
        predict=predict,
        encode=lambda params, x: mlp().encode(params["scale"] * x),
        reconstruct=lambda params, x: mlp().reconstruct(params["scale"] * x),
        params={"scale": jnp.float32(1.0)},
    )
    same = explainer.fit(mlp().x_train).explain(mlp().x)
    assert_same_answers(same, mlp().fit(objective=objective("D")).explain(mlp().x))
    once = traces
    other = replace(explainer, params={"scale": jnp.float32(0.9)})
    scaled = other.fit(mlp().x_train).explain(mlp().x)
    assert (scaled.counterfactual != same.counterfactual).any()
    # `fit` checks the shapes once more, the last look what the function is and what it says when
    # it is called for a few rows; no program does.
    assert traces - once <= 3


def test_params_that_were_donated_since_are_named_before_anything_runs():
    params = {"scale": jnp.float32(1.0), "shift": jnp.zeros(2)}
    explainer = replace(
        mlp().explainer(objective=objective("A"), encode=None, reconstruct=None),
        predict=lambda params, x: mlp().predict(params["scale"] * x),
        prototypes=None,
        params=params,
    )
    fitted = explainer.fit(mlp().x_train)
    params["scale"].delete()
    message = r"deleted arrays \(1 of them\), the first is params\['scale'\]: .* pass copies"
    with pytest.raises(ValueError, match=message):
        explainer.fit(mlp().x_train)
    with pytest.raises(ValueError, match=message):
        fitted.explain(mlp().x)
    with pytest.raises(ValueError, match=message):
        fitted.stream([mlp().x])


def test_the_default_options_explain_every_row_of_the_small_problem():
    ready = Explainer(mlp().predict, mlp().encode, prototypes=NearestMean(k=3)).fit(mlp().x_train)
    assert ready.explain(mlp().x).found.all()
    assert SearchOptions().weight_growth > 1
