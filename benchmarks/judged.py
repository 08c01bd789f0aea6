"""Do judges that had no part in the search believe counterfactuals of images, at what distance?

    python -m benchmarks.judged [--quick] [--data mnist] [--data-dir DIR] [--weights FILE]
        [--out DIR] [--first 0] [--count 1000] [--configurations NAME ...] [--seed 0] [--warm]
        [--guides FILE ...]

Explains the same test images under every configuration (`judged_configurations.py`) and has judges
read the counterfactuals (`judged_judges.py`): five networks and three classifiers that are no
networks, trained here and kept. Choices are made on test images 0 to 999 and measured once, before
fresh judges (another `--seed`), on the others: `--first 1000 --count 9000`.

`DIR/DATA/` keeps everything, so that what was interrupted goes on where it was, and a machine
without tensorflow-datasets can do the work (`--prepare` writes the data there and ends):
`data.npz`, `judges-SEED/`, one line of JSON per configuration in `rows.jsonl`, some of its
counterfactuals in `shown/`, and of all lines `table.md`, `frontier.png` and `shown.png`. A line
that is there isn't measured again: remove it when its configuration means something else.
`--draw ROWS FILE` draws the frontier of such lines anew, and needs nothing but them.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from benchmarks import common, judged_drawing
from benchmarks.judged_configurations import (
    REFERENCE,
    SHIPPED,
    Configuration,
    Given,
    chosen,
    configurations,
)
from benchmarks.judged_judges import kept_judges
from benchmarks.judged_measures import Court, measure
from jaxcf import Explainer, Explanations, data, models, plots
from jaxcf.cli.terminal import Terminal
from jaxcf.data import Dataset
from jaxcf.metrics import Interval
from jaxcf.models.adversary import robust_accuracy
from jaxcf.models.functions import call
from jaxcf.models.guides import GuideNetwork, confidence_of
from jaxcf.models.networks.registry import RobustNetwork
from jaxcf.utils.array_files import read_arrays, write_arrays
from jaxcf.utils.batching import map_batches
from jaxcf.utils.files import write_atomically
from jaxcf.utils.json_files import plain
from jaxcf.utils.selection import representative_rows

_EMBEDDED = "digits"
# Test images that the ordinary guide is attacked on.
_ROBUST_ROWS = 1000

_IDENTITY = ("data", "first", "count", "seed", "updates")
"""What a line is about, beside its configuration."""
_NEEDED = {"configuration", "subjects", "judges", "seconds", *_IDENTITY}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the judges, search, measure, write and draw; nothing is done twice.

    Args:
        arguments: without the program's name; None takes those of the process.
    """
    options = _options(arguments)
    if options.draw is not None:
        lines, picture = options.draw
        plots.save(judged_drawing.frontier(read_lines(lines)), picture)
        return
    terminal = Terminal(quiet=False)
    dataset = load_data(options)
    if options.prepare:
        terminal.say(f"{dataset.name} lies in {options.out}")
        return
    model_set = common.load_models(options.data, options.weights)
    if not model_set.class_autoencoders:
        raise ValueError(f"{options.weights} holds no class autoencoders, which IM1 and IM2 need")
    terminal.say(f"judges of seed {options.seed}: trained where {options.out} hasn't them")
    with terminal.training() as on_progress:
        judges = kept_judges(
            dataset,
            options.out / _judges_folder(options),
            seed=options.seed,
            updates=options.updates,
            on_progress=on_progress,
        )
    guides = load_guides(options)
    given = Given(
        model_set,
        dataset,
        guides,
        lambda: kept_ordinary(dataset, guides[SHIPPED], options.out / "ordinary.npz"),
    )
    court = Court(model_set, dataset, judges, options.seed)
    lines = options.out / "rows.jsonl"
    every = configurations(list(guides))
    wanted = chosen(every, options.configurations)
    known = _of_this_run(read_lines(lines), options)
    pending = [one for one in wanted if one.name not in known]
    seconds: Mapping[str, float] | None = None
    for configuration in pending:
        if seconds is None and configuration is not REFERENCE:
            terminal.say(f"{REFERENCE.name}, for the ratios of seconds")
            seconds = _explain(REFERENCE, given, options).seconds
        terminal.say(configuration.name)
        explanations = _explain(configuration, given, options)
        seconds = seconds or explanations.seconds
        row = _row(configuration, explanations, seconds, court, options)
        _keep_some(explanations, options.out / "shown", row)
        write_lines(lines, [*read_lines(lines), row])
    known = _of_this_run(read_lines(lines), options)
    _show([known[one.name] for one in every if one.name in known], options)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = common.parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/judged"), metavar="DIR")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="first test image")
    parser.add_argument("--count", type=int, default=1000, metavar="N", help="of test images")
    parser.add_argument(
        "--configurations", nargs="+", metavar="NAME", help="some of them; default: all"
    )
    parser.add_argument(
        "--guides",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="further ones, from save_guide, called by the name of the file",
    )
    parser.add_argument("--seed", type=int, default=0, help="of judges, controls, resampling")
    parser.add_argument("--updates", type=int, metavar="N", help="of each network that judges")
    parser.add_argument(
        "--warm", action="store_true", help="search twice, and state the second one's seconds"
    )
    parser.add_argument("--prepare", action="store_true", help="keep the data in DIR, and end")
    parser.add_argument(
        "--draw",
        nargs=2,
        type=Path,
        metavar=("ROWS", "FILE"),
        help="draw the frontier of a file of rows, and end",
    )
    options = common.quickly(parser.parse_args(arguments), count=60, updates=150)
    options.out = options.out / options.data
    return options


def _judges_folder(options: argparse.Namespace) -> str:
    trained = "" if options.updates is None else f"-{options.updates}"
    return f"judges-{options.seed}{trained}"


def load_data(options: argparse.Namespace) -> Dataset:
    """The data set: kept in the folder, or loaded and then kept there.

    Args:
        options: with the name of the data, where prepared data lie, and the folder.

    Returns:
        All of it, the same whether it was kept or not.
    """
    if options.data == _EMBEDDED:
        return data.load(options.data)
    path = options.out / "data.npz"
    if not path.exists():
        dataset = data.load(options.data, data_dir=options.data_dir)
        arrays = {
            name: np.round(255 * getattr(dataset, name)).astype(np.uint8)
            for name in ("x_train", "x_test")
        } | {"y_train": dataset.y_train, "y_test": dataset.y_test}
        write_arrays(path, arrays, {"class_names": list(dataset.class_names)})
    arrays, description = read_arrays(path)
    parts = (arrays[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    return data.from_arrays(*parts, name=options.data, class_names=description["class_names"])


def load_guides(options: argparse.Namespace) -> dict[str, GuideNetwork]:
    """The guide that is shipped for the data, if one is, and those of the files, by name."""
    names = models.pretrained_guide_names()
    shipped = {SHIPPED: models.pretrained_guide(options.data)} if options.data in names else {}
    return shipped | {file.stem: models.load_guide(file) for file in options.guides}


def kept_ordinary(dataset: Dataset, like: GuideNetwork, path: Path) -> GuideNetwork:
    """A guide's network, trained as it was, but without an adversary; kept in a file.

    Args:
        dataset: images.
        like: the guide; its rows, passes and learning rate are the other's too.
        path: where it lies, or is to be kept.

    Returns:
        The network and, by the rule of all guides, how sure it is of the rows it didn't learn from.
    """
    if not path.exists():
        known = like.metadata["training"]
        rows = known["rows"]
        x, y = dataset.x_train, dataset.y_train
        same = ("seed", "epochs", "batch_size", "learning_rate", "weight_decay")
        trained, info = models.train_classifier(
            x[:rows],
            y[:rows],
            like.network.architecture,
            **{name: known[name] for name in same},
        )
        network = cast(RobustNetwork, trained)
        probability = np.asarray(jax.nn.softmax(map_batches(partial(call, network), x[rows:])))
        right = probability.argmax(axis=1) == y[rows:]
        x, y = dataset.x_test, dataset.y_test
        decided = map_batches(partial(call, network), x).argmax(axis=1)
        some = slice(_ROBUST_ROWS)
        ordinary = GuideNetwork(
            "ordinary guide",
            network,
            confidence_of(probability.max(axis=1)[right], dataset.shape),
            like.radius,
            float((decided == y).mean()),
            robust_accuracy(network, x[some], y[some], radius=like.radius, seed=known["seed"]),
            {"data": dataset.name, "training": asdict(info)},
        )
        models.save_guide(path, ordinary)
    return models.load_guide(path)


def _explain(
    configuration: Configuration, given: Given, options: argparse.Namespace
) -> Explanations:
    x = given.dataset.x_test[options.first : options.first + options.count]
    fitted = Explainer(**configuration.options(given)).fit(given.dataset.x_train)
    explanations = fitted.explain(x)
    return fitted.explain(x) if options.warm else explanations


def _row(
    configuration: Configuration,
    explanations: Explanations,
    reference: Mapping[str, float],
    court: Court,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Everything that is known of a configuration, JSON-able."""
    seconds = explanations.seconds
    measured = measure(explanations, options.first, court)
    return plain(
        {
            "configuration": configuration.name,
            **_identity(options),
            "n": len(explanations),
            "found": int(explanations.found.sum()),
            "subjects": {
                subject: {name: _interval(value) for name, value in values.items()}
                for subject, values in measured.items()
            },
            "seconds": {name: round(value, 4) for name, value in seconds.items()},
            "warm": options.warm,
            "search_ratio": seconds["search"] / reference["search"],
            "judges": [
                {"name": judge.name, "kind": judge.kind, "accuracy": judge.accuracy}
                for judge in court.judges
            ],
            "settings": explanations.settings,
            "machine": common.machine(),
        }
    )


def _identity(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in _IDENTITY}


def _interval(value: Interval) -> dict[str, float | int | None]:
    return {
        name: None if isinstance(one, float) and np.isnan(one) else one
        for name, one in value._asdict().items()
    }


def _of_this_run(
    rows: Sequence[dict[str, Any]], options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """The lines about the same images, judged by the same judges, by their configuration."""
    identity = _identity(options)
    return {
        row["configuration"]: row
        for row in rows
        if all(row[name] == value for name, value in identity.items())
    }


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a file with one JSON object per line; none where there is no file.

    Raises:
        ValueError: if a line is no such row.
    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            missing = _NEEDED - row.keys()
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{path}, line {number}, is no JSON object; remove it") from error
        if missing:
            raise ValueError(
                f"{path}, line {number}, lacks {', '.join(sorted(missing))}; remove it"
            )
        rows.append(row)
    return rows


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows that `read_lines` reads, at once or not at all."""
    text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
    write_atomically(path, lambda file: file.write(text.encode()))


# ---- what is shown ----


def _shown_file(folder: Path, row: Mapping[str, Any]) -> Path:
    name = re.sub(r"[^A-Za-z0-9.]+", "-", row["configuration"])
    return folder / f"{name}-{row['first']}-{row['count']}.npz"


def _keep_some(explanations: Explanations, folder: Path, row: Mapping[str, Any]) -> None:
    """Keep the first row of each class: the same rows whatever the configuration."""
    every, classes = np.ones(len(explanations), bool), explanations.probabilities.shape[1]
    rows = representative_rows(every, explanations.original_class, classes)
    explanations[rows].save(_shown_file(folder, row))


def _show(rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> None:
    if not rows:
        return
    table = judged_drawing.markdown(rows)
    write_atomically(options.out / "table.md", lambda file: file.write(table.encode()))
    plots.save(judged_drawing.frontier(rows), options.out / "frontier.png")
    shown = {
        row["configuration"]: Explanations.load(_shown_file(options.out / "shown", row))
        for row in rows
    }
    plots.save(judged_drawing.grid(shown), options.out / "shown.png")
    judged_drawing.print_tables(rows)
    if options.json is not None:
        common.write(options.json, rows)
        common.save_figure(judged_drawing.frontier(rows), options.json)


if __name__ == "__main__":
    main()
