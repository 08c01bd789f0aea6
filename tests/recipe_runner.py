"""Run one recipe, and print what came of it as a line of JSON.

In a process of its own, so that a recipe finds what its reader has: nothing of another one, no
stricter settings for jax, and a choice of Keras backend still to make.
"""

import json
from dataclasses import replace
from typing import Any

import jax
import numpy as np

PAGE = "docs/recipes.md"


def compiled_for_other_weights(explainer: Any, x: np.ndarray) -> list[str]:
    """What is compiled when a model in JAX gets other weights; `explain` must see them, too."""
    before = explainer.explain(x)
    params = jax.tree.map(
        lambda leaf: leaf * 1.001 if np.issubdtype(leaf.dtype, np.floating) else leaf,
        explainer.params,
    )
    compiled: list[str] = []
    # Only now, for changing the weights is compiled as well.
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration_secs, **kwargs: (
            compiled.append(event) if "backend_compile" in event else None
        )
    )
    other = replace(explainer, params=params)
    after = other.explain(x)
    assert (before.original_probabilities != after.original_probabilities).any()
    return compiled


def run(code: str) -> None:
    """Run the recipe and look at the names it leaves."""
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(code, PAGE, "exec"), names)
    explained = names["explanations"]
    # A table's explanations have those of its coordinates inside.
    inner = explained.core
    explainer = names.get("explainer")
    takes_params = getattr(explainer, "params", None) is not None
    outcome = {
        "rows": len(inner),
        "found": float(inner.found.mean()),
        "flipped": bool((inner.counterfactual_class != inner.original_class)[inner.found].all()),
        "changed": inner.summary()["changed"],
        "steps": float(inner.steps.mean()),
        "predictions": float(inner.scores["predictions"].mean()) if inner.scores else None,
        "compiled": compiled_for_other_weights(explainer, inner.original) if takes_params else None,
        "seconds": inner.summary()["seconds"],
    }
    print(json.dumps(outcome))
