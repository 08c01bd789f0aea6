"""The names of the classes: checked once, and looked up by value wherever a target is given."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from jaxcf.explainers.targets import as_target
from jaxcf.tabular.columns import Category, is_missing

ClassNames = tuple[Category, ...]


def read_class_names(given: Any) -> ClassNames | None:
    """The names of the classes as Python's own values.

    Args:
        given: one name per class: a sequence, or an array such as the `classes_` of a scikit-learn
            model; None where classes have no names.

    Returns:
        The names, in order.

    Raises:
        TypeError: if they are no such thing.
        ValueError: if a name is given twice.

    Examples:
        >>> read_class_names(np.array([1, 2]))
        (1, 2)
    """
    if given is None:
        return None
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(
            f"class_names is {given!r}; expected a sequence of names, one per class, such as "
            "('declined', 'granted') or a model's classes_"
        )
    names = tuple(one.item() if isinstance(one, np.generic) else one for one in given)
    wrong = [one for one in names if is_missing(one) or not isinstance(one, (str, int, float))]
    if wrong:
        raise TypeError(
            f"class_names holds {wrong[0]!r}, a {type(wrong[0]).__name__}; expected strings or "
            "numbers, one per class"
        )
    # What reads alike would be told apart by no picture and no file, 1 and "1" among them.
    shown = [str(one) for one in names]
    repeated = [one for one in names if names.count(one) > 1 or shown.count(str(one)) > 1]
    if repeated:
        raise ValueError(
            f"class_names holds {repeated[0]!r} more than once: {_listed(names)}; expected each "
            "class to have a name of its own"
        )
    return names


def check_count(names: ClassNames | None, num_classes: int) -> None:
    """Check that each class of a model has a name, if any has.

    Raises:
        ValueError: if there are more or fewer names than classes.
    """
    if names is not None and len(names) != num_classes:
        raise ValueError(
            f"class_names holds {len(names)} names ({_listed(names)}), but the model has "
            f"{num_classes} classes; expected one name per class, in the order of the model's "
            "probabilities"
        )


def numbers_of(target: Any, names: ClassNames | None) -> Any:
    """A target with the numbers of classes in place of their names.

    Args:
        target: what `FittedExplainer.explain` takes, with names wherever it takes numbers; or
            "each".
        names: looked up by value; None leaves numbers as they are.

    Returns:
        The target by number; -1 for an unknown class among those of several rows.

    Raises:
        TypeError: if what a row is to become is neither a class nor a collection of some.
        ValueError: if the one class for all rows has no such name, or a class is named where there
            are no names.

    Examples:
        >>> numbers_of(1, (1, 2)), numbers_of([[2], [1, 2]], (1, 2)), numbers_of(1, None)
        (0, [[1], [0, 1]], 1)
    """
    target = as_target(target)
    if isinstance(target, np.generic):
        target = target.item()
    if target is None:
        return None
    if isinstance(target, str) and target == "each":
        if names is not None and "each" in names:
            raise ValueError(
                "target='each' asks for every class, and one of the classes has that name; for "
                "this class alone pass it for each row, ['each'] * len(table)"
            )
        return target
    if _is_name(target):
        found = _number_of(target, names)
        if names is not None and found < 0:
            raise ValueError(f"there is no class named {target!r}; class_names: {_listed(names)}")
        return found
    if isinstance(target, (list, tuple)):
        for row, one in enumerate(target):
            if not _is_name(one) and not isinstance(one, Iterable):
                raise TypeError(
                    f"target of row {row} must be a class or a collection of classes, got {one!r}; "
                    "for any other class leave target out"
                )
    return _numbers_within(target, names)


def _numbers_within(target: Any, names: ClassNames | None) -> Any:
    if _is_name(target):
        return _number_of(target, names)
    mask = isinstance(target, np.ndarray) and target.dtype == bool and target.ndim > 1
    if mask or not isinstance(target, Iterable):
        return target
    return [_numbers_within(one, names) for one in target]


def _is_name(target: Any) -> bool:
    return isinstance(target, (str, int, float, np.generic))


def _number_of(name: Any, names: ClassNames | None) -> Any:
    """The place of a name among the names, -1 for none; a number itself where there are none."""
    if names is None:
        if isinstance(name, str):
            raise ValueError(f"the target names the class {name!r}; class_names: none are given")
        return name
    # 1 and True are equal to Python, but not to whoever wrote them.
    same = [
        place
        for place, one in enumerate(names)
        if one == name and isinstance(one, bool) == isinstance(name, (bool, np.bool_))
    ]
    return same[0] if same else -1


def _listed(names: ClassNames) -> str:
    return ", ".join(map(repr, names)) or "none"
