"""Figure 8: which pixels carry a decision, and whether a search brings back what was masked.

    python -m experiments.figure8 [--data-dir DIR] [--search-limit N] [--quick]

Of every test image the most important pixels are set to 0, by saliency, Grad-CAM or integrated
gradients of the predicted class's logit; controls mask as many pixels at random, at random among
those that aren't 0 already, or those that count least by integrated gradients. How often does the
prediction flip? The images whose prediction flipped are then searched back: objective D with
jaxcf's default settings, towards the prototype of the class that was predicted for the unmasked
image, from which the search gets nothing else. How often is that class found again, and is the
found image nearer to the unmasked one than the masked image is?

Flips are counted over the whole test set. Searched back are all flipped images of every method and
mask, or at most `--search-limit` of each: the first in one random order of the test set, which all
methods and masks share. Rows of the summary say how many were searched (`searched`) and found
(`found`); distances, ratios and steps are means over the found ones alone.

On MNIST (10,000 images, the shipped models, 99.0 % accurate; five minutes of processor time on two
cores):

    share flipped, by pixels set to 0       10      20      40      80     160
    saliency                             0.018   0.037   0.091   0.226   0.423
    Grad-CAM                             0.005   0.017   0.067   0.176   0.222
    integrated gradients                 0.094   0.297   0.632   0.918   0.955
    random pixels                        0.002   0.004   0.005   0.009   0.022
    random non-zero pixels               0.007   0.014   0.071   0.241   0.759
    least by integrated gradients        0       0.000   0.001   0.002   0.002

The intervals reach 0.01 to either side at most. All 53,200 flipped images were found, after at most
six updates in the mean. The class comes back, the image hardly: from 80 pixels by an attribution
on, what was found is nearer to the unmasked image than the masked one is, but only by 6 to 14 % in
L2 (integrated gradients: 0.893 [0.891, 0.895] of the distance at 40 pixels, 0.859 [0.858, 0.861] at
160), and by no method in L1, since the search moves many pixels a little. With 10 pixels the masked
image is the nearer one.

Read with care: set to 0, only what isn't 0 yet changes (`changed`): 40 pixels by saliency are 22,
by Grad-CAM 13, by integrated gradients all 40. Grad-CAM is blank, and masks the first pixels, for
3,580 images whose features as weighted speak nowhere for the class; among the others it flips 0.105
[0.097, 0.112] at 40 pixels. The least by integrated gradients are those that speak against the
class, of which an image has about 60.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from experiments import common, explaining
from experiments.figure8_drawing import Example, draw
from jaxcf import FittedExplainer, attributions, metrics
from jaxcf.attributions import mask_pixels
from jaxcf.data import Dataset
from jaxcf.models import ModelFunction, ModelSet
from jaxcf.models.model_set import CLASSIFIER
from jaxcf.search.status import Status
from jaxcf.utils.batching import map_batches
from jaxcf.utils.selection import representative_rows

SALIENCY, GRAD_CAM, INTEGRATED = "saliency", "Grad-CAM", "integrated gradients"
RANDOM, RANDOM_INK, LEAST = "random pixels", "random non-zero pixels", "least by integrated gr."
EXPLAINED = (SALIENCY, GRAD_CAM, INTEGRATED)
METHODS = (*EXPLAINED, RANDOM, RANDOM_INK, LEAST)

# Pixels masked of MNIST's 784; other sizes of images get the same shares.
_PIXELS, _OF_PIXELS = (10, 20, 40, 80, 160), 784

_NUM_EXAMPLES = 4

# Rows that are explained in one call: bounds the memory, and costs nothing.
_SEARCHED_TOGETHER = 4096


@dataclass(frozen=True, eq=False)
class Cell:
    """One method with one size of mask: every test row, and what became of the searched ones.

    Attributes:
        method: of `METHODS`.
        pixels: how many are masked.
        masked_class: `[n]`, predicted for the masked images.
        changed: `[n]`, pixels whose value the mask changed.
        rows: `[k]`, the flipped rows that are searched back.
        masked: `[k, *shape]`, their masked images.
    """

    method: str
    pixels: int
    masked_class: np.ndarray
    changed: np.ndarray
    rows: np.ndarray
    masked: np.ndarray


@dataclass(frozen=True, eq=False)
class Recovery:
    """What the search made of the searched rows of a cell, `[k]` each."""

    found: np.ndarray
    status: np.ndarray
    steps: np.ndarray
    image: np.ndarray


def main(arguments: Sequence[str] | None = None) -> None:
    """Mask, predict, search back, write.

    Args:
        arguments: without the program's name; None takes those of the process.
    """
    options = _options(arguments)
    dataset = common.load_data(options)
    model_set = common.load_model_set(options, dataset)
    x = dataset.x_test
    scores = map_batches(model_set.predict, x)
    original_class = scores.argmax(axis=1)
    importance, completeness = _importance(options, model_set, x, scores)
    common.say(f"{dataset.name}: {len(x)} images, {len(METHODS)} ways to mask them")
    cells = _mask(options, model_set, x, original_class, importance)
    fitted = explaining.fit(model_set, dataset, objective="D")
    recoveries = _recover(fitted, cells, original_class)
    done = list(zip(cells, recoveries, strict=True))
    blank = {method: np.ptp(values, axis=(1, 2)) == 0 for method, values in importance.items()}
    rows = [
        _summary(x, original_class, cell, recovery, blank[cell.method]) for cell, recovery in done
    ]
    examples = _examples(dataset, x, original_class, importance, done)
    common.write(
        options,
        "figure8",
        rows,
        instances=_instances(x, original_class, done),
        figure=draw(rows, METHODS, examples),
        accuracy=float((original_class == dataset.y_test).mean()),
        completeness_error=completeness,
        search={"objective": "D"} | fitted.search.settings(),
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = common.parser(__doc__)
    parser.add_argument(
        "--search-limit",
        type=int,
        default=0,
        metavar="N",
        help="rows searched back per method and mask, at most; 0 for all flipped ones (default)",
    )
    parser.add_argument(
        "--integration-steps",
        type=int,
        default=32,
        metavar="N",
        help="of integrated gradients (default: %(default)s)",
    )
    return common.read(parser, arguments, search_limit=8, integration_steps=8)


# ---- masks ----


def _importance(
    options: argparse.Namespace, model_set: ModelSet, x: np.ndarray, scores: np.ndarray
) -> tuple[dict[str, np.ndarray], float]:
    """The attributions by which pixels are masked, and how incomplete integrated gradients are."""
    classifier = model_set.classifier
    if not hasattr(classifier, "feature_map"):
        raise ValueError(
            f"Grad-CAM needs a classifier with a feature_map, and {type(classifier).__name__} has "
            "none; choose image data"
        )
    functions = model_set.functions()
    predict, params = functions["predict"], functions["params"]
    feature_map, head = (
        ModelFunction.of(classifier, CLASSIFIER, method) for method in ("feature_map", "head")
    )
    classes = scores.argmax(axis=1)
    integrated = attributions.integrated_gradients(
        predict, x, classes, steps=options.integration_steps, params=params
    )
    blank = np.asarray(model_set.predict(np.zeros_like(x[:1])))[0]
    rise = scores[np.arange(len(x)), classes] - blank[classes]
    gap = np.abs(integrated.sum(axis=(1, 2)) - rise).mean() / np.abs(rise).mean()
    noise = np.random.default_rng((options.seed, 0)).random(x.shape[:3])
    importance = {
        SALIENCY: attributions.saliency(predict, x, classes, params=params),
        GRAD_CAM: attributions.grad_cam(feature_map, head, x, classes, params=params),
        INTEGRATED: integrated,
        RANDOM: noise,
        RANDOM_INK: noise + (x != 0).any(axis=3),
        LEAST: -integrated,
    }
    return importance, float(gap)


def pixel_counts(num_pixels: int) -> list[int]:
    """How many pixels are masked of images of so many.

    Examples:
        >>> pixel_counts(784), pixel_counts(64)
        ([10, 20, 40, 80, 160], [1, 2, 3, 7, 13])
    """
    return sorted({max(1, round(pixels * num_pixels / _OF_PIXELS)) for pixels in _PIXELS})


def _mask(
    options: argparse.Namespace,
    model_set: ModelSet,
    x: np.ndarray,
    original_class: np.ndarray,
    importance: dict[str, np.ndarray],
) -> list[Cell]:
    order = np.random.default_rng((options.seed, 1)).permutation(len(x))
    cells = []
    for method in METHODS:
        for pixels in pixel_counts(x.shape[1] * x.shape[2]):
            masked = mask_pixels(x, importance[method], pixels)
            masked_class = map_batches(model_set.predict, masked).argmax(axis=1)
            flipped = order[(masked_class != original_class)[order]]
            rows = np.sort(flipped[: options.search_limit or None])
            changed = (masked != x).any(axis=3).sum(axis=(1, 2))
            cells.append(Cell(method, pixels, masked_class, changed, rows, masked[rows]))
    return cells


# ---- the way back ----


def _recover(
    fitted: FittedExplainer, cells: list[Cell], original_class: np.ndarray
) -> list[Recovery]:
    """Search all cells' rows back, together: a cell may have too few to fill the lanes."""
    masked = np.concatenate([cell.masked for cell in cells])
    target = np.concatenate([original_class[cell.rows] for cell in cells])
    common.say(f"{len(masked)} flipped images to be searched back")
    image = masked.copy()
    status, steps = np.zeros(len(masked), np.int8), np.zeros(len(masked), np.int32)
    # Equal pieces, since a small last one would be laid out, and compiled, anew.
    pieces = np.array_split(np.arange(len(masked)), max(1, -(-len(masked) // _SEARCHED_TOGETHER)))
    for piece in pieces:
        if not len(piece):
            continue
        explanations = fitted.explain(masked[piece], target=target[piece])
        image[piece], status[piece] = explanations.counterfactual, explanations.status
        steps[piece] = explanations.steps
    cuts = np.cumsum([len(cell.rows) for cell in cells])[:-1]
    parts = (np.split(values, cuts) for values in (status == Status.FOUND, status, steps, image))
    return [Recovery(*values) for values in zip(*parts, strict=True)]


# ---- what is written ----


def _distances(x: np.ndarray, cell: Cell, recovery: Recovery) -> dict[str, np.ndarray]:
    """How far the masked and the found images are from the unmasked ones; NaN where not found."""
    original = x[cell.rows]
    distances = {}
    for name, measure in (("l1", metrics.l1), ("l2", metrics.l2)):
        before, after = measure(cell.masked - original), measure(recovery.image - original)
        distances[f"masked_{name}"] = before.astype(np.float64)
        distances[f"recovered_{name}"] = np.where(recovery.found, after, np.nan)
    return distances


def _summary(
    x: np.ndarray, original_class: np.ndarray, cell: Cell, recovery: Recovery, blank: np.ndarray
) -> dict[str, Any]:
    found = recovery.found
    flipped = cell.masked_class != original_class
    distances = _distances(x, cell, recovery)
    # Beside each other only where there are both: the masked images of the found rows.
    of_found = {name: np.where(found, values, np.nan) for name, values in distances.items()}
    for name in ("l1", "l2"):
        of_found[f"ratio_{name}"] = of_found[f"recovered_{name}"] / of_found[f"masked_{name}"]
    of_found["steps"] = np.where(found, recovery.steps, np.nan)
    codes, counts = np.unique(recovery.status, return_counts=True)
    return {
        "method": cell.method,
        "pixels": cell.pixels,
        "n": len(x),
        "flipped": metrics.mean_interval(flipped),
        "blank": int(blank.sum()),
        "flipped_not_blank": metrics.mean_interval(flipped[~blank]),
        "changed": metrics.mean_interval(cell.changed),
        "searched": len(cell.rows),
        "found": int(found.sum()),
        "recovered": metrics.mean_interval(found),
        "nearer_l2": metrics.mean_interval(of_found["ratio_l2"][found] < 1),
        **metrics.mean_intervals(of_found),
        "status": {
            Status(code).name.lower(): int(count) for code, count in zip(codes, counts, strict=True)
        },
    }


def _instances(
    x: np.ndarray, original_class: np.ndarray, done: list[tuple[Cell, Recovery]]
) -> dict[str, np.ndarray]:
    """One line per test image, method and size of mask; what wasn't searched is left empty."""
    tables = []
    for cell, recovery in done:
        table = {
            "method": np.full(len(x), cell.method),
            "pixels": np.full(len(x), cell.pixels),
            "row": np.arange(len(x)),
            "original_class": original_class,
            "masked_class": cell.masked_class,
            "changed": cell.changed,
        }
        searched = _distances(x, cell, recovery)
        searched |= {"status": recovery.status, "steps": recovery.steps}
        for name, values in searched.items():
            table[name] = np.full(len(x), np.nan)
            table[name][cell.rows] = values
        tables.append(table)
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _examples(
    dataset: Dataset,
    x: np.ndarray,
    original_class: np.ndarray,
    importance: dict[str, np.ndarray],
    done: list[tuple[Cell, Recovery]],
) -> dict[str, list[Example]]:
    """Some found rows of each attribution, the same ones for all if there are enough."""
    by_size: dict[int, list[tuple[Cell, Recovery]]] = {}
    for cell, recovery in done:
        if cell.method in EXPLAINED:
            by_size.setdefault(cell.pixels, []).append((cell, recovery))
    found_by_all = {pixels: _found_everywhere(len(x), chosen) for pixels, chosen in by_size.items()}

    def num_classes(pixels: int) -> int:
        return len(np.unique(original_class[found_by_all[pixels]]))

    # A middling mask, or the next larger with examples of enough classes; else the one with most.
    sizes = sorted(by_size)[len(by_size) // 2 :]
    enough = [size for size in sizes if num_classes(size) >= _NUM_EXAMPLES]
    pixels = enough[0] if enough else max(by_size, key=num_classes)
    examples = {}
    for cell, recovery in by_size[pixels]:
        wanted = found_by_all[pixels]
        if wanted.sum() < _NUM_EXAMPLES:
            wanted = _found_everywhere(len(x), [(cell, recovery)])
        chosen = representative_rows(wanted, original_class, _NUM_EXAMPLES)
        example = partial(
            _example, dataset, x, original_class, importance[cell.method], cell, recovery
        )
        sign = " (blue: for the class)" if cell.method == INTEGRATED else ""
        title = f"{cell.method}{sign}, {pixels} pixels"
        examples[title] = [example(row) for row in chosen if wanted[row]]
    return examples


def _found_everywhere(num_rows: int, chosen: list[tuple[Cell, Recovery]]) -> np.ndarray:
    everywhere = np.ones(num_rows, bool)
    for cell, recovery in chosen:
        here = np.zeros(num_rows, bool)
        here[cell.rows[recovery.found]] = True
        everywhere &= here
    return everywhere


def _example(
    dataset: Dataset,
    x: np.ndarray,
    original_class: np.ndarray,
    attribution: np.ndarray,
    cell: Cell,
    recovery: Recovery,
    row: int,
) -> Example:
    place = int(np.flatnonzero(cell.rows == row)[0])
    before, after = (
        dataset.class_names[label] for label in (original_class[row], cell.masked_class[row])
    )
    chosen = mask_pixels(np.zeros_like(attribution[:1]), attribution[[row]], cell.pixels, fill=1)
    return Example(
        original=x[row],
        attribution=attribution[row],
        mask=chosen[0] > 0,
        masked=cell.masked[place],
        recovered=recovery.image[place],
        before=before,
        after=after,
    )


if __name__ == "__main__":
    main()
