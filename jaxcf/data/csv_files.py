"""The lines of a CSV file as text: which encoding it has, and what stands between two cells."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

# The first that reads all lines alike is taken; "," where none does.
_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_CHARACTERS = 2**16
_SAMPLE_LINES = 100

MISSING = ("", "?", "NA", "N/A", "#N/A", "<NA>", "NaN", "null", "None")
"""What stands for a missing value in files; capital or small letters make no difference."""


class CsvLines(NamedTuple):
    """A CSV file as text.

    Attributes:
        header: the names of the columns.
        lines: the number of each line in the file, and its cells, as many as there are names.
        delimiter: what stands between two cells.
    """

    header: list[str]
    lines: list[tuple[int, list[str]]]
    delimiter: str

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """The cells of each column, by name."""
        cells = zip(*(line for _, line in self.lines), strict=True)
        return dict(zip(self.header, cells, strict=True))

    @property
    def comma_may_be_decimal(self) -> bool:
        """Whether "1,200" may be 1.2: not where a comma stands between cells."""
        return self.delimiter != ","


def read_lines(path: str | Path, delimiter: str | None = None) -> CsvLines:
    r"""The header of a CSV file, and its lines with their numbers, every one of the same length.

    Args:
        path: the file: UTF-8, UTF-16 with its mark, or else Windows-1252 (Latin-1).
        delimiter: the one character between two cells; None finds out which of comma, semicolon,
            tab and bar it is.

    Returns:
        Names and lines without the blanks around a cell; empty lines are left out.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, no text, empty, or repeats a name.

    Examples:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "people.csv"
        >>> _ = file.write_text("age;pay\n30;1,5\n")
        >>> read_lines(file)
        CsvLines(header=['age', 'pay'], lines=[(2, ['30', '1,5'])], delimiter=';')
    """
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1):
        raise ValueError(f"delimiter is {delimiter!r}; expected one character.")
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"There is no file {file}; correct the path.")
    text = _text_of(file)
    delimiter = delimiter or _delimiter_of(text)
    reader = _reader(text, delimiter, strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        lines = [(reader.line_num, [cell.strip() for cell in line]) for line in reader if line]
    except csv.Error as error:
        raise ValueError(
            f"{file} cannot be read after line {reader.line_num} ({error}); expected text "
            f"separated by {delimiter!r}."
        ) from error
    repeated = [column for column, count in Counter(header).items() if count > 1]
    if repeated:
        raise ValueError(f"{file} names the column {repeated[0]!r} twice; name each column once.")
    if not lines:
        raise ValueError(f"{file} holds no rows; expected a header line and one line per row.")
    for number, cells in lines:
        if len(cells) != len(header):
            raise ValueError(
                f"{file}, line {number}: {len(cells)} values; expected {len(header)}, one per "
                f"column of the header. Check the delimiter, {delimiter!r}, and the quotes."
            )
    return CsvLines(header, lines, delimiter)


def _text_of(file: Path) -> str:
    content = file.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        # Spreadsheets put a byte order mark before the first column. Latin-1 has a letter for each
        # byte, and Windows-1252 quotes and the euro for most of those that Latin-1 leaves blank.
        encodings = ["utf-8-sig", "cp1252", "latin-1"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise ValueError(
        f"{file} is no text file; expected lines of text with one header line. Export a "
        "spreadsheet as CSV."
    )


def _reader(text: str, delimiter: str, *, strict: bool) -> Any:
    stream = io.StringIO(text, newline="")
    return csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=strict)


def _delimiter_of(text: str) -> str:
    """The one that gives every line the same number of cells, the most; else the header's."""
    sample = text[:_SAMPLE_CHARACTERS]
    whole = len(text) == len(sample)
    counted: list[tuple[bool, int, str]] = []
    for delimiter in _DELIMITERS:
        try:
            read = islice(_reader(sample, delimiter, strict=False), _SAMPLE_LINES)
            counts = [len(line) for line in read if line]
        except csv.Error:
            continue
        # The sample may end within a line.
        counts = counts if whole or len(counts) < 2 else counts[:-1]
        if counts and counts[0] > 1:
            counted.append((len(set(counts)) == 1, counts[0], delimiter))
    # The first of equals, as they are listed.
    return max(counted, key=lambda one: one[:2])[2] if counted else _DELIMITERS[0]


def is_missing_text(cell: str, missing: Sequence[str] = MISSING) -> bool:
    """Whether a cell stands for a missing value.

    Examples:
        >>> is_missing_text("n/a"), is_missing_text("0"), is_missing_text("?", ("",))
        (True, False, False)
    """
    return cell.casefold() in _folded(tuple(missing))


@cache
def _folded(missing: tuple[str, ...]) -> frozenset[str]:
    return frozenset(one.casefold() for one in missing)
