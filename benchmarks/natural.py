"""Do judges believe counterfactuals of photographs? Trained, chosen and measured by one command.

    python -m benchmarks.natural [--quick] [--data cifar10] [--data-dir DIR] [--out DIR]
        [--workers 1] [--budget SECONDS] [--only NAME ...]

Trains what is explained, guides of several radii and seeds, and judges (`natural_networks.py`);
tries ways to search on test images 0 to 499 and chooses one by a rule
(`natural_configurations.py`); measures it, ablations and controls once, on test images 2,500 to
4,499 (`natural_measures.py`). Hours on two cores, minutes on a GPU, where `--workers` processes
side by side hide each other's compilation.

`DIR/DATA/` keeps everything, so that what was interrupted goes on where it was, and a machine
without tensorflow-datasets can do the work once `data.npz` is there: `networks/`, one JSON file per
configuration in `rows/`, some of its counterfactuals in `shown/`, and of all of them `table.md` and
`shown.png`. What is there isn't done again: remove it to have it anew. `--only` does the networks
and configurations of some names, and nothing else; `--budget` ends what isn't done by then.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
from jaxcf.results.evaluation import COUNTERFACTUAL, REAL
from jaxcf.utils import storage
from jaxcf.utils.selection import turns

_CHOOSING, _MEASURING = slice(0, 500), slice(2500, 4500)
_QUICK_CHOOSING, _QUICK_MEASURING, _QUICK_FINALS = slice(0, 30), slice(30, 70), 2
# Ablations and controls have half of the images.
_MAIN = "chosen"
_SHOWN = 24


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, choose, measure, write and draw; nothing is done twice.

    Args:
        arguments: without the program's name; None takes those of the process.
    """
    options = _options(arguments)
    ends = time.monotonic() + options.budget
    terminal = Terminal(quiet=False)
    dataset = coloured_digits() if options.quick else load_data(options)
    with terminal.training() as on_progress:
        networks = Networks(dataset, options.out / "networks", options.quick, on_progress)
        work = _Work(options, dataset, networks)
        if options.only is not None:
            for name in options.only:
                work.do(name)
            return
        for phase in (work.unmade, work.untried, work.unmeasured):
            terminal.say(f"{phase.__name__}: {len(phase())}")
            if not _share_out(phase(), work, options, ends - time.monotonic()):
                terminal.say("the budget is spent; the same command goes on from here")
                break
    _show(work, options)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = common.parser(__doc__)
    parser.set_defaults(data="cifar10")
    parser.add_argument("--out", type=Path, default=Path("runs/natural"), metavar="DIR")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes at once")
    parser.add_argument("--budget", type=float, default=float("inf"), metavar="SECONDS")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="networks or configurations")
    options = common.quickly(parser.parse_args(arguments))
    options.out = options.out / ("coloured-digits" if options.quick else options.data)
    return options


class _Work:
    """What there is to do, by name."""

    def __init__(self, options: argparse.Namespace, dataset: Dataset, networks: Networks):
        self.options, self.dataset, self.networks = options, dataset, networks
        self.ways = CANDIDATES[:2] if options.quick else CANDIDATES

    def unmade(self) -> list[str]:
        """Networks that don't lie in the folder."""
        return [name for name in makers() if not self.networks.path(name).exists()]

    def untried(self) -> list[str]:
        """Ways to search that weren't measured on the images kept for choosing."""
        return [way.name for way in self.ways if self.row(way.name) is None]

    def unmeasured(self) -> list[str]:
        """What is measured on the other images, and wasn't."""
        return [name for name in self.finals() if self.row(name) is None]

    def finals(self) -> dict[str, Configuration]:
        """What the choice leads to; nothing before there is one."""
        if self.untried():
            return {}
        counterfactual, real = (
            {way: self._means(way.name, subject) for way in self.ways}
            for subject in (COUNTERFACTUAL, REAL)
        )
        every = finals(choose(counterfactual, real), list(self.networks.given().guides))
        return dict(list(every.items())[:_QUICK_FINALS]) if self.options.quick else every

    def _means(self, name: str, subject: str) -> dict[str, float]:
        row = self.row(name)
        values = {} if row is None else row["subjects"].get(subject, {})
        return {metric: value["mean"] for metric, value in values.items()}

    def row(self, name: str) -> dict[str, Any] | None:
        """What was measured of a configuration; None where nothing was."""
        path = self._file(name, "rows", ".json")
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def shown(self, name: str) -> Explanations:
        """Some counterfactuals of a configuration: the first images of each class."""
        return Explanations.load(self._file(name, "shown", ".npz"))

    def _file(self, name: str, folder: str, suffix: str) -> Path:
        plain = "".join(letter if letter.isalnum() or letter == "." else "-" for letter in name)
        return self.options.out / folder / f"{plain}{suffix}"

    def do(self, name: str) -> None:
        """Train the network or measure the configuration of a name.

        Raises:
            ValueError: if there is neither.
        """
        if name in makers():
            self.networks.make(name)
            return
        tried = candidates(self.ways)
        if name in tried:
            rows = _QUICK_CHOOSING if self.options.quick else _CHOOSING
            self._measure(tried[name], rows)
            return
        measured = self.finals()
        if name not in measured:
            raise ValueError(
                f"there is no {name!r}; there are {', '.join([*makers(), *tried, *measured])}"
            )
        rows = _QUICK_MEASURING if self.options.quick else _MEASURING
        if not name.startswith(_MAIN):
            rows = slice(rows.start, (rows.start + rows.stop) // 2)
        self._measure(measured[name], rows)

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
        storage.write_json(self._file(configuration.name, "rows", ".json"), storage.plain(row))


def _first_of_each_class(labels: np.ndarray) -> np.ndarray:
    """The first image of each class, by number, then the second, until there are enough."""
    return np.lexsort((labels, turns(labels)))[:_SHOWN]


def _share_out(
    names: Sequence[str], work: _Work, options: argparse.Namespace, seconds: float
) -> bool:
    """Do all of it, in as many processes as asked for; whether all of it was done in time."""
    if options.workers == 1:
        ends = time.monotonic() + seconds
        for name in names:
            if time.monotonic() > ends:
                return False
            work.do(name)
        return True
    command = [sys.executable, "-m", "benchmarks.natural", "--out", str(options.out.parent)]
    command += ["--quick"] if options.quick else ["--data", options.data]
    command += [] if options.data_dir is None else ["--data-dir", str(options.data_dir)]
    # Each takes memory as it needs it, else the first would take nearly all.
    environment = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"} | dict(os.environ)
    started = [
        subprocess.Popen(
            [*command, "--only", *names[number :: options.workers]],
            env=environment,
            cwd=Path(__file__).parents[1],
        )
        for number in range(min(options.workers, len(names)))
    ]
    ends = time.monotonic() + seconds
    codes = []
    for process in started:
        try:
            codes.append(process.wait(max(0.0, min(ends - time.monotonic(), 1e6))))
        except subprocess.TimeoutExpired:
            process.kill()
            codes.append(process.wait())
    return not any(codes)


def _show(work: _Work, options: argparse.Namespace) -> None:
    names = {"chosen from": [way.name for way in work.ways], "measured once": list(work.finals())}
    rows: Mapping[str, list[dict[str, Any]]] = {
        part: [row for name in some if (row := work.row(name)) is not None]
        for part, some in names.items()
    }
    if not any(rows.values()):
        return
    text = natural_drawing.markdown(rows)
    storage.write_atomically(options.out / "table.md", lambda file: file.write(text.encode()))
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
