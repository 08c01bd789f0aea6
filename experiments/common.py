"""What the experiments share: their arguments, the models and judges, and how results are written.

Every experiment writes to `OUT/DATA/`: NAME.json (settings, seed, versions, device, seconds, the
summary), NAME.csv (the summary as a table), NAME-instances.csv.gz (one line per instance) and
NAME.png. Networks that aren't shipped are trained once and kept in `--models-dir`.
"""

import argparse
import csv
import gzip
import io
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.common import machine, save_figure
from jaxcf import data, models
from jaxcf.cli.terminal import Terminal
from jaxcf.data import Dataset
from jaxcf.metrics import Interval
from jaxcf.models import Judge, ModelSet
from jaxcf.results.evaluation import RealImages
from jaxcf.utils.files import write_atomically
from jaxcf.utils.json_files import write_json

if TYPE_CHECKING:
    from matplotlib.artist import Artist

CODE_CHANNELS = 8
"""Channels of the second set of class autoencoders: the paper's keep an 8-channel 7x7 code."""

_QUICK_EPOCHS = {"classifier_epochs": 8, "autoencoder_epochs": 10, "class_autoencoder_epochs": 25}
_QUICK_UPDATES = 150


def parser(doc: str | None, *, data_name: str = "mnist") -> argparse.ArgumentParser:
    """The arguments that every experiment has; each adds its own.

    Args:
        doc: the experiment's docstring, shown as help.
        data_name: the data set it is made for.

    Returns:
        A parser to be read by `read`.
    """
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--quick", action="store_true", help="embedded data, few rows: under a minute"
    )
    made.add_argument("--data", default=data_name, help="default: %(default)s")
    made.add_argument("--data-dir", type=Path, metavar="DIR", help="where prepared data lie")
    made.add_argument(
        "--models-dir",
        type=Path,
        default=Path("models"),
        metavar="DIR",
        help="where networks are kept that aren't shipped (default: %(default)s)",
    )
    made.add_argument(
        "--out", type=Path, default=Path("results"), metavar="DIR", help="default: %(default)s"
    )
    made.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="keep what was explained there, and take from there what an interrupted run had done",
    )
    made.add_argument("--limit", type=int, metavar="N", help="only the first N test rows")
    made.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    return made


def read(
    made: argparse.ArgumentParser, arguments: Sequence[str] | None, **smaller: Any
) -> argparse.Namespace:
    """Parse; `--quick` stands for the embedded digits and what else makes a run small.

    What was asked for beside it, as far as it isn't the default anyway, stays as it was asked.

    Args:
        made: by `parser`.
        arguments: without the program's name; None takes those of the process.
        **smaller: what else is different in a quick run.

    Returns:
        The options, with `began`, when the experiment did.
    """
    options = made.parse_args(arguments)
    if options.quick:
        small: dict[str, Any] = {"data": "digits", "limit": 60} | smaller
        asked = {
            name: value for name, value in vars(options).items() if value != made.get_default(name)
        }
        options = argparse.Namespace(**(vars(options) | small | asked))
    options.began = time.perf_counter()
    return options


def say(text: str) -> None:
    """One line about what is being done, on the error stream."""
    Terminal(quiet=False).say(text)


def load_data(options: argparse.Namespace) -> Dataset:
    """The data set asked for, its test rows cut to `--limit`."""
    dataset = _whole(options)
    return dataset.first(test=options.limit) if options.limit else dataset


def load_real_images(options: argparse.Namespace) -> RealImages:
    """All images of the data set, whatever `--limit` says, to compare counterfactuals with."""
    whole = _whole(options)
    return RealImages(whole.x_train, whole.y_train, whole.x_test, whole.y_test)


def load_model_set(options: argparse.Namespace, dataset: Dataset, seed: int = 0) -> ModelSet:
    """A classifier and its autoencoders: shipped (seed 0, where there are), kept, or trained now.

    Args:
        options: for where models are kept and whether the run is quick.
        dataset: what they are trained on.
        seed: of their training; other seeds give independent sets.

    Returns:
        The model set.
    """
    if seed == 0 and dataset.name in models.pretrained_names():
        return models.pretrained(dataset.name)
    name = dataset.name if seed == 0 else f"{dataset.name}-{seed}"
    path = _kept(options, name)
    if not path.exists():
        say(f"training the models of {dataset.name}, seed {seed}, to be kept in {path}")
        epochs = _QUICK_EPOCHS if options.quick else {}
        with Terminal(quiet=False).training() as on_progress:
            trained = models.train_models(
                _whole(options), seed=seed, on_progress=on_progress, **epochs
            )
        models.save_models(path, trained)
    return models.load_models(path)


def load_wide_class_autoencoders(
    options: argparse.Namespace, dataset: Dataset, model_set: ModelSet
) -> ModelSet:
    """The same classifier and autoencoder with class autoencoders of `CODE_CHANNELS` channels.

    Args:
        options: for where models are kept and whether the run is quick.
        dataset: what they are trained on.
        model_set: what they are set beside.

    Returns:
        A model set whose class autoencoders keep more of an image.
    """
    path = _kept(options, f"{dataset.name}-wide_class_autoencoders")
    if not path.exists():
        say(f"training class autoencoders with {CODE_CHANNELS} channels, to be kept in {path}")
        architecture = dict(model_set.autoencoder.architecture) | {"code_channels": CODE_CHANNELS}
        largest = int(np.bincount(dataset.y_train).max())
        batch_size = min(64, largest)
        epochs = 40 if options.quick else max(1, round(1100 / -(-largest // batch_size)))
        with Terminal(quiet=False).training() as on_progress:
            networks, _ = models.train_class_autoencoders(
                dataset.x_train,
                dataset.y_train,
                architecture,
                num_classes=dataset.num_classes,
                epochs=epochs,
                batch_size=batch_size,
                on_progress=on_progress,
            )
        wide = ModelSet(model_set.classifier, model_set.autoencoder, networks, {})
        models.save_models(path, wide)
    return models.load_models(path)


def load_judges(options: argparse.Namespace, dataset: Dataset) -> tuple[Judge, ...]:
    """Models of other architectures that never guide a search: kept, or trained now."""
    path = _kept(options, f"{dataset.name}-judges")
    if not path.exists():
        say(f"training judges for {dataset.name}, to be kept in {path}")
    with Terminal(quiet=False).training() as on_progress:
        return models.kept_judges(
            path,
            lambda: _whole(options),
            updates=_QUICK_UPDATES if options.quick else None,
            on_progress=on_progress,
        )


def _kept(options: argparse.Namespace, name: str) -> Path:
    folder = options.models_dir / "quick" if options.quick else options.models_dir
    return folder / f"{name}.npz"


def _whole(options: argparse.Namespace) -> Dataset:
    """The data set with all test rows: what a network's accuracy is stated on."""
    return data.load(options.data, data_dir=options.data_dir)


def write(
    options: argparse.Namespace,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    instances: Mapping[str, np.ndarray] | None = None,
    figure: "Artist | None" = None,
    **extra: Any,
) -> Path:
    """Write what an experiment found.

    Args:
        options: what was asked for, recorded with it.
        name: of the files, such as "table2".
        rows: the summary, one mapping per line; an `Interval` becomes three columns.
        instances: columns of equal length with one line per instance.
        figure: drawn beside it; or axes, for the figure that they are on.
        **extra: what else belongs into the JSON file.

    Returns:
        The folder.
    """
    folder = options.out / options.data
    content = {
        "experiment": name,
        "seconds": round(time.perf_counter() - options.began, 1),
        "settings": _settings(options),
        "machine": machine(),
        **extra,
        "rows": list(rows),
    }
    write_json(folder / f"{name}.json", _plain(content))
    flat_rows = [_columns(row) for row in rows]
    heads = list(dict.fromkeys(head for row in flat_rows for head in row))
    lines = ([row.get(head, "") for head in heads] for row in flat_rows)
    _write_csv(folder / f"{name}.csv", heads, lines)
    if instances:
        columns = [_cells(values) for values in instances.values()]
        _write_csv(folder / f"{name}-instances.csv.gz", list(instances), zip(*columns, strict=True))
    if figure is not None:
        save_figure(figure, folder / f"{name}.json")
    say(f"{name}: written to {folder}/ after {content['seconds']:.0f} s")
    return folder


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    # Where things lie on this machine is no part of a result.
    hidden = ("began", "data_dir", "keep", "models_dir", "out")
    return {key: value for key, value in vars(options).items() if key not in hidden}


def _plain(value: Any) -> Any:
    """The value for JSON: intervals with names, None for what isn't a number."""
    if isinstance(value, Interval):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _columns(row: Mapping[str, Any]) -> dict[str, str]:
    cells: dict[str, str] = {}
    for head, value in row.items():
        if isinstance(value, Interval):
            ends = {head: value.mean, f"{head}_lower": value.lower, f"{head}_upper": value.upper}
            cells |= {key: _cell(end) for key, end in ends.items()} | {f"{head}_n": str(value.n)}
        elif not isinstance(value, Mapping | list | tuple):
            cells[head] = _cell(value)
    return cells


def _cells(values: Any) -> list[str]:
    return [_cell(value) for value in np.asarray(values).tolist()]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.5g}"
    return "" if value is None else str(value)


def _write_csv(path: Path, heads: Sequence[str], lines: Iterable[Iterable[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(lines)
    content = text.getvalue().encode()
    if path.suffix == ".gz":
        # No time of day inside: the same result is the same file.
        content = gzip.compress(content, mtime=0)
    write_atomically(path, lambda file: file.write(content))
