"""Who explains tables in `benchmarks.tables`: jaxcf in several settings, and its peers."""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import update_wrapper
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.alibi_tables import BETA, RATE, ROUNDS, STEPS, THETA, C
from benchmarks.peer_process import TOLERANCE, Peer
from benchmarks.tables_process import Answers
from benchmarks.tables_tasks import Task
from jaxcf import BlackBox, Refinement
from jaxcf.tabular import TableExplainer


@dataclass(frozen=True)
class Own:
    """One way of calling jaxcf.

    Attributes:
        label: its name in tables.
        options: of the `TableExplainer`, beside the model's.
        outside_only: whether it is for models outside JAX alone.
    """

    label: str
    options: Mapping[str, Any] = field(default_factory=dict)
    outside_only: bool = False


OWN = (
    Own("jaxcf"),
    Own("jaxcf, sparsest", {"refinement": Refinement.for_tables("sparsest")}),
    Own("jaxcf, plausible", {"refinement": Refinement.for_tables("plausible")}),
    Own("jaxcf, C", {"objective": "C"}, outside_only=True),
)
"""The settings of jaxcf that are measured."""


@dataclass(frozen=True)
class Method:
    """A peer, and which tasks it can't do.

    Attributes:
        peer: how it is asked.
        objection: why a task is nothing for it, None where it is.
    """

    peer: Peer
    objection: Callable[[Task], str | None]


def peers(options: argparse.Namespace) -> list[Method]:
    """All peers, with the interpreters that were named.

    Args:
        options: with `nice_python` and the like.
    """
    alibi = {
        "beta": BETA,
        "theta": THETA,
        "c_init": C,
        "c_steps": ROUNDS,
        "max_iterations": STEPS,
        "learning_rate_init": RATE,
    }
    exact = {"backend": "exact", "time_budget_s": 2.0}
    return [
        *(
            _method("nice", f"NICE, {one}", {"optimization": one}, _without_rules, options)
            for one in ("sparsity", "proximity", "plausibility")
        ),
        *(
            _method("dice", f"DiCE, {one}", {"method": one}, _anything, options)
            for one in ("random", "genetic", "kdtree")
        ),
        *(
            _method("cfnow", f"cfnow, {one}", {"strategy": one}, _without_rules, options)
            for one in ("greedy", "random")
        ),
        _method("alibi", "alibi", {"options": alibi, "tolerance": TOLERANCE}, _alibi, options),
        _method("treecf", "treecf, genetic", {"options": {}}, _trees_only, options),
        _method("treecf", "treecf, exact", {"options": exact}, _trees_only, options),
    ]


_FILES = {"alibi": "peer_alibi_rows.py"}
_MODULES = {"dice": "dice_ml"}


def _method(
    tool: str,
    label: str,
    settings: dict[str, Any],
    objection: Callable[[Task], str | None],
    options: argparse.Namespace,
) -> Method:
    peer = Peer(
        label=label,
        module=_MODULES.get(tool, tool),
        script=_FILES.get(tool, f"peer_{tool}.py"),
        python=getattr(options, f"{tool}_python"),
        missing=f"needs an environment of its own; pass --{tool}-python",
        solver="",
        stop="",
        settings=settings,
    )
    return Method(peer, objection)


def _anything(task: Task) -> str | None:
    return None


def _without_rules(task: Task) -> str | None:
    return "it takes no rules" if task.rules else None


def _alibi(task: Task) -> str | None:
    return "it takes no rules such as these" if task.rules else None


def _trees_only(task: Task) -> str | None:
    return "it is for trees of two classes" if task.trees is None else None


class Counted:
    """A function outside JAX, and what it has cost so far.

    Args:
        function: of a batch.
    """

    def __init__(self, function: Callable[[np.ndarray], Any]) -> None:
        update_wrapper(self, function, updated=())
        self._function = function
        self.seconds, self.rows = 0.0, 0

    def __call__(self, x: np.ndarray) -> Any:
        """The function's answer."""
        began = time.process_time()
        answer = self._function(x)
        self.seconds += time.process_time() - began
        self.rows += len(x)
        return answer


class Jaxcf:
    """jaxcf in one setting on one task, fitted.

    Args:
        own: the setting.
        task: the table and the model.
    """

    def __init__(self, own: Own, task: Task) -> None:
        self._task = task
        options = dict(task.options) | dict(own.options)
        self._counted = None
        if isinstance(options["predict"], BlackBox):
            self._counted = Counted(options["predict"].predict)
            options["predict"] = replace(options["predict"], predict=self._counted)
        began = time.process_time()
        self._fitted = TableExplainer(**options).fit(task.schema.write(task.x_train))
        self._setup = time.process_time() - began

    def explain(self, n: int) -> Answers:
        """The rows of the task, from the first on and, where it has fewer, round and round.

        The first call for so many rows compiles, and isn't counted.
        """
        rows = self._task.x[np.arange(n) % len(self._task.x)]
        table = self._task.schema.write(rows)
        rules, target = self._task.rules, self._task.target
        self._fitted.explain(table, rules=rules, target=target)
        counted = self._counted
        before = (counted.seconds, counted.rows) if counted else (0.0, 0)
        began = time.process_time()
        found = self._fitted.explain(table, rules=rules, target=target)
        seconds = time.process_time() - began
        model = counted.seconds - before[0] if counted else 0.0
        asked = counted.rows - before[1] if counted else 0
        each = np.ones(n) / n
        reasons = {
            status: int(count)
            for status, count in zip(
                *np.unique(np.array(found.messages)[~found.found], return_counts=True), strict=True
            )
        }
        return Answers(
            np.where(found.found[:, None], found.values, np.nan),
            np.ones(n, bool),
            (seconds - model) * each,
            model * each,
            asked * each,
            {"system": common.SYSTEM, "setup_seconds": self._setup, "reasons": reasons},
        )
