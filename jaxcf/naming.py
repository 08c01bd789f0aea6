"""The names of classes and features where a caller gives some, and stand-ins where not."""

from collections.abc import Sequence


def names_or_numbers(
    what: str, names: Sequence[object] | None, count: int, prefix: str = ""
) -> list[str]:
    """One name for each of several things.

    Args:
        what: they are, in the plural, for the error.
        names: `count` of them, in order; None for numbers.
        count: how many there are.
        prefix: before the numbers.

    Returns:
        `count` names.

    Raises:
        ValueError: if there are more or fewer names than things.

    Examples:
        >>> names_or_numbers("features", None, 2, "feature ")
        ['feature 0', 'feature 1']
        >>> names_or_numbers("classes", ["cat", "dog"], 2)
        ['cat', 'dog']
    """
    if names is None:
        return [f"{prefix}{number}" for number in range(count)]
    if isinstance(names, str) or len(names) != count:
        raise ValueError(f"got {len(names)} names for {count} {what}; pass one name for each")
    return [str(name) for name in names]
