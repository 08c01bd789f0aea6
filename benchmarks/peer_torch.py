"""A worker of `benchmarks.peers`: the same search in PyTorch, for its own interpreter.

    python peer_torch.py INPUT.npz OUTPUT.npz

The input holds images, prototypes, weights, jaxcf's outputs and settings (see `peer_files.py`);
the output counterfactuals, updates and seconds. Needs numpy and torch, nothing of jaxcf. Three ways
of writing the loop, all with autograd and `torch.optim.Adam` on objective D:

- `single`: one image after the other, as research code does it;
- `batch`: all images at once, until the last has flipped or the budget is spent. A flipped row
  keeps its counterfactual, and goes on costing time;
- `shrinking`: the same, but flipped rows leave the batch, and Adam's moments with them.

The batched ones keep their images channels last, which takes half the time of channels first here.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

WARM_UP_STEPS = 3
"""Updates before the clock starts: memory and threads are set up then."""


class Classifier(nn.Module):
    """Two convolutions with pooling, one dense layer; channels first."""

    def __init__(self, weights: dict[str, np.ndarray], shape: tuple[int, ...]):
        super().__init__()
        self.conv1 = convolution(weights["conv1/kernel"], weights["conv1/bias"])
        self.conv2 = convolution(weights["conv2/kernel"], weights["conv2/bias"])
        kernel, bias = weights["dense/kernel"], weights["dense/bias"]
        # jaxcf flattens rows, columns, channels; PyTorch channels, rows, columns.
        by_pixel = kernel.reshape(shape[0] // 4, shape[1] // 4, -1, len(bias))
        self.dense = nn.Linear(len(kernel), len(bias))
        load(self.dense, by_pixel.transpose(3, 2, 0, 1).reshape(len(bias), -1), bias)

    def forward(self, x: Any) -> Any:
        """Logits of a batch."""
        hidden = functional.relu(functional.max_pool2d(self.conv1(x), 2))
        hidden = functional.relu(functional.max_pool2d(self.conv2(hidden), 2))
        return self.dense(hidden.flatten(1))


class Autoencoder(nn.Module):
    """Three convolutions down to the code, two transposed ones and a third up; channels first."""

    def __init__(self, weights: dict[str, np.ndarray], shape: tuple[int, ...]):
        super().__init__()
        self.height, self.width = shape[:2]
        self.layers = nn.ModuleDict()
        for name in ("encoder_conv1", "encoder_conv2", "encoder_conv3", "decoder_conv"):
            self.layers[name] = convolution(weights[f"{name}/kernel"], weights[f"{name}/bias"])
        for name in ("decoder_up1", "decoder_up2"):
            kernel = weights[f"{name}/kernel"].transpose(2, 3, 0, 1)
            layer = nn.ConvTranspose2d(kernel.shape[0], kernel.shape[1], 2, stride=2)
            self.layers[name] = load(layer, kernel, weights[f"{name}/bias"])

    def encode(self, x: Any) -> Any:
        """Codes of a batch."""
        if self.height % 4 or self.width % 4:
            x = functional.pad(x, (0, -self.width % 4, 0, -self.height % 4))
        for name in ("encoder_conv1", "encoder_conv2"):
            x = functional.relu(functional.max_pool2d(self.layers[name](x), 2))
        return self.layers["encoder_conv3"](x)

    def decode(self, code: Any) -> Any:
        """Images of a batch of codes."""
        for name in ("decoder_up1", "decoder_up2"):
            code = functional.relu(self.layers[name](code))
        image = torch.sigmoid(self.layers["decoder_conv"](code))
        return image[:, :, : self.height, : self.width]


def convolution(kernel: np.ndarray, bias: np.ndarray) -> Any:
    """A 3x3 convolution from a kernel `[3, 3, in, out]`."""
    layer = nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1)
    return load(layer, kernel.transpose(3, 2, 0, 1), bias)


def load(layer: Any, kernel: np.ndarray, bias: np.ndarray) -> Any:
    """The layer with these weights in PyTorch's layout, which nothing will train."""
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
        layer.bias.copy_(torch.from_numpy(bias))
    return layer.requires_grad_(False)


class Problem:
    """Networks and settings, and what is minimised."""

    def __init__(self, arrays: dict[str, np.ndarray], settings: dict[str, Any]):
        shape = arrays["x"].shape[1:]
        batched = settings["mode"] != "single"
        self.layout = torch.channels_last if batched else torch.contiguous_format
        classifier = Classifier(of_network(arrays, "classifier"), shape)
        autoencoder = Autoencoder(of_network(arrays, "autoencoder"), shape)
        self.classifier = classifier.to(memory_format=self.layout)
        self.autoencoder = autoencoder.to(memory_format=self.layout)
        self.settings = settings

    def margin(self, logits: Any, original_class: Any) -> Any:
        """The lead of each row's original class in probability (eq. 4); negative once flipped."""
        probabilities = torch.softmax(logits, 1)
        chosen = functional.one_hot(original_class, probabilities.shape[1]).bool()
        others = probabilities.masked_fill(chosen, -1).amax(1)
        return probabilities.masked_select(chosen) - others

    def loss(self, x: Any, delta: Any, margin: Any, prototype: Any) -> Any:
        """The sum over the batch of objective D: every row's gradient is its own."""
        settings = self.settings
        code = self.autoencoder.encode(x)
        prediction = torch.clamp(margin, min=-settings["kappa"]).sum()
        distance = settings["beta"] * delta.abs().sum() + delta.square().sum()
        reconstruction = (x - self.autoencoder.decode(code)).square().sum()
        to_prototype = (code - prototype).square().sum()
        return (
            settings["c"] * prediction
            + distance
            + settings["gamma"] * reconstruction
            + settings["theta"] * to_prototype
        )


def search(
    problem: Problem, x0: Any, prototype: Any, original_class: Any, max_steps: int, shrink: bool
) -> tuple[Any, Any]:
    """Adam on a batch of images (of one, it may be) until each has flipped.

    The flip is read off the same forward pass that the loss needs, so it costs nothing more.

    Returns:
        The first flipped point of every row, or its last point; and its updates.
    """
    counterfactual, steps = x0.clone(), torch.full((len(x0),), max_steps)
    rows = torch.arange(len(x0))
    waiting = torch.ones(len(x0), dtype=torch.bool)
    delta = torch.zeros_like(x0, requires_grad=True)
    optimiser = torch.optim.Adam([delta], lr=problem.settings["learning_rate"])
    for step in range(max_steps + 1):
        x = within_range(x0 + delta)
        logits = problem.classifier(x)
        flipped = waiting & (logits.argmax(1) != original_class)
        ended = waiting if step == max_steps else flipped
        counterfactual[rows[ended]] = x.detach()[ended]
        steps[rows[ended]] = step
        waiting = waiting & ~ended
        if not waiting.any():
            break
        optimiser.zero_grad()
        margin = problem.margin(logits, original_class)
        problem.loss(x, delta, margin, prototype).backward()
        optimiser.step()
        if shrink and not waiting.all():
            delta, optimiser = kept(delta, optimiser, waiting)
            x0, prototype = x0[waiting], prototype[waiting]
            original_class, rows = original_class[waiting], rows[waiting]
            waiting = waiting[waiting]
    return counterfactual, steps


def within_range(x: Any) -> Any:
    """Pixels brought into [0, 1]; what lies at an end has a gradient.

    `torch.clamp` gave it one up to some version before 2.14 and none since: then a black pixel of
    an image never moves.
    """
    inside = (x >= 0) & (x <= 1)
    return torch.where(inside, x, x.detach().clamp(0, 1))


def kept(delta: Any, optimiser: Any, rows: Any) -> tuple[Any, Any]:
    """The variable and its Adam with these rows only."""
    state = optimiser.state[delta]
    fewer = delta.detach()[rows].requires_grad_()
    following = torch.optim.Adam([fewer], lr=optimiser.param_groups[0]["lr"])
    moments = {name: state[name][rows] for name in ("exp_avg", "exp_avg_sq")}
    following.state[fewer] = {"step": state["step"]} | moments
    return fewer, following


def of_network(arrays: dict[str, np.ndarray], network: str) -> dict[str, np.ndarray]:
    """The weights of one network, by layer."""
    return {
        name.removeprefix(f"{network}/"): array
        for name, array in arrays.items()
        if name.startswith(f"{network}/")
    }


def check(problem: Problem, x: Any, arrays: dict[str, np.ndarray]) -> float:
    """The largest difference from jaxcf's own outputs.

    Raises:
        ValueError: if it is more than rounding.
    """
    with torch.no_grad():
        code = problem.autoencoder.encode(x)
        outputs = {"logits": problem.classifier(x), "encoding": channels_last(code)}
        outputs["reconstruction"] = channels_last(problem.autoencoder.decode(code))
    differences = {
        name: float(np.abs(value.numpy() - arrays[f"expected/{name}"]).max())
        for name, value in outputs.items()
    }
    if max(differences.values()) > problem.settings["tolerance"]:
        raise ValueError(f"torch's networks differ from jaxcf's by up to {differences}")
    return max(differences.values())


def channels_last(images: Any) -> Any:
    """`[n, c, h, w]` as `[n, h, w, c]`."""
    return images.permute(0, 2, 3, 1)


def channels_first(images: np.ndarray, layout: Any) -> Any:
    """`[n, h, w, c]` as a tensor `[n, c, h, w]`, in memory in the given layout."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)


def main(source: str, target: str) -> None:
    """Read, check, search under the clock, write."""
    with np.load(source) as file:
        arrays = dict(file)
    settings = json.loads(arrays["settings"].tobytes())
    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    problem = Problem(arrays, settings)
    x0, prototype = (channels_first(arrays[name], problem.layout) for name in ("x", "prototypes"))
    original_class = torch.from_numpy(arrays["original_class"]).long()
    difference = check(problem, x0, arrays)

    together = 1 if settings["mode"] == "single" else len(x0)
    shrink = settings["mode"] == "shrinking"
    batches = [slice(start, start + together) for start in range(0, len(x0), together)]

    def run(rows: slice, max_steps: int) -> tuple[Any, Any, float]:
        began = time.perf_counter()
        of_rows = x0[rows], prototype[rows], original_class[rows]
        found, steps = search(problem, *of_rows, max_steps, shrink)
        return found, steps, time.perf_counter() - began

    run(batches[0], WARM_UP_STEPS)
    began = time.process_time()
    results = [run(rows, settings["max_steps"]) for rows in batches]
    info = {
        "processor_seconds": time.process_time() - began,
        "system": f"torch {torch.__version__}",
        "threads": torch.get_num_threads(),
        "setup_seconds": None,
        "largest_difference": difference,
    }
    np.savez(
        target,
        counterfactual=channels_last(torch.cat([found for found, _, _ in results])).numpy(),
        steps=torch.cat([steps for _, steps, _ in results]).numpy(),
        seconds=np.array([seconds for _, _, seconds in results]),
        info=np.frombuffer(json.dumps(info).encode(), np.uint8),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
