"""Speed and quality against peers: the same images, networks and settings through each system.

    python -m benchmarks.peers [--quick] [--json FILE] [--data-dir DIR] [--weights FILE] [--n 20]
        [--jaxcf-n 1000] [--torch-n 200] [--torch-python PATH] [--alibi-python PATH]

Objective D (beta 0.1, kappa 0, gamma 100, theta 100, c 1, prototypes of 15 neighbours) on MNIST:

- torch: our own plain PyTorch loop with the report's settings, one image at a time on one thread,
  all images in one batch, and in a batch that finished rows leave (see `peer_torch.py`);
- alibi: CounterfactualProto as its documentation's MNIST example calls it;
- jaxcf: the preset `report`, the default options, and these with `stop="budget"` and several
  budgets of updates, to see what alibi's quality costs.

Peers run in interpreters of their own (`pip install torch numpy`; `pip install
"alibi[tensorflow]==0.9.6" "click<8.2"` on Python 3.11); a peer without one is left out. jaxcf is
measured right before and right after each peer, so a ratio compares neighbours in time. A time is
that of a whole `explain` call, blocked on completion, with compilation apart; a peer's begins when
its networks and prototypes are ready. Validity, objective value (c = 1), elastic net, IM1 and IM2
are jaxcf's for all; means are over valid rows, steps over all rows. Nothing else should run on the
machine: torch's threads wait for each other at every operation, and where another program holds a
core they take many times as long as one thread (hence the rows with one).
"""

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from benchmarks import common, peer_process, peer_scores, peer_tables
from benchmarks.peer_process import Peer, PeerResult
from benchmarks.peer_scores import Scores
from jaxcf import Explainer, Explanations, FittedExplainer, SearchOptions, data, presets
from jaxcf.models import ModelSet
from jaxcf.version import __version__

OBJECTIVE = "D"
ALIBI_STEPS = 1000
ALIBI_ROUNDS = 2
MEASURES = ("objective_value", "elastic_net")


@dataclass
class Jaxcf:
    """One way of calling jaxcf on some rows, and what was measured of it.

    Attributes:
        label: its name in tables.
        fitted: the explainer.
        x: `[n, *shape]`, the rows.
        compile_seconds: for tracing and compiling.
        seconds: of each call.
        processor_seconds: of each call.
        explanations: of the last call.
    """

    label: str
    fitted: FittedExplainer
    x: np.ndarray
    compile_seconds: float = 0.0
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    explanations: Explanations | None = None

    def warm_up(self) -> None:
        """Compile: budgets are traced, so a search of one update leaves nothing to compile."""
        short = replace(self.fitted.search, max_steps=1, weight_rounds=1)
        first = self.fitted.with_options(search=short).explain(self.x)
        self.compile_seconds = first.seconds["compile"]

    def measure(self) -> float:
        """One call under the clock; its seconds per instance."""
        processor, began = time.process_time(), time.perf_counter()
        self.explanations = self.fitted.explain(self.x)
        self.seconds.append(time.perf_counter() - began)
        self.processor_seconds.append(time.process_time() - processor)
        return self.seconds[-1] / len(self.x)

    @property
    def result(self) -> Explanations:
        """The explanations of the last call."""
        if self.explanations is None:
            raise RuntimeError(f"{self.label} has not been measured")
        return self.explanations

    @property
    def seconds_per_instance(self) -> float:
        """The median of all calls."""
        return float(np.median(self.seconds)) / len(self.x)


@dataclass(frozen=True)
class Measured:
    """A peer's result, and jaxcf's times around it."""

    peer: Peer
    result: PeerResult
    scores: Scores
    ratios: dict[str, float]

    @property
    def seconds_per_instance(self) -> float:
        """Of its rows."""
        return float(self.result.seconds.sum()) / len(self.result.steps)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    options = parse(arguments)
    dataset = data.load(options.data, data_dir=options.data_dir)
    models = common.load_models(options.data, options.weights)
    explainer = Explainer(
        **models.functions(), **presets.report(OBJECTIVE), feature_range=(0.0, 1.0)
    )
    fitted = explainer.fit(dataset.x_train)
    others = peers(fitted, options)
    present = [peer for peer in others if peer.python is not None]
    skipped = {peer.label: peer.missing for peer in others if peer.python is None}
    for peer in present:
        peer_process.check_interpreter(peer)
    runs = jaxcf_runs(fitted, dataset.x_test, options)
    for run in runs:
        run.warm_up()
        run.measure()
    measured = [beside(peer, runs, models, dataset.x_train) for peer in present]
    own_scores = {
        run.label: peer_scores.score(run.fitted, models, run.result, run.result.counterfactual)
        for run in runs
    }
    rows = [jaxcf_row(run, own_scores[run.label]) for run in runs] + list(map(peer_row, measured))
    pairs, equal = comparisons(runs, own_scores, measured)
    peer_tables.show(options.data, rows, equal, skipped)
    if options.json is not None:
        common.write(
            options.json,
            rows,
            data=options.data,
            weights="shipped" if options.weights is None else options.weights.name,
            objective=fitted.objective.settings(),
            skipped=skipped,
            pairs=pairs,
            equal_quality=equal,
        )
        peer_tables.plot(rows, options.json)


def beside(peer: Peer, runs: Sequence[Jaxcf], models: ModelSet, x_train: np.ndarray) -> Measured:
    """Run a peer, and right before and right after it jaxcf on the fewest rows that cover it."""
    n = peer.settings["n"]
    length = min(len(run.x) for run in runs if len(run.x) >= n)
    neighbours = [run for run in runs if len(run.x) == length]
    # Classes and prototypes are the same in all runs.
    explanations = neighbours[0].result[:n]
    arrays = peer_process.exchanged(models, explanations, x_train)
    before = [run.measure() for run in neighbours]
    result = peer_process.run(peer, arrays)
    after = [run.measure() for run in neighbours]
    own = float(result.seconds.sum()) / n
    ratios = {
        run.label: 2 * own / (one + other)
        for run, one, other in zip(neighbours, before, after, strict=True)
    }
    fitted = neighbours[0].fitted
    scores = peer_scores.score(fitted, models, explanations, result.counterfactual)
    return Measured(peer, result, scores, ratios)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = common.parser(__doc__)
    parser.add_argument("--n", type=int, default=20, help="images for all (%(default)s)")
    parser.add_argument("--jaxcf-n", type=int, default=1000, help="for jaxcf (%(default)s)")
    parser.add_argument("--torch-n", type=int, default=200, help="for torch (%(default)s)")
    parser.add_argument("--budgets", type=int, nargs="*", default=[50, 100, 200, 500])
    parser.add_argument("--torch-python", metavar="PATH", help="an interpreter that has torch")
    parser.add_argument("--alibi-python", metavar="PATH", help="an interpreter that has alibi")
    options = parser.parse_args(arguments)
    options.max_steps, options.alibi_steps = 500, ALIBI_STEPS
    options = common.quickly(
        options, budgets=[10], n=2, jaxcf_n=8, torch_n=4, max_steps=20, alibi_steps=20
    )
    if not 0 < options.n < options.jaxcf_n:
        parser.error("--jaxcf-n must be larger than --n: its rows are the others' and more")
    options.torch_n = min(options.torch_n, options.jaxcf_n)
    return options


def jaxcf_runs(fitted: FittedExplainer, x: np.ndarray, options: argparse.Namespace) -> list[Jaxcf]:
    """All ways of calling jaxcf, on the first of the rows."""
    few, many = x[: options.n], x[: options.jaxcf_n]
    report = replace(fitted.search, max_steps=options.max_steps)
    default = SearchOptions()
    if options.quick:
        default = replace(default, max_steps=options.max_steps)
    runs = []
    for name, search in (("report", report), ("default", default)):
        for rows in (few, many):
            label = f"jaxcf {name}, n = {len(rows)}"
            runs.append(Jaxcf(label, fitted.with_options(search=search), rows))
    for budget in options.budgets:
        search = SearchOptions(stop="budget", max_steps=budget)
        runs.append(Jaxcf(f"jaxcf budget {budget}", fitted.with_options(search=search), few))
    return runs


def peers(fitted: FittedExplainer, options: argparse.Namespace) -> list[Peer]:
    """The other systems, with the weights of jaxcf's own objective."""
    objective = fitted.objective
    shared = {
        "c": float(fitted.search.prediction_weight),
        "kappa": float(objective.margin),
        "beta": float(objective.l1_weight_in_use),
        "gamma": float(objective.reconstruction_weight),
        "theta": float(objective.prototype_weight),
        "learning_rate": 1e-2,
        "n": options.n,
    }
    torch = peer_process.torch_interpreter(options.torch_python)
    found = []
    for mode, n, threads in (
        ("single", options.n, 1),
        ("batch", options.n, 1),
        ("batch", options.n, None),
        ("shrinking", options.torch_n, 1),
        ("shrinking", options.torch_n, None),
    ):
        special = {"mode": mode, "n": n, "threads": threads, "max_steps": options.max_steps}
        found.append(
            Peer(
                label=f"torch {mode}, n = {n}" + (", 1 thread" if threads == 1 else ""),
                module="torch",
                script="peer_torch.py",
                python=torch,
                missing="no torch here; pass --torch-python or install the extra: jaxcf[peers]",
                solver="adam",
                stop="first_flip",
                settings=shared | special,
            )
        )
    special = {"c_steps": ALIBI_ROUNDS, "max_steps": options.alibi_steps, "k": 15}
    alibi = Peer(
        label=f"alibi, n = {options.n}",
        module="alibi",
        script="peer_alibi.py",
        python=options.alibi_python,
        missing="needs an environment of its own; pass --alibi-python",
        solver="fista",
        stop="budget",
        settings=shared | special,
    )
    return [*found, alibi]


def jaxcf_row(run: Jaxcf, scores: Scores) -> dict[str, Any]:
    """What is recorded of one of jaxcf's runs."""
    search = run.result.settings["search"]
    return {
        "label": run.label,
        "system": f"jaxcf {__version__}",
        "n": len(run.x),
        "device": jax.devices()[0].device_kind,
        "threads": os.cpu_count(),
        "objective": OBJECTIVE,
        "solver": search["solver"],
        "stop": search["stop"],
        "max_steps": search["max_steps"],
        "weight_rounds": search["weight_rounds"],
        "weight_growth": search["weight_growth"],
        **scores.means(),
        "steps": _steps(run.result.steps),
        "seconds": float(np.median(run.seconds)),
        "seconds_of_each_call": run.seconds,
        "seconds_per_instance": run.seconds_per_instance,
        "processor_seconds_per_instance": float(np.median(run.processor_seconds)) / len(run.x),
        "compile_seconds": run.compile_seconds,
        "setup_seconds": run.fitted.seconds,
        "ratios": {},
    }


def peer_row(measured: Measured) -> dict[str, Any]:
    """What is recorded of a peer; `ratios` are its time over jaxcf's around it."""
    peer, result = measured.peer, measured.result
    n = len(result.steps)
    return {
        "label": peer.label,
        "system": result.info["system"],
        "n": n,
        "device": "cpu",
        "threads": result.info["threads"],
        "objective": OBJECTIVE,
        "solver": peer.solver,
        "stop": peer.stop,
        "max_steps": peer.settings["max_steps"],
        "weight_rounds": peer.settings.get("c_steps", 1),
        "weight_growth": 1.0,
        **measured.scores.means(),
        "steps": _steps(result.steps),
        "seconds": float(result.seconds.sum()),
        "seconds_of_each_call": result.seconds,
        "seconds_per_instance": measured.seconds_per_instance,
        "processor_seconds_per_instance": result.info["processor_seconds"] / n,
        "compile_seconds": 0.0,
        "setup_seconds": result.info["setup_seconds"],
        "largest_difference": result.info["largest_difference"],
        "ratios": measured.ratios,
    }


def _steps(steps: np.ndarray) -> dict[str, float]:
    return {"mean": float(steps.mean()), "median": float(np.median(steps))}


def comparisons(
    runs: Sequence[Jaxcf], own_scores: dict[str, Scores], measured: Sequence[Measured]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Row by row: pairs of a jaxcf run and a peer, and jaxcf's time to each peer's quality."""
    pairs, equal = [], []
    for one in measured:
        n = len(one.result.steps)
        candidates = []
        for run in runs:
            if run.label in one.ratios:
                scores = own_scores[run.label].first(n)
                candidates.append((run.label, scores, run.seconds_per_instance))
                pair = peer_scores.compare(scores, one.scores)
                pairs.append({"labels": [run.label, one.peer.label]} | pair)
        for measure in MEASURES:
            reached = peer_scores.at_equal_quality(one.scores, candidates, measure)
            equal.append(
                {
                    "peer": one.peer.label,
                    "measure": measure,
                    "peer_value": one.scores.means()[measure],
                    "peer_seconds_per_instance": one.seconds_per_instance,
                    "jaxcf": reached,
                }
            )
    return pairs, equal


if __name__ == "__main__":
    main()
