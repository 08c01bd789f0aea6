"""Names that were misspelt."""

from collections.abc import Iterable


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """A question whether one of the known names was meant, if one is near.

    Examples:
        >>> did_you_mean("explian", ["explain", "evaluate"])
        ' (did you mean explain?)'
    """
    # Nobody who spells right waits for it.
    from difflib import get_close_matches

    close = get_close_matches(text, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
