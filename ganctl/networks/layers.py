"""What networks share: a layer with its normalisation and activation, spectral norm, labels beside the input."""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, cat, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganctl.errors import UserError, did_you_mean
from ganctl.networks.virtual import VirtualBatchNorm

Norm = Literal["batch", "layer", "instance", "group", "spectral", "none"]
ReferenceNorm = Literal["batch", "layer", "instance", "group", "spectral", "none", "virtual"]
"""`virtual` is for networks that carry a reference batch along (virtual.py)."""

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


def has_bias(norm: ReferenceNorm) -> bool:
    """A normalisation brings its own shift; a bias before it would be subtracted again."""
    return norm in ("none", "spectral")


def norm_layers(norm: ReferenceNorm, channels: int, maps: bool, affine: bool = True) -> list[nn.Module]:
    """The normalisation of (B,C,H,W) if `maps`, else of (B,C). Empty for `none` and `spectral`, which acts on weights.

    `affine`: with a learned scale and shift. `layer` is over C, H and W with one scale a channel, as in the WGAN-GP
    code; `group` takes 16 channels a group where they divide (Wu & He 2018, table 3).
    """
    match norm:
        case "none" | "spectral":
            return []
        case "batch":
            return [nn.BatchNorm2d(channels, affine=affine) if maps else nn.BatchNorm1d(channels, affine=affine)]
        case "layer" if maps:
            return [nn.GroupNorm(1, channels, affine=affine)]
        case "layer":
            return [nn.LayerNorm(channels, elementwise_affine=affine)]
        case "group":
            return [nn.GroupNorm(math.gcd(channels, max(1, channels // 16)), channels, affine=affine)]
        case "instance" if maps:
            return [nn.InstanceNorm2d(channels, affine=affine)]
        case "virtual":
            return [VirtualBatchNorm(channels, affine)]
        case "instance":
            raise UserError(
                "norm=instance averages over the pixels of a map, and this network has no maps\n  try: layer"
            )
    raise UserError(f"norm '{norm}' is unknown\n  try: batch, layer, instance, group, virtual, spectral or none")


def dropout_layers(rate: float) -> list[nn.Module]:
    """Element-wise dropout, or nothing at rate 0."""
    if not 0 <= rate < 1:
        raise UserError(f"dropout={rate}: must lie in [0, 1)\n  try: dropout=0.3")
    return [nn.Dropout(rate)] if rate else []


def normalise_spectrally(network: nn.Module) -> None:
    """Divide each layer's weight by its largest singular value (Miyato et al. 2018). Call it after initialisation.

    The tensor of minibatch discrimination is no such layer and stays as it is.
    """
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
            spectral_norm(layer)


def require_label(y: Tensor | None) -> Tensor:
    """The label that a conditional network cannot do without."""
    if y is None:
        raise UserError("a conditional model was given no label\n  try: label=0, or a model with conditioning=none")
    return y


def with_label(x: Tensor, y: Tensor | None, channels: int) -> Tensor:
    """x (B,C,...) followed by the one-hot label as `channels` constant planes (Mirza & Osindero 2014).

    y is (B,), or (B,m) for m labels of m different ranges, whose one-hots add up to one row.
    """
    if channels == 0:
        return x
    y = require_label(y)
    one_hot = F.one_hot(y, channels).view(len(y), -1, channels).sum(1)
    planes = one_hot.to(x.dtype).reshape(len(y), channels, *[1] * (x.dim() - 2))
    return cat([x, planes.expand(-1, -1, *x.shape[2:])], dim=1)
