"""Numbers and dates as people write them: which text stands for one."""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped

from jaxcf.data.csv_files import is_missing_text

EXACT = 2**53
"""Beyond this float64 doesn't hold every whole number."""

_PLAIN = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
# A group of three can't follow a leading zero: 0,125 is an eighth.
_POINT = rf"{_PLAIN}|[+-]?[1-9]\d{{0,2}}(,\d{{3}})+(\.\d*)?"
_COMMA = r"[+-]?\d+(,\d+)?|[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?"
_YEAR, _DAY = r"(?:19|20)\d\d", r"[0-3]?\d"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_TIME = r"(?:[T ]\s*\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?\s*(?:[ap]m|Z|UTC|[+-]\d\d:?\d\d)?)?"
_DATE = "|".join(
    (
        rf"{_YEAR}(?P<sign>[-/.])[01]?\d(?P=sign){_DAY}",
        rf"{_DAY}(?P<other>[-/.]){_DAY}(?P=other)(?:\d\d)?\d\d",
        rf"{_DAY}[ -]{_MONTH}[ -](?:\d\d)?\d\d",
        rf"{_MONTH} {_DAY},? {_YEAR}",
    )
)
_IS_PLAIN, _IS_POINT, _IS_COMMA = (re.compile(one) for one in (_PLAIN, _POINT, _COMMA))
_IS_WHOLE = re.compile(r"[+-]?\d+")
_IS_NO_NUMBER = re.compile(r"[+-]?(inf|infinity|nan)", re.IGNORECASE)
# Blanks of all widths between groups of three: plain, not to be broken at, and narrow.
_IS_SPACED = re.compile(r"[+-]?[1-9]\d{0,2}([ \u00a0\u202f]\d{3})+([.,]\d*)?%?")
_CURRENCY = r"(?:US|CA|AU)?\$|[€£¥₹]|USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN"
_IS_MONEY = re.compile(
    rf"(?P<sign>[+-]?)\s*(?:(?:{_CURRENCY})\s*(?P<after>.+)|(?P<before>.*\S)\s*(?:{_CURRENCY}))"
)
_IS_DATE = re.compile(rf"(?:{_DATE}){_TIME}", re.IGNORECASE)


def read_numbers(
    texts: Sequence[str | None], *, comma_may_be_decimal: bool = True
) -> Shaped[np.ndarray, " n"] | None:
    """The numbers that texts stand for, where every one stands for one.

    Plain numbers, thousands in groups ("1,200.50", "1.200,50" or "1 200,50"), a decimal comma
    ("3,5") and percentages ("50%", which is 50; all of them or none).

    Args:
        texts: without blanks around them; None where there is nothing.
        comma_may_be_decimal: whether "1,200" may be 1.2 as well; where nothing tells, there is no
            telling.

    Returns:
        Integers, or floats with NaN for None; objects where a whole number is one that these can't
        hold. None where some text is no number, or it isn't clear which.

    Examples:
        >>> read_numbers(["1,200.00", None, "7"]).tolist(), read_numbers(["3,5", "1,200"]).tolist()
        ([1200.0, nan, 7.0], [3.5, 1.2])
        >>> read_numbers(["50%", "5%"]).tolist(), read_numbers(["50%", "5"])
        ([50, 5], None)
        >>> read_numbers(["1,200"]), read_numbers(["1,200"], comma_may_be_decimal=False).tolist()
        (None, [1200])
        >>> read_numbers(["18_25"]), read_numbers(["18446744073709551617"]).tolist()
        (None, [18446744073709551617])
    """
    texts = [None if one is None else _without_blanks(one) for one in texts]
    present = [one for one in texts if one is not None]
    plain = _plain_numbers(texts)
    if plain is not None or not present:
        return plain
    if all(one.endswith("%") for one in present):
        texts = [None if one is None else one[:-1].rstrip() for one in texts]
        return read_numbers(texts, comma_may_be_decimal=comma_may_be_decimal)
    with_point = all(map(_IS_POINT.fullmatch, present))
    with_comma = all(map(_IS_COMMA.fullmatch, present))
    if with_point and (not with_comma or not comma_may_be_decimal):
        return _plain_numbers([None if one is None else one.replace(",", "") for one in texts])
    if with_comma and not with_point:
        plainer = [None if one is None else one.replace(".", "").replace(",", ".") for one in texts]
        return _plain_numbers(plainer)
    return None


def read_numbers_like(
    texts: Sequence[str | None],
    others: Sequence[str | None],
    *,
    comma_may_be_decimal: bool = True,
) -> Shaped[np.ndarray, " n"] | None:
    """The numbers that texts stand for, written as others are: 2.200 is one thing or another.

    Args:
        texts: as `read_numbers` takes them.
        others: that stand for numbers, one and all.
        comma_may_be_decimal: as for `read_numbers`.

    Returns:
        As `read_numbers`, but texts that are no numbers, written so, are NaN beside others that
        are; None where none is a number.

    Examples:
        >>> read_numbers_like(["2.200", "x"], ["2.838,5", "931"]).tolist()
        [2200.0, nan]
        >>> read_numbers_like(["0.7"], ["55%"]) is None
        True
    """
    telling = [one for one in dict.fromkeys(others) if one is not None and not one.isdecimal()]
    shown = telling[:_TELLING] or [one for one in others if one is not None][:1]

    def read(some: Sequence[str | None]) -> np.ndarray | None:
        joint = read_numbers([*shown, *some], comma_may_be_decimal=comma_may_be_decimal)
        if joint is None:
            return None
        its = joint[len(shown) :]
        whole = its.dtype.kind == "f" and all(one.is_integer() for one in its.tolist())
        return its.astype(np.int64) if whole and np.abs(its).max(initial=0) < EXACT else its

    together = read(texts)
    if together is not None:
        return together
    alone = [None if one is None else read([one]) for one in texts]
    if all(one is None for one in alone):
        return None
    return np.array([np.nan if one is None else float(one[0]) for one in alone])


# So many texts tell how numbers are written.
_TELLING = 50


def _without_blanks(text: str) -> str:
    """A number whose groups stand apart without what is between them; any other text as it is."""
    return re.sub(r"[ \u00a0\u202f]", "", text) if _IS_SPACED.fullmatch(text) else text


def _plain_numbers(texts: Sequence[str | None]) -> np.ndarray | None:
    # Python's own numbers may hold underscores, as categories do.
    present = [one for one in texts if one is not None]
    if all(map(_IS_WHOLE.fullmatch, present)):
        return _whole_numbers([None if one is None else int(one) for one in texts])
    if not all(_IS_PLAIN.fullmatch(one) or _IS_NO_NUMBER.fullmatch(one) for one in present):
        return None
    numbers = np.array([np.nan if one is None else float(one) for one in texts])
    # a column without a single number is no column of numbers
    return numbers if np.isfinite(numbers).any() else None


def _whole_numbers(numbers: list[int | None]) -> np.ndarray | None:
    present = [one for one in numbers if one is not None]
    if not present:
        return None
    gaps, largest = None in numbers, max(map(abs, present))
    if not gaps and largest < 2**63:
        return np.array(numbers, np.int64)
    if gaps and largest <= EXACT:
        return np.array([np.nan if one is None else one for one in numbers], np.float64)
    held = np.empty(len(numbers), object)
    held[:] = numbers
    return held


def is_number_text(text: str) -> bool:
    """Whether a text is a plain number, which may also be a name, such as a postal code.

    Examples:
        >>> is_number_text("007"), is_number_text("1,200")
        (True, False)
    """
    return _IS_PLAIN.fullmatch(text.strip()) is not None


def _without_sign(text: str) -> str:
    """The number of a text of money or a percentage; any other text as it is."""
    money = _IS_MONEY.fullmatch(text)
    if money is not None:
        return money["sign"] + (money["after"] or money["before"])
    return text.removesuffix("%").rstrip()


# Of different texts as many may be no numbers among others that are: names are seldom "12.5".
_STRAY = 0.05


def unread_text(texts: Sequence[str]) -> str | None:
    """What texts are that were meant as numbers or dates and would be taken for categories.

    Plain whole numbers as text may well be the names of categories, such as postal codes, and are
    none of these.

    Args:
        texts: the entries of a column.

    Returns:
        A few words with an example and what to do, to end a sentence that begins "holds"; None
        for text of any other kind.

    Examples:
        >>> unread_text(["2020-01-05", "2021-12-31"])
        "dates, such as '2020-01-05': make a number of them, such as days since the first"
        >>> unread_text(["$1,200.50", "$80"])
        "money as text, such as '$1,200.50': write the numbers alone, as 1200.5"
        >>> unread_text(["12345", "54321"]), unread_text(["clerk", "?"])
        (None, None)
        >>> unread_text([*(f"{one}.5" for one in range(99)), "n.a."])
        "numbers beside 'n.a.': mend that, or make NaN of it where it stands for nothing"
    """
    texts = [one.strip() for one in texts]
    given = [one for one in texts if not is_missing_text(one)]
    if not given:
        return None
    if all(map(_IS_DATE.fullmatch, given)):
        return f"dates, such as {given[0]!r}: make a number of them, such as days since the first"
    other = [one for one in given if not _IS_PLAIN.fullmatch(one)]
    if other and len(other) <= _STRAY * len(given) and any("." in one for one in given):
        return (
            f"numbers beside {other[0]!r}: mend that, or make NaN of it where it stands for nothing"
        )
    bare = [_without_sign(one) for one in given]
    if not all(_IS_POINT.fullmatch(one) or _IS_COMMA.fullmatch(one) for one in bare):
        return None
    money = next((one for one in given if _IS_MONEY.fullmatch(one)), None)
    if money is not None:
        return f"money as text, such as {money!r}: write the numbers alone, as 1200.5"
    written = next((one for one in given if not _IS_PLAIN.fullmatch(one)), None)
    if written is not None:
        return f"numbers as text, such as {written!r}: write them plainly, as 1200.5"
    marker = next((one for one in texts if is_missing_text(one)), None)
    if marker is not None:
        return f"numbers beside {marker!r}: make numbers of them, and NaN of {marker!r}"
    return None
