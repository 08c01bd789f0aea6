"""Whether a model is what the search takes it for: each row's answer its own, and always the same.

`fit` runs what costs little, `check_model` all of it.
"""

import html
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy.typing import ArrayLike

from jaxcf.predictors.blackbox import (
    BadAnswer,
    BlackBox,
    Failures,
    are_probabilities,
    calls,
    how_to_stack,
    in_words,
)
from jaxcf.predictors.estimators import Predicts, announced, make
from jaxcf.predictors.functions import Model, ModelFunctions, abstract_call, check_params
from jaxcf.utils.forks import check_not_forked
from jaxcf.utils.validation import as_rows, check_finite, column_names

SAME = 1e-3
"""How far answers to one batch may lie apart: sums are taken in any order on some devices."""

IN_COMPANY = 1e-2
"""How far answers to a row may lie apart in other batches, which are computed in other ways.

Float32 comes to 1e-6, networks that compute in half precision to several 1e-3. What depends on its
neighbours comes to 0.1 and more for a row among copies of itself.
"""

# Rows that `check_model` asks about.
_MOST_ROWS = 8

# To so many it fills them up, an odd number.
_FILLED_UP = 13

_REMEDY = (
    "a row's answer must depend on that row alone, so no statistics of the batch, such as "
    "x.mean(axis=0) or batch normalisation in its training mode"
)

_RANDOM = "dropout must be off, and what is random have a fixed seed"


def few_rows(x: Shaped[np.ndarray, "n *shape"]) -> Int[np.ndarray, " k"]:
    """The numbers of two rows that differ, of the first alone where all are the same."""
    others = np.flatnonzero((x != x[0]).reshape(len(x), -1).any(axis=1))
    return np.concatenate([np.zeros(1, np.int64), others[:1]])


_FOR_FRAMES = (
    "; a model of a DataFrame is explained by jaxcf.tabular.TableExplainer(model), a BlackBox of "
    "one with takes='table'"
)


def check_answer(box: BlackBox, x: Shaped[np.ndarray, "n *shape"]) -> None:
    """Ask for a few rows, to find out soon that a function can't be what is wanted.

    Raises:
        ValueError: if the answer has another shape, or the function fails for every row.
    """
    failures = Failures(warn=False)
    try:
        for call in calls(box, len(x)):
            box.probabilities(x[call].copy())
    except BadAnswer as error:
        raise ValueError(str(error)) from error
    except Exception:
        # Perhaps the row's fault and not the function's.
        if np.isnan(box.ask(x, failures)).any(axis=1).all():
            first = failures.first or ""
            hint = _FOR_FRAMES if "dataframe" in first.lower() else ""
            raise ValueError(f"predict failed for each of {len(x)} rows: {first}{hint}") from None


def check_company(
    name: str,
    answers: Float[np.ndarray, "k *answer"],
    known: Float[np.ndarray, "k *answer"],
    ask: Callable[[], Float[np.ndarray, "k *answer"]],
) -> bool:
    """Check that rows have got the answer in other company that they got among all the others.

    Warns of a function that answers the same batch otherwise every time.

    Args:
        name: of the function, for the sentences.
        answers: in the other company.
        known: among all training rows, of any scale.
        ask: for the first of these once more.

    Returns:
        Whether it has got them; else the function was warned of.

    Raises:
        ValueError: if the answers depend on the company.
    """
    apart = _apart(answers, known)
    if apart <= _tolerance(IN_COMPANY, known):
        return True
    again = _apart(ask(), answers)
    if again <= _tolerance(SAME, known):
        raise ValueError(
            f"{name} answers a training row among copies of another, or alone, otherwise than "
            f"among them all, by up to {apart:.2g}, so that no counterfactual would mean "
            f"anything: {_REMEDY}; jaxcf.check_model tests more"
        )
    warnings.warn(
        f"{name} answers the same rows otherwise every time, by up to {again:.2g}, so that "
        f"counterfactuals may not hold: {_RANDOM}",
        RuntimeWarning,
        stacklevel=2,
    )
    return False


def _apart(one: Any, other: Any) -> float:
    """The largest difference of two answers; infinite where one alone is NaN or infinite."""
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        gaps = np.nan_to_num(np.abs(one - other), nan=np.inf)
    return float(np.max(gaps, where=~same, initial=0.0))


def _tolerance(least: float, answers: Any) -> float:
    """How far answers may lie apart: by their precision, and by their size beyond 1."""
    answers = np.asarray(answers)
    size = np.abs(answers.astype(np.float64))
    size = max(1.0, float(np.max(size, where=np.isfinite(size), initial=0.0)))
    return size * max(least, 4 * _precision(answers.dtype))


def _precision(dtype: Any) -> float:
    return float(jnp.finfo(dtype).eps) if jnp.issubdtype(dtype, jnp.floating) else 0.0


@dataclass(frozen=True)
class Finding:
    """What one test of a model has shown.

    Attributes:
        passed: whether the model is as it must be.
        sentence: what was seen, and what to do where it isn't.
    """

    passed: bool
    sentence: str


@dataclass(frozen=True)
class ModelCheck:
    """What `check_model` has found out.

    Attributes:
        kind: what the model was taken for.
        findings: by name: "shape", "dtype", "finite", "probabilities", "determinism",
            "hidden state", "order", "single rows", "batch sizes". Those that say nothing after
            another has failed are missing.
    """

    kind: str
    findings: Mapping[str, Finding]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.passed for finding in self.findings.values())

    @property
    def failed(self) -> list[str]:
        """The names of what is wrong."""
        return [name for name, finding in self.findings.items() if not finding.passed]

    def _title(self) -> str:
        said = f"{len(self.failed)} of {len(self.findings)} tests failed"
        return f"{self.kind}: {said if self.failed else 'all tests passed'}"

    def __repr__(self) -> str:
        lines = [f"ModelCheck: {self._title()}"]
        for name, finding in self.findings.items():
            lines.append(f"  {_VERDICTS[finding.passed]:6}  {name:13}  {finding.sentence}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = (
            f"<tr><td>{_VERDICTS[finding.passed]}</td><td>{html.escape(name)}</td>"
            f'<td style="text-align:left">{html.escape(finding.sentence)}</td></tr>'
            for name, finding in self.findings.items()
        )
        title = f"<strong>{html.escape(self._title())}</strong>"
        return f"<div>{title}<table><tbody>{''.join(rows)}</tbody></table></div>"


_VERDICTS = {True: "passed", False: "FAILED"}


def check_model(
    predict: Model | BlackBox | Predicts,
    x: ArrayLike,
    *,
    params: Any = None,
    output: str = "probabilities",
) -> ModelCheck:
    """Test whether a model is one that counterfactuals can be found for, on a few rows.

    It is asked for single rows, in another order, in batches of odd sizes and filled up with
    copies, twice, and after other rows; `fit` does the cheapest part of this. Answers may lie 0.01
    apart where a row comes in other company, and 0.001 for the same batch, more in half precision.

    Args:
        predict: as for `Explainer`: a JAX function, an estimator or network of another library, a
            `BlackBox`, or a function of numpy arrays that is to become one.
        x: `[n, *shape]`, at least two rows that the model knows what to do with, such as training
            rows. Eight of them, spread evenly, are used.
        params: what a JAX function takes first, if it does.
        output: "probabilities" or "logits", what a JAX function returns.

    Returns:
        What was found, each with a sentence.

    Raises:
        TypeError: if `x` doesn't hold numbers, or `predict` isn't a model.
        ValueError: if there are fewer than two rows, some aren't finite, the options don't go
            together, or an estimator or network fails for these rows.
        RuntimeError: in a process forked off one in which JAX was running.

    Examples:
        >>> import jax, numpy as np
        >>> x = np.random.default_rng(0).normal(size=(20, 2)).astype("float32")
        >>> check_model(jax.nn.softmax, x).passed
        True
        >>> check = check_model(lambda x: jax.nn.softmax(x - x.mean(axis=0)), x)
        >>> check.failed
        ['single rows', 'batch sizes']
    """
    names, x = column_names(x), as_rows("x", x)
    if x.ndim < 2 or len(x) < 2:
        raise ValueError(f"x must hold at least two rows [n, *shape], got shape {x.shape}")
    rows = x[np.linspace(0, len(x) - 1, min(_MOST_ROWS, len(x))).round().astype(int)]
    check_finite("rows", rows)
    if output not in ("probabilities", "logits"):
        raise ValueError(f"output must be 'probabilities' or 'logits', got {output!r}")
    if not callable(announced(predict, output, params).predict):
        raise TypeError(f"predict must be a function, got {type(predict).__name__}")
    check_not_forked()
    check_params(params)
    made = make(predict, output, rows, names)
    kind, ask, num_classes = _asking(made.predict, params, made.output, rows.shape[1:])
    if made.predict is not predict:
        kind = f"a {type(predict).__name__}"
    findings: dict[str, Finding] = {}
    answers = _first_answers(ask, rows, num_classes, findings)
    if answers is not None:
        _values(answers, output, findings)
        _company(ask, rows, answers, findings)
    return ModelCheck(kind, findings)


Ask = Callable[[np.ndarray], Any]


def _asking(
    predict: Model | BlackBox, params: Any, output: str, shape: tuple[int, ...]
) -> tuple[str, Ask, int | None]:
    """What the model is, how to ask it, and how many classes it says it has."""
    if isinstance(predict, BlackBox):
        predict.check_options(output, None)
        return "a BlackBox", partial(_in_calls, predict), predict.num_classes
    models = ModelFunctions(predict, output=output, takes_params=params is not None)
    batch = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    try:
        abstract_call("predict", models.probabilities, params, batch)
    except TypeError:
        # What fails outside of JAX as well says so when it is asked.
        if params is None and output == "probabilities":
            box = BlackBox(predict, num_classes=2)
            return "a function outside JAX, for a BlackBox", partial(_in_calls, box), None
    compiled = jax.jit(models.probabilities)
    return "a JAX function", lambda rows: compiled(params, rows), None


def _in_calls(box: BlackBox, rows: np.ndarray) -> Any:
    """What the function of a black box returns, of more rows than it may get in one call, too."""
    answered = [box.call(box.predict, rows[call].copy()) for call in calls(box, len(rows))]
    return answered[0] if len(answered) == 1 else np.concatenate(answered)


def _first_answers(
    ask: Ask, rows: np.ndarray, num_classes: int | None, findings: dict[str, Finding]
) -> np.ndarray | None:
    """The answers to all rows, if they have a shape and a type that can be used."""
    try:
        answers = _read(ask(rows), rows, num_classes)
    except Exception as error:
        findings["shape"] = Finding(False, in_words(error))
        if not isinstance(error, BadAnswer) and _answers_float64(ask, rows):
            findings["dtype"] = Finding(
                False,
                "predict fails for float32, which is what it gets, and not for float64: let it "
                "begin with x = x.astype(float)",
            )
        return None
    shape = f"[{len(answers)}, {answers.shape[1]}]"
    findings["shape"] = Finding(True, f"one row of class values for each: {shape}")
    rounded = ""
    if _precision(answers.dtype) > SAME / 4:
        rounded = f", which rounds probabilities to {_precision(answers.dtype):.2g}"
    findings["dtype"] = Finding(True, f"float32 goes in, {answers.dtype} comes out{rounded}")
    return answers


def _answers_float64(ask: Ask, rows: np.ndarray) -> bool:
    try:
        ask(rows.astype(np.float64))
    except Exception:
        return False
    return True


def _read(answered: Any, rows: np.ndarray, num_classes: int | None) -> np.ndarray:
    answers = np.asarray(answered)
    if not (jnp.issubdtype(answers.dtype, jnp.number) or answers.dtype == bool):
        raise BadAnswer(f"predict returned {type(answered).__name__}, which is no array of numbers")
    classes = "classes" if num_classes is None else num_classes
    fits = answers.ndim == 2 and len(answers) == len(rows)
    if not fits or answers.shape[1] < 2 or num_classes not in (None, answers.shape[1]):
        raise BadAnswer(
            f"predict returned shape {answers.shape} for {len(rows)} rows; expected "
            f"({len(rows)}, {classes}) with at least 2 classes, one row of class values for each"
            f"{how_to_stack(answers.shape, len(rows), 'np')}"
        )
    return answers.astype(np.float32) if answers.dtype == bool else answers


def _values(answers: np.ndarray, output: str, findings: dict[str, Finding]) -> None:
    finite = np.isfinite(answers.astype(np.float64)).all(axis=1)
    findings["finite"] = Finding(
        bool(finite.all()),
        "every answer is finite"
        if finite.all()
        else f"{int((~finite).sum())} of {len(answers)} rows got NaN or infinity: check the model "
        "and the scale of its input",
    )
    if not finite.any():
        return
    failures = Failures(warn=False)
    for_logits = f"pass output='logits', or take the softmax, if they are logits; output={output!r}"
    are_probabilities(answers[finite], failures, for_logits)
    findings["probabilities"] = Finding(
        failures.first is None, failures.first or "numbers in [0, 1] that sum to 1"
    )


def _company(ask: Ask, rows: np.ndarray, answers: np.ndarray, findings: dict[str, Finding]) -> None:
    """Whether the rows are answered in the same way again, and in other company."""
    count = len(rows)

    def tested(name: str, least: float, what: str, remedy: str, *batches: list[int]) -> None:
        """Ask for some batches of rows, by number, and compare."""
        apart = 0.0
        try:
            for batch in batches:
                again = _read(ask(rows[batch]), rows[batch], answers.shape[1])
                apart = max(apart, _apart(again, answers[batch]))
        except Exception as error:
            findings[name] = Finding(False, f"{what} are not answered: {in_words(error)}")
            return
        if apart <= _tolerance(least, answers):
            findings[name] = Finding(True, f"{what} are answered the same, within {apart:.1g}")
        else:
            findings[name] = Finding(
                False, f"{what} are answered otherwise, by up to {apart:.2g}: {remedy}"
            )

    all_rows = list(range(count))
    tested("determinism", SAME, "the same rows asked again", _RANDOM, all_rows)
    if not findings["determinism"].passed:
        return  # all that follows would fail with it
    kept = "the model keeps something from call to call, which must not change its answers"
    for _ in range(2):
        with suppress(Exception):  # these are nobody's rows; what they leave behind counts
            ask(rows[::-1] + np.float32(1))
    tested("hidden state", SAME, "the same rows after others", kept, all_rows)
    if not findings["hidden state"].passed:
        return
    tested("order", IN_COMPANY, "rows in another order", _REMEDY, all_rows[::-1])
    tested("single rows", IN_COMPANY, "rows alone", _REMEDY, *([row] for row in all_rows))
    by_three = [(all_rows * 2)[start : start + 3] for start in range(0, count, 3)]
    filled = [*all_rows, *[count - 1] * (_FILLED_UP - count)]
    what = f"rows in threes, and filled up to {_FILLED_UP} with copies"
    tested("batch sizes", IN_COMPANY, what, _REMEDY, *by_three, filled)
