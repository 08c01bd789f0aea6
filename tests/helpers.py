"""Shared by the tests: one tolerance, the problems, the objectives, solvers and prototype kinds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import optax

from jaxcf import (
    EngineOptions,
    Explainer,
    Explanations,
    FittedExplainer,
    KDTree,
    KMeans,
    NearestMean,
    Objective,
    SearchOptions,
    solvers,
)
from jaxcf.objective import NAMED_OBJECTIVES
from jaxcf.results.explanations import pack
from jaxcf.utils.array_files import read_arrays, write_arrays

# --- comparing -----------------------------------------------------------------------------

# float32: what reordering a few hundred sums costs, carried through some tens of steps.
_TOLERANCES = {np.dtype(np.float32): (1e-4, 1e-5), np.dtype(np.float64): (1e-6, 1e-8)}


def assert_close(actual: Any, expected: Any, what: str = "") -> None:
    """Equal to the tolerance of the less exact of the two types; NaN equals NaN."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape} != {expected.shape}"
    kinds = [np.dtype(a.dtype) for a in (actual, expected) if a.dtype in _TOLERANCES]
    if not kinds:
        np.testing.assert_array_equal(actual, expected, err_msg=what)
        return
    rtol, atol = max(_TOLERANCES[kind] for kind in kinds)
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol, err_msg=what)


@contextmanager
def type_checks(wanted: bool) -> Iterator[None]:
    """With or without the checks of types at run time inside the block."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", not wanted)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


@contextmanager
def compilations() -> Iterator[list[str]]:
    """What XLA compiles inside the block, as a list that fills."""
    compiled: list[str] = []
    # A program that another test has compiled counts as well.
    jax.config.update("jax_enable_compilation_cache", False)
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration_secs, **kwargs: (
            compiled.append(event) if "backend_compile" in event else None
        )
    )
    try:
        yield compiled
    finally:
        jax.monitoring.clear_event_listeners()
        jax.config.update("jax_enable_compilation_cache", True)


EXACT_FIELDS = (
    "original",
    "status",
    "original_class",
    "counterfactual_class",
    "target_class",
    "steps",
    "prediction_weight",
)
CLOSE_FIELDS = ("counterfactual", "original_probabilities", "probabilities", "prototype")
TABLES = ("losses", "scores", "history")


def assert_same_answers(actual: Explanations, expected: Explanations) -> None:
    """The same rows with the same answers: decisions exactly, numbers to float tolerance."""
    for name in EXACT_FIELDS:
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name), err_msg=name)
    for name in CLOSE_FIELDS:
        assert_close(getattr(actual, name), getattr(expected, name), name)
    for name in TABLES:
        ours, theirs = getattr(actual, name), getattr(expected, name)
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_close(ours[key], theirs[key], f"{name}/{key}")


def assert_same_rows(actual: Any, expected: Any) -> None:
    """The same explanations to the last bit, whatever they were made with."""
    mine, theirs = pack(actual), pack(expected)
    for name, array in theirs.items():
        np.testing.assert_array_equal(mine[name], array, err_msg=name)


class RecordedRows:
    """A source of rows that remembers which it was asked for."""

    def __init__(self, x: np.ndarray) -> None:
        self.x, self.asked = x, []

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, start: int, stop: int) -> np.ndarray:
        self.asked.append((start, stop))
        return self.x[start:stop]

    def fingerprint(self) -> str:
        return "recorded"


def joined(parts: list[Explanations]) -> dict[str, np.ndarray]:
    """The arrays of several explanations as one."""
    names = EXACT_FIELDS + CLOSE_FIELDS
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}


def assert_joined_same(parts: list[Explanations], expected: Explanations) -> None:
    """Several explanations one after the other are the expected ones."""
    for name, array in joined(parts).items():
        if name in EXACT_FIELDS:
            np.testing.assert_array_equal(array, getattr(expected, name), err_msg=name)
        else:
            assert_close(array, getattr(expected, name), name)


# --- problems ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Static:
    """A model with data. The functions are made once, so that compiled programs are shared."""

    predict: Callable[[Any], Any]
    encode: Callable[[Any], Any]
    reconstruct: Callable[[Any], Any]
    x_train: np.ndarray
    x: np.ndarray
    num_classes: int

    def __post_init__(self) -> None:
        for function in (self.predict, self.encode, self.reconstruct):
            setattr(function, "pure", True)  # noqa: B010 (a function has no such attribute)

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """The model's answer, asked directly."""
        return np.asarray(self.predict(jnp.asarray(x)))

    def explainer(self, *, encoder: bool = True, **options: Any) -> Explainer:
        """An explainer for it, on four lanes and within [-1, 1] unless told otherwise."""
        defaults: dict[str, Any] = {
            "encode": self.encode if encoder else None,
            "reconstruct": self.reconstruct,
            "objective": objective("C"),
            "prototypes": NearestMean(k=3) if encoder else KDTree(),
            "engine": EngineOptions(lanes=4),
            "search": search(),
            "feature_range": (-1.0, 1.0),
        }
        return Explainer(self.predict, **(defaults | options))

    def fit(self, *, encoder: bool = True, **options: Any) -> FittedExplainer:
        """The same, fitted."""
        return self.explainer(encoder=encoder, **options).fit(self.x_train)


LINEAR_WEIGHTS = np.array([[3.0, -3.0], [0.5, -0.5], [0.0, 0.0]], np.float32)
LINEAR_BIAS = np.array([0.3, -0.3], np.float32)


@lru_cache
def linear() -> Static:
    """Two classes, softmax of linear scores; the encoder doubles, the autoencoder halves.

    Class 0 where 6 x_0 + x_1 + 0.6 > 0. The third feature means nothing.
    """
    rng = np.random.default_rng(0)
    x = rng.uniform(-0.9, 0.9, (46, 3)).astype(np.float32)
    weights, bias = jnp.asarray(LINEAR_WEIGHTS), jnp.asarray(LINEAR_BIAS)
    return Static(
        predict=lambda x: jax.nn.softmax(x @ weights + bias[None]),
        encode=lambda x: 2.0 * x,
        reconstruct=lambda x: 0.5 * x,
        x_train=x[6:],
        x=x[:6],
        num_classes=2,
    )


NUM_FEATURES = 5
IDLE_FEATURE = 4
"""The feature of `mlp` that no model looks at and that hardly varies."""


@lru_cache
def mlp() -> Static:
    """Three classes around three centres of four features, and a fifth that means nothing."""
    rng = np.random.default_rng(1)
    centres = np.array([[0.6, 0.2, -0.4, 0.1], [-0.5, 0.5, 0.1, -0.3], [0.0, -0.6, 0.4, 0.3]])
    classes = np.arange(66) % 3
    x = np.empty((66, NUM_FEATURES), np.float32)
    x[:, :4] = np.clip(centres[classes] + rng.normal(0, 0.12, (66, 4)), -0.99, 0.99)
    x[:, IDLE_FEATURE] = 0.3 + rng.uniform(-5e-4, 5e-4, 66)
    spread = rng.normal(0, 0.8, (4, 12))
    hidden = jnp.asarray(spread, jnp.float32)
    out = jnp.asarray(4.0 * np.tanh(centres @ spread).T, jnp.float32)
    code = jnp.asarray(rng.normal(0, 0.6, (4, 4)), jnp.float32)
    back = jnp.asarray(np.linalg.pinv(np.asarray(code)), jnp.float32)

    def predict(x: Any) -> Any:
        return jax.nn.softmax(jnp.tanh(x[:, :4] @ hidden) @ out)

    def encode(x: Any) -> Any:
        return jnp.tanh(x[:, :4] @ code)

    def reconstruct(x: Any) -> Any:
        return jnp.concatenate([jnp.tanh(encode(x) @ back), x[:, 4:]], axis=1)

    return Static(predict, encode, reconstruct, x[6:], x[:6], 3)


@lru_cache
def conv() -> Static:
    """Images 8 x 8 x 1, a bright half: left, right or top. One convolution, jax.numpy only."""
    rng = np.random.default_rng(2)
    classes = np.arange(39) % 3
    x = rng.uniform(-0.95, -0.75, (39, 8, 8, 1)).astype(np.float32)
    halves = [np.s_[:, :4], np.s_[:, 4:], np.s_[:4, :]]
    for image, index in zip(x, classes, strict=True):
        image[halves[index]] += 1.2
    kernel = jnp.asarray(rng.normal(0.2, 0.3, (3, 3, 1, 2)), jnp.float32)

    def features(x: Any) -> Any:
        layout = ("NHWC", "HWIO", "NHWC")
        mapped = jax.lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=layout)
        return jnp.tanh(mapped)

    centres = np.stack([np.asarray(features(x[classes == i])).mean(0) for i in range(3)])
    scores = jnp.asarray((centres - centres.mean(0)).reshape(3, -1).T, jnp.float32)

    return Static(
        predict=lambda x: jax.nn.softmax(features(x).reshape(len(x), -1) @ scores),
        encode=lambda x: features(x).mean(axis=3),
        reconstruct=lambda x: 0.9 * x,
        x_train=x[9:],
        x=x[:9],
        num_classes=3,
    )


# --- objectives, solvers, prototype kinds --------------------------------------------------

OBJECTIVES = NAMED_OBJECTIVES


def objective(name: str, **weights: Any) -> Objective:
    """A to F with weights that suit the small problems."""
    small = {"l1_weight": 0.05, "reconstruction_weight": 0.5, "prototype_weight": 10.0}
    return Objective.named(name, **cast(Any, small | weights))


@lru_cache
def _clipped_momentum() -> solvers.GradientSolver:
    # Clipping by the global norm would mix rows if a solver ever saw more than one.
    transformation = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.04, momentum=0.5))
    return solvers.from_optax(transformation, step_size=0.08, name="clipped_momentum")


SOLVERS = (*solvers.NAMED_SOLVERS, "clipped_momentum")


def solver(name: str) -> Any:
    """A solver with a rate that suits the small problems; the same object every time."""
    return _clipped_momentum() if name == "clipped_momentum" else solvers.named(name, 0.05)


def search(rule: Any = "adam", **options: Any) -> SearchOptions:
    """20 updates with c fixed at 4, which suits the small problems, unless told otherwise."""
    small = {"max_steps": 20, "prediction_weight": 4.0, "weight_growth": 1.0}
    rule = solver(rule) if isinstance(rule, str) else rule
    return SearchOptions(solver=rule, **(small | options))


KINDS: dict[str, Any] = {"nearest": NearestMean(k=3), "kdtree": KDTree(), "kmeans": KMeans(k=2)}

# --- pictures ------------------------------------------------------------------------------


def made_explanations(shape: tuple[int, ...], n: int = 6, **changes: Any) -> Explanations:
    """Explanations of random rows, class 0 to 1 to 2 to 0, every feature 0.25 more or at 1."""
    original = np.random.default_rng(0).uniform(size=(n, *shape)).astype(np.float32)
    classes = np.arange(n, dtype=np.int32) % 3
    probabilities = np.eye(3, dtype=np.float32)[classes]
    made: dict[str, Any] = {
        "original": original,
        "counterfactual": np.clip(original + 0.25, 0, 1),
        "status": np.zeros(n, np.int8),
        "source_row": np.arange(n),
        "original_class": classes,
        "original_probabilities": probabilities,
        "counterfactual_class": (classes + 1) % 3,
        "probabilities": np.roll(probabilities, 1, axis=1),
        "target_class": (classes + 1) % 3,
        "prototype": np.zeros((n, 2), np.float32),
        "steps": np.ones(n, np.int32),
        "prediction_weight": np.ones(n, np.float32),
    }
    return Explanations(**made | changes)


def pixels(axes: Any) -> np.ndarray:
    """The figure of some axes as it looks, `[height, width, 3]`, 0 to 255."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(axes.get_figure(root=True))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def texts(axes: Any) -> list[str]:
    """What is written on some axes."""
    return [text.get_text() for text in axes.texts]


def tick_labels(axes: Any) -> tuple[list[str], list[str]]:
    """The labels of the columns and of the lines."""
    across, down = axes.get_xticklabels(), axes.get_yticklabels()
    return [label.get_text() for label in across], [label.get_text() for label in down]


# --- damaging files ------------------------------------------------------------------------

Damage = Callable[[dict[str, Any], dict[str, Any]], Any]
"""Changes the arrays and the description of a file."""


def without(*names: str) -> Damage:
    """Take arrays out of a file."""
    return lambda arrays, metadata: [arrays.pop(name) for name in names]


def with_array(name: str, make: Callable[[np.ndarray], np.ndarray]) -> Damage:
    """Change an array of a file, or add one."""

    def change(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        arrays[name] = make(arrays.get(name, next(iter(arrays.values()))))

    return change


def with_metadata(**changes: Any) -> Damage:
    """Change the description in a file."""
    return lambda arrays, metadata: metadata.update(changes)


def damage_file(path: Any, change: Damage) -> None:
    """Write a file again with its content changed."""
    arrays, metadata = read_arrays(path)
    change(arrays, metadata)
    write_arrays(path, arrays, metadata)
