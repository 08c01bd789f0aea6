"""Do judges believe counterfactuals of photographs? Trained, chosen and measured by one command.

    python -m benchmarks.natural [--quick] [--data cifar10] [--data-dir DIR] [--out DIR]
        [--workers 1] [--budget SECONDS] [--only NAME ...] [--way NAME]

Trains what is explained, guides of several radii and seeds, and judges (`natural_networks.py`);
tries ways to search on 500 test images and chooses one by a rule (`natural_configurations.py`);
measures it, ablations and controls once, on others (`natural_measures.py`). Hours on two cores,
minutes on a GPU, where `--workers` processes side by side hide each other's compilation.

Caltech-101's split leaves 30 images of a category to learn from, so its test images that nothing is
chosen or measured on are learnt from too. `--way NAME` chooses nothing, but takes the way of that
name, one that was chosen on other data, say.

`DIR/DATA/` keeps everything, so that what was interrupted goes on where it was, and a machine
without tensorflow-datasets can do the work once `data.npz` is there: `networks/`, one JSON file per
configuration in `rows/`, some of its counterfactuals in `shown/`, and of all of them `table.md` and
`shown.png`. What is there isn't done again: remove it to have it anew. `--only` leaves out networks
and configurations of other names; `--budget` ends what isn't done by then.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import common, natural_drawing
from benchmarks.judged import load_data
from benchmarks.judged_configurations import Configuration
from benchmarks.natural_configurations import (
    CANDIDATES,
    candidates,
    choose,
    finals,
    targets_of,
)
from benchmarks.natural_measures import measure
from benchmarks.natural_networks import Networks, coloured_digits, makers
from jaxcf import Explainer, Explanations, plots
from jaxcf.cli.terminal import Terminal
from jaxcf.data import Dataset
from jaxcf.models.training import OnProgress
from jaxcf.results.evaluation import COUNTERFACTUAL
from jaxcf.utils.files import write_atomically
from jaxcf.utils.json_files import plain, write_json
from jaxcf.utils.selection import turns

_MAIN = "chosen"
"""How names begin of what is measured on all images; ablations and controls have half of them."""
_SHOWN = 24
_TRIAL = "coloured digits"
_QUICK_FINALS = 2


class _Parts(NamedTuple):
    """Which test images a way is chosen on, and which it is measured on."""

    choosing: slice
    measuring: slice


_PARTS = {
    # Images 500 to 4,499 were looked at before.
    "cifar10": _Parts(slice(0, 500), slice(4500, 6500)),
    "caltech101": _Parts(slice(0, 500), slice(500, 1500)),
    _TRIAL: _Parts(slice(0, 30), slice(30, 70)),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, choose, measure, write and draw; nothing is done twice.

    Args:
        arguments: without the program's name; None takes those of the process.

    Raises:
        ValueError: if there is nothing of a name that `--only` says.
    """
    arguments = tuple(sys.argv[1:] if arguments is None else arguments)
    options = _options(arguments)
    ends = time.monotonic() + options.budget
    terminal = Terminal(quiet=False)
    work = _work_of(arguments)
    for phase in (work.unmade, work.untried, work.unmeasured):
        names = [name for name in phase() if options.only is None or name in options.only]
        terminal.say(f"{phase.__name__}: {len(names)}")
        if not _share_out(names, arguments, options.workers, ends, terminal):
            terminal.say("not all of it was done; the same command goes on from here")
            break
    else:
        unknown = set(options.only or ()) - set(work.names())
        if unknown:
            raise ValueError(f"there is no {sorted(unknown)}; there are {', '.join(work.names())}")
    _show(work, options)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = common.parser(__doc__)
    parser.set_defaults(data="cifar10")
    parser.add_argument("--out", type=Path, default=Path("runs/natural"), metavar="DIR")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes at once")
    parser.add_argument("--budget", type=float, default=float("inf"), metavar="SECONDS")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="networks or configurations")
    parser.add_argument("--way", metavar="NAME", help="take this way instead of choosing one")
    options = common.quickly(parser.parse_args(arguments))
    if options.way is not None and options.way not in candidates():
        parser.error(f"--way is none of {list(candidates())}")
    options.data = _TRIAL if options.quick else options.data
    options.out /= options.data
    return options


@cache
def _work_of(arguments: tuple[str, ...]) -> "_Work":
    options = _options(arguments)
    dataset = coloured_digits() if options.quick else load_data(options)
    if dataset.name == "caltech101":
        dataset = _with_more_to_learn_from(dataset, _PARTS[dataset.name].measuring.stop)
    return _Work(options, dataset)


def _with_more_to_learn_from(dataset: Dataset, tested: int) -> Dataset:
    """The test images from some number on join those that are learnt from."""
    return replace(
        dataset.first(test=tested),
        x_train=np.concatenate([dataset.x_train, dataset.x_test[tested:]]),
        y_train=np.concatenate([dataset.y_train, dataset.y_test[tested:]]),
    )


def _do(arguments: tuple[str, ...], name: str, on_progress: OnProgress | None = None) -> float:
    """Train the network or measure the configuration of a name; the seconds it took."""
    began = time.monotonic()
    _work_of(arguments).do(name, on_progress)
    return time.monotonic() - began


class _Work:
    """What there is to do, by name."""

    def __init__(self, options: argparse.Namespace, dataset: Dataset):
        self.options, self.dataset = options, dataset
        self.parts = _PARTS[dataset.name]
        self.networks = Networks(dataset, options.out / "networks", options.quick)
        self.ways = CANDIDATES[:2] if options.quick else CANDIDATES

    def names(self) -> list[str]:
        """Of all that can be done so far."""
        return [*self.networks.wanted(), *candidates(self.ways), *self.finals()]

    def unmade(self) -> list[str]:
        """Networks that don't lie in the folder."""
        return [name for name in self.networks.wanted() if not self.networks.path(name).exists()]

    def untried(self) -> list[str]:
        """Ways to search that weren't measured on the images kept for choosing."""
        if self.options.way is not None:
            return []
        return [way.name for way in self.ways if self.row(way.name) is None]

    def unmeasured(self) -> list[str]:
        """What is measured on the other images, and wasn't."""
        return [name for name in self.finals() if self.row(name) is None]

    def finals(self) -> dict[str, Configuration]:
        """What the choice leads to; nothing before there is one."""
        if self.options.way is not None:
            (way,) = (way for way in CANDIDATES if way.name == self.options.way)
        else:
            rows = {way: row for way in self.ways if (row := self.row(way.name)) is not None}
            if len(rows) < len(self.ways):
                return {}
            way = choose({way: _means(row) for way, row in rows.items()})
        every = finals(way, self.networks.guides(), self.dataset.class_names)
        return dict(list(every.items())[:_QUICK_FINALS]) if self.options.quick else every

    def row(self, name: str) -> dict[str, Any] | None:
        """What was measured of a configuration; None where nothing was."""
        path = self._file(name, "rows", ".json")
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def shown(self, name: str) -> Explanations:
        """Some counterfactuals of a configuration: the first images of each class."""
        return Explanations.load(self._file(name, "shown", ".npz"))

    def _file(self, name: str, folder: str, suffix: str) -> Path:
        file_name = "".join(letter if letter.isalnum() or letter == "." else "-" for letter in name)
        return self.options.out / folder / f"{file_name}{suffix}"

    def do(self, name: str, on_progress: OnProgress | None = None) -> None:
        """Train the network or measure the configuration of a name."""
        if name in makers():
            replace(self.networks, on_progress=on_progress).make(name)
            return
        tried = candidates(self.ways)
        if name in tried:
            self._measure(tried[name], self.parts.choosing)
            return
        rows = self.parts.measuring
        if not name.startswith(_MAIN):
            rows = slice(rows.start, (rows.start + rows.stop) // 2)
        self._measure(self.finals()[name], rows)

    def _measure(self, configuration: Configuration, rows: slice) -> None:
        given, judges = self.networks.given(), self.networks.judges()
        x, y = self.dataset.x_test[rows], self.dataset.y_test[rows]
        original = np.asarray(given.models.predict(x)).argmax(1)
        targets = targets_of(configuration, original, self.dataset.class_names)
        if targets is not None:
            x, y, targets = (array[targets >= 0] for array in (x, y, targets))
        fitted = Explainer(**configuration.options(given)).fit(self.dataset.x_train)
        explanations = fitted.explain(x, target=targets)
        subjects = measure(explanations, given.models, self.dataset, judges)
        some = _first_of_each_class(y)
        explanations[some].save(self._file(configuration.name, "shown", ".npz"))
        row = {
            "configuration": configuration.name,
            "data": self.dataset.name,
            "rows": [rows.start, rows.stop],
            "n": len(explanations),
            "subjects": {
                subject: {name: value._asdict() for name, value in values.items()}
                for subject, values in subjects.items()
            },
            "shown": (np.arange(rows.start, rows.stop)[some] if targets is None else some),
            "labels": y[some],
            "seconds": dict(explanations.seconds),
            "explained": given.models.metadata["test_accuracy"],
            "judges": {judge.name: judge.accuracy for judge in judges},
            "guides": {
                name: {"accuracy": guide.accuracy, "confidence": guide.confidence}
                for name, guide in given.guides.items()
            },
            "settings": explanations.settings,
            "machine": common.machine(),
        }
        write_json(self._file(configuration.name, "rows", ".json"), plain(row))


def _first_of_each_class(labels: np.ndarray) -> np.ndarray:
    """The first image of each class, by number, then the second, until there are enough."""
    return np.lexsort((labels, turns(labels)))[:_SHOWN]


def _means(row: Mapping[str, Any]) -> dict[str, float]:
    values = row["subjects"].get(COUNTERFACTUAL, {})
    return {metric: value["mean"] for metric, value in values.items()}


def _share_out(
    names: Sequence[str],
    arguments: tuple[str, ...],
    workers: int,
    ends: float,
    terminal: Terminal,
) -> bool:
    """Do all of it, in as many processes as asked for; whether all of it was done in time."""
    if workers == 1:
        for name in names:
            if time.monotonic() > ends:
                return False
            with terminal.training() as on_progress:
                seconds = _do(arguments, name, on_progress)
            terminal.say(f"{name}: {seconds:.0f} s")
        return True
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _set_up, (_options(arguments).out.parent,)
    ) as executor:
        started = {executor.submit(_do, arguments, name): name for name in names}
        done = set()
        try:
            for future in as_completed(started, min(max(0.0, ends - time.monotonic()), 1e6)):
                failed = future.exception()
                said = f"{future.result():.0f} s" if failed is None else repr(failed)
                terminal.say(f"{started[future]}: {said}")
                done |= {future} if failed is None else set()
        except TimeoutError:
            executor.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.kill()
    return len(done) == len(started)


def _set_up(folder: Path) -> None:
    """Let processes share a device's memory and the programs that one of them has compiled."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    jax.config.update("jax_compilation_cache_dir", str(folder / "programs"))


def _show(work: _Work, options: argparse.Namespace) -> None:
    names = {"chosen from": [way.name for way in work.ways], "measured once": list(work.finals())}
    rows: Mapping[str, list[dict[str, Any]]] = {
        part: [row for name in some if (row := work.row(name)) is not None]
        for part, some in names.items()
    }
    if not any(rows.values()):
        return
    text = natural_drawing.markdown(rows)
    write_atomically(options.out / "table.md", lambda file: file.write(text.encode()))
    natural_drawing.print_table(rows)
    measured = [row["configuration"] for row in rows["measured once"]]
    if measured:
        first = measured[0]
        row = work.row(first)
        assert row is not None
        figure = natural_drawing.grid(work.shown(first), row["labels"], work.dataset.class_names)
        plots.save(figure, options.out / "shown.png")
    if options.json is not None:
        common.write(options.json, [row for some in rows.values() for row in some])


if __name__ == "__main__":
    main()
