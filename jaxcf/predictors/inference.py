"""What the models say of any number of rows, before the search and after it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcf.decisions import Guidance, Outputs, with_log_odds
from jaxcf.objective import Instance, Objective, loss_terms
from jaxcf.predictors.blackbox import TOLERANCE, Failures, are_probabilities
from jaxcf.predictors.checks import IN_COMPANY, check_answer, check_company, few_rows
from jaxcf.predictors.functions import ModelFunctions, is_pure, predict_changed
from jaxcf.predictors.guides import (
    Guide,
    Guides,
    ask_guides_in_jax,
    check_guides,
    errors_name,
)
from jaxcf.utils.batching import batch_size, map_batches

# Points at which the caller's function is called as it is, outside every program.
_SAMPLE = 8

_FOR_LOGITS = "pass output='logits' if they are logits"


@partial(jax.jit, static_argnames="models")
def predict_and_encode_batch(
    models: ModelFunctions, params: Any, x: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Probabilities and encodings of one batch, compiled."""
    return models.probabilities(params, x), models.encoding(params, x)


def predict_and_encode(
    models: ModelFunctions,
    params: Any,
    x: np.ndarray,
    failures: Failures,
    size: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and encodings of any number of rows, at least one, in batches of a size."""
    if models.black_box is not None:
        # These rows and no others: a batch is filled up with copies, which would be asked, too.
        probabilities = models.black_box.ask(x, failures).astype(np.float32)
        return probabilities, encode_all(models, params, x, size)
    asked = partial(predict_and_encode_batch, models, params)
    probabilities, encodings = map_batches(asked, x, size=size)
    return _only_probabilities(probabilities, failures), encodings


def predict(
    models: ModelFunctions,
    params: Any,
    x: np.ndarray,
    failures: Failures,
    size: int | None = None,
) -> np.ndarray:
    """Probabilities alone of any number of rows, at least one, in batches of a size."""
    if models.black_box is not None:
        return models.black_box.ask(x, failures).astype(np.float32)
    asked = _predict
    if models.encode is None:  # what gives both is compiled already, and computes no more
        asked = _predict_and_forget_encodings
    answered = map_batches(partial(asked, models, params), x, size=size)
    return _only_probabilities(answered, failures)


def _predict_and_forget_encodings(models: ModelFunctions, params: Any, x: Any) -> Any:
    return predict_and_encode_batch(models, params, x)[0]


def _only_probabilities(answered: np.ndarray, failures: Failures) -> np.ndarray:
    """A JAX model's answers with NaN in place of rows that are no probabilities."""
    # Inside a search numbers that aren't finite speak for themselves.
    if np.isfinite(answered).all():
        fine = are_probabilities(answered, failures, _FOR_LOGITS)
    else:
        fine = np.asarray(np.isfinite(answered).all(axis=1))
        fine[fine] = are_probabilities(answered[fine], failures, _FOR_LOGITS)
    if not fine.all():
        answered = np.where(fine[:, None], answered, np.nan)
    return answered.astype(np.float32, copy=False)


def predict_and_encode_training(
    models: ModelFunctions,
    params: Any,
    x_train: np.ndarray,
    known: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and encodings of training rows, at least one.

    Warns of a model that answers otherwise every time.

    Args:
        models: the functions.
        params: what they take first, if they do.
        x_train: `[n, *shape]`.
        known: `[n, classes]`, the probabilities where they are known already.

    Raises:
        ValueError: if the model returns anything but probabilities for some of them, or its answer
            to a row depends on the rows beside it.
    """
    failures = Failures(warn=False)
    few = few_rows(x_train)
    if models.black_box is not None:
        check_answer(models.black_box, x_train[few])
    if known is None:
        probabilities, encodings = predict_and_encode(models, params, x_train, failures)
        few_answers = probabilities[few], encodings[few]
    else:
        size = batch_size(len(x_train), x_train.shape[1:])
        probabilities, encodings = known, encode_all(models, params, x_train)
        few_answers = predict_and_encode(models, params, x_train[few], failures, size)
    check_training_answers(probabilities, failures)
    _check_company(models, params, x_train, few, few_answers, failures)
    return probabilities, encodings


def guides_asked(
    guides: Sequence[Guide],
    agreement: float,
    rows: np.ndarray,
    num_classes: int,
    size: int | None = None,
) -> Guides | None:
    """Guides as `check_guides` makes them, once those in JAX have answered a few training rows.

    Args:
        guides: as for `check_guides`.
        agreement: likewise.
        rows: likewise.
        num_classes: likewise.
        size: of the batches in which they are asked; None chooses.

    Raises:
        TypeError: as `check_guides`.
        ValueError: likewise, or if one returns anything but probabilities for some rows, or its
            answer to a row depends on the rows beside it.
    """
    made = check_guides(guides, agreement, rows, num_classes)
    if made is None:
        return None
    few, size = few_rows(rows), size or batch_size(len(rows), rows.shape[1:])

    def ask(x: np.ndarray) -> np.ndarray:
        return ask_guides_in_jax(made, x, num_classes, size)

    said, turned = ask(rows), ask(rows[few[::-1]])
    for number, (name, functions) in enumerate(zip(made.names, made.functions, strict=True)):
        if functions.black_box is not None:
            continue  # it was asked already, and may count the questions
        with errors_name(name):
            failures = Failures(warn=False)
            check_training_answers(_only_probabilities(said[:, number], failures), failures)
            known = said[few[::-1], number]
            anew = partial(lambda k: ask(rows[few[::-1]])[:, k], number)
            check_company("predict", turned[:, number], known, anew)
    return made


def check_training_answers(probabilities: np.ndarray, failures: Failures) -> None:
    """Check that every training row got probabilities.

    Args:
        probabilities: `[n, classes]`, as they came of a question.
        failures: that were told of what went wrong.

    Raises:
        ValueError: if some are missing or aren't finite.
    """
    lost = int((~np.isfinite(probabilities)).any(axis=1).sum())
    if lost and failures.first is None:
        raise ValueError(
            f"predict returned NaN or infinite values for {lost} of {len(probabilities)} training "
            "rows; check the model and the scale of its input"
        )
    if failures.first is not None:
        raise ValueError(
            f"{lost} of {len(probabilities)} training rows got no probabilities; the first error: "
            f"{failures.first}; mend the model or leave these rows out"
        )


def _check_company(
    models: ModelFunctions,
    params: Any,
    x_train: np.ndarray,
    few: np.ndarray,
    answers: tuple[np.ndarray, np.ndarray],
    failures: Failures,
) -> None:
    """Check that a few training rows get the answers in other company that they have got."""
    turned, size = few[::-1], batch_size(len(x_train), x_train.shape[1:])
    answers = answers[0][::-1], answers[1][::-1]

    def ask() -> tuple[np.ndarray, np.ndarray]:
        # A batch of the size that is compiled already, filled up with copies of the last row.
        return predict_and_encode(models, params, x_train[turned], failures, size)

    first = ask()
    _check_answered(failures)
    settled = True
    for which, name in enumerate(("predict", "encode")):
        known = answers[which]
        settled &= check_company(name, first[which], known, lambda which=which: ask()[which])
    box = models.black_box
    if models.has_autoencoder:

        def reconstructed(rows: np.ndarray) -> np.ndarray:
            x = x_train[rows]
            if box is None:  # by the program that is compiled already
                encodings = predict_and_encode(models, params, x, failures, size)[1]
            else:
                encodings = encode_all(models, params, x, size)
            return decode_all(models, params, x, encodings, size)

        others = np.arange(min(len(x_train), max(0, size - len(few))))
        known = reconstructed(np.concatenate([turned, others]))[: len(few)]
        name = "decode" if models.reconstruct is None else "reconstruct"
        check_company(name, reconstructed(turned), known, lambda: reconstructed(turned))
    if box is not None and settled:
        alone = box.ask(x_train[few[:1]], failures)
        _check_answered(failures)
        known = answers[0][-1:]
        check_company("predict", alone, known, lambda: box.ask(x_train[few[:1]], failures))


def _check_answered(failures: Failures) -> None:
    if failures.first is not None:
        raise ValueError(
            f"predict fails for one or two rows that it answers among others: {failures.first}; a "
            "search asks for any number of rows"
        )


def encode_all(
    models: ModelFunctions, params: Any, x: np.ndarray, size: int | None = None
) -> np.ndarray:
    """Encodings of any number of rows, at least one, in batches of a size."""
    return map_batches(partial(_encode, models.compiled, params), x, size=size)


def decode_all(
    models: ModelFunctions,
    params: Any,
    x: np.ndarray,
    encodings: np.ndarray,
    size: int | None = None,
) -> np.ndarray:
    """What the decoder makes of encodings, as many as there are rows `x`, at least one."""
    return map_batches(partial(_reconstruct, models.compiled, params), x, encodings, size=size)


def predict_and_measure(
    models: ModelFunctions,
    params: Any,
    objective: Objective,
    instances: Instance,
    counterfactual: np.ndarray,
    prediction_weight: np.ndarray,
    failures: Failures,
    probabilities: np.ndarray | None = None,
    size: int | None = None,
    guides: Guides | None = None,
    guide_probabilities: np.ndarray | None = None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Probabilities and weighted loss terms of any number of counterfactuals, at least one.

    In batches of a size. Probabilities that are known already, float32, aren't asked for again;
    those of the guides, if there are any, are.
    """
    leaves, structure = jax.tree.flatten(instances)
    asked = probabilities is None
    if asked and models.black_box is not None:
        probabilities = models.black_box.ask(counterfactual, failures).astype(np.float32)
    known = [one for one in (guide_probabilities, probabilities) if one is not None]

    def measure(x: Any, weight: Any, *rest: Any) -> tuple[Any, dict[str, Any]]:
        batch, rest = jax.tree.unflatten(structure, rest[: len(leaves)]), rest[len(leaves) :]
        guidance = None
        if guides is not None:
            guidance, rest = guides.guidance(rest[0]), rest[1:]
        return _measure(models, params, objective, batch, x, weight, guidance, *rest)

    fresh, terms = map_batches(
        measure, counterfactual, prediction_weight, *leaves, *known, size=size
    )
    if asked and models.black_box is None:
        fresh = _only_probabilities(fresh, failures)
    return fresh, terms


def ask_anew(
    models: ModelFunctions, params: Any, x: np.ndarray, probabilities: np.ndarray
) -> np.ndarray | None:
    """The caller's own word on points, outside every compiled program, where it is another one.

    Programs are made of a function as it was; if it traces otherwise now, it is asked about every
    point. That it does another thing when it is called than when it is traced comes out by calling
    it for a few points.

    Args:
        models: the functions, checked.
        params: what they take first, if they do.
        x: `[n, *shape]`, at least one row.
        probabilities: `[n, classes]`, what the programs say.

    Returns:
        `[n, classes]`, float32, NaN where the function fails; None where it agrees.
    """

    def ask(x: Any) -> Any:
        return models.probabilities(params, jnp.asarray(x))

    changed = predict_changed(models, params, x.shape[1:])
    if not changed and not _decides_otherwise(models, ask, x, probabilities):
        return None
    try:
        asked = map_batches(ask, x).astype(np.float32)
    except Exception:  # whatever it is: no answer confirms nothing
        return np.full_like(probabilities, np.nan)
    # A trace may differ in what makes no difference, such as the precision of products.
    same = np.allclose(asked, probabilities, rtol=0, atol=TOLERANCE, equal_nan=True)
    return None if same else asked


def _decides_otherwise(
    models: ModelFunctions, ask: Callable[[Any], Any], x: np.ndarray, probabilities: np.ndarray
) -> bool:
    """Whether the function, called as it is for a few points, decides otherwise than the programs.

    A model outside JAX is asked itself, each time, and a pure function promises to be the same.
    """
    if models.black_box is not None or is_pure(models.predict):
        return False
    few = np.linspace(0, len(x) - 1, _SAMPLE).round().astype(int)  # always of one shape
    try:
        asked = np.asarray(ask(x[few]), np.float32)
    except Exception:  # what works only inside a program says nothing against it
        return False
    said = probabilities[few]
    known, lost = np.isfinite(said).all(axis=1), ~np.isfinite(asked).all(axis=1)
    apart = np.abs(np.nan_to_num(asked) - np.nan_to_num(said)).max(axis=1) > IN_COMPANY
    apart &= np.argmax(asked, axis=1) != np.argmax(said, axis=1)
    return bool((known & (lost | apart)).any())


def _measure(
    models: ModelFunctions,
    params: Any,
    objective: Objective,
    instances: Instance,
    counterfactual: Any,
    prediction_weight: Any,
    guidance: Guidance | None,
    probabilities: Any = None,
) -> tuple[Any, dict[str, Any]]:
    """Probabilities and weighted loss terms of a batch of counterfactuals."""
    # Three programs, the first of which is compiled already: one for all takes longer to compile
    # than it ever runs.
    if probabilities is None:
        probabilities, encodings = predict_and_encode_batch(models, params, counterfactual)
    else:
        encodings = _encode(models.compiled, params, counterfactual)
    reconstruction = None
    if objective.needs_reconstruction:
        reconstruction = _reconstruct(models.compiled, params, counterfactual, encodings)
    outputs = Outputs(probabilities, encodings, reconstruction, guides=guidance)
    return probabilities, _weighted_terms(
        objective, instances, counterfactual, prediction_weight, outputs
    )


@partial(jax.jit, static_argnames="models")
def _predict(models: ModelFunctions, params: Any, x: jax.Array) -> jax.Array:
    return models.probabilities(params, x)


@partial(jax.jit, static_argnames="models")
def _encode(models: ModelFunctions, params: Any, x: jax.Array) -> jax.Array:
    return models.encoding(params, x)


@partial(jax.jit, static_argnames="models")
def _reconstruct(
    models: ModelFunctions, params: Any, x: jax.Array, encodings: jax.Array
) -> jax.Array | None:
    return models.reconstruction(params, x, encodings)


@jax.jit
def _weighted_terms(
    objective: Objective,
    instances: Instance,
    counterfactual: jax.Array,
    prediction_weight: jax.Array,
    outputs: Outputs,
) -> dict[str, jax.Array]:
    perturbation = counterfactual - instances.original
    outputs = with_log_odds(outputs) if objective.by_log_odds else outputs
    return jax.vmap(partial(loss_terms, objective))(
        prediction_weight, instances, counterfactual, perturbation, outputs
    )
