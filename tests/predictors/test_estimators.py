"""Models of other libraries, passed as they are: recognised, and asked as they want to be."""

import pickle
import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from jaxcf import (
    BlackBox,
    EngineOptions,
    ExactJacobian,
    Explainer,
    Guide,
    SearchOptions,
    check_model,
)
from jaxcf.predictors.estimators import TorchFunction, make, recognised

X = np.random.default_rng(0).uniform(0, 1, (60, 2)).astype(np.float32)
Y = np.where(X.sum(axis=1) > 1, "yes", "no")
FRAME = pd.DataFrame(X, columns=["age", "pay"])
WEIGHTS = np.array([[-2.0, 2.0], [-3.0, 3.0]], np.float32)
OPTIONS: dict[str, Any] = {
    "search": SearchOptions(max_steps=100),
    "engine": EngineOptions(lanes=8, lanes_per_group=8),
    "objective": "E",
}


def logits_of(x: Any) -> Any:
    return (x - 0.5) @ WEIGHTS


# --- scikit-learn --------------------------------------------------------------------------


def test_an_estimator_is_the_black_box_of_its_probabilities():
    model = LogisticRegression().fit(X, Y)
    fitted = Explainer(model, **OPTIONS).fit(X)
    said = fitted.explain(X[:8])
    boxed = Explainer(BlackBox(model.predict_proba, 2), **OPTIONS).fit(X).explain(X[:8])
    assert said.found.all()
    np.testing.assert_array_equal(said.counterfactual, boxed.counterfactual)
    again = pickle.loads(pickle.dumps(fitted)).explain(X[:8])
    np.testing.assert_array_equal(said.counterfactual, again.counterfactual)


def test_one_that_knows_its_columns_is_asked_by_their_names():
    # scikit-learn would warn of features without names, and warnings are errors here
    model = LogisticRegression().fit(FRAME, Y)
    for given in (FRAME, X):
        assert Explainer(model, **OPTIONS).fit(given).explain(X[:8]).found.all()
    assert check_model(model, FRAME).passed
    guided = Explainer(lambda x: jax.nn.softmax(logits_of(x)), guides=[Guide(model, confidence=0)])
    assert guided.fit(X).guides is not None
    with pytest.raises(
        ValueError, match=r"fitted on the columns age, pay, but .* columns pay, age"
    ):
        Explainer(model).fit(FRAME[["pay", "age"]])
    with pytest.raises(ValueError, match=r"fitted on the columns age, pay, but .*\(60, 3\)"):
        Explainer(model).fit(np.c_[X, X[:, 0]])


@pytest.mark.parametrize("made", [Explainer, Guide, lambda model: check_model(model, X)])
def test_what_gives_no_probabilities_is_told_what_to_do(made):
    for regressor in (LinearRegression(), make_pipeline(StandardScaler(), RandomForestRegressor())):
        with pytest.raises(TypeError, match=r"is a regressor.*pass a classifier"):
            made(regressor)
    for classifier in (LinearSVC(), make_pipeline(StandardScaler(), SVC())):
        with pytest.raises(TypeError, match=r"no predict_proba.*CalibratedClassifierCV"):
            made(classifier)


def test_options_of_functions_do_not_go_with_an_estimator():
    model = LogisticRegression().fit(X, Y)
    with pytest.raises(ValueError, match="params were given with a LogisticRegression"):
        Explainer(model, params=WEIGHTS)
    with pytest.raises(ValueError, match="predict_proba of a LogisticRegression gives prob"):
        Explainer(model, output="logits")
    with pytest.raises(ValueError, match="one device"):
        Explainer(model, engine=EngineOptions(devices=(jax.devices()[0],) * 2))
    with pytest.raises(TypeError, match="has 2 outputs, each with classes of its own"):
        Explainer(DecisionTreeClassifier().fit(X, (X > 0.5).astype(int)))
    with pytest.raises(ValueError, match="not fitted yet"):
        Explainer(LogisticRegression()).fit(X)


def test_what_only_looks_like_an_estimator_is_asked_for_its_number_of_classes():
    class Wrapped:
        def predict(self, x):
            return self.predict_proba(x).argmax(axis=1)

        def predict_proba(self, x):
            return np.asarray(jax.nn.softmax(logits_of(x)))

    model: Any = Wrapped()
    made = make(model, "probabilities", X)
    assert isinstance(made.predict, BlackBox)
    assert made.predict.num_classes == 2


# --- boosters ------------------------------------------------------------------------------


def test_boosters_are_asked_for_both_classes_and_refused_as_regressors():
    xgboost = pytest.importorskip("xgboost", reason="XGBoost isn't installed")
    rows = xgboost.DMatrix(X, Y == "yes")
    boosters = {
        kind: xgboost.train({"objective": kind, "num_class": 2 * kind.startswith("multi")}, rows, 4)
        for kind in ("binary:logistic", "binary:logitraw", "multi:softprob")
    }
    for booster in boosters.values():
        made = make(booster, "probabilities", X)
        said = made.predict.predict(X)
        assert ((said.argmax(axis=1) == 1) == (Y == "yes")).mean() > 0.9
    for kind in ("reg:squarederror", "multi:softmax"):
        options = {"objective": kind, "num_class": 2 * kind.startswith("multi")}
        with pytest.raises(TypeError, match=f"objective '{kind}'"):
            recognised(xgboost.train(options, rows, 2))


def test_lightgbms_booster_is_recognised():
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM isn't installed")
    options = {"objective": "binary", "verbose": -1, "min_data_in_leaf": 2}
    booster = lightgbm.train(options, lightgbm.Dataset(FRAME, Y == "yes"), 8)
    estimator = recognised(booster)
    assert estimator is not None
    assert estimator.column_names == ("age", "pay")
    made = make(booster, "probabilities", X)
    np.testing.assert_allclose(made.predict.predict(X)[:, 1], booster.predict(FRAME))


# --- networks ------------------------------------------------------------------------------


class Tensor:
    """What is left of PyTorch's tensors in the stand-in: a function of the rows, by JAX."""

    def __init__(self, function: Any, rows: Any) -> None:
        self.function, self.rows = function, rows
        self.value = function(rows)
        self.shape = self.value.shape

    def then(self, operation: Any) -> "Tensor":
        return Tensor(lambda rows: operation(self.function(rows)), self.rows)

    def float(self) -> "Tensor":
        return self

    def requires_grad_(self, wanted: bool) -> "Tensor":
        return self

    def reshape(self, *shape: int) -> "Tensor":
        return self.then(lambda value: value.reshape(*shape))

    def sum(self) -> "Tensor":
        return self.then(jnp.sum)

    def __getitem__(self, place: Any) -> "Tensor":
        return self.then(lambda value: value[place])

    def __rsub__(self, other: Any) -> "Tensor":
        return self.then(lambda value: other - value)

    def __rmul__(self, other: Any) -> "Tensor":
        return self.then(lambda value: other * value)

    def numpy(self, *, force: bool) -> np.ndarray:
        return np.asarray(self.value)


class Module:
    """A layer whose answers are off while it is in its training mode, as dropout's would be."""

    def __init__(self, function: Any = None) -> None:
        self.function, self.training = function, True

    def __call__(self, rows: Tensor) -> Tensor:
        offset = 5.0 if self.training else 0.0
        return rows.then(lambda x: self.function(x) + offset)

    def parameters(self) -> Any:
        return iter([SimpleNamespace(device="cpu")])

    def modules(self) -> Any:
        return iter([self])

    def eval(self) -> None:
        self.training = False


@pytest.fixture
def torch(monkeypatch):
    """A module that stands in for PyTorch: reached in the same way, and no larger than is used."""
    stand_in: Any = ModuleType("torch")
    stand_in.entered = []

    def mode(name: str) -> Any:
        @contextmanager
        def entered():
            stand_in.entered.append(name)
            yield

        return entered

    def stack(tensors: list[Tensor], axis: int) -> Tensor:
        rows = tensors[0].rows
        return Tensor(lambda x: jnp.stack([one.function(x) for one in tensors], axis), rows)

    def grad(answer: Tensor, rows: Tensor, retain_graph: bool) -> tuple[Tensor]:
        derivative = jax.grad(answer.function)(rows.value)
        return (Tensor(lambda x: derivative, rows.value),)

    def tensor(array: np.ndarray, device: str) -> Tensor:
        assert (array.dtype, device) == (np.float32, "cpu")
        return Tensor(lambda x: x, jnp.asarray(array))

    stand_in.no_grad, stand_in.enable_grad = mode("no_grad"), mode("enable_grad")
    stand_in.autograd = SimpleNamespace(grad=grad)
    stand_in.tensor, stand_in.stack = tensor, stack
    stand_in.softmax = lambda values, axis: values.then(lambda value: jax.nn.softmax(value, axis))
    monkeypatch.setitem(sys.modules, "torch", stand_in)
    monkeypatch.setitem(sys.modules, "torch.nn", SimpleNamespace(Module=Module))
    return stand_in


ANSWERS = {
    "logits": logits_of,
    "probabilities": lambda x: jax.nn.softmax(logits_of(x)),
    "one logit": lambda x: logits_of(x)[:, 1:] - logits_of(x)[:, :1],
    "one probability": lambda x: jax.nn.softmax(logits_of(x))[:, 1],
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_network_says_by_its_answers_to_training_rows_what_they_are(torch, kind):
    module: Any = Module(ANSWERS[kind])
    box = make(module, "probabilities", X).predict
    assert isinstance(box, BlackBox)
    expected = jax.nn.softmax(logits_of(X))
    np.testing.assert_allclose(box.predict(X), expected, atol=1e-6)
    assert set(torch.entered) == {"no_grad"}
    assert module.training  # as it was
    # and its derivatives are those of these probabilities
    function = box.predict
    assert isinstance(function, TorchFunction)
    assert isinstance(box.gradient, ExactJacobian)
    assert box.gradient.function == function.jacobian
    said, derivatives = function.jacobian(X)
    np.testing.assert_allclose(said, expected, atol=1e-6)
    wanted = jax.vmap(jax.jacobian(lambda x: jax.nn.softmax(logits_of(x))))(X)
    np.testing.assert_allclose(derivatives, wanted, atol=1e-5)


def test_a_network_may_answer_as_those_of_transformers_do(torch):
    class Answering(Module):
        def __call__(self, rows):
            return SimpleNamespace(logits=super().__call__(rows))

    module: Any = Answering(logits_of)
    box = make(module, "probabilities", X).predict
    assert isinstance(box, BlackBox)
    np.testing.assert_allclose(box.predict(X), jax.nn.softmax(logits_of(X)), atol=1e-6)


def test_whoever_says_that_they_are_logits_is_believed(torch):
    module: Any = Module(ANSWERS["probabilities"])
    box = make(module, "logits", X).predict
    assert isinstance(box, BlackBox)
    np.testing.assert_allclose(
        box.predict(X), jax.nn.softmax(jax.nn.softmax(logits_of(X))), atol=1e-6
    )


def test_a_network_is_searched_as_the_same_function_in_jax(torch):
    module: Any = Module(logits_of)
    said = Explainer(module, **OPTIONS).fit(X).explain(X[:8])
    in_jax = Explainer(logits_of, output="logits", **OPTIONS).fit(X).explain(X[:8])
    assert said.found.all()
    np.testing.assert_allclose(said.counterfactual, in_jax.counterfactual, atol=1e-4)


def test_a_network_that_cannot_be_read_is_refused(torch):
    answers = {
        r"shape \(60, 2, 1\)": lambda x: logits_of(x)[..., None],
        "NaN or infinite": lambda x: logits_of(x) * jnp.nan,
        "ZeroDivisionError": lambda x: 1 // 0,
    }
    for message, function in answers.items():
        module: Any = Module(function)
        with pytest.raises(ValueError, match=f"the Module .*{message}"):
            Explainer(module).fit(X)


def test_pytorch_itself(monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch isn't installed: see the stand-in above")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Dropout(0.5), torch.nn.ReLU())
    module.append(torch.nn.Linear(8, 2))
    optimizer = torch.optim.Adam(module.parameters(), 0.05)
    for _ in range(60):
        optimizer.zero_grad()
        classes = torch.tensor((Y == "yes").astype(int))
        torch.nn.functional.cross_entropy(module(torch.tensor(X)), classes).backward()
        optimizer.step()
    options: dict[str, Any] = OPTIONS | {"objective": "C"}
    fitted = Explainer(module, **options).fit(X)
    said = fitted.explain(X[:8])
    assert said.found.all()
    assert module.training
    module.eval()
    decided = module(torch.tensor(said.counterfactual)).argmax(dim=1).numpy()
    np.testing.assert_array_equal(decided, said.counterfactual_class)
    again = pickle.loads(pickle.dumps(fitted)).explain(X[:8])
    np.testing.assert_array_equal(said.counterfactual, again.counterfactual)


class KerasModel:
    """What is left of a Keras model in the stand-in."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.input_shape = (None, 2)
        self.trainable_variables = [SimpleNamespace(value=jnp.asarray(WEIGHTS))]
        self.non_trainable_variables: list[Any] = []

    def __call__(self, x: Any, *, training: bool) -> Any:
        assert not training
        return self.function((x - 0.5) @ self.trainable_variables[0].value)

    def stateless_call(self, trainable: Any, other: Any, x: Any, *, training: bool) -> Any:
        assert not training
        assert not other
        return self.function((x - 0.5) @ trainable[0]), other


@pytest.fixture(params=["jax", "tensorflow"])
def keras(monkeypatch, request):
    backend = SimpleNamespace(backend=lambda: request.param)
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(Model=KerasModel, backend=backend))
    return request.param


def test_a_keras_model_is_a_function_in_jax_where_it_is_one(keras):
    for function in (jax.nn.softmax, lambda logits: logits, lambda logits: logits[:, 1:] * 2):
        model: Any = KerasModel(function)
        predict, output = make(model, "probabilities", X)
        assert isinstance(predict, BlackBox) == (keras != "jax")
        said = predict.predict(X) if isinstance(predict, BlackBox) else predict(jnp.asarray(X))
        said = jax.nn.softmax(said) if output == "logits" else said
        np.testing.assert_allclose(said, jax.nn.softmax(logits_of(X)), atol=1e-6)
    if keras != "jax":
        return
    fitted = Explainer(model, **OPTIONS).fit(X)
    assert fitted.explain(X[:8]).found.all()
    model.trainable_variables[0].value += 1.0
    with pytest.raises(ValueError, match="predict changed since fit"):
        fitted.explain(X[:8])


def test_no_library_is_imported_to_recognise_its_models(monkeypatch):
    for name in ("torch", "torch.nn", "keras", "tf_keras", "xgboost", "lightgbm"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert recognised(RandomForestClassifier().fit(X, Y)) is not None
    assert not {"torch", "keras", "xgboost", "lightgbm"} & sys.modules.keys()
