"""What a function holds besides its arguments, found by tracing it anew.

JAX finds compiled programs by the function object, and what a function finds elsewhere (weights in
a closure, an attribute, a module) is a constant in them. A model that is retrained in place is
still the same object: only its trace says that its constants are others.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxcf.utils.fingerprints import described_array

if TYPE_CHECKING:
    from jax.extend.core import ClosedJaxpr, Jaxpr, Var


class Trace(NamedTuple):
    """What a function does, without running it.

    Attributes:
        result: what it returns, in shapes and types.
        digest: of its operations and of every value that it holds, numbers in its code included.
            The same function in another process has the same.
    """

    result: Any
    digest: str


def trace_anew(function: Callable[..., Any], *arguments: Any) -> Trace:
    """Trace a function as it is now, whatever JAX remembers of it.

    What the function itself has compiled (its own `jax.jit`) keeps the values that it was compiled
    with, here as when the function is called.

    Args:
        function: to be traced.
        *arguments: pytrees of arrays, or of their shapes and types.

    Returns:
        What it returns, and a digest.

    Raises:
        ValueError: if it holds arrays that have been deleted.

    Examples:
        >>> weights = np.array([1.0, 2.0])
        >>> before = trace_anew(lambda x: x @ weights, np.zeros((3, 2)))
        >>> weights *= -1
        >>> before.result.shape, before == trace_anew(lambda x: x @ weights, np.zeros((3, 2)))
        ((3,), False)
    """

    def anew(*arguments: Any) -> Any:  # another object each time: traces are remembered by it
        return function(*arguments)

    traced, result = jax.make_jaxpr(anew, return_shape=True)(*arguments)
    return Trace(result, _Digests().of(traced))


def tracing_context() -> tuple[Any, ...]:
    """What traces depend on beside the function: those of two contexts can't be compared."""
    names = ("jax_enable_x64", "jax_default_matmul_precision", "jax_disable_jit")
    settings = (getattr(jax.config, name) for name in names)
    return (jax.__version__, jax.default_backend(), *settings)


_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(...))
_PLAIN_TYPES = frozenset(_PLAIN)


class _Digests:
    """Digests of programs: of what they do and hold, never of where in memory it lies."""

    def __init__(self) -> None:
        from jax.extend import core  # it takes a tenth of the time that importing jaxcf takes

        self._core = core
        # JAX shares the programs of functions that are compiled by themselves, `relu` say.
        self._known: dict[int, str] = {}
        self._words: list[str] = []

    def of(self, program: "ClosedJaxpr | Jaxpr") -> str:
        """The digest of a program, which must outlive this."""
        if id(program) not in self._known:
            outside, self._words = self._words, []
            self._add_program(program)
            self._known[id(program)] = hashlib.sha256(" ".join(self._words).encode()).hexdigest()
            self._words = outside
        return self._known[id(program)]

    def _add(self, value: Any) -> None:
        kind = type(value)
        if kind in _PLAIN_TYPES:
            self._words.append(repr(value))
        elif isinstance(value, (tuple, list)):
            self._add_all(kind, value)
        elif isinstance(value, (self._core.ClosedJaxpr, self._core.Jaxpr)):
            self._words.append(self.of(value))
        elif isinstance(value, (*_PLAIN, np.generic, np.dtype, Enum)):
            self._words.append(f"{kind.__qualname__}:{value!r}")
        elif hasattr(value, "__array__"):
            self._words.append(described_array(value))
        elif isinstance(value, Mapping):
            self._add_all(kind, value.items())
        # A function is no value: what it does to the answer stands in the trace.
        elif is_dataclass(value) and not callable(value):
            self._add_all(kind, [getattr(value, field.name) for field in fields(value)])
        else:
            self._words.append(kind.__qualname__)

    def _add_all(self, kind: type, values: Iterable[Any]) -> None:
        self._words.append(f"{kind.__qualname__}(")
        for one in values:
            self._add(one)
        self._words.append(")")

    def _add_program(self, program: "ClosedJaxpr | Jaxpr") -> None:
        closed = isinstance(program, self._core.ClosedJaxpr)
        jaxpr = program.jaxpr if closed else program
        numbers: dict[Var, int] = {}

        def add_operands(operands: Iterable[Any]) -> None:
            for operand in operands:
                if isinstance(operand, self._core.Literal):
                    self._add(operand.val)
                else:
                    self._words.append(str(numbers.setdefault(operand, len(numbers))))

        self._add_all(list, program.consts if closed else ())
        add_operands((*jaxpr.constvars, *jaxpr.invars))
        for operation in jaxpr.eqns:
            self._words.append(operation.primitive.name)
            add_operands(operation.invars)
            self._words.append("to")
            add_operands(operation.outvars)
            for name, value in operation.params.items():
                self._words.append(name)
                self._add(value)
        self._words.append("returns")
        add_operands(jaxpr.outvars)
