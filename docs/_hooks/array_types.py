"""Annotations of arrays as they were written: `Float[Array, "n *shape"]` is no product.

An extension of griffe, which reads the package for the API reference and takes a string in an
annotation for Python wherever it can be read so.
"""

from typing import Any

import griffe


def _written(part: Any) -> Any:
    """A product as the string that it was."""
    if isinstance(part, griffe.ExprBinOp) and part.operator == "*":
        return f'"{part.left} *{part.right}"'
    return part


def _mend(annotation: Any) -> None:
    """Put strings back wherever an array stands in an annotation."""
    if isinstance(annotation, griffe.ExprTuple):
        annotation.elements = [_written(part) for part in annotation.elements]
    if isinstance(annotation, griffe.Expr) and not isinstance(annotation, griffe.ExprName):
        for part in annotation.iterate(flat=False):
            _mend(part)


class ArrayTypes(griffe.Extension):
    """The extension."""

    def on_function_instance(self, *, func: griffe.Function, **kwargs: Any) -> None:
        """Of parameters and of what is returned."""
        for parameter in func.parameters:
            _mend(parameter.annotation)
        _mend(func.returns)

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs: Any) -> None:
        """Of the fields of classes."""
        _mend(attr.annotation)
