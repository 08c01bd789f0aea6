"""Models of other libraries: recognised by what they are and have, and asked in their own way.

None of these libraries is imported here: where one isn't loaded, no model can be one of its.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxcf.predictors.blackbox import BlackBox, Failures, are_probabilities
from jaxcf.predictors.deciding import ByDecision, decides_by_itself
from jaxcf.predictors.functions import Model
from jaxcf.predictors.jacobians import ExactJacobian

Columns = tuple[str, ...]

# Training rows that a network is asked about to find out what its answers are.
_ASKED = 64

# Objectives of boosters whose answers are no classes.
_REGRESSION = (
    "reg:", "count:", "rank:", "survival:", "regression", "huber", "fair", "poisson", "quantile",
    "mape", "gamma", "tweedie", "lambdarank", "rank_xendcg",
)  # fmt: skip


@runtime_checkable
class Predicts(Protocol):
    """An estimator of scikit-learn's kind, or a booster."""

    def predict(self, x: Any, /) -> Any:
        """The classes of rows."""
        ...


class Reading(NamedTuple):
    """What a network's answers are.

    Attributes:
        single: whether there is one number for two classes, that of the second.
        logits: whether they are logits and no probabilities.
    """

    single: bool
    logits: bool

    def one_per_class(self, answered: Any, stack: Callable[..., Any]) -> Any:
        """The answers with a column for each class, by the `stack` of their own library."""
        if not self.single:
            return answered
        second = answered.reshape(-1)
        return stack([0 * second if self.logits else 1 - second, second], 1)


class Made(NamedTuple):
    """What an explainer makes of a recognised model.

    Attributes:
        predict: a black box, or a function in JAX.
        output: what it returns.
    """

    predict: Model | BlackBox
    output: str


@dataclass(frozen=True, eq=False)
class Estimator:
    """A model of another library, as `recognised` has found it.

    Attributes:
        model: itself.
        kind: "classifier" (it has `predict_proba`), "booster", "pytorch" or "keras".
        column_names: of what it was fitted on, in its order; None where it knows none.
        num_features: how many columns it takes; None where it doesn't say.
        class_names: its `classes_`; None where it has none.
    """

    model: Any
    kind: Literal["classifier", "booster", "pytorch", "keras"]
    column_names: Columns | None = None
    num_features: int | None = None
    class_names: tuple[Any, ...] | None = None

    @property
    def name(self) -> str:
        """What its class is called."""
        return type(self.model).__name__

    @property
    def is_network(self) -> bool:
        """Whether it is a network, which takes a matrix of float32 in any case."""
        return self.kind in ("pytorch", "keras")

    @property
    def is_in_jax(self) -> bool:
        """Whether it is a function in JAX, gradient and all."""
        # Keras 2, tf_keras, knows nothing of it.
        is_three = _is_one(self.model, "keras", "Model")
        return is_three and _library("keras").backend.backend() == "jax"

    def check(self, params: Any, output: str) -> None:
        """Check that what is for functions wasn't given with it.

        Raises:
            ValueError: if there are params, or it gives probabilities and logits were announced.
        """
        if params is not None:
            raise ValueError(
                f"params were given with a {self.name}, which holds its own; leave params out, or "
                "pass a function predict(params, x)"
            )
        if output == "logits" and self.kind == "classifier":
            raise ValueError(
                f"output is 'logits', but predict_proba of a {self.name} gives probabilities; "
                "leave output out"
            )

    def stand_in(self) -> Made:
        """What it will be made into, as far as options must go with it; not to be asked."""
        if self.is_in_jax:
            return Made(KerasFunction(self.model, None), "probabilities")
        return Made(BlackBox(_not_yet, num_classes=2), "probabilities")

    def answers(self, rows: Any) -> Shaped[np.ndarray, "n *answer"]:
        """What it says of some rows, as it says it.

        Args:
            rows: as it takes them.

        Raises:
            ValueError: if it fails for them, or answers with anything but numbers for each.
        """
        try:
            answers = np.asarray(_function(self)(rows))
        except Exception as error:  # whatever its library raises
            raise ValueError(
                f"the {self.name} failed for the first training rows "
                f"({type(error).__name__}: {error})"
            ) from error
        numbers = answers.dtype.kind in "biuf"
        if answers.ndim not in (1, 2) or len(answers) != len(rows) or not numbers:
            raise ValueError(
                f"the {self.name} answered {len(rows)} rows with {answers.dtype} of shape "
                f"{answers.shape}; expected numbers [n, classes], or one number for each row"
            )
        return answers

    def make(self, rows: Any, output: str = "probabilities") -> Made:
        """A black box of it, or a function in JAX.

        Args:
            rows: some training rows, as the model takes them, at least one.
            output: "logits" where its answers are known to be such; else these are looked at.

        Returns:
            The model as the search asks it.

        Raises:
            ValueError: if it fails for the rows, or doesn't answer with classes.
        """
        if self.kind == "classifier":
            known = self.class_names
            count = self.answers(rows).shape[-1] if known is None else len(known)
            by_itself = decides_by_itself(self.model, rows)
            asked = ByDecision(self.model) if by_itself else self.model.predict_proba
            return Made(BlackBox(asked, count), "probabilities")
        answers = self.answers(rows)
        reading = _reading(self, answers, output)
        num_classes = 2 if reading.single else answers.shape[1]
        if self.is_in_jax:
            function = KerasFunction(self.model, reading)
            return Made(function, "logits" if reading.logits else "probabilities")
        function = replace(_function(self), reading=reading)
        if isinstance(function, TorchFunction):
            gradient = ExactJacobian(function.jacobian)
            return Made(BlackBox(function, num_classes, gradient), "probabilities")
        return Made(BlackBox(function, num_classes), "probabilities")


def recognised(model: Any) -> Estimator | None:
    """An estimator, a booster or a network of another library for what it is.

    Args:
        model: what was passed as `predict`.

    Returns:
        What is known of it; None of functions, black boxes, and all that isn't known.

    Raises:
        TypeError: if it is a regressor, or a classifier without probabilities.

    Examples:
        >>> from sklearn.naive_bayes import GaussianNB
        >>> estimator = recognised(GaussianNB().fit([[0.0], [1.0]], ["no", "yes"]))
        >>> estimator.kind, estimator.num_features, estimator.class_names
        ('classifier', 1, ('no', 'yes'))
        >>> recognised(np.tanh) is None
        True
    """
    # Keras' models are PyTorch's modules, too, where PyTorch is below them.
    if _is_one(model, "keras", "Model") or _is_one(model, "tf_keras", "Model"):
        shape: Any = getattr(model, "input_shape", None)
        flat = isinstance(shape, tuple) and len(shape) == 2
        return Estimator(model, "keras", num_features=shape[1] if flat else None)
    if _is_one(model, "torch.nn", "Module"):
        return Estimator(model, "pytorch")
    if _is_one(model, "xgboost", "Booster"):
        objective = json.loads(model.save_config())["learner"]["objective"]["name"]
        _check_objective(model, objective)
        names = model.feature_names
        return Estimator(model, "booster", names and tuple(names), model.num_features())
    if _is_one(model, "lightgbm", "Booster"):
        _check_objective(model, model.dump_model(num_iteration=1).get("objective", ""))
        return Estimator(model, "booster", _names(model.feature_name()), model.num_feature())
    if callable(model) or not isinstance(model, Predicts):
        return None
    _check_classifies(model)
    num_features = getattr(model, "n_features_in_", None)
    return Estimator(
        model,
        "classifier",
        _names(getattr(model, "feature_names_in_", None)),
        None if num_features is None else int(num_features),
        _class_names(model),
    )


def announced(predict: Any, output: str, params: Any = None) -> Made:
    """What an explainer makes of a model, as far as options must go with it; not to be asked.

    Args:
        predict: as for `Explainer`.
        output: likewise.
        params: likewise.

    Raises:
        TypeError: as `recognised`.
        ValueError: if params or `output` were given with a model that says so itself.
    """
    estimator = recognised(predict)
    if estimator is None:
        return Made(predict, output)
    estimator.check(params, output)
    return estimator.stand_in()


def make(
    predict: Any,
    output: str,
    x: Shaped[np.ndarray, "n *shape"],
    names: Columns | None = None,
) -> Made:
    """What an explainer makes of a model of arrays: of an estimator a black box; else itself.

    Args:
        predict: as for `Explainer`.
        output: likewise.
        x: training rows, at least one.
        names: of their columns; None where they have none.

    Returns:
        The model as the search asks it.

    Raises:
        TypeError: as `recognised`.
        ValueError: as `Estimator.make`, and if the estimator was fitted on other columns, or on
            these in another order.
    """
    estimator = recognised(predict)
    if estimator is None:
        return Made(predict, output)
    rows, columns = x[asked_rows(len(x))], estimator.column_names
    if columns is None:
        return estimator.make(rows, output)
    if x.shape[1:] != (len(columns),) or names not in (None, columns):
        given = f"shape {x.shape}" if names is None else f"the columns {', '.join(names)}"
        raise ValueError(
            f"the {estimator.name} was fitted on the columns {', '.join(columns)}, but the "
            f"training rows have {given}; pass frame[list(model.feature_names_in_)], or explain "
            "the table with jaxcf.tabular.TableExplainer, which picks them by name"
        )
    made = estimator.make(_named(rows, columns), output)
    assert isinstance(made.predict, BlackBox)  # networks know no names
    return made._replace(
        predict=replace(made.predict, predict=OfNamedColumns(made.predict.predict, columns))
    )


@dataclass(frozen=True)
class OfNamedColumns:
    """A function of a frame as a function of its matrix.

    Args:
        predict: of a pandas DataFrame.
        names: of its columns.
    """

    predict: Callable[[Any], Any]
    names: Columns

    @property
    def __wrapped__(self) -> Callable[[Any], Any]:
        """The function: what is called, and by one thread at a time."""
        return self.predict

    def __call__(self, x: Shaped[np.ndarray, "n width"]) -> Any:
        """The function's answer for a matrix."""
        return self.predict(_named(x, self.names))


def _named(x: np.ndarray, names: Columns) -> Any:
    try:
        import pandas
    except ImportError:  # then the model gets the matrix, and says itself that it lacks names
        return x
    return pandas.DataFrame(x, columns=list(names))


# --- what is recognised ------------------------------------------------------------------


def _library(name: str) -> Any:
    return sys.modules[name]


def _is_one(model: Any, library: str, kind: str) -> bool:
    known = getattr(sys.modules.get(library), kind, None)
    return isinstance(known, type) and isinstance(model, known)


def _names(given: Any) -> Columns | None:
    if given is None:
        return None
    names = tuple(map(str, given))
    # LightGBM's for columns of a matrix.
    return None if names == tuple(f"Column_{place}" for place in range(len(names))) else names


def _class_names(model: Any) -> tuple[Any, ...] | None:
    classes = getattr(model, "classes_", None)
    if classes is None:
        return None
    if any(np.ndim(one) for one in classes):
        raise TypeError(
            f"the {type(model).__name__} has {len(classes)} outputs, each with classes of its own; "
            "explain one of them, such as one of its estimators_"
        )
    return tuple(one.item() if isinstance(one, np.generic) else one for one in classes)


def _check_classifies(model: Any) -> None:
    name = type(model).__name__
    if callable(getattr(model, "predict_proba", None)):
        return
    if _estimator_type(model) == "regressor":
        raise TypeError(
            f"the {name} is a regressor, which predicts numbers; counterfactuals are for classes: "
            "pass a classifier, such as one of whether the number exceeds a threshold"
        )
    raise TypeError(
        f"the {name} has no predict_proba, and a search needs probabilities: pass "
        "sklearn.calibration.CalibratedClassifierCV(model).fit(x, y), or a BlackBox of a function "
        "that makes probabilities of its decision_function"
    )


def _estimator_type(model: Any) -> str | None:
    tags = getattr(model, "__sklearn_tags__", None)
    if callable(tags):
        return getattr(tags(), "estimator_type", None)
    return getattr(model, "_estimator_type", None)


def _check_objective(model: Any, objective: str) -> None:
    if objective.startswith(_REGRESSION):
        raise TypeError(
            f"the {type(model).__name__} was trained with the objective {objective!r}, which "
            "predicts numbers; counterfactuals are for classes: pass a classifier"
        )
    if objective == "multi:softmax":
        raise TypeError(
            "the Booster was trained with the objective 'multi:softmax', which gives numbers of "
            "classes, and a search needs probabilities: train it with 'multi:softprob'"
        )


# --- what its answers are ----------------------------------------------------------------


def _reading(estimator: Estimator, answers: np.ndarray, output: str) -> Reading:
    """Whether answers are probabilities, for one of two classes or for each of them, or logits."""
    single = answers.ndim == 1 or answers.shape[1] == 1
    if not np.isfinite(answers).all():
        raise ValueError(
            f"the {estimator.name} answered training rows with NaN or infinite values; check the "
            "model and the scale of its input"
        )
    read = Reading(single, logits=False)
    as_they_are = read.one_per_class(answers, np.stack)
    fine = are_probabilities(as_they_are, Failures(warn=False), "")
    return read._replace(logits=output == "logits" or not fine.all())


def asked_rows(count: int) -> np.ndarray:
    """The numbers of the training rows that a network is asked about, spread over all of them."""
    return np.unique(np.linspace(0, count - 1, min(count, _ASKED)).round().astype(int))


def _not_yet(x: np.ndarray) -> np.ndarray:
    raise AssertionError(f"asked for {len(x)} rows before it was fitted")


# --- how it is asked ---------------------------------------------------------------------


def _function(estimator: Estimator) -> Any:
    """The function of rows as the model takes them, with its answers as they are."""
    if estimator.kind == "classifier":
        return estimator.model.predict_proba
    if estimator.kind == "pytorch":
        return TorchFunction(estimator.model)
    if estimator.kind == "keras":
        return KerasCall(estimator.model)
    return BoosterFunction(estimator.model)


@dataclass(frozen=True, eq=False)
class BoosterFunction:
    """The booster of XGBoost or LightGBM as a function of rows.

    Args:
        booster: itself.
        reading: what its answers are; None leaves them as they are.
    """

    booster: Any
    reading: Reading | None = None

    @property
    def __wrapped__(self) -> Callable[[Any], Any]:
        """The booster's own function: what is called, and by one thread at a time."""
        # XGBoost's predict takes nothing but a matrix of its own.
        return getattr(self.booster, "inplace_predict", self.booster.predict)

    def __call__(self, rows: Any) -> np.ndarray:
        """The probabilities of rows."""
        return _as_probabilities(np.asarray(self.__wrapped__(rows)), self.reading)


@dataclass(frozen=True, eq=False)
class TorchFunction:
    """A PyTorch module as a function of numpy arrays, in its evaluation mode.

    Args:
        module: itself; it stays on its device.
        reading: what its answers are; None leaves them as they are.
    """

    module: Any
    reading: Reading | None = None

    @property
    def __wrapped__(self) -> Any:
        """The module: what is called, and by one thread at a time."""
        return self.module

    def __call__(self, x: Shaped[np.ndarray, "n *shape"]) -> Shaped[np.ndarray, "n *answer"]:
        """The probabilities of rows."""
        with _evaluating(self.module), _library("torch").no_grad():
            return self._answers(self._tensor(x)).numpy(force=True)

    def jacobian(
        self, x: Shaped[np.ndarray, "n *shape"]
    ) -> tuple[Float[np.ndarray, "n classes"], Float[np.ndarray, "n classes *shape"]]:
        """The probabilities of rows and their derivatives, by autograd."""
        torch = _library("torch")
        with _evaluating(self.module), torch.enable_grad():
            rows = self._tensor(x).requires_grad_(True)
            answers = self._answers(rows)
            # Each row's answer is its own, so that one pass gives the derivatives of all rows.
            derivatives = [
                torch.autograd.grad(answers[:, one].sum(), rows, retain_graph=True)[0]
                for one in range(answers.shape[1])
            ]
            return answers.numpy(force=True), torch.stack(derivatives, 1).numpy(force=True)

    def _tensor(self, x: np.ndarray) -> Any:
        first = next(iter(self.module.parameters()), None)
        # A copy: a module may change its input in place.
        device = None if first is None else first.device
        return _library("torch").tensor(np.asarray(x, np.float32), device=device)

    def _answers(self, rows: Any) -> Any:
        answered = self.module(rows)
        # As transformers' models have it; and numpy has no half-precision numbers of all kinds.
        answered = getattr(answered, "logits", answered).float()
        if self.reading is None:
            return answered
        torch = _library("torch")
        answers = self.reading.one_per_class(answered, torch.stack)
        return torch.softmax(answers, 1) if self.reading.logits else answers


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """The module in its evaluation mode, and its parts as they were afterwards."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


@dataclass(frozen=True, eq=False)
class KerasCall:
    """A Keras model of any backend as a function of numpy arrays, in its inference mode.

    Args:
        model: itself.
        reading: what its answers are; None leaves them as they are.
    """

    model: Any
    reading: Reading | None = None

    @property
    def __wrapped__(self) -> Any:
        """The model: what is called, and by one thread at a time."""
        return self.model

    def __call__(self, x: Shaped[np.ndarray, "n *shape"]) -> Shaped[np.ndarray, "n *answer"]:
        """The probabilities of rows."""
        answered = self.model(np.asarray(x, np.float32), training=False)
        # What holds a gradient must be let go of it first.
        answered = answered.detach() if hasattr(answered, "detach") else answered
        return _as_probabilities(np.asarray(answered), self.reading)


@dataclass(frozen=True)
class KerasFunction:
    """A Keras model on JAX as a function in JAX, which sees the weights as they are when called.

    Args:
        model: itself.
        reading: what its answers are; None leaves them as they are.
    """

    model: Any
    reading: Reading | None

    def __call__(self, x: Float[Array, "n *shape"]) -> Float[Array, "n *answer"]:
        """The probabilities or logits of rows."""
        # Copies: Keras gives the buffers of its variables away when it trains or predicts.
        kept = [
            [np.array(variable.value) for variable in variables]
            for variables in (self.model.trainable_variables, self.model.non_trainable_variables)
        ]
        answered, _ = self.model.stateless_call(*kept, x, training=False)
        if self.reading is None:
            return answered
        return self.reading.one_per_class(answered, jnp.stack)


def _as_probabilities(answered: np.ndarray, reading: Reading | None) -> np.ndarray:
    if reading is None:
        return answered
    answers = reading.one_per_class(answered, np.stack)
    if not reading.logits:
        return answers
    exponentials = np.exp(answers - answers.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
