"""CSV files of mixed columns with a label, as mappings of columns: what `jaxcf.tabular` takes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Shaped

from jaxcf.data.csv_files import MISSING, is_missing_text, read_lines
from jaxcf.data.written_numbers import read_numbers, read_numbers_like

ADULT_LABEL = "income"
_ADULT_FILES = ("train.csv", "test.csv")
# The papers about it take "?" for a category.
_ADULT_MISSING = ("",)


@dataclass(frozen=True, eq=False)
class LabelledTable:
    """Columns by name, and the label of each row.

    Args:
        columns: Integers, floats, or strings as objects; without the label.
        labels: `[rows]`, the names of the classes, as strings.

    Examples:
        >>> table = LabelledTable({"age": np.array([30, 40])}, np.array(["yes", "no"], object))
        >>> table.class_names, table.classes().tolist(), len(table)
        (('no', 'yes'), [1, 0], 2)
    """

    columns: Mapping[str, np.ndarray]
    labels: Shaped[np.ndarray, " rows"]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The different labels, sorted."""
        return tuple(sorted(set(self.labels.tolist())))

    def classes(self, class_names: Sequence[str] | None = None) -> Int[np.ndarray, " rows"]:
        """The number of each row's class.

        Args:
            class_names: In this order; None for the table's own.

        Raises:
            ValueError: If a label is none of them.
        """
        numbers = {name: place for place, name in enumerate(class_names or self.class_names)}
        unknown = sorted(set(self.labels.tolist()) - set(numbers))
        if unknown:
            raise ValueError(
                f"the label {unknown[0]!r} is none of the classes {', '.join(numbers)}; use the "
                "same names in all files"
            )
        return np.array([numbers[name] for name in self.labels.tolist()], np.int64)

    def take(
        self, rows: slice | Sequence[int] | Int[np.ndarray, " k"] | Bool[np.ndarray, " rows"]
    ) -> "LabelledTable":
        """Some rows: a slice, a mask or row numbers."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return LabelledTable(columns, self.labels[rows])


def read_table(
    path: str | Path,
    *,
    delimiter: str | None = None,
    like: Mapping[str, np.ndarray] | None = None,
    alike: str | Path | None = None,
    missing: Sequence[str] = MISSING,
    as_text: Collection[str] = (),
    as_written: Collection[str] = (),
) -> dict[str, np.ndarray]:
    r"""Read a CSV file with a header line into columns.

    Numbers may be written as "1,200.50", "1.200,50", "1 200,50", "3,5" or "50%" (which is 50). What
    is none stays text: dates, and numbers that can be read in two ways ("1,200" in a file whose
    cells are not separated by commas); `Schema.infer` names these.

    Args:
        path: The file: UTF-8, UTF-16 with its mark, or Latin-1.
        delimiter: The one character between two columns; None finds out which of comma, semicolon,
            tab and bar it is.
        like: Columns of another file of the same kind: what is text there is text here, even where
            all entries could be numbers.
        alike: The file that these are columns of: its numbers say how those here are written,
            whether "2.200" is two or two thousand, say. What isn't written so is NaN.
        missing: What stands for a missing value, in capital or small letters. Pass fewer where one
            is a category, such as "?".
        as_text: Columns that hold no numbers, whatever they look like: classes, codes. Those that
            the file lacks make no difference.
        as_written: Columns of which nothing but an empty cell is missing, either: identifiers.

    Returns:
        By name: int64 where every entry is a whole number, float64 where every entry is a number
        or missing (NaN); Python's integers as objects where these don't hold them; else strings as
        objects, None where missing.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The header repeats a name, a line is too short or too long, there are no rows,
            or the file is no such text, or numbers aren't written as those of `alike`.

    Examples:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "people.csv"
        >>> _ = file.write_text("age;pay;job\n30;1.200,50;clerk\n40;NA;?\n")
        >>> {name: column.tolist() for name, column in read_table(file).items()}
        {'age': [30, 40], 'pay': [1200.5, nan], 'job': ['clerk', None]}
    """
    content = read_lines(path, delimiter)
    markers = tuple(missing)
    text = {name for name, column in (like or {}).items() if _is_text(column)}
    text.update(as_text, as_written)
    others = {} if alike is None else read_lines(alike, delimiter).columns
    read = {}
    for name, cells in content.columns.items():
        its = ("",) if name in as_written else markers
        entries = [None if is_missing_text(cell, its) else cell for cell in cells]
        numbers, decimal = None, content.comma_may_be_decimal
        if name not in text and _is_number((like or {}).get(name)) and name in others:
            written = [None if is_missing_text(cell, its) else cell for cell in others[name]]
            numbers = read_numbers_like(entries, written, comma_may_be_decimal=decimal)
            if numbers is None and read_numbers(entries, comma_may_be_decimal=decimal) is not None:
                raise ValueError(
                    f"column {name!r} of {path} holds {next(filter(None, entries))!r}, which isn't "
                    f"written as the numbers of {alike} are, such as "
                    f"{next(filter(None, written))!r}; write them alike"
                )
        elif name not in text:
            numbers = read_numbers(entries, comma_may_be_decimal=decimal)
        read[name] = _as_objects(entries) if numbers is None else numbers
    return read


def split_label(
    columns: Mapping[str, np.ndarray], label: str, origin: str = "the table"
) -> LabelledTable:
    """Take the label column off.

    Args:
        columns: As `read_table` gives them.
        label: Name of the label column.
        origin: What to call the table in messages.

    Returns:
        The other columns and the labels, whole numbers written without a point.

    Raises:
        ValueError: If there is no such column or no other, or a row has no label.

    Examples:
        >>> split_label({"age": np.array([30, 40]), "paid": np.array([1, 0])}, "paid").labels
        array(['1', '0'], dtype=object)
    """
    if label not in columns:
        raise ValueError(f"{origin} has no column {label!r}; it has {', '.join(columns)}")
    rest = {name: column for name, column in columns.items() if name != label}
    if not rest:
        raise ValueError(f"{origin} has only the label column {label!r}; expected others as well")
    given = columns[label].tolist()
    missing = [row for row, one in enumerate(given) if one is None or one != one]
    if missing:
        raise ValueError(
            f"{len(missing)} rows of {origin} have no {label!r}, the first is row {missing[0]} "
            "(counted from 0); fill them in or drop those rows"
        )
    return LabelledTable(rest, np.array([str(one) for one in given], object))


def find_adult(data_dir: str | Path | None) -> tuple[Path, Path]:
    """Where the two files of the Adult data set (census income) lie.

    Args:
        data_dir: A folder that holds `train.csv` and `test.csv`, or a folder `adult` with them.

    Returns:
        Training and test file.

    Raises:
        ValueError: No folder was given.
        FileNotFoundError: They aren't there; nothing is downloaded.
    """
    if data_dir is None:
        raise ValueError(f"'adult' needs data_dir=: {_ADULT_HELP}")
    root = Path(data_dir).expanduser()
    for folder in (root / "adult", root):
        train, test = (folder / name for name in _ADULT_FILES)
        if train.is_file() and test.is_file():
            return train, test
    raise FileNotFoundError(f"{root} holds no Adult data: {_ADULT_HELP}")


_ADULT_HELP = (
    f"a folder that holds {' and '.join(_ADULT_FILES)} (itself, or in a folder 'adult'), with a "
    f"header line and the label column {ADULT_LABEL!r}. Nothing is downloaded: scikit-learn's "
    "fetch_openml('adult', version=2) has the data, and so has the UCI archive "
    "(https://archive.ics.uci.edu/dataset/2/adult), adult.data and adult.test, which lack the "
    "header line"
)


def read_adult(data_dir: str | Path | None) -> tuple[LabelledTable, LabelledTable]:
    """Read the Adult data set: 32,561 training and 16,281 test rows, "?" a category.

    Args:
        data_dir: As for `find_adult`.

    Returns:
        Training and test rows; the point that the archive's test labels end with is taken off.

    Raises:
        ValueError: No folder was given, or a file is damaged.
        FileNotFoundError: The files aren't there.
    """
    train_file, test_file = find_adult(data_dir)
    train = read_table(train_file, missing=_ADULT_MISSING)
    test = read_table(test_file, like=train, missing=_ADULT_MISSING)
    train, test = (
        split_label(one, ADULT_LABEL, str(file))
        for one, file in ((train, train_file), (test, test_file))
    )
    labels = np.array([one.rstrip(".") for one in test.labels.tolist()], object)
    return train, LabelledTable(test.columns, labels)


def _is_text(column: np.ndarray) -> bool:
    # Whole numbers that no other type holds are objects, too.
    return column.dtype.kind == "O" and not any(isinstance(one, int) for one in column.tolist())


def _is_number(column: np.ndarray | None) -> bool:
    return column is not None and column.dtype.kind in "if"


def _as_objects(entries: list[str | None]) -> np.ndarray:
    column = np.empty(len(entries), object)
    column[:] = entries
    return column
