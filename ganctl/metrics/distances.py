"""Distances of many to many, a block at a time: memory grows with the samples, never with their square."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ganctl.progress import with_bar

BLOCK = 2**24
"""Distances held at once: 67 MB in float32."""


def blocks(x: Tensor, y: Tensor, title: str, dtype: torch.dtype | None = None) -> Iterator[tuple[slice, Tensor]]:
    """Squared Euclidean distances of x (N,...) to y (M,...): some rows of x, and theirs (B,M).

    In the precision of x and y, or in `dtype`. |x|^2 - 2xy + |y|^2 cancels where x is near y: in float32 a copy may
    seem a thousandth of its norm away. That tells inside from outside of a ball; where copies matter ask for float64.
    """
    x, y = x.flatten(1), y.flatten(1)
    centre = y.mean(0, dtype=dtype)  # without it norms would be of the offset; it also brings the rest to its dtype
    y = y - centre
    squares = torch.linalg.vecdot(y, y)
    height = max(1, BLOCK // len(y))
    for start in with_bar(range(0, len(x), height), title):
        some = x[start : start + height] - centre
        distances = torch.addmm(squares, some, y.T, alpha=-2).add_(torch.linalg.vecdot(some, some)[:, None])
        yield slice(start, start + len(some)), distances.clamp_(min=0)


def radii(x: Tensor, k: int) -> Tensor:
    """(N,) squared distance of each of x to its k-th nearest neighbour among the others."""
    # The nearest of all is the sample itself.
    return torch.cat([near.topk(k + 1, largest=False).values[:, k] for _, near in blocks(x, x, "neighbours")])


def nearest(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """For each of x (N,...) the distance (N,) float64 to the nearest of y (M,...), and its index (N,)."""
    found = [near.min(1) for _, near in blocks(x, y, "nearest", torch.float64)]
    return torch.cat([each.values for each in found]).sqrt(), torch.cat([each.indices for each in found])
