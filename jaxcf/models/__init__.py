"""Flax classifiers and autoencoders, their training, and their weights on disk."""

from jaxcf.models.adversary import Adversary, robust_accuracy, usual_radius
from jaxcf.models.augmentation import Augmentation
from jaxcf.models.functions import ModelFunction
from jaxcf.models.guides import (
    GuideNetwork,
    load_guide,
    pretrained_guide,
    pretrained_guide_names,
    save_guide,
    train_guide,
)
from jaxcf.models.judges import Judge, kept_judges, load_judges, save_judges, train_judges
from jaxcf.models.model_set import ModelSet
from jaxcf.models.networks.blocks import BlockClassifier
from jaxcf.models.networks.convolutional import ConvolutionalAutoencoder, ConvolutionalClassifier
from jaxcf.models.networks.dense import DenseAutoencoder, DenseClassifier
from jaxcf.models.networks.residual import ResidualClassifier, SmoothResidualClassifier
from jaxcf.models.recipes import train_models
from jaxcf.models.training import (
    CollapsedAutoencoderError,
    TrainingInfo,
    train_autoencoder,
    train_class_autoencoders,
    train_classifier,
)
from jaxcf.models.weights import (
    load_models,
    load_torch_models,
    pretrained,
    pretrained_names,
    save_models,
)

__all__ = [
    "Adversary",
    "Augmentation",
    "BlockClassifier",
    "CollapsedAutoencoderError",
    "ConvolutionalAutoencoder",
    "ConvolutionalClassifier",
    "DenseAutoencoder",
    "DenseClassifier",
    "GuideNetwork",
    "Judge",
    "ModelFunction",
    "ModelSet",
    "ResidualClassifier",
    "SmoothResidualClassifier",
    "TrainingInfo",
    "kept_judges",
    "load_guide",
    "load_judges",
    "load_models",
    "load_torch_models",
    "pretrained",
    "pretrained_guide",
    "pretrained_guide_names",
    "pretrained_names",
    "robust_accuracy",
    "save_guide",
    "save_judges",
    "save_models",
    "train_autoencoder",
    "train_class_autoencoders",
    "train_classifier",
    "train_guide",
    "train_judges",
    "train_models",
    "usual_radius",
]
