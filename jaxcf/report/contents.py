"""What a row is in the page: a picture, a list of features in original units, or neither."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import ArrayLike, Shaped

from jaxcf.report.packing import PackedArray, pack, packed_changes, packed_pictures
from jaxcf.results.comparison import Results
from jaxcf.tabular.columns import Column, Numeric
from jaxcf.tabular.explanations import TableExplanations
from jaxcf.utils.images import Channels, is_image, value_range, with_channels_last

ORIGINAL, COUNTERFACTUAL, OTHER = "original", "counterfactual", "other"

_LONGEST_SIDE = 128


@dataclass(frozen=True)
class Contents:
    """How rows are shown.

    Attributes:
        kind: "picture", "features" or "none".
        facts: what the page must know to show one, JSON-able.
        arrays: originals and counterfactuals, packed, by name.
        units: offset and scale of each feature, see `contents`.
        channels: where pictures have theirs, see `contents`.
    """

    kind: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, PackedArray] = field(default_factory=dict)
    units: tuple[np.ndarray, np.ndarray] | None = None
    channels: Channels | None = None

    def in_units(self, points: Shaped[np.ndarray, "... features"]) -> Shaped[np.ndarray, "..."]:
        """Points of flat rows as the page shows them."""
        if self.units is not None:
            offset, scale = (one.reshape(*[1] * (points.ndim - 1), -1) for one in self.units)
            points = points.astype(np.float64) * scale + offset
        # Float16 and the like have no typed array of their own in every browser.
        return np.asarray(points, np.float64 if points.dtype == np.float64 else np.float32)


def contents(
    explanations: Results,
    feature_names: Sequence[str] | None = None,
    feature_units: tuple[ArrayLike, ArrayLike] | None = None,
    other: Results | None = None,
    channels: Channels | None = None,
) -> Contents:
    """How the rows of some explanations are shown.

    Args:
        explanations: images `[n, h, w]`, `[n, h, w, 1 or 3]` or `[n, 1 or 3, h, w]`; tables
            `[n, features]`, or in original units; rows of other shapes are not shown.
        feature_names: one per feature of a table without units of its own; "feature 0" and so on
            where not given.
        feature_units: offset and scale of each feature of such a table: original = x * scale +
            offset; None shows it as the model takes it.
        other: explanations of the same rows whose counterfactuals are to be shown beside.
        channels: "first" for images `[channels, h, w]`, "last" for `[h, w, channels]`; None tells
            by their shape, see `jaxcf.utils.images.is_image`.

    Returns:
        The kind, the facts and the arrays.

    Raises:
        ValueError: if there are more or fewer names or units than features.
    """
    if isinstance(explanations, TableExplanations):
        return _table(explanations, other)
    shape = explanations.core.original.shape[1:]
    if len(shape) == 1 and shape[0]:
        return _flat(explanations, feature_names, feature_units, other)
    if is_image(shape, channels):
        return _pictures(explanations, other, channels)
    return Contents("none", {"shape": list(shape)})


def _pictures(explanations: Results, other: Results | None, channels: Channels | None) -> Contents:
    core = explanations.core
    low, high = value_range(core.original, core.counterfactual)
    originals = reduced(core.original, channels)
    counterfactuals = reduced(core.counterfactual, channels)
    height, width, num_channels = originals.shape[1:]
    given_height, given_width = with_channels_last(core.original, channels).shape[1:3]
    arrays = {
        ORIGINAL: packed_pictures(originals, low, high),
        COUNTERFACTUAL: packed_changes(counterfactuals, originals, low, high, ORIGINAL),
    }
    if other is not None:
        others = reduced(other.core.counterfactual, channels)
        arrays[OTHER] = packed_changes(others, originals, low, high, ORIGINAL)
    facts = {
        "height": height,
        "width": width,
        "channels": num_channels,
        "low": low,
        "high": high,
        "reach": _reach(counterfactuals - originals),
        "givenHeight": given_height,
        "givenWidth": given_width,
    }
    return Contents("picture", facts, arrays, channels=channels)


def reduced(
    pictures: Shaped[np.ndarray, "n *shape"], channels: Channels | None = None
) -> Shaped[np.ndarray, "n h w c"]:
    """Pictures with their channel last, those with long sides averaged over squares of pixels.

    Examples:
        >>> import numpy as np
        >>> reduced(np.zeros((1, 28, 28))).shape, reduced(np.zeros((1, 300, 200, 3))).shape
        ((1, 28, 28, 1), (1, 100, 67, 3))
    """
    array = with_channels_last(np.asarray(pictures, np.float32), channels)
    if array.ndim == 3:
        array = array[..., None]
    square = -(-max(array.shape[1:3]) // _LONGEST_SIDE)
    for axis in (1, 2) if square > 1 else ():
        starts = np.arange(0, array.shape[axis], square)
        sizes = np.diff([*starts, array.shape[axis]]).reshape(-1, *[1] * (3 - axis))
        array = np.add.reduceat(array, starts, axis=axis) / sizes.astype(np.float32)
    return array


def _reach(changes: np.ndarray) -> float:
    """The change that is drawn in full colour: that of most rows, so that one doesn't pale all."""
    largest = np.abs(changes.mean(axis=-1)).max(axis=(1, 2), initial=0)
    largest = largest[np.isfinite(largest) & (largest > 0)]
    return float(np.percentile(largest, 90)) if len(largest) else 1.0


def _flat(
    explanations: Results,
    names: Sequence[str] | None,
    units: tuple[ArrayLike, ArrayLike] | None,
    other: Results | None,
) -> Contents:
    core = explanations.core
    count = core.original.shape[1]
    if names is not None and len(names) != count:
        raise ValueError(f"got {len(names)} feature names; the rows have {count} features")
    names = [f"feature {place}" for place in range(count)] if names is None else names
    given = None if units is None else (_numbers(units[0]), _numbers(units[1]))
    if given is not None and any(one.shape != (count,) for one in given):
        raise ValueError(
            f"the units have shapes {[one.shape for one in given]}; expected an offset and a scale "
            f"for each of {count} features"
        )
    shown = Contents("features", units=given)
    arrays = {ORIGINAL: core.original, COUNTERFACTUAL: core.counterfactual}
    if other is not None:
        arrays[OTHER] = other.core.counterfactual
    arrays = {name: shown.in_units(array) for name, array in arrays.items()}
    features = [
        {"name": str(name), "kind": "number", "scale": _spread(arrays[ORIGINAL][:, place])}
        for place, name in enumerate(names)
    ]
    changed = (core.perturbation != 0)[core.found]
    words = "as the model takes them" if units is None else "in original units"
    facts = _feature_facts(features, changed, words, exact=False)
    packed = {name: pack(array) for name, array in arrays.items()}
    return replace(shown, facts=facts, arrays=packed)


def _numbers(values: ArrayLike) -> np.ndarray:
    return np.asarray(values, np.float64)


def _spread(values: np.ndarray) -> float:
    present = values[np.isfinite(values)]
    return float(np.ptp(present)) if len(present) and np.ptp(present) > 0 else 1.0


def _table(explanations: TableExplanations, other: Results | None) -> Contents:
    features = [_feature(column) for column in explanations.coding.schema.columns]
    changed = explanations.changed[explanations.found]
    arrays = {ORIGINAL: explanations.original_values, COUNTERFACTUAL: explanations.values}
    if isinstance(other, TableExplanations):
        arrays[OTHER] = other.values
    packed = {name: pack(np.asarray(array, np.float64)) for name, array in arrays.items()}
    return Contents(
        "features", _feature_facts(features, changed, "in original units", exact=True), packed
    )


def _feature(column: Column) -> dict[str, Any]:
    if isinstance(column, Numeric):
        return {"name": column.name, "kind": "number", "scale": column.scale}
    categories = [str(one) for one in column.categories]
    scale = float(max(len(categories) - 1, 1))
    return {"name": column.name, "kind": "category", "categories": categories, "scale": scale}


def _feature_facts(
    features: list[dict[str, Any]], changed: np.ndarray, units: str, exact: bool
) -> dict[str, Any]:
    return {
        "features": features,
        "changedRows": changed.sum(axis=0).tolist(),
        "foundRows": len(changed),
        "units": units,
        "exact": exact,
    }
