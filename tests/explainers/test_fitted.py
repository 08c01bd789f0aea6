"""A fitted explainer is of the model as it is: one that changes is seen, one that travels stays."""

import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_answers, compilations
from jax.core import Tracer

from jaxcf import EngineOptions, Explainer, Explanations, Status

WEIGHTS = np.array([[3.0, -3.0], [1.0, -1.0]], np.float32)
X = np.random.default_rng(0).uniform(-1, 1, (48, 2)).astype(np.float32)
ENGINE = EngineOptions(lanes=16)


@dataclass
class Model:
    """A model of arrays that are replaced when it is trained. It has no hash."""

    weights: Any

    def __call__(self, x):
        return jax.nn.softmax(x @ self.weights)

    def train(self):
        self.weights = -self.weights


def fit(model, **options):
    return Explainer(model, engine=ENGINE, **options).fit(X)


def agrees(explanations: Explanations, model) -> bool:
    """Whether the model itself, asked directly, says what the explanations say of it."""
    original = np.asarray(model(explanations.original)).argmax(axis=1)
    reached = np.asarray(model(explanations.counterfactual)).argmax(axis=1)
    return bool(
        (original == explanations.original_class).all()
        and (reached == explanations.counterfactual_class).all()
    )


def test_a_model_retrained_in_place_is_explained_as_it_is():
    model = Model(WEIGHTS)
    explainer = Explainer(model, engine=ENGINE)
    fitted = explainer.fit(X)
    before = fitted.explain(X)
    assert before.found.all()
    assert agrees(before, model)
    with compilations() as compiled:  # the model is still the same
        assert_same_answers(Explainer(model, engine=ENGINE).fit(X).explain(X), before)
    assert not compiled

    model.train()
    for use in (
        lambda: fitted.explain(X),
        lambda: fitted.stream([X]),
        lambda: fitted.trace(before, X),
    ):
        with pytest.raises(ValueError, match=r"predict changed since fit.*call fit again"):
            use()
    for refitted in (explainer.fit(X), Explainer(model, engine=ENGINE).fit(X)):
        again = refitted.explain(X)
        assert again.found.all()
        assert agrees(again, model)
        assert (again.original_class != before.original_class).all()


def test_an_encoder_and_a_decoder_are_named_too():
    scale = {"encode": 2.0, "decode": 0.5}
    fitted = Explainer(
        lambda x: jax.nn.softmax(x @ WEIGHTS),
        encode=lambda x: x * scale["encode"],
        decode=lambda x: x * scale["decode"],
        engine=ENGINE,
    ).fit(X)
    scale.update(encode=4.0, decode=0.25)
    with pytest.raises(ValueError, match="encode and decode changed since fit"):
        fitted.explain(X)


def test_what_changes_beside_params_is_found_by_the_last_look():
    hidden = {"turn": 1.0}

    def predict(params, x):
        return jax.nn.softmax(hidden["turn"] * (x @ params))

    fitted = fit(predict, params=jnp.asarray(WEIGHTS))
    assert fitted.explain(X).found.all()
    hidden["turn"] = -1.0
    with pytest.warns(RuntimeWarning, match=r"decides otherwise for 48 of 48 rows.*call fit again"):
        explanations = fitted.explain(X)
    assert (explanations.status == Status.NOT_CONFIRMED).all()
    asked = predict(fitted.params, explanations.counterfactual)
    np.testing.assert_array_equal(explanations.counterfactual_class, asked.argmax(axis=1))
    hidden["turn"] = 1.0 + 1e-6  # another trace, and no other decision
    assert fitted.explain(X).found.all()


def test_a_model_that_changes_while_rows_are_searched_is_asked_anew():
    model = Model(WEIGHTS)
    answers = fit(model).stream(iter([X, X]))
    assert agrees(next(answers), model)
    model.train()
    with pytest.warns(RuntimeWarning, match="predict changed since fit"):
        late = next(answers)
    assert (late.status == Status.NOT_CONFIRMED).all()


def test_what_a_trace_does_not_show_is_found_by_calling_the_function():
    def traced_otherwise(x):
        return jax.nn.softmax((1 if isinstance(x, Tracer) else -1) * (x @ WEIGHTS))

    with pytest.warns(RuntimeWarning, match="when it is called"):
        explanations = fit(traced_otherwise).explain(X)
    assert (explanations.status == Status.NOT_CONFIRMED).all()
    np.testing.assert_array_equal(
        explanations.counterfactual_class, (-(explanations.counterfactual @ WEIGHTS)).argmax(axis=1)
    )


def test_a_model_that_can_not_be_asked_any_more_confirms_nothing():
    hidden: dict[str, Any] = {"turn": 1.0}
    fitted = fit(lambda params, x: jax.nn.softmax(hidden["turn"] * (x @ params)), params=WEIGHTS)
    assert fitted.explain(X).found.all()
    del hidden["turn"]
    with pytest.warns(RuntimeWarning, match="decides otherwise for 48 of 48 rows"):
        explanations = fitted.explain(X)
    assert (explanations.status == Status.NOT_CONFIRMED).all()
    assert (explanations.counterfactual_class == -1).all()


# --- pickled, and in other processes -------------------------------------------------------


def predict_weighted(params, x):
    return jax.nn.softmax(x @ params["weights"])


@pytest.mark.parametrize("options", [{}, {"trust_threshold": 0.0}, {"prototypes": "kmeans"}])
def test_a_pickled_explainer_gives_the_same_answers_and_compiles_nothing(options):
    fitted = fit(predict_weighted, params={"weights": WEIGHTS}, **options)
    expected = fitted.explain(X)
    with compilations() as compiled:
        explained = pickle.loads(pickle.dumps(fitted)).explain(X)
        again = pickle.loads(pickle.dumps(expected))
    assert not compiled
    for name in ("counterfactual", "probabilities", "status", "steps", "prediction_weight"):
        wanted = getattr(expected, name)
        np.testing.assert_array_equal(getattr(explained, name), wanted)
        np.testing.assert_array_equal(getattr(again, name), wanted)
    assert pickle.loads(pickle.dumps(Explainer(predict_weighted, params=1.0))).params == 1.0


def test_devices_are_pickled_by_name():
    two = EngineOptions(devices=tuple(jax.devices()), steps_per_chunk=3)
    assert pickle.loads(pickle.dumps(two)) == two
    make, arguments = two.__reduce__()
    with pytest.raises(ValueError, match="for cpu:7, which this process lacks"):
        make(*arguments[:3], (("cpu", 7),))


OTHER_PROCESS = """
import multiprocessing, os, pickle, signal, sys, warnings
import numpy as np
from jaxcf import Explainer

folder = sys.argv[1]
sys.path.insert(0, folder)
with open(f"{folder}/fitted.pickle", "rb") as file:
    fitted, x = pickle.load(file)
explanations = fitted.explain(x)
np.save(f"{folder}/counterfactual.npy", explanations.counterfactual)

warnings.simplefilter("ignore")  # jax's own, of the fork
for call in (fitted.explain, lambda x: fitted.stream([x]), Explainer(fitted.models.predict).fit):
    sys.stdout.flush()
    if not (child := os.fork()):
        signal.alarm(60)
        try:
            call(x)
        except RuntimeError as error:
            print(str(error).split(":")[0], flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_another_process_explains_and_a_forked_one_says_why_it_can_not(tmp_path, monkeypatch):
    (tmp_path / "a_model.py").write_text(
        "import jax\nimport numpy as np\n\nWEIGHTS = np.array([[3, -3], [1, -1]], 'float32')\n\n\n"
        "def predict(x):\n    return jax.nn.softmax(x @ WEIGHTS)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import a_model  # pyright: ignore[reportMissingImports]

    fitted = fit(a_model.predict)
    (tmp_path / "fitted.pickle").write_bytes(pickle.dumps((fitted, X)))
    ran = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"JAX_NUMPY_RANK_PROMOTION": "raise"},
    )
    assert ran.returncode == 0, ran.stderr
    said = ran.stdout.splitlines()
    assert said == 3 * [
        "this process was forked off one in which JAX was running, whose threads stay behind"
    ]
    expected = fitted.explain(X).counterfactual
    np.testing.assert_array_equal(np.load(tmp_path / "counterfactual.npy"), expected)
