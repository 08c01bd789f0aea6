"""Tables against peers: counterfactuals of the same rows of the same models, scored alike.

    python -m benchmarks.tables [--quick] [--json FILE] [--data-dir DIR] [--out DIR]
        [--tables NAME ...] [--models NAME ...] [--n 50] [--jaxcf-n 1000] [--limit 120]
        [--nice-python PATH] [--dice-python PATH] [--cfnow-python PATH] [--alibi-python PATH]
        [--treecf-python PATH]

Tables: those that scikit-learn ships, Adult with `--data-dir`, and with `--treecf-python` treecf's
demonstration, with its trees and two rules. Models: a network, logistic regression, boosted trees
and a forest, trained on three quarters of the rows (Adult: its training file); the first `--n` of
the others are explained, and by jaxcf as well `--jaxcf-n`, the same ones again where there are
fewer. Every peer runs in an interpreter of its own and asks this process for the model's
predictions (`tables_process.py`), with `--limit` processor seconds per task; rows that it didn't
come to count neither for nor against it. `OUT` keeps the peers' answers, so that what was
interrupted goes on where it was, and gets `table.md`; jaxcf always explains anew.

Everything is measured from the answers' values (`tables_measures.py`): validity (the model asked
again; no row of the table, or against a rule, is no answer), changed columns, L1 and L2 in median
absolute deviations, distance to the nearest training row of the new class; means over valid rows
with 95 % intervals, and each row's ranks among all methods that came to half of the rows. Seconds
are of the processor, the method's own and the model's apart; a network inside JAX is part of
jaxcf's own.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common, peer_process, tables_process, tables_summary
from benchmarks.tables_measures import Scores, score
from benchmarks.tables_methods import OWN, Jaxcf, Method, peers
from benchmarks.tables_process import Answers
from benchmarks.tables_tasks import ADULT, CREDIT, MODELS, TABLES, Task, read, task
from jaxcf.cli.terminal import Terminal
from jaxcf.utils.array_files import read_arrays, write_arrays
from jaxcf.utils.files import write_atomically

TOOLS = ("nice", "dice", "cfnow", "alibi", "treecf")
# Predictions of the same model that was trained again may differ by rounding.
_SAME_MODEL = 1e-3


@dataclass(frozen=True)
class Measured:
    """A method on a task.

    Attributes:
        label: the method's name.
        own: whether it is jaxcf.
        many: whether it is of more rows than the others explain.
        answers: what it said.
        scores: what that is worth.
    """

    label: str
    own: bool
    many: bool
    answers: Answers
    scores: Scores


def main(arguments: Sequence[str] | None = None) -> None:
    """Explain, measure, print, and write if asked.

    Args:
        arguments: without the program's name; None takes those of the process.
    """
    options = parse(arguments)
    terminal = Terminal(quiet=False)
    methods = peers(options)
    present = [method for method in methods if method.peer.python is not None]
    skipped = {one.peer.label: one.peer.missing for one in methods if one.peer.python is None}
    for method in present:
        peer_process.check_interpreter(method.peer)
    rows: list[dict[str, Any]] = []
    compared: list[list[Measured]] = []
    for table, model in _pairs(options):
        made = _task(table, model, methods, options)
        terminal.say(f"{made.name}: {len(made.x_train)} training rows")
        measured, objections = measure(made, present, options, terminal)
        compared.append(measured)
        some = tables_summary.of_task(made, measured, objections)
        tables_summary.show_task(made, some)
        rows += some
    overall = tables_summary.overall(rows)
    duels = tables_summary.duels(compared)
    tables_summary.show_all(overall, duels, skipped)
    page = tables_summary.markdown(rows, overall).encode()
    write_atomically(options.out / "table.md", lambda file: file.write(page))
    if options.json is not None:
        common.write(options.json, rows, overall=overall, duels=duels, skipped=skipped)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--quick", action="store_true", help="one small table, jaxcf alone")
    made.add_argument("--json", type=Path, metavar="FILE", help="where to write the rows")
    made.add_argument("--data-dir", type=Path, metavar="DIR", help="where Adult's CSV files lie")
    made.add_argument("--out", type=Path, default=Path("runs/tables"), metavar="DIR")
    made.add_argument("--tables", nargs="+", choices=(*TABLES, CREDIT), metavar="NAME")
    made.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME")
    made.add_argument("--n", type=int, default=50, help="rows for all (default %(default)s)")
    made.add_argument("--jaxcf-n", type=int, default=1000, help="default %(default)s")
    made.add_argument(
        "--limit", type=float, default=120, help="processor seconds per task (%(default)s)"
    )
    for tool in TOOLS:
        made.add_argument(f"--{tool}-python", metavar="PATH", help=f"an interpreter with {tool}")
    options = made.parse_args(arguments)
    if options.tables is None:
        left_out = {ADULT} if options.data_dir is None else set()
        left_out |= {CREDIT} if options.treecf_python is None else set()
        options.tables = [one for one in (*TABLES, CREDIT) if one not in left_out]
    elif CREDIT in options.tables and options.treecf_python is None:
        made.error(f"the table {CREDIT} is treecf's own; pass --treecf-python")
    if options.quick:
        options.tables, options.models, options.n, options.jaxcf_n = ["iris"], ["logistic"], 6, 12
    return options


def _pairs(options: argparse.Namespace) -> list[tuple[str, str]]:
    pairs = [(table, model) for table in options.tables for model in options.models]
    return list(dict.fromkeys((t, "") if t == CREDIT else (t, m) for t, m in pairs))


def _task(table: str, model: str, methods: Sequence[Method], options: argparse.Namespace) -> Task:
    if table == CREDIT:
        peer = next(one.peer for one in methods if one.peer.label.startswith("treecf"))
        return tables_process.demonstration(peer)
    return task(table, read(table, options.data_dir), model)


def measure(
    made: Task, methods: Sequence[Method], options: argparse.Namespace, terminal: Terminal
) -> tuple[list[Measured], dict[str, str]]:
    """Ask all methods about one task.

    Args:
        made: the table and the model.
        methods: peers that have an interpreter.
        options: how many rows, how long, and where answers are kept.
        terminal: told who is at work.

    Returns:
        What every method said and what it is worth, and why others weren't asked.
    """
    n = min(options.n, len(made.x))
    found = []
    for own in OWN:
        if own.outside_only and not made.black_box:
            continue
        fitted = Jaxcf(own, made)
        for count in dict.fromkeys((n, options.jaxcf_n)):
            answers = fitted.explain(count)
            label = own.label if count == n else f"{own.label}, n = {count}"
            scores = score(made, answers.first(len(made.x)))
            found.append(Measured(label, True, count != n, answers, scores))
    objections = {}
    for method in methods:
        label, objection = method.peer.label, method.objection(made)
        if objection is not None:
            objections[label] = objection
            continue
        terminal.say(f"{made.name}: {label}")
        try:
            answers = _kept(made, method, n, options)
        except RuntimeError as error:
            objections[label] = str(error)
            continue
        found.append(Measured(label, False, False, answers, score(made, answers)))
    return found, objections


def _kept(made: Task, method: Method, n: int, options: argparse.Namespace) -> Answers:
    """A peer's answers: of an earlier run, if they are to the same question, or asked for now."""
    path = options.out / _slug(made.name) / f"{_slug(method.peer.label)}.npz"
    asked = {"n": n, "limit": options.limit, "settings": method.peer.settings}
    about = {"x": made.x[:n], "probabilities": made.predict(made.x[:n])}
    if path.exists():
        arrays, said = read_arrays(path)
        same = said["asked"] == asked and all(
            arrays[name].shape == array.shape and np.allclose(arrays[name], array, 0, _SAME_MODEL)
            for name, array in about.items()
        )
        if same:
            kept = {name: array for name, array in arrays.items() if name not in about}
            return Answers.of(kept, said["info"])
    answers = tables_process.ask(method.peer, made, n, options.limit)
    write_arrays(path, answers.arrays | about, {"asked": asked, "info": answers.info})
    return answers


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text)


if __name__ == "__main__":
    main()
