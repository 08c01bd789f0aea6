"""Arrays and their description as Parquet: columns for everybody, tensors where there are more.

What has one value per row is a plain column, which pandas, polars or DuckDB read by themselves; the
rest are Arrow's fixed-shape tensors, lists of numbers to those who don't know these.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow

_DESCRIPTION = b"jaxcf"

_CODEC = "zstd"
# What Parquet adds to the name of a column of lists.
_ELEMENT = ".list.element"


def to_parquet(
    arrays: Mapping[str, np.ndarray | Sequence[Any]], description: Mapping[str, Any]
) -> bytes:
    """Columns and a JSON-able description of them as a file: the same for the same content.

    Args:
        arrays: by the name of the column, one entry per row, at least one row; lists hold texts,
            None where there is none.
        description: of all of it.

    Returns:
        The content of the file.

    Examples:
        >>> content = to_parquet({"row": np.arange(2), "x": np.zeros((2, 3, 4))}, {"made": "here"})
        >>> arrays, description = from_parquet(content)
        >>> arrays["x"].shape, description
        ((2, 3, 4), {'made': 'here'})
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: _column(pa, values) for name, values in arrays.items()}
    words = {_DESCRIPTION: json.dumps(description, sort_keys=True, allow_nan=False).encode()}
    table = pa.table(columns).replace_schema_metadata(words)
    sink = pa.BufferOutputStream()
    # What Arrow says of its types leaves out that names of columns will do.
    texts: Any = [name for name, column in columns.items() if pa.types.is_string(column.type)]
    pq.write_table(table, sink, compression=_CODEC, use_dictionary=texts)
    return sink.getvalue().to_pybytes()


def _column(pa: Any, values: np.ndarray | Sequence[Any]) -> "pyarrow.Array":
    if not isinstance(values, np.ndarray) or values.dtype.kind in "OU":
        return _texts(pa, values)
    numbers = _numbers(pa, np.ascontiguousarray(values).reshape(-1))
    if values.ndim == 1:
        return numbers
    shape = values.shape[1:]
    rows = pa.FixedSizeListArray.from_arrays(numbers, math.prod(shape))
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(numbers.type, shape), rows)


# From and to memory: `pyarrow.array` and `to_numpy` import pandas first, to see whether it is a
# series that they are given.


def _numbers(pa: Any, flat: np.ndarray) -> Any:
    if flat.dtype.kind == "b":
        kind, memory = pa.bool_(), np.packbits(flat, bitorder="little")
    else:
        kind, memory = pa.from_numpy_dtype(flat.dtype), flat
    return pa.Array.from_buffers(kind, len(flat), [None, pa.py_buffer(memory)])


def _texts(pa: Any, values: np.ndarray | Sequence[Any]) -> Any:
    values = list(values)
    places = {text: place for place, text in enumerate(dict.fromkeys(values))}
    encoded = [b"" if text is None else str(text).encode() for text in places]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    there = np.packbits([text is not None for text in places], bitorder="little")
    buffers = [pa.py_buffer(one) for one in (there, ends, b"".join(encoded))]
    known = pa.Array.from_buffers(pa.large_string(), len(encoded), buffers)
    index = _numbers(pa, np.array([places[text] for text in values], np.int32))
    return pa.DictionaryArray.from_arrays(index, known.cast(pa.string())).dictionary_decode()


def from_parquet(content: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `to_parquet` was given.

    Args:
        content: of the file.

    Returns:
        The arrays, texts as arrays of objects, and the description.

    Raises:
        ValueError: if it is no such file, or is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read()
        description = json.loads((table.schema.metadata or {})[_DESCRIPTION])
        arrays = {
            name: _array(pa, table.column(name).combine_chunks()) for name in table.column_names
        }
    # Damage shows as whatever Arrow, zstd or JSON stumble over.
    except Exception as error:
        raise ValueError(f"it is no part that jaxcf wrote, or is damaged: {error}") from error
    if not isinstance(description, dict):
        raise ValueError("its description is no JSON object")
    return arrays, description


def column_sizes(path: Path) -> dict[str, int]:
    """How many bytes each column of a file takes before it is packed; only its end is read.

    Args:
        path: of the file.

    Returns:
        By the name of the column.

    Raises:
        OSError: if it can't be opened.
        ValueError: if it is no such file, or its end is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        try:
            described = pq.read_metadata(file)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"it is no part that jaxcf wrote, or is damaged: {error}") from error
    sizes: dict[str, int] = {}
    for number in range(described.num_row_groups):
        group = described.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            # Of a tensor, "x.list.element".
            name = column.path_in_schema.removesuffix(_ELEMENT)
            sizes[name] = sizes.get(name, 0) + column.total_uncompressed_size
    return sizes


def _array(pa: Any, column: Any) -> np.ndarray:
    if pa.types.is_string(column.type):
        return np.array(column.to_pylist(), object)
    if not isinstance(column, pa.ExtensionArray):
        return _entries(column)
    return _entries(column.storage.flatten()).reshape(len(column), *column.type.shape)


def _entries(numbers: Any) -> np.ndarray:
    """Numbers out of Arrow's memory, which takes no changes, and ends with the table."""
    if numbers.null_count:
        raise ValueError("it lacks numbers")
    kind, memory = np.dtype(numbers.type.to_pandas_dtype()), numbers.buffers()[1]
    window = slice(numbers.offset, numbers.offset + len(numbers))
    if kind.kind == "b":
        bits = np.unpackbits(np.frombuffer(memory, np.uint8), bitorder="little")
        return bits[window].astype(bool)
    return np.frombuffer(memory, kind)[window].copy()
