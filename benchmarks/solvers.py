"""Step rules against each other on the same objective: which one should be the default?

    python -m benchmarks.solvers [--quick] [--json FILE] [--data mnist] [--data-dir DIR]
        [--weights FILE] [--n 64] [--max-steps 1000] [--solvers NAME ...]

Two questions, objective D with the same instances and prototypes for all. First: how low does each
rule bring the objective with c fixed at 1 (best value after 50, 100, 200, 500 and 1000 updates,
mean over rows, as curves)? Second: how long until the first flip, at what validity, objective value
and elastic net, with c fixed and with c growing in the loop? The objective value is always that of
c = 1, so that a larger c can't look better or worse than it is. Compile time stands apart.
"""

import argparse
from typing import Any

import jax
import numpy as np
import optax

from benchmarks import common
from jaxcf import Explainer, FittedExplainer, SearchOptions, data, solvers
from jaxcf.solvers import Solver

CHECKPOINTS = (50, 100, 200, 500, 1000)
GROWTHS = (1.0, 1.1, 1.4)


def candidates() -> dict[str, Solver]:
    """The rules, each at the rates that were the best of a coarse sweep over powers of about 3."""
    return {
        "subgradient Adam 0.01 (report)": solvers.subgradient_adam(1e-2),
        "proximal Adam 0.01, momentum 0.9": solvers.adam(1e-2, momentum=0.9),
        "proximal Adam 0.03, momentum 0.9": solvers.adam(3e-2, momentum=0.9),
        "proximal Adam 0.03, momentum 0.5": solvers.adam(3e-2, momentum=0.5),
        "proximal Adam 0.03, no momentum": solvers.adam(3e-2, momentum=0.0),
        "gradient descent 1e-4": solvers.gradient_descent(1e-4),
        "momentum 0.9, 1e-5": solvers.gradient_descent(1e-5, momentum=0.9),
        "FISTA 1e-4": solvers.fista(1e-4),
        "FISTA 1e-4, restart": solvers.fista(1e-4, restart=True),
        "FISTA 1e-2 (paper)": solvers.fista(1e-2),
        "fading Adam": solvers.fading_adam(),
        "L-BFGS 0.1": _lbfgs(0.1),
        "normalized, momentum 0.7 (default)": solvers.normalized(),
        "normalized 0.2, momentum 0.7": solvers.normalized(0.2, momentum=0.7),
        "normalized 0.1, no momentum": solvers.normalized(0.1, momentum=0.0),
    }


def _lbfgs(learning_rate: float) -> Solver:
    # Without a line search: each lane would wait for the slowest (and evaluate it again).
    transformation = optax.lbfgs(learning_rate, memory_size=10, linesearch=None)
    return solvers.from_optax(transformation, step_size=learning_rate, name="lbfgs", proximal=False)


def main() -> None:
    """Measure, print, write."""
    options = _options()
    dataset = data.load(options.data, data_dir=options.data_dir)
    functions = common.load_models(options.data, options.weights).functions()
    fitted = Explainer(**functions, objective="D", feature_range=(0.0, 1.0)).fit(dataset.x_train)
    x = dataset.x_test[: options.n]
    rules = {
        name: rule
        for name, rule in candidates().items()
        if not options.solvers or any(part in name for part in options.solvers)
    }
    curves = {name: objective_curve(fitted, x, rule, options) for name, rule in rules.items()}
    rows = []
    for name, rule in rules.items():
        for growth in GROWTHS:
            rows.append({"solver": name} | first_flip(fitted, x, rule, growth, options))
    _print(curves, rows, options)
    if options.json is not None:
        values = {name: list(curve) for name, curve in curves.items()}
        common.write(options.json, rows, best_objective_after_each_evaluation=values)
        _plot(curves, options)


def _options() -> argparse.Namespace:
    parser = common.parser(__doc__)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--max-steps", type=int, default=CHECKPOINTS[-1])
    parser.add_argument("--solvers", nargs="*", metavar="NAME", help="parts of the names to take")
    options = parser.parse_args()
    few = options.solvers or ["report", "default"]
    return common.quickly(options, n=8, max_steps=50, solvers=few)


def objective_curve(
    fitted: FittedExplainer, x: np.ndarray, rule: Solver, options: argparse.Namespace
) -> np.ndarray:
    """The best objective value so far after each evaluation, c = 1, mean over rows."""
    search = SearchOptions(
        solver=rule,
        stop="budget",
        max_steps=options.max_steps,
        weight_growth=1.0,
        record_history=True,
    )
    history = fitted.with_options(search=search).explain(x).history
    values = np.sum(list(history.values()), axis=0)
    # A rule that diverges keeps the best that it had.
    return np.fmin.accumulate(np.where(np.isfinite(values), values, np.inf), axis=1).mean(axis=0)


def first_flip(
    fitted: FittedExplainer,
    x: np.ndarray,
    rule: Solver,
    growth: float,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Steps, time and quality of the first flip."""
    search = SearchOptions(
        solver=rule, stop="first_flip", max_steps=min(500, options.max_steps), weight_growth=growth
    )
    ready = fitted.with_options(search=search)
    compile_seconds = ready.explain(x).seconds["compile"]
    explanations = ready.explain(x)
    found, summary = explanations.found, explanations.summary()
    value = common.objective_values(explanations)
    return {
        "system": common.SYSTEM,
        "weight_growth": growth,
        "n": len(x),
        "device": jax.devices()[0].device_kind,
        "objective": "D",
        "stop": search.stop,
        "validity": float(found.mean()),
        "mean_steps": float(explanations.steps.mean()),
        "p99_steps": float(np.percentile(explanations.steps, 99)),
        "objective_value": common.mean_over(found, value),
        "elastic_net": summary["elastic_net"],
        "compile_seconds": compile_seconds,
        "seconds": explanations.seconds["search"],
        "seconds_per_instance": explanations.seconds["search"] / len(x),
    }


def _print(
    curves: dict[str, np.ndarray], rows: list[dict[str, Any]], options: argparse.Namespace
) -> None:
    steps = [step for step in CHECKPOINTS if step <= options.max_steps]
    common.print_table(
        f"best objective value with c = 1, {options.data}, n = {options.n}",
        ("solver", *(f"after {step}" for step in steps)),
        [
            (name, *(f"{curve[step]:.1f}" for step in steps))
            for name, curve in sorted(curves.items(), key=lambda item: item[1][-1])
        ],
    )
    common.print_table(
        f"the first flip, {options.data}, n = {options.n}, {jax.devices()[0].device_kind}",
        ("solver", "c grows", "validity", "steps", "p99", "objective", "elastic net", "ms each"),
        [
            (
                row["solver"],
                f"{row['weight_growth']:g}",
                f"{row['validity']:.3f}",
                f"{row['mean_steps']:.1f}",
                f"{row['p99_steps']:.0f}",
                common.text(row["objective_value"], ".1f"),
                common.text(row["elastic_net"], ".2f"),
                f"{1e3 * row['seconds_per_instance']:.1f}",
            )
            for row in rows
        ],
    )


def _plot(curves: dict[str, np.ndarray], options: argparse.Namespace) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axis = figure.subplots()
    for index, (name, curve) in enumerate(curves.items()):
        style = ("-", "--")[index // 10]  # the cycle has ten colours
        axis.loglog(np.arange(1, len(curve)), curve[1:], style, label=name)
    axis.set_xlabel("updates")
    axis.set_ylabel("best objective value so far, c = 1, mean over rows")
    axis.legend(fontsize="small")
    common.save_figure(figure, options.json)


if __name__ == "__main__":
    main()
