"""What residual networks share: the ladder of map sizes, blocks that double or halve a map, and self-attention."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganctl.errors import UserError
from ganctl.networks.layers import Norm, norm_layers

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)
Size = tuple[int, int]
Conditional = Callable[[int], nn.Module]
"""From a number of channels to a normalisation `forward(x: (B,C,H,W), condition) -> (B,C,H,W)`."""


def ladder(shape: Sequence[int], width: int, max_width: int, depth: int | None) -> tuple[list[Size], list[int]]:
    """Sizes and channels of the maps at the levels 0 (the image), 1 (half as high and wide) to `depth`.

    Halves are rounded up: 28 14 7 4. None stops the halving near 4 pixels. Channels are `width` at level 0 and double
    inward up to `max_width`.
    """
    if len(shape) != 3 or not all(16 <= side <= 128 for side in shape[1:]):
        remedy = "model=mlp" if len(shape) != 3 else "dataset.size=64 for a folder of images, or model=mlp"
        size = "x".join(map(str, shape))
        raise UserError(f"a residual network takes images of 16 to 128 pixels a side, not {size}\n  try: {remedy}")
    halvings = math.log2(min(shape[1:]))
    deepest = int(halvings) - 1  # two pixels are left
    depth = round(halvings) - 2 if depth is None else depth
    if not 1 <= width <= max_width or not 1 <= depth <= deepest:
        raise UserError(
            f"a residual network cannot have width={width}, max_width={max_width}, depth={depth}"
            f"\n  try: depth from 1 to {deepest}, width at least 1 and max_width at least width"
        )
    sizes = [(math.ceil(shape[1] / 2**i), math.ceil(shape[2] / 2**i)) for i in range(depth + 1)]
    return sizes, [min(width * 2**i, max_width) for i in range(depth + 1)]


def require_drawable(shape: Sequence[int]) -> None:
    """Images have 1 to 4 channels. A discriminator may be shown more: packed samples, labels."""
    if not 1 <= shape[0] <= 4:
        raise UserError(f"a residual network draws images of 1 to 4 channels, not {shape[0]}\n  try: model=mlp")


def xavier(layer: Layer, gain: float = 1.0) -> Layer:
    """Weights from Glorot & Bengio's uniform distribution, times `gain`; biases zero."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def orthogonalise(network: nn.Module) -> None:
    """Orthogonal initial weights (Saxe et al. 2014; Brock et al. 2019, section 3); biases zero."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding):
            nn.init.orthogonal_(layer.weight)
            if not isinstance(layer, nn.Embedding) and layer.bias is not None:
                nn.init.zeros_(layer.bias)


class UpBlock(nn.Module):
    """Twice normalise, ReLU, 3x3 convolution, the first on the doubled map, beside a doubled 1x1 convolution.

    (B,inner,h,w) -> (B,outer,*size), the doubled map cropped to `size` (Miyato et al. 2018, appendix B.4).
    """

    def __init__(self, inner: int, outer: int, size: Size, norm: Conditional) -> None:
        super().__init__()
        self.size = size
        self.norms = nn.ModuleList([norm(inner), norm(outer)])
        self.widen = xavier(nn.Conv2d(inner, outer, 3, padding=1), math.sqrt(2))
        self.refine = xavier(nn.Conv2d(outer, outer, 3, padding=1), math.sqrt(2))
        self.shortcut = xavier(nn.Conv2d(inner, outer, 1))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = self.widen(self._double(F.relu(self.norms[0](x, condition))))
        h = self.refine(F.relu(self.norms[1](h, condition)))
        short = self.shortcut(x)  # a 1x1 convolution gives the same before the doubling, at a quarter of the cost
        out: Tensor = h + self._double(short)
        return out

    def _double(self, x: Tensor) -> Tensor:
        height, width = self.size
        return F.interpolate(x, scale_factor=2.0, mode="nearest")[..., :height, :width]


class DownBlock(nn.Module):
    """Twice ReLU, 3x3 convolution, then the mean of 2x2 pixels if `halve`, beside a 1x1 convolution of the same.

    (B,inner,H,W) -> (B,outer,h,w). `first`: no ReLU before the image (Miyato et al. 2018, appendix B.4).
    `wide`: the first convolution already has `outer` channels. `norm` precedes each ReLU but that before an image.
    """

    def __init__(
        self, inner: int, outer: int, *, halve: bool = True, first: bool = False, wide: bool = False, norm: Norm
    ) -> None:
        super().__init__()
        hidden = outer if wide or first else inner
        self.halve = halve
        before = [] if first else [*norm_layers(norm, inner, maps=True), nn.ReLU()]
        self.branch = nn.Sequential(
            *before,
            xavier(nn.Conv2d(inner, hidden, 3, padding=1), math.sqrt(2)),
            *norm_layers(norm, hidden, maps=True),
            nn.ReLU(),
            xavier(nn.Conv2d(hidden, outer, 3, padding=1), math.sqrt(2)),
        )
        self.shortcut = xavier(nn.Conv2d(inner, outer, 1)) if halve or inner != outer else None

    def forward(self, x: Tensor) -> Tensor:
        h = self.branch(x)
        if self.halve:
            h, x = _halved(h), _halved(x)
        out: Tensor = h + (self.shortcut(x) if self.shortcut else x)
        return out


def _halved(x: Tensor) -> Tensor:
    """The mean of each 2x2 pixels; at an odd edge of those there are."""
    return F.avg_pool2d(x, 2, ceil_mode=True)


class Attention(nn.Module):
    """Self-attention (Zhang et al. 2019, eq. 1 to 4), (B,C,H,W) -> (B,C,H,W).

    Position j attends to i with the softmax over i of f(x_i) . g(x_j); what it finds, times a learned gate that is 0 at
    first, is added to x. As in the authors' code keys f and queries g have C/8 channels, values h C/2, and keys and
    values are the maxima of 2x2 positions.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, half = max(1, channels // 8), max(1, channels // 2)
        self.query, self.key, self.value, self.out = (
            xavier(nn.Conv2d(before, after, 1, bias=False))
            for before, after in ((channels, narrow), (channels, narrow), (channels, half), (half, channels))
        )
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)  # (B,C/8,N)
        key, value = (F.max_pool2d(layer(x), 2, ceil_mode=True).flatten(2) for layer in (self.key, self.value))
        weights = (query.transpose(1, 2) @ key).softmax(dim=2)  # (B,N,M): a row a position that asks
        found = (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        out: Tensor = x + self.gate * self.out(found)
        return out


class UpPath(nn.Module):
    """From the map of the innermost level to the image, an UpBlock a level, attention after the one of that level.

    The last layers are `norm` without labels, ReLU, a 3x3 convolution and tanh. `sizes` and `widths` as of `ladder`.
    """

    def __init__(
        self,
        channels: int,
        sizes: Sequence[Size],
        widths: Sequence[int],
        conditional: Conditional,
        norm: Norm,
        attention: int | None = None,
    ) -> None:
        super().__init__()
        depth = len(sizes) - 1
        require_level(attention, depth)
        self.levels = range(depth - 1, -1, -1)
        self.blocks = nn.ModuleList(
            UpBlock(widths[min(level + 1, depth - 1)], widths[level], sizes[level], conditional)
            for level in self.levels
        )
        self.attended = attention
        self.attention = None if attention is None else Attention(widths[attention])
        convolution = xavier(nn.Conv2d(widths[0], channels, 3, padding=1))
        self.to_image = nn.Sequential(*norm_layers(norm, widths[0], maps=True), nn.ReLU(), convolution, nn.Tanh())

    def forward(self, x: Tensor, conditions: Sequence[Tensor | None]) -> Tensor:
        """(B,C,h,w), and what each block is conditioned on, to (B,channels,H,W)."""
        for level, block, condition in zip(self.levels, self.blocks, conditions, strict=True):
            x = block(x, condition)
            if self.attention and level == self.attended:
                x = self.attention(x)
        image: Tensor = self.to_image(x)
        return image


class DownPath(nn.Module):
    """From the image to features: a halving DownBlock a level, then `flat` ones that keep the size.

    `forward(x: (B,channels,H,W)) -> features`: what each block says, and last (B,C), the sum over the pixels of a ReLU.
    """

    def __init__(
        self,
        channels: int,
        widths: Sequence[int],
        flat: int,
        wide: bool,
        norm: Norm,
        attention: int | None = None,
    ) -> None:
        super().__init__()
        depth = len(widths) - 1
        require_level(attention, depth)
        ladder = [channels, *widths[:depth], *[widths[depth - 1]] * flat]
        self.blocks = nn.ModuleList(
            DownBlock(inner, outer, halve=number < depth, first=number == 0, wide=wide, norm=norm)
            for number, (inner, outer) in enumerate(pairwise(ladder))
        )
        self.features = ladder[-1]
        self.attended = attention
        self.attention = None if attention is None else Attention(widths[attention - 1])
        self.last = nn.Sequential(*norm_layers(norm, ladder[-1], maps=True), nn.ReLU())

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        features = []
        for level, block in enumerate(self.blocks, 1):
            x = block(x)
            if self.attention and level == self.attended:
                x = self.attention(x)
            features.append(x)
        return (*features, self.last(x).sum((2, 3)))


def require_level(attention: int | None, depth: int) -> None:
    if attention is not None and not 1 <= attention < depth:
        raise UserError(
            f"attention={attention}: there is no such level between the image and the innermost map"
            f"\n  try: attention=1, where maps are half as wide as the image, up to {depth - 1}; or null"
        )
