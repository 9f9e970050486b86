"""How a network takes labels: beside its input, in its normalisation, or in the discriminator's head."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganctl.errors import UserError
from ganctl.networks.layers import ReferenceNorm, norm_layers, require_label

Conditioning = Literal["auto", "none", "concat", "projection", "auxiliary"]
"""concat: Mirza & Osindero 2014; projection: Miyato & Koyama 2018; auxiliary: Odena et al. 2017.
auto is the model's customary kind where the data have labels, else none."""

KINDS = ("none", "concat", "projection", "auxiliary")


def resolve(conditioning: Conditioning, num_classes: int, customary: Conditioning = "concat") -> Conditioning:
    """The kind that is meant: `customary` or none in the place of auto. A conditional kind needs labelled data."""
    if conditioning == "auto":
        return customary if num_classes else "none"
    if conditioning not in KINDS:
        raise UserError(
            f"model.conditioning={conditioning} is unknown\n  try: auto, {', '.join(KINDS[:-1])} or {KINDS[-1]}"
        )
    if conditioning != "none" and num_classes == 0:
        raise UserError(
            f"model.conditioning={conditioning}: a conditional model needs a labelled data set\n"
            "  try: dataset=digits, or model.conditioning=none"
        )
    return conditioning


def label_channels(conditioning: Conditioning, num_classes: int) -> int:
    """How many channels of label a network of this resolved kind reads beside its input: K under concat, else 0."""
    return num_classes if conditioning == "concat" else 0


def label_norms(conditioning: Conditioning, num_classes: int) -> int:
    """K where the generator's normalisations of this resolved kind look up a scale and a shift by label, else 0."""
    return num_classes if conditioning in ("projection", "auxiliary") else 0


class ClassNorm(nn.Module):
    """Normalisation without a scale of its own, then scale and shift by label (Dumoulin et al. 2017, eq. 5).

    `forward(x: (B,C,H,W), y: (B,)) -> (B,C,H,W)` if `maps`, else of (B,C). Scales are ones at first, shifts zeros.
    Under `none` and `spectral`, which act on no features, scale and shift are all there is.
    """

    def __init__(self, norm: ReferenceNorm, channels: int, num_classes: int, maps: bool = True) -> None:
        super().__init__()
        self.normalise = nn.Sequential(*norm_layers(norm, channels, maps, affine=False))
        self.scale = nn.Parameter(torch.ones(num_classes, channels))
        self.shift = nn.Parameter(torch.zeros(num_classes, channels))

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        y = require_label(y)
        shape = (*x.shape[:2], *[1] * (x.dim() - 2))
        scale, shift = (F.embedding(y, table).view(shape) for table in (self.scale, self.shift))
        return torch.addcmul(shift, self.normalise(x), scale)


class Labelled(nn.Sequential):
    """Layers in a row, of which each ClassNorm, at any depth of Labelled ones, is handed the label."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        for layer in self:
            x = layer(x, y) if isinstance(layer, ClassNorm | Labelled) else layer(x)
        return x


def generator_norms(norm: ReferenceNorm, channels: int, num_classes: int, maps: bool = True) -> list[nn.Module]:
    """A generator's normalisation: by label if `num_classes` (see `label_norms`), else the plain one."""
    return [ClassNorm(norm, channels, num_classes, maps)] if num_classes else norm_layers(norm, channels, maps)


class Head(nn.Module):
    """What a discriminator says of its last features: `forward(phi: (B,F), y: (B,)) -> (logits (B,), classes | None)`.

    One dense logit psi(phi). `projection` adds <V_y, phi> (Miyato & Koyama 2018, eq. 3); `auxiliary` judges without
    looking at y and adds class logits (B,K), on which no softmax acts (Odena et al. 2017, section 4). Of a pack y is
    (B,m), and V_y the sum of its labels' rows: eq. 3 with their one-hots side by side.
    """

    def __init__(self, features: int, num_classes: int, conditioning: Conditioning) -> None:
        super().__init__()
        self.dense = nn.Linear(features, 1)
        self.projection = nn.Embedding(num_classes, features) if conditioning == "projection" else None
        if self.projection:
            nn.init.xavier_uniform_(self.projection.weight)
        self.classes = nn.Linear(features, num_classes) if conditioning == "auxiliary" else None
        self.names_classes = conditioning == "auxiliary"

    def forward(self, phi: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        logits = self.dense(phi).squeeze(1)
        if self.projection:
            rows = self.projection(require_label(y)).view(len(phi), -1, phi.shape[1])
            logits = logits + (rows.sum(1) * phi).sum(1)
        return logits, self.classes(phi) if self.classes else None
