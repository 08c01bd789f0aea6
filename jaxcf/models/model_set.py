"""A classifier with the autoencoders that explain it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from flax import nnx
from jaxtyping import Array, ArrayLike, Float

from jaxcf.models.functions import ModelFunction, call
from jaxcf.models.networks.registry import Autoencoder, Classifier

CLASSIFIER, AUTOENCODER = "classifier", "autoencoder"


@dataclass(frozen=True, eq=False)
class ModelSet:
    """The networks of one data set.

    Args:
        classifier: Returns logits.
        autoencoder: Trained on all classes.
        class_autoencoders: One per class, trained on that class alone, in class order.
        metadata: JSON-able: the data, training settings and quality of the networks.

    Examples:
        >>> from flax import nnx
        >>> from jaxcf.models import DenseAutoencoder, DenseClassifier
        >>> rngs = nnx.Rngs(0)
        >>> models = ModelSet(DenseClassifier(4, 2, rngs=rngs),
        ...                   DenseAutoencoder(4, code_size=2, rngs=rngs))
        >>> sorted(models.functions())
        ['decode', 'encode', 'output', 'params', 'predict']
    """

    classifier: Classifier
    autoencoder: Autoencoder
    class_autoencoders: tuple[Autoencoder, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)

    def functions(self, *, latent_prototypes: bool = True) -> dict[str, Any]:
        """The models as pure functions with their weights, to splat into an `Explainer`.

        Args:
            latent_prototypes: Whether prototypes shall live in the autoencoder's latent space;
                else in input space, as k-d tree prototypes do.

        Returns:
            `predict`, and `encode` and `decode`, or in input space `reconstruct`: all called
            `f(params, x)`; `params`, which holds the weights by name; and `output`, which says
            that `predict` returns logits.
        """
        methods = (
            {"encode": "encode", "decode": "decode"}
            if latent_prototypes
            else {"reconstruct": "__call__"}
        )
        return {
            "predict": ModelFunction.of(self.classifier, CLASSIFIER),
            **{
                name: ModelFunction.of(self.autoencoder, AUTOENCODER, method)
                for name, method in methods.items()
            },
            "params": {
                CLASSIFIER: nnx.state(self.classifier),
                AUTOENCODER: nnx.state(self.autoencoder),
            },
            "output": "logits",
        }

    def predict(self, x: Float[ArrayLike, "n *shape"]) -> Float[Array, "n classes"]:
        """The classifier's logits for a batch, compiled."""
        return call(self.classifier, x)

    def reconstruct(self, x: Float[ArrayLike, "n *shape"]) -> Float[Array, "n *shape"]:
        """The common autoencoder's image of a batch, compiled."""
        return call(self.autoencoder, x)

    def class_reconstruct(
        self,
    ) -> list[Callable[[Float[ArrayLike, "n *shape"]], Float[Array, "n *shape"]]]:
        """The class autoencoders as functions of a batch, in class order.

        Returns:
            One function `[n, *shape] -> [n, *shape]` per class; all share one compiled program.
        """
        return [partial(call, network) for network in self.class_autoencoders]
