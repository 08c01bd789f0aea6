"""Whether an accelerator answers as a CPU does: networks, gradients, whole searches."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import common, limit
from benchmarks.accelerator_job import (
    EMBEDDED,
    Job,
    Row,
    at_precision,
    classes,
    explained,
    fitted_under_d,
    timed,
)
from jaxcf import (
    EngineOptions,
    Explanations,
    FittedExplainer,
    data,
    models,
)
from jaxcf.data import Dataset
from jaxcf.objective import Instance, in_float32, loss_terms

_KEPT = "answers.npz"

_TOLERANCES = {"default": 1e-2, "highest": 1e-4}
"""What the median row may be off at JAX's own precision (TF32 on some devices), and in float32."""

_OFF_AT_MOST = 0.01
"""By what share of found rows, of confirmed ones or of the distance searches may differ."""


def _compared_at(job: Job) -> tuple[str, ...]:
    return ("default",) if job.small else ("default", "highest")


class _Said(NamedTuple):
    """What the networks say of some points, and the objective's gradient there."""

    probabilities: np.ndarray
    encodings: np.ndarray
    reconstructions: np.ndarray
    gradients: np.ndarray
    guide: np.ndarray


def _plain(fitted: FittedExplainer, name: str, instances: Instance, points: np.ndarray) -> _Said:
    """Ask outside of all searches, in programs that are compiled for it."""
    functions, objective = fitted.models, in_float32(fitted.objective)
    guide = models.pretrained_guide(name).functions()

    def objective_of(points: jax.Array, params: Any, instances: Instance) -> tuple[Any, Any]:
        outputs = functions.outputs(params, points, encoding=True, reconstruction=True)
        weights = jnp.ones(len(points))
        terms = jax.vmap(partial(loss_terms, objective))(
            weights, instances, points, points - instances.original, outputs
        )
        total = jnp.sum(jnp.stack(list(terms.values())))
        return total, (outputs.probabilities, outputs.encoding, outputs.reconstruction)

    asked = jax.jit(jax.grad(objective_of, has_aux=True))
    gradients, said = asked(jnp.asarray(points), fitted.params, instances)
    read = jax.jit(lambda params, x: jax.nn.softmax(guide["predict"](params, x)))
    opinion = read(guide["params"], jnp.asarray(points))
    return _Said(*map(np.asarray, (*said, gradients, opinion)))


def _nearby(x: np.ndarray) -> np.ndarray:
    """Points beside the originals, where no term has a corner."""
    moved = x + np.random.default_rng(0).normal(0, 0.1, x.shape)
    return np.clip(moved, 0.01, 0.99).astype(np.float32)


def _asked(job: Job) -> list[Dataset]:
    """The data sets whose shipped networks are asked, the one that is searched first."""
    dataset = job.images
    return [dataset] if dataset.name == EMBEDDED else [dataset, data.load(EMBEDDED)]


def answers(job: Job) -> Iterator[Row]:
    """Ask and search on this device, for `compared`, which runs on a CPU."""
    kept: dict[str, np.ndarray] = {}
    for dataset in _asked(job):
        fitted = fitted_under_d(dataset)
        x = dataset.x_test[: job.few(16, 512)]
        instances = limit.occupied_lanes(fitted, x).instance
        for leaf in ("original_class", "targets", "prototype"):
            kept[f"{dataset.name}/{leaf}"] = np.asarray(getattr(instances, leaf))
        for precision in _compared_at(job):
            with at_precision(precision):
                said = _plain(fitted, dataset.name, instances, _nearby(x))
            for leaf, array in said._asdict().items():
                kept[f"{dataset.name}/{precision}/{leaf}"] = array
    dataset = _asked(job)[0]
    layout = EngineOptions(lanes=16, lanes_per_group=8) if job.small else EngineOptions()
    fitted = fitted_under_d(dataset, engine=layout)
    x = dataset.x_test[: job.few(32, len(dataset.x_test))]
    timing = timed(job, lambda: fitted.explain(x), repeats=1)
    explanations = timing.result
    for leaf in ("counterfactual", "counterfactual_class", "original_class", "found", "steps"):
        kept[f"search/{leaf}"] = np.asarray(getattr(explanations, leaf))
    kept["search/elastic_net"] = explanations.elastic_net
    np.savez(job.work / _KEPT, **kept)  # type: ignore[arg-type]
    yield {"what": f"{dataset.name}, D, in two groups"} | explained(explanations, timing)


def compared(job: Job) -> Iterator[Row]:
    """What `answers` left, beside the same from this process, which has a CPU alone."""
    with np.load(job.work / _KEPT, allow_pickle=False) as file:
        kept = dict(file)
    for dataset in _asked(job):
        fitted = fitted_under_d(dataset)
        x = dataset.x_test[: job.few(16, 512)]
        own = limit.occupied_lanes(fitted, x).instance
        theirs = (
            jnp.asarray(kept[f"{dataset.name}/{leaf}"])
            for leaf in ("original_class", "targets", "prototype")
        )
        instances = own._replace(
            **dict(zip(("original_class", "targets", "prototype"), theirs, strict=True))
        )
        points = _nearby(x)
        here = _plain(fitted, dataset.name, instances, points)
        with limit.stock_formulation():
            stock = _plain(fitted, dataset.name, instances, points)
        there = {
            precision: _Said(
                *(kept[f"{dataset.name}/{precision}/{leaf}"] for leaf in _Said._fields)
            )
            for precision in _compared_at(job)
        }
        prototypes = _differences(np.asarray(instances.prototype), np.asarray(own.prototype))
        cases = {
            **{
                f"device, precision {name}": (said, _TOLERANCES[name])
                for name, said in there.items()
            },
            "CPU, stock convolutions": (stock, _TOLERANCES["highest"]),
        }
        for case, (said, tolerance) in cases.items():
            off = {
                leaf: _differences(one, other)
                for leaf, one, other in zip(_Said._fields, said, here, strict=True)
            }
            yield {
                "what": f"networks of {dataset.name}, {case}, beside the CPU",
                "n": len(x),
                "same_prototype": float(np.mean(prototypes < 1e-2)),
                "tolerance": tolerance,
                "agrees": all(np.median(rows) <= tolerance for rows in off.values()),
                **{f"{leaf}_off_median": float(np.median(rows)) for leaf, rows in off.items()},
                **{f"{leaf}_off_most": float(np.max(rows)) for leaf, rows in off.items()},
            }
    yield _searches_compared(job, kept)


def _searches_compared(job: Job, kept: Mapping[str, np.ndarray]) -> Row:
    """The ends of the searches there beside those here, and what the networks here say of them."""
    dataset = _asked(job)[0]
    fitted = fitted_under_d(dataset)
    theirs = {
        leaf.removeprefix("search/"): array
        for leaf, array in kept.items()
        if leaf.startswith("search/")
    }
    functions = models.pretrained(dataset.name).functions()
    decided = classes(functions, theirs["counterfactual"])
    found = theirs["found"].astype(bool)
    confirmed = (decided == theirs["counterfactual_class"]) & (
        decided != classes(functions, dataset.x_test[: len(decided)])
    )
    here = fitted.explain(dataset.x_test[: job.few(32, 1024)])
    n = len(here)
    both = here.found & found[:n]
    ratio = theirs["elastic_net"][:n][both] / here.elastic_net[both]
    same_class = theirs["counterfactual_class"][:n] == here.counterfactual_class
    agreed = common.mean_over(found, confirmed)
    distances = theirs["elastic_net"][:n][both].mean(), here.elastic_net[both].mean()
    return {
        "what": f"searches of {dataset.name}, beside the CPU's",
        "n": n,
        "stop": here.settings["search"]["stop"],
        "found": float(found[:n].mean()),
        "found_on_cpu": float(here.found.mean()),
        "confirmed_on_cpu": agreed,
        "confirmed_of": int(found.sum()),
        "same_class": common.mean_over(both, same_class),
        "same_steps": common.mean_over(both, theirs["steps"][:n] == here.steps),
        "elastic_net": common.mean_over(both, theirs["elastic_net"][:n]),
        "elastic_net_on_cpu": common.mean_over(both, here.elastic_net),
        "elastic_net_ratio_median": float(np.median(ratio)) if both.any() else None,
        "elastic_net_within_1_percent": common.mean_over(both, _within(theirs, here)),
        "tolerance": _OFF_AT_MOST,
        "agrees": bool(
            abs(found[:n].mean() - here.found.mean()) <= _OFF_AT_MOST
            and agreed is not None
            and agreed >= 1 - _OFF_AT_MOST
            and abs(distances[0] - distances[1]) <= _OFF_AT_MOST * distances[1]
        ),
    }


def _within(theirs: Mapping[str, np.ndarray], here: Explanations) -> np.ndarray:
    there = theirs["elastic_net"][: len(here)]
    return np.abs(there - here.elastic_net) <= 0.01 * np.abs(here.elastic_net)


def _differences(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far each row is from the other, as a share of its length; never NaN where they differ."""
    one, other = (array.reshape(len(array), -1).astype(np.float64) for array in (one, other))
    length = np.maximum(np.linalg.norm(other, axis=1), 1e-12)
    apart = np.linalg.norm(one - other, axis=1) / length
    return np.where(np.isfinite(apart), apart, np.inf)
