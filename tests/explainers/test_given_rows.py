"""Rows that are not those of `fit`: other columns, another order, another scale."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from jaxcf import Constraints, Explainer, Refinement, SearchOptions, Status, solvers
from jaxcf.explainers.fitted import Asked

NAMES = ["age", "pay", "debt"]
X = np.random.default_rng(0).uniform(-1, 1, (40, 3)).astype(np.float32)
WEIGHTS = np.array([[3.0, -3.0], [1.0, -1.0], [-2.0, 2.0]], np.float32)


@pytest.fixture(scope="module")
def fitted():
    table = pd.DataFrame(X, columns=NAMES)
    return Explainer(lambda x: jax.nn.softmax(x @ WEIGHTS)).fit(table)


class OtherFrame:
    """A frame of another library: it has columns, and numpy can read it."""

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.rows, dtype)


@pytest.mark.parametrize("kind", [pd.DataFrame, OtherFrame])
def test_columns_are_known_by_name_as_they_were_in_fit(fitted, kind):
    given = kind(X[:5], columns=NAMES)
    found = fitted.explain(given).counterfactual
    np.testing.assert_array_equal(found, fitted.explain(X[:5]).counterfactual)
    turned = kind(X[:5][:, ::-1], columns=NAMES[::-1])
    with pytest.raises(
        ValueError, match=r"in another order .* 'debt', 'pay', 'age'; expected 'age'"
    ):
        fitted.explain(turned)
    with pytest.raises(ValueError, match="in another order"):
        list(fitted.stream([given, turned]))
    other = kind(X[:5], columns=["age", "wage", "debt"])
    with pytest.raises(ValueError, match=r"unseen then: 'wage'; .* now missing: 'pay'"):
        fitted.explain(other)
    with pytest.raises(ValueError, match="in another order"):
        fitted.trace(fitted.explain(given), kind(X[:, ::-1], columns=NAMES[::-1]))


def test_columns_without_names_are_taken_as_they_come(fitted):
    rows = pd.DataFrame(X[:5])
    np.testing.assert_array_equal(
        fitted.explain(rows).counterfactual, fitted.explain(X[:5]).counterfactual
    )
    assert Explainer(lambda x: jax.nn.softmax(x @ WEIGHTS)).fit(rows).feature_names is None


def test_numbers_of_any_type_are_taken(fitted):
    frame = pd.DataFrame({"age": [0.25, -0.5], "pay": [True, False], "debt": [0.5, -0.75]})
    plain = frame.astype(float).to_numpy(np.float32)
    expected = fitted.explain(plain).counterfactual
    for rows in (
        frame,
        frame.convert_dtypes(),
        frame.astype({"pay": float}).astype("Float64"),
        jnp.asarray(plain, jnp.bfloat16),
    ):
        np.testing.assert_array_equal(fitted.explain(rows).counterfactual, expected)


@pytest.mark.usefixtures("without_type_checks")
def test_what_holds_no_numbers_is_refused_with_what_to_do(fitted):
    texts = pd.DataFrame([["1", "2", "3"]], columns=NAMES)
    for rows in (texts, texts.convert_dtypes(), X[:1].astype(complex)):
        with pytest.raises(TypeError, match="x must hold numbers, got dtype"):
            fitted.explain(rows)
    with pytest.raises(TypeError, match=r"got csr_\w+, which is sparse: pass x\.toarray\(\)"):
        fitted.explain(csr_matrix(X[:2]))


# --- the scale of images -----------------------------------------------------------------------

IMAGES = np.random.default_rng(1).uniform(0, 1, (30, 4, 4, 1)).astype(np.float32)


def brightness(scale):
    def predict(x):
        above = 20 * (x.mean(axis=(1, 2, 3)) / scale - 0.5)
        return jax.nn.softmax(jnp.stack([-above, above], axis=1))

    return predict


def test_images_on_another_scale_than_in_fit_are_refused():
    fitted = Explainer(brightness(1)).fit(IMAGES)
    stored = (IMAGES[:6] * 255).astype(np.uint8)
    with pytest.raises(ValueError, match=r"up to 25\d, but those in training ran .* x / 255"):
        fitted.explain(stored)
    some = IMAGES[:6].copy()
    some[2] *= 255  # one image that is broken costs the others nothing
    assert fitted.explain(some).found[[0, 1, 3, 4, 5]].all()


def test_images_of_8_bits_are_warned_of_where_the_steps_are_small():
    stored = (IMAGES * 255).astype(np.uint8)
    fitted = Explainer(brightness(255), search=SearchOptions(max_steps=2)).fit(stored)
    with pytest.warns(
        UserWarning, match=r"run from 0 to 25\d, .* pixels in about .0, 1.*images / 255"
    ):
        fitted.explain(stored[:3])
    wide = SearchOptions(solver=solvers.adam(8.0))
    assert fitted.with_options(search=wide).explain(stored[:6]).found.all()


def test_tables_may_have_any_scale():
    wide = X * 1000
    fitted = Explainer(lambda x: jax.nn.softmax(x @ WEIGHTS / 1000)).fit(X)
    assert len(fitted.explain(wide[:2])) == 2
    Explainer(lambda x: jax.nn.softmax(x @ WEIGHTS / 1000)).fit(wide).explain(wide[:2])


def refilled(batches):
    """One array that is filled anew for every batch, as loaders do."""
    buffer = np.empty_like(batches[0])
    for batch in batches:
        buffer[:] = batch
        yield buffer


@pytest.mark.parametrize("refinement", [Refinement(), Refinement(sparsify=True, shrink=True)])
def test_a_loader_may_fill_one_buffer_again_and_again(fitted, refinement):
    fitted = fitted.with_options(refinement=refinement)
    batches = [X[start : start + 5] for start in range(0, 20, 5)]
    expected = list(fitted.stream(batches))
    streamed = list(fitted.stream(refilled(batches)))
    for one, other in zip(streamed, expected, strict=True):
        np.testing.assert_array_equal(one.original, other.original)
        np.testing.assert_array_equal(one.counterfactual, other.counterfactual)
        np.testing.assert_array_equal(one.l1, other.l1)


@pytest.mark.parametrize(
    "given", [np.asarray, lambda x: pd.DataFrame(x, columns=NAMES, copy=False), np.asfortranarray]
)
def test_what_happens_to_the_rows_afterwards_changes_no_answer(fitted, given):
    x = X[:5].copy()
    rows = given(x)
    lower = np.full(x.shape, -1.0, np.float32)
    explanations = fitted.explain(rows, constraints=Constraints(lower=lower))
    original, distances = explanations.original.copy(), explanations.l1
    x[:] = 7.0
    lower[:] = 7.0
    np.testing.assert_array_equal(explanations.original, original)
    np.testing.assert_array_equal(explanations.l1, distances)


def test_bounds_may_be_filled_anew_for_every_batch(fitted):
    lower = np.empty((5, 3), np.float32)

    def asked():
        for start in range(0, 20, 5):
            lower[:] = X[start : start + 5] - 0.5
            yield Asked(X[start : start + 5], rules=Constraints(lower=lower))

    answered = np.concatenate([one.counterfactual for one in fitted.stream_asked(asked())])
    assert (answered >= X[:20] - 0.5 - 1e-6).all()


def test_masked_entries_are_missing(fitted):
    x = np.ma.masked_array(X[:3], mask=np.arange(9).reshape(3, 3) == 4)
    explanations = fitted.explain(x)
    assert explanations.status.tolist()[1] == Status.INVALID_INPUT
    assert explanations.found[[0, 2]].all()
    with pytest.raises(ValueError, match="1 of 3 training rows hold NaN"):
        Explainer(lambda x: jax.nn.softmax(x @ WEIGHTS)).fit(x)
