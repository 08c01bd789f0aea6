"""Your own data: a folder of images, or a CSV of numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxcf.data.csv_files import is_missing_text, read_lines
from jaxcf.data.dataset import Dataset, from_arrays
from jaxcf.data.prepared import check_image_size, decode_image
from jaxcf.data.splitting import check_split_options, stratified_split
from jaxcf.data.written_numbers import read_numbers

_SHOWN_FILES = 10


def image_folder(
    path: str | Path,
    *,
    image_size: int,
    grayscale: bool = False,
    test_fraction: float = 0.25,
    seed: int = 0,
    name: str | None = None,
) -> Dataset:
    """Read a folder that holds one folder of images per class.

    Args:
        path: The folder; its folders are the classes, in alphabetical order. Hidden files and
            folders are skipped, every other file must be an image.
        image_size: Side of the square that every image is stretched to, in pixels.
        grayscale: Whether to read grey levels (one channel) instead of RGB (three).
        test_fraction: Share of each class that becomes test rows, in (0, 1).
        seed: Which split, see `stratified_split`.
        name: What to call the data set; by default the name of the folder.

    Returns:
        The data set: images float32 in [0, 1], `[rows, image_size, image_size, 1 or 3]`.

    Raises:
        FileNotFoundError: There is no such folder.
        TypeError: An argument has the wrong type.
        ValueError: Fewer than two classes, a class without images, or files that are no images:
            the message names them.

    Examples:
        >>> import pathlib, tempfile
        >>> from PIL import Image
        >>> root = pathlib.Path(tempfile.mkdtemp())
        >>> for animal, grey in (("cat", 50), ("dog", 200)):
        ...     (root / animal).mkdir()
        ...     for number in range(4):
        ...         Image.new("L", (9, 7), grey).save(root / animal / f"{number}.png")
        >>> image_folder(root, image_size=8, grayscale=True, name="pets")
        Dataset(name='pets', kind='image', shape=(8, 8, 1), train_rows=6, test_rows=2, \
num_classes=2)
    """
    shape = (check_image_size(image_size), image_size, 1 if grayscale else 3)
    check_split_options(test_fraction, seed)
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}; correct the path.")
    classes = [entry for entry in _visible(root) if entry.is_dir()]
    if len(classes) < 2:
        raise ValueError(
            f"{root} holds {len(classes)} folders; expected one folder of images per class, and "
            "two classes or more."
        )
    files = [(file, label) for label, folder in enumerate(classes) for file in _visible(folder)]
    images = _read_images([file for file, _ in files], shape, root)
    labels = np.array([label for _, label in files], dtype=np.int32)
    return _split(
        images,
        labels,
        name=name or root.resolve().name,
        class_names=tuple(folder.name for folder in classes),
        origin=str(root),
        test_fraction=test_fraction,
        seed=seed,
    )


def read_csv(
    path: str | Path,
    *,
    label: str,
    test_fraction: float = 0.25,
    seed: int = 0,
    delimiter: str | None = None,
    name: str | None = None,
) -> Dataset:
    r"""Read a CSV file whose columns are numbers, except the label.

    Numbers may be written as "1,200.50", "1.200,50", "3,5" or "50%" (which is 50).

    Args:
        path: The file, with a header line that names the columns; UTF-8, UTF-16 or Latin-1.
        label: Name of the label column; its values may be text. Classes are in the order of the
            numbers where all labels are integers, in alphabetical order otherwise.
        test_fraction: Share of each class that becomes test rows, in (0, 1).
        seed: Which split, see `stratified_split`.
        delimiter: The one character between two columns; None finds out which of comma, semicolon,
            tab and bar it is.
        name: What to call the data set; by default the name of the file.

    Returns:
        The data set, every column scaled to [0, 1] by its range in the training rows; test values
        may lie slightly outside. `to_original` turns rows back.

    Raises:
        FileNotFoundError: There is no such file.
        TypeError: An argument has the wrong type.
        ValueError: A value is missing or not a number, a line is too short or too long, or the
            label is not a column: the message names the column and the line.

    Examples:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "loans.csv"
        >>> _ = file.write_text("age,sum,paid\n" + "30,100,yes\n40,300,no\n" * 4)
        >>> loans = read_csv(file, label="paid")
        >>> loans.class_names, loans.feature_names, loans.offset.tolist(), loans.scale.tolist()
        (('no', 'yes'), ('age', 'sum'), [30.0, 100.0], [10.0, 200.0])
    """
    check_split_options(test_fraction, seed)
    file = Path(path).expanduser()
    content = read_lines(file, delimiter)
    columns = content.columns
    if label not in columns:
        raise ValueError(
            f"{file} has no column {label!r} for the label; it has {', '.join(columns)}."
        )
    if len(columns) < 2:
        raise ValueError(f"{file} has only the label column {label!r}; expected features as well.")
    numbered = [number for number, _ in content.lines]
    _check_present(columns, file, numbered)
    texts = columns.pop(label)
    rows = np.stack(
        [
            _numbers(
                cells,
                file,
                numbered,
                column,
                comma_may_be_decimal=content.comma_may_be_decimal,
            )
            for column, cells in columns.items()
        ],
        axis=1,
    )
    class_names = _sorted_classes(set(texts))
    numbers = {text: index for index, text in enumerate(class_names)}
    return _split(
        rows,
        np.array([numbers[text] for text in texts], dtype=np.int32),
        name=name or file.stem,
        class_names=class_names,
        feature_names=tuple(columns),
        origin=str(file),
        test_fraction=test_fraction,
        seed=seed,
    )


def _split(
    rows: np.ndarray,
    labels: np.ndarray,
    *,
    name: str,
    class_names: tuple[str, ...],
    origin: str,
    test_fraction: float,
    seed: int,
    feature_names: tuple[str, ...] | None = None,
) -> Dataset:
    counts = np.bincount(labels, minlength=len(class_names))
    scarce = [text for text, count in zip(class_names, counts, strict=True) if count < 2]
    if scarce:
        raise ValueError(
            f"{origin} has fewer than 2 rows of class {', '.join(scarce)}; expected one at least "
            "for training and one for testing. Add rows, or leave out the class."
        )
    train, test = stratified_split(labels, test_fraction=test_fraction, seed=seed)
    return from_arrays(
        rows[train],
        labels[train],
        rows[test],
        labels[test],
        name=name,
        class_names=class_names,
        feature_names=feature_names,
    )


def _visible(folder: Path) -> list[Path]:
    entries = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return sorted(entries, key=lambda entry: entry.name)


def _read_images(files: list[Path], shape: tuple[int, int, int], root: Path) -> np.ndarray:
    images = np.empty((len(files), *shape), dtype=np.uint8)
    unreadable = []
    for row, file in enumerate(files):
        try:
            images[row] = decode_image(file, shape)
        # what a damaged image raises depends on its format; SyntaxError is PIL's for PNG
        except (OSError, ValueError, SyntaxError) as error:
            reason = "a folder" if file.is_dir() else type(error).__name__
            unreadable.append(f"{file.relative_to(root)} ({reason})")
    if unreadable:
        more = len(unreadable) - _SHOWN_FILES
        rest = f" and {more} more" if more > 0 else ""
        raise ValueError(
            f"{root} holds {len(unreadable)} entries that cannot be read as images: "
            f"{', '.join(unreadable[:_SHOWN_FILES])}{rest}. Move them away or repair them."
        )
    return images


def _check_present(
    columns: Mapping[str, Sequence[str]], file: Path, numbered: Sequence[int]
) -> None:
    lacking = []
    for column, cells in columns.items():
        places = [place for place, cell in enumerate(cells) if is_missing_text(cell)]
        if places:
            first = f"the first in line {numbered[places[0]]}: {cells[places[0]]!r}"
            lacking.append(f"{column!r} ({len(places)}, {first})")
    if lacking:
        raise ValueError(
            f"{file} has no value in some of {len(numbered)} lines: columns {', '.join(lacking)}. "
            "Fill them, or drop those lines or columns."
        )


def _numbers(
    cells: Sequence[str],
    file: Path,
    numbered: Sequence[int],
    column: str,
    *,
    comma_may_be_decimal: bool,
) -> np.ndarray:
    numbers = read_numbers(cells, comma_may_be_decimal=comma_may_be_decimal)
    if numbers is None:
        # The cell that is none even by itself, or the one that doesn't go with those before it.
        bad = next(
            place
            for place, cell in enumerate(cells)
            if read_numbers([cell], comma_may_be_decimal=False) is None
            or read_numbers(cells[: place + 1], comma_may_be_decimal=comma_may_be_decimal) is None
        )
    elif np.isfinite(numbers).all():
        return numbers.astype(np.float64)
    else:
        bad = int(np.flatnonzero(~np.isfinite(numbers))[0])
    raise ValueError(
        f"{file}, line {numbered[bad]}: column {column!r} holds {cells[bad]!r}; expected a finite "
        "number, written as in the other lines. For columns of text see jaxcf.tabular."
    )


def _sorted_classes(texts: set[str]) -> tuple[str, ...]:
    try:
        # the text breaks the tie between "1" and "01", which sets hold in no fixed order
        return tuple(sorted(texts, key=lambda text: (int(text), text)))
    except ValueError:
        return tuple(sorted(texts))
