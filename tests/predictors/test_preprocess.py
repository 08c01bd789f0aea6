"""Images as the caller has them, for models that want them otherwise: layout, scale, mean."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcf import BlackBox, EngineOptions, ExactJacobian, Explainer, Preprocess, SearchOptions
from jaxcf.plots import encoded_rows, grid

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
NORMALISE = Preprocess(mean=MEAN, std=STD, channels_first=True)
OPTIONS: dict[str, Any] = {
    "search": SearchOptions(max_steps=60),
    "engine": EngineOptions(lanes=8, lanes_per_group=8),
    "output": "logits",
}
GENERATOR = np.random.default_rng(0)
BYTES = GENERATOR.integers(0, 256, (24, 4, 5, 3), np.uint8)
PIXELS = (BYTES / 255).astype(np.float32)


def predict(images: Any) -> Any:
    """Of normalised images, channels first: is the red more than the blue?"""
    red, blue = images[:, 0].mean(axis=(1, 2)), images[:, 2].mean(axis=(1, 2))
    return jnp.stack([red, blue], axis=1) * 4


def by_hand(pixels: Any) -> Any:
    mean, std = (np.array(one, np.float32).reshape(1, 1, 1, 3) for one in (MEAN, STD))
    return predict(((pixels - mean) / std).transpose(0, 3, 1, 2))


@pytest.fixture(scope="module")
def fitted():
    return Explainer(predict, preprocess=NORMALISE, **OPTIONS).fit(BYTES)


@pytest.fixture(scope="module")
def explanations(fitted):
    return fitted.explain(BYTES[:8])


def test_the_search_works_in_pixels_and_the_model_gets_what_it_wants(explanations):
    written = Explainer(by_hand, **OPTIONS).fit(PIXELS).explain(PIXELS[:8])
    assert explanations.found.all()
    np.testing.assert_allclose(explanations.original, PIXELS[:8], rtol=0, atol=1e-6)
    np.testing.assert_allclose(explanations.counterfactual, written.counterfactual, atol=1e-4)
    assert explanations.counterfactual.min() >= 0
    assert explanations.counterfactual.max() <= 1
    decided = predict(NORMALISE.model_input(explanations.counterfactual)).argmax(axis=1)
    np.testing.assert_array_equal(decided, explanations.counterfactual_class)
    # it is known what was done
    assert explanations.settings["preprocess"]["mean"] == list(MEAN)


def test_bytes_and_what_is_scaled_already_are_the_same_images(fitted, explanations):
    scaled = fitted.explain(BYTES[:8].astype(np.float32) * np.float32(1 / 255))
    np.testing.assert_array_equal(scaled.counterfactual, explanations.counterfactual)
    asked = Preprocess(scale=1 / 255).pixels(BYTES.astype(float))
    np.testing.assert_array_equal(asked, Preprocess().pixels(BYTES))
    # what the warning of images up to 255 advises leaves the model what it had
    bytes_too = Preprocess(scale=1 / 255, std=1 / 255)
    given = bytes_too.model_input(bytes_too.pixels(BYTES.astype(float)))
    np.testing.assert_allclose(given, BYTES, rtol=1e-6)
    # wherever rows go in
    traces = fitted.trace(explanations, BYTES, num_rows=2, num_neighbours=1)
    assert np.nanmax(traces.path) <= 1
    assert encoded_rows(fitted, BYTES, explanations=explanations).get_title() is not None


def test_images_come_back_in_the_layout_in_which_they_were_given(explanations):
    turned = BYTES.transpose(0, 3, 1, 2)
    said = Explainer(predict, preprocess=NORMALISE, **OPTIONS).fit(turned).explain(turned[:8])
    back = said.counterfactual.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(back, explanations.counterfactual, atol=1e-4)
    # and are drawn either way
    for one, other in zip(grid(said).images, grid(explanations).images, strict=True):
        drawn: tuple[Any, Any] = one.get_array(), other.get_array()
        np.testing.assert_allclose(*drawn, atol=1e-3)


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5), (4, 5, 3)], ids=str)
@pytest.mark.parametrize("channels_first", [True, False, None])
def test_derivatives_are_those_by_pixels(shape, channels_first):
    several = len(shape) == 3
    preprocess = Preprocess(MEAN if several else 0.4, STD if several else 0.2, channels_first)
    pixels = GENERATOR.uniform(0, 1, (3, *shape)).astype(np.float32)
    taken = preprocess.model_input(pixels).shape[1:]
    weights = GENERATOR.normal(size=(int(np.prod(taken)), 2)).astype(np.float32)

    def of_input(images):
        return jax.nn.softmax(images.reshape(len(images), -1) @ weights)

    def one(image):
        return of_input(image[None])[0]

    def jacobian(images):
        return of_input(images), jax.vmap(jax.jacobian(one))(images)

    box = preprocess.before(BlackBox(of_input, 2, ExactJacobian(jacobian)))
    assert isinstance(box, BlackBox)
    gradient: Any = box.gradient
    said, derivatives = gradient.function(pixels)
    np.testing.assert_allclose(said, box.predict(pixels), atol=1e-6)
    of_pixels = jax.vmap(jax.jacobian(lambda image: one(preprocess.model_input(image[None])[0])))
    np.testing.assert_allclose(derivatives, of_pixels(jnp.asarray(pixels)), atol=1e-5)


def test_a_module_of_pytorch_is_given_its_tensors():
    torch = pytest.importorskip("torch", reason="PyTorch isn't installed")

    class Network(torch.nn.Module):
        def forward(self, images):
            assert images.shape[1:] == (3, 4, 5)
            return 4 * torch.stack([images[:, 0].mean((1, 2)), images[:, 2].mean((1, 2))], dim=1)

    options: dict[str, Any] = OPTIONS | {"output": "probabilities"}
    said = Explainer(Network(), preprocess=NORMALISE, **options).fit(BYTES).explain(BYTES[:8])
    written = Explainer(by_hand, **OPTIONS).fit(PIXELS).explain(PIXELS[:8])
    np.testing.assert_allclose(said.counterfactual, written.counterfactual, atol=1e-3)


@pytest.mark.usefixtures("without_type_checks")
def test_what_does_not_go_with_the_images_is_refused():
    with pytest.raises(ValueError, match="std must be > 0"):
        Preprocess(std=(1.0, 0.0, 1.0))
    with pytest.raises(TypeError, match="mean must be a number, or one per channel"):
        Preprocess(mean=((0.5, 0.4),))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="channels_first must be True, False or None"):
        Preprocess(channels_first="last")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"must be a Preprocess, got function.*into predict"):
        Explainer(predict, preprocess=predict)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"2 means or deviations, but .* have 3 channels"):
        Explainer(predict, preprocess=Preprocess(mean=(0.5, 0.4))).fit(PIXELS)
    with pytest.raises(ValueError, match=r"preprocess is for images .* rows have shape"):
        Explainer(predict, preprocess=NORMALISE).fit(PIXELS.reshape(24, -1))
