"""Whether what a function does belongs into a compiled loop."""

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp


def slow_in_a_loop(
    function: Callable[..., Any], static: tuple[Hashable, ...], *arguments: Any
) -> bool:
    """Whether a compiled loop would slow a function down: on CPU it does for convolutions.

    XLA's CPU backend runs a convolution inside a loop up to twenty times slower than outside.

    Args:
        function: Called `function(*static, *arguments)`; one object for all calls, since the answer
            is remembered for it.
        static: What picks code.
        *arguments: Pytrees of arrays, or of their shapes and types.

    Returns:
        Whether each step is better one call.

    Examples:
        >>> import jax.numpy as jnp
        >>> slow_in_a_loop(jnp.matmul, (), jnp.ones((2, 3)), jnp.ones((3, 4)))
        False
    """
    if jax.default_backend() != "cpu":
        return False
    leaves, treedef = jax.tree.flatten(arguments)
    shapes = tuple(jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    return _holds_convolution(function, static, treedef, shapes)


@lru_cache(maxsize=64)
def _holds_convolution(
    function: Callable[..., Any],
    static: tuple[Hashable, ...],
    treedef: Any,
    shapes: tuple[jax.ShapeDtypeStruct, ...],
) -> bool:
    def applied(*leaves: jax.Array) -> Any:
        return function(*static, *jax.tree.unflatten(treedef, leaves))

    return "stablehlo.convolution" in jax.jit(applied).lower(*shapes).as_text()
