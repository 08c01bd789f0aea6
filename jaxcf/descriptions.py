"""What the models say of whole blocks of rows, before the search and after it."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax

from jaxcf.model_functions import ModelFunctions
from jaxcf.objective import Instance, Objective, loss_terms


@lru_cache(maxsize=64)
def describe_rows(models: ModelFunctions) -> Callable[[Any, Any], tuple[Any, Any]]:
    """One jitted function for probabilities and encodings of a block, shared by equal models."""
    return jax.jit(lambda params, x: (models.probabilities(params, x), models.encoding(params, x)))


@partial(jax.jit, static_argnames="models")
def describe_results(
    models: ModelFunctions,
    params: Any,
    objective: Objective,
    instances: Instance,
    counterfactual: jax.Array,
    prediction_weight: jax.Array,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Probabilities and weighted loss terms of a block of counterfactuals."""
    outputs = models.outputs(
        params,
        counterfactual,
        encoding=objective.needs_encoding,
        reconstruction=objective.needs_reconstruction,
    )
    perturbation = counterfactual - instances.original
    terms = jax.vmap(partial(loss_terms, objective))(
        prediction_weight, instances, counterfactual, perturbation, outputs
    )
    return outputs.probabilities, terms
