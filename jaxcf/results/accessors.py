"""Names on results whose owners live on a floor above: looked up when used, as pandas does it."""

from importlib import import_module
from typing import Any

_REGISTERED: dict[str, str] = {}


def register_accessor(name: str, where: str) -> None:
    """Say what stands behind an accessor of results.

    Args:
        name: of the accessor, such as "plot".
        where: "module:Class"; the class is called with the results that it is accessed on.

    Examples:
        >>> register_accessor("plot", "jaxcf.plots.accessor:PlotAccessor")
    """
    _REGISTERED[name] = where


class Accessor:
    """An attribute of results that is made by whoever registered its name.

    Args:
        name: it was registered under.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, results: Any, owner: type | None = None) -> Any:
        if results is None:
            return self
        module, _, attribute = _REGISTERED[self._name].partition(":")
        return getattr(import_module(module), attribute)(results)
