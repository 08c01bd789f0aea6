"""Arrays and their description as Parquet: columns for everybody, tensors where there are more.

What has one value per row is a plain column, which pandas, polars or DuckDB read by themselves; the
rest are Arrow's fixed-shape tensors, lists of numbers to those who don't know these.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow

_DESCRIPTION = b"jaxcf"

_CODEC = "zstd"


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
        return pa.array(values, pa.string())
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(values))


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
        table = pq.read_table(pa.BufferReader(content))
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


def _array(pa: Any, column: Any) -> np.ndarray:
    if isinstance(column, pa.ExtensionArray):
        array = column.to_numpy_ndarray()
    elif pa.types.is_string(column.type):
        return np.array(column.to_pylist(), object)
    else:
        array = column.to_numpy(zero_copy_only=False)
    # Arrow's memory takes no changes, and ends with the table.
    return array.copy()
