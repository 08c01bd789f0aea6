"""One data set in memory: training and test rows, their labels, and what the numbers mean."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Array, Float32, Int32
from numpy.typing import ArrayLike

from jaxcf.utils.numbers import check_whole

Kind = Literal["image", "table"]
AnyArray = TypeVar("AnyArray", np.ndarray, Array)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test rows with their labels; build one with `load` or `from_arrays`.

    Args:
        name: What to call it in results and pictures.
        kind: "image" (rows are `[height, width, channels]`) or "table" (rows are `[features]`).
        x_train: Training rows `[train_rows, *shape]`, float32 in [0, 1].
        y_train: Training labels `[train_rows]`, int32 in [0, num_classes).
        x_test: Test rows `[test_rows, *shape]`, float32. Images lie in [0, 1]; the values of a
            table may lie slightly outside, because its range is taken from the training rows only.
        y_test: Test labels `[test_rows]`, int32 in [0, num_classes).
        class_names: One name per class.
        feature_names: One name per column of a table, None for images.
        offset: Per column of a table, such that original = x * scale + offset; None for images.
        scale: Per column of a table, in the units of the original column; None for images.

    Examples:
        >>> from jaxcf.data import load
        >>> digits = load("digits")
        >>> digits.kind, digits.shape, digits.num_classes
        ('image', (8, 8, 1), 10)
    """

    name: str
    kind: Kind
    x_train: Float32[np.ndarray, "train_rows *shape"]
    y_train: Int32[np.ndarray, " train_rows"]
    x_test: Float32[np.ndarray, "test_rows *shape"]
    y_test: Int32[np.ndarray, " test_rows"]
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...] | None = None
    offset: Float32[np.ndarray, " features"] | None = None
    scale: Float32[np.ndarray, " features"] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row: `(height, width, channels)` or `(features,)`."""
        return self.x_train.shape[1:]

    @property
    def num_classes(self) -> int:
        """How many classes there are, whether or not every one of them has rows."""
        return len(self.class_names)

    def __repr__(self) -> str:
        return (
            f"Dataset(name={self.name!r}, kind={self.kind!r}, shape={self.shape}, "
            f"train_rows={len(self.x_train)}, test_rows={len(self.x_test)}, "
            f"num_classes={self.num_classes})"
        )

    def first(self, *, train: int | None = None, test: int | None = None) -> "Dataset":
        """Keep only the first rows of each split, for a quick run.

        Args:
            train: How many training rows to keep, 1 or more; None keeps all.
            test: How many test rows to keep, 1 or more; None keeps all.

        Returns:
            The smaller data set; asking for more rows than there are keeps all.

        Raises:
            ValueError: A count is below 1.

        Examples:
            >>> from jaxcf.data import load
            >>> load("digits").first(train=100, test=10)
            Dataset(name='digits', kind='image', shape=(8, 8, 1), train_rows=100, test_rows=10, \
num_classes=10)
        """
        for split, count in (("train", train), ("test", test)):
            if count is not None:  # else all rows
                check_whole(split, count)
        return replace(
            self,
            x_train=self.x_train[:train],
            y_train=self.y_train[:train],
            x_test=self.x_test[:test],
            y_test=self.y_test[:test],
        )

    def to_original(self, x: AnyArray) -> AnyArray:
        """Turn rows of a table back into the units of its columns: x * scale + offset.

        Args:
            x: Rows `[..., features]` in the scaled units, a numpy or JAX array.

        Returns:
            The same rows in the original units, of the same kind of array.

        Raises:
            ValueError: The data set is not a table, or `x` has another number of columns.

        Examples:
            >>> from jaxcf.data import load
            >>> table = load("breast_cancer")
            >>> bool((table.to_original(table.x_train).max(axis=0) > 1).any())
            True
        """
        if self.offset is None or self.scale is None:
            raise ValueError(
                f"{self.name!r} holds images, which have no per-column units; only tables carry "
                "offset and scale. Multiply by 255 for grey levels."
            )
        if x.ndim == 0 or x.shape[-1] != len(self.offset):
            raise ValueError(
                f"x has shape {x.shape}; expected {len(self.offset)} values on the last axis, "
                "one per column of the table."
            )
        # the axes are spelled out, because JAX can be told to refuse implicit ones
        axes = (1,) * (x.ndim - 1) + (-1,)
        return x * self.scale.reshape(axes) + self.offset.reshape(axes)


def from_arrays(
    x_train: ArrayLike,
    y_train: ArrayLike,
    x_test: ArrayLike,
    y_test: ArrayLike,
    *,
    name: str,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    offset: ArrayLike | None = None,
    scale: ArrayLike | None = None,
) -> Dataset:
    """Check arrays and make a `Dataset` of them.

    Args:
        x_train: Training rows: images `[rows, height, width, channels]`, either uint8 (divided by
            255) or already in [0, 1], or a table `[rows, features]` in any units.
        y_train: Training labels `[rows]`, integers in [0, num_classes).
        x_test: Test rows, shaped like the training rows.
        y_test: Test labels `[rows]`.
        name: What to call the data set.
        class_names: One name per class; by default "0", "1", ... up to the largest label.
        feature_names: One name per column of a table; by default "feature_0", "feature_1", ...
        offset: For a table whose values are scaled already: the offset per column, or one number.
            None scales every column to [0, 1] by the least and the largest TRAINING value.
        scale: Likewise, positive. `offset=0.0, scale=1.0` takes the values as they are.

    Returns:
        The data set, with float32 rows and int32 labels. Test values of a table may lie slightly
        outside [0, 1]; a column that is constant in training becomes 0 and keeps scale 1.

    Raises:
        TypeError: Rows are not numbers, or labels are not integers.
        ValueError: Shapes, lengths, ranges or names do not fit together, or a value is not finite.

    Examples:
        >>> import numpy as np
        >>> rows = np.array([[1.0, 50.0], [3.0, 70.0], [2.0, 60.0]])
        >>> table = from_arrays(rows, np.array([0, 1, 1]), rows[:1], np.array([0]), name="toy")
        >>> table.x_train.tolist()
        [[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]]
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"name is {name!r}; expected a non-empty string.")
    train = _rows(x_train, "x_train")
    test = _rows(x_test, "x_test")
    if train.shape[1:] != test.shape[1:]:
        raise ValueError(
            f"x_train has rows of shape {train.shape[1:]} and x_test of shape {test.shape[1:]}; "
            "expected the same shape. Give both splits the same preprocessing."
        )
    kind: Kind = "image" if train.ndim == 4 else "table"
    train_labels = _labels(y_train, "y_train", rows=len(train))
    test_labels = _labels(y_test, "y_test", rows=len(test))
    names = _class_names(class_names, train_labels, test_labels)

    if kind == "image":
        given = {"feature_names": feature_names, "offset": offset, "scale": scale}
        for argument, value in given.items():
            if value is not None:
                raise ValueError(f"{argument} was given with images; it applies to tables only.")
        return Dataset(
            name=name,
            kind=kind,
            x_train=_image_values(train, "x_train"),
            y_train=train_labels,
            x_test=_image_values(test, "x_test"),
            y_test=test_labels,
            class_names=names,
        )

    columns = _feature_names(feature_names, train.shape[1])
    for array, argument in ((train, "x_train"), (test, "x_test")):
        _check_finite(array, argument, columns)
    if (offset is None) != (scale is None):
        raise ValueError("offset and scale go together; give both, or neither to have them found.")
    if offset is None or scale is None:
        low, width = _training_range(train)
        train, test = (train - low) / width, (test - low) / width
    else:
        low = _per_column(offset, "offset", train.shape[1])
        width = _per_column(scale, "scale", train.shape[1])
        if not (width > 0).all():
            raise ValueError("scale holds a value that is not positive; expected scale > 0.")
        _check_scaled(train, columns)
    return Dataset(
        name=name,
        kind=kind,
        x_train=train.astype(np.float32),
        y_train=train_labels,
        x_test=test.astype(np.float32),
        y_test=test_labels,
        class_names=names,
        feature_names=columns,
        offset=low.astype(np.float32),
        scale=width.astype(np.float32),
    )


def _rows(values: ArrayLike, argument: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{argument} has dtype {array.dtype}; expected numbers. "
            "Encode text and categories first (see jaxcf.tabular)."
        )
    if array.ndim not in (2, 4):
        hint = " Add the channel axis with x[..., None]." if array.ndim == 3 else ""
        raise ValueError(
            f"{argument} has shape {array.shape}; expected images [rows, height, width, channels] "
            f"or a table [rows, features].{hint}"
        )
    if array.size == 0:
        raise ValueError(f"{argument} has shape {array.shape} and holds nothing; expected 1+ rows.")
    # float64 until the range is taken out: float32 would lose digits of large, narrow columns
    return array.astype(np.float64) if array.ndim == 2 else array


def _labels(values: ArrayLike, argument: str, *, rows: int) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iub":
        raise TypeError(
            f"{argument} has dtype {array.dtype}; expected integer labels 0, 1, 2, ... "
            "Use np.unique(labels, return_inverse=True) to number them."
        )
    if array.shape != (rows,):
        raise ValueError(
            f"{argument} has shape {array.shape}; expected one label per row, ({rows},)."
        )
    if array.min() < 0:
        raise ValueError(f"{argument} holds the label {array.min()}; expected labels from 0 up.")
    return array.astype(np.int32)


def _class_names(
    class_names: Sequence[str] | None, train: np.ndarray, test: np.ndarray
) -> tuple[str, ...]:
    largest = int(max(train.max(), test.max()))
    if class_names is None:
        return tuple(str(label) for label in range(largest + 1))
    names = _names(class_names, "class_names")
    if largest >= len(names):
        raise ValueError(
            f"The labels go up to {largest} and class_names holds {len(names)} names; expected "
            f"labels in [0, {len(names)}). Name every class, or correct the labels."
        )
    return names


def _feature_names(feature_names: Sequence[str] | None, columns: int) -> tuple[str, ...]:
    if feature_names is None:
        return tuple(f"feature_{column}" for column in range(columns))
    names = _names(feature_names, "feature_names")
    if len(names) != columns:
        raise ValueError(
            f"feature_names holds {len(names)} names; expected one per column, {columns}."
        )
    return names


def _names(names: Sequence[str], argument: str) -> tuple[str, ...]:
    if isinstance(names, str):
        raise TypeError(f"{argument} is one string, {names!r}; expected a sequence of names.")
    distinct = tuple(str(name) for name in names)
    repeated = sorted({name for name in distinct if distinct.count(name) > 1})
    if repeated:
        raise ValueError(f"{argument} repeats {', '.join(repeated)}; expected each name once.")
    return distinct


def _image_values(array: np.ndarray, argument: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return np.divide(array, np.float32(255), dtype=np.float32)
    _check_finite(array, argument, None)
    if array.min() < 0 or array.max() > 1:
        raise ValueError(
            f"{argument} holds {array.dtype} values from {array.min():g} to {array.max():g}; "
            "expected uint8 in [0, 255] or floats in [0, 1]. Rescale it first."
        )
    return array.astype(np.float32)


def _check_finite(array: np.ndarray, argument: str, columns: tuple[str, ...] | None) -> None:
    finite = np.isfinite(array)
    if finite.all():
        return
    place = tuple(int(axis) for axis in np.argwhere(~finite)[0])
    column = "" if columns is None else f", column {columns[place[1]]!r}"
    raise ValueError(
        f"{argument} holds {int((~finite).sum())} values that are not finite, the first in row "
        f"{place[0]}{column}; expected finite numbers. Drop or fill those rows first."
    )


def _training_range(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low = train.min(axis=0)
    width = train.max(axis=0) - low
    # the constant column carries no information: it becomes 0 and must not divide by 0
    return low, np.where(width > 0, width, 1.0)


def _per_column(values: ArrayLike, argument: str, columns: int) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), (columns,)):
        raise ValueError(
            f"{argument} has shape {array.shape}; expected one number, or one per column "
            f"({columns},)."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{argument} holds a value that is not finite; expected finite numbers.")
    return np.broadcast_to(array, (columns,))


def _check_scaled(train: np.ndarray, columns: tuple[str, ...]) -> None:
    outside = np.flatnonzero((train.min(axis=0) < 0) | (train.max(axis=0) > 1))
    if outside.size:
        column = int(outside[0])
        raise ValueError(
            f"x_train column {columns[column]!r} runs from {train[:, column].min():g} to "
            f"{train[:, column].max():g}; with offset and scale given, expected scaled training "
            "values in [0, 1]. Leave out offset and scale to have the column scaled."
        )
