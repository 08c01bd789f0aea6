"""What the models say of whole blocks of rows, before the search and after it."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax

from jaxcf.model_functions import ModelFunctions
from jaxcf.objective import Instance, Objective, Outputs, loss_terms


@lru_cache(maxsize=64)
def describe_rows(models: ModelFunctions) -> Callable[[Any, Any], tuple[Any, Any]]:
    """One jitted function for probabilities and encodings of a block, shared by equal models."""
    return jax.jit(lambda params, x: (models.probabilities(params, x), models.encoding(params, x)))


def describe_results(
    models: ModelFunctions,
    params: Any,
    objective: Objective,
    instances: Instance,
    counterfactual: Any,
    prediction_weight: Any,
) -> tuple[Any, dict[str, Any]]:
    """Probabilities and weighted loss terms of a block of counterfactuals."""
    # Three programs, the first of which is compiled already: one for all takes longer to compile
    # than it ever runs.
    probabilities, encodings = describe_rows(models)(params, counterfactual)
    reconstruction = None
    if objective.needs_reconstruction:
        reconstruction = _reconstruct(models, params, counterfactual, encodings)
    outputs = Outputs(probabilities, encodings, reconstruction)
    return probabilities, _weighted_terms(
        objective, instances, counterfactual, prediction_weight, outputs
    )


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
    return jax.vmap(partial(loss_terms, objective))(
        prediction_weight, instances, counterfactual, perturbation, outputs
    )
