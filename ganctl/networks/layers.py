"""What networks share: a layer with its normalisation and activation, spectral norm, labels beside the input."""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, cat, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganctl.errors import UserError, did_you_mean

Norm = Literal["batch", "layer", "instance", "group", "spectral", "none"]
Conditioning = Literal["auto", "none", "concat"]
"""How a network takes labels; auto is concat where the data have labels, else none."""

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.2),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "linear": nn.Identity,
}


def activation_layer(name: str) -> nn.Module:
    """The activation of that name; `leaky_relu` has the slope 0.2 that GAN papers use."""
    if name not in ACTIVATIONS:
        raise UserError(f"activation '{name}' is unknown{did_you_mean(name, ACTIVATIONS)}\n  try: relu or leaky_relu")
    return ACTIVATIONS[name]()


def has_bias(norm: Norm) -> bool:
    """A normalisation brings its own shift; a bias before it would be subtracted again."""
    return norm in ("none", "spectral")


def norm_layers(norm: Norm, channels: int, maps: bool) -> list[nn.Module]:
    """The normalisation of (B,C,H,W) if `maps`, else of (B,C). Empty for `none` and `spectral`, which acts on weights.

    `layer` is over C, H and W with one scale a channel, as in the WGAN-GP code; `group` takes 16 channels a group where
    they divide (Wu & He 2018, table 3).
    """
    match norm:
        case "none" | "spectral":
            return []
        case "batch":
            return [nn.BatchNorm2d(channels) if maps else nn.BatchNorm1d(channels)]
        case "layer":
            return [nn.GroupNorm(1, channels) if maps else nn.LayerNorm(channels)]
        case "group":
            return [nn.GroupNorm(math.gcd(channels, max(1, channels // 16)), channels)]
        case "instance" if maps:
            return [nn.InstanceNorm2d(channels, affine=True)]
        case "instance":
            raise UserError(
                "norm=instance averages over the pixels of a map, and this network has no maps\n  try: layer"
            )
    raise UserError(f"norm '{norm}' is unknown\n  try: batch, layer, instance, group, spectral or none")


def dropout_layers(rate: float) -> list[nn.Module]:
    """Element-wise dropout, or nothing at rate 0."""
    if not 0 <= rate < 1:
        raise UserError(f"dropout={rate}: must lie in [0, 1)\n  try: dropout=0.3")
    return [nn.Dropout(rate)] if rate else []


def normalise_spectrally(network: nn.Module) -> None:
    """Divide every weight by its largest singular value (Miyato et al. 2018). Call it after initialisation."""
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            spectral_norm(layer)


def label_channels(conditioning: Conditioning, num_classes: int) -> int:
    """How many channels of label a network reads beside its input: K under `concat`, else 0."""
    if conditioning == "none" or (conditioning == "auto" and not num_classes):
        return 0
    if conditioning not in ("auto", "concat"):
        raise UserError(f"model.conditioning={conditioning} is unknown to this model\n  try: auto, none or concat")
    if num_classes == 0:
        raise UserError(
            f"model.conditioning={conditioning}: a conditional model needs a labelled data set\n"
            "  try: dataset=digits, or model.conditioning=none"
        )
    return num_classes


def with_label(x: Tensor, y: Tensor | None, channels: int) -> Tensor:
    """x (B,C,...) followed by the one-hot label as `channels` constant planes (Mirza & Osindero 2014)."""
    if channels == 0:
        return x
    if y is None:
        raise UserError("a conditional model was given no label\n  try: label=0, or a model with conditioning=none")
    planes = F.one_hot(y, channels).to(x.dtype).reshape(*y.shape, channels, *[1] * (x.dim() - 2))
    return cat([x, planes.expand(-1, -1, *x.shape[2:])], dim=1)
