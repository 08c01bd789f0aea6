"""What points of a search stand for, where that is more than the points: the rows that go out."""

from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxcf.explainers.state import FittedState
from jaxcf.objective import Instance, Objective, Outputs, loss_terms
from jaxcf.predictors.blackbox import Failures
from jaxcf.predictors.inference import decode_all, encode_all
from jaxcf.utils.batching import map_batches


@runtime_checkable
class FinalForm(Protocol):
    """The form in which rows come in and go out, such as the exact values of a table.

    The model's word about a row, original or counterfactual, is its word about this form.
    """

    def restore(
        self, points: Float[np.ndarray, "m *shape"], source_row: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m *shape"]:
        """Where the final forms of some points lie.

        Args:
            points: `[m, *shape]`, wherever the search ended.
            source_row: `[m]`, the rows they belong to.
        """
        ...

    def predict(
        self,
        points: Float[np.ndarray, "m *shape"],
        source_row: Int[np.ndarray, " m"],
        failures: Failures,
    ) -> Float[np.ndarray, "m classes"]:
        """The probabilities of the final forms of some points, float32; NaN where there are none.

        Args:
            points: `[m, *shape]`, at least one.
            source_row: `[m]`, the rows they belong to; a row's own point stands for the row itself.
            failures: told of what goes wrong.
        """
        ...


def measure_known(
    state: FittedState,
    objective: Objective,
    instances: Instance,
    counterfactual: Float[np.ndarray, "m *shape"],
    prediction_weight: Float[np.ndarray, " m"],
    probabilities: Float[np.ndarray, "m classes"],
) -> dict[str, Float[np.ndarray, " m"]]:
    """Weighted loss terms of counterfactuals whose probabilities are known, at least one.

    Args:
        state: whose models encode and reconstruct them.
        objective: in float32.
        instances: the rows they belong to.
        counterfactual: `[m, *shape]`.
        prediction_weight: `[m]`, c of each.
        probabilities: `[m, classes]`, of each.

    Returns:
        `[m]` for each term.
    """
    encodings = encode_all(state.models, state.params, counterfactual)
    outputs = [probabilities, encodings]
    if objective.needs_reconstruction:
        outputs.append(decode_all(state.models, state.params, counterfactual, encodings))
    leaves, structure = jax.tree.flatten(instances)

    def terms(x: Any, weight: Any, *rest: Any) -> dict[str, Any]:
        batch = jax.tree.unflatten(structure, rest[: len(leaves)])
        known, encoding, *reconstruction = rest[len(leaves) :]
        shown = Outputs(known, encoding, reconstruction[0] if reconstruction else None)
        return _weighted_terms(objective, batch, x, weight, shown)

    return map_batches(terms, counterfactual, prediction_weight, *leaves, *outputs)


@jax.jit
def _weighted_terms(
    objective: Objective, instances: Instance, x: jax.Array, weight: jax.Array, outputs: Outputs
) -> dict[str, jax.Array]:
    return jax.vmap(partial(loss_terms, objective))(
        weight, instances, x, x - instances.original, outputs
    )
