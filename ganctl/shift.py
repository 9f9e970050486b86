"""Images whose pixels are put elsewhere, each image in its own way; what lies beyond an edge is mirrored in it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ganctl.errors import UserError


def mirrored(at: Tensor, side: int) -> Tensor:
    """Positions along a side of `side` pixels, those outside reflected without repeating the edge, as often as needed.

    -1 is 1 and `side` is `side - 2`: numpy's mode "reflect". Integers or fractions of a pixel.
    """
    last = side - 1
    return last - (at % max(1, 2 * last) - last).abs()


def picked(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """x (B,C,H,W) at the integer pixels rows (B,h,w), columns (B,h,w), or what broadcasts to them: (B,C,h,w).

    One gather: its gradient is a scatter and differentiable again, on every device and deterministically.
    """
    batch, channels, height, width = x.shape
    image = torch.arange(batch, device=x.device).view(-1, 1, 1)
    index = (image * height + rows) * width + columns
    pixels = x.permute(0, 2, 3, 1).reshape(-1, channels).index_select(0, index.flatten())
    return pixels.view(*index.shape, channels).permute(0, 3, 1, 2)


def shifted(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """x (B,C,H,W), each image moved by its own whole pixels, int64 (B,)."""
    height, width = x.shape[2:]
    rows = torch.arange(height, device=x.device).view(1, -1, 1) - down.view(-1, 1, 1)
    columns = torch.arange(width, device=x.device) - right.view(-1, 1, 1)
    return picked(x, mirrored(rows, height), mirrored(columns, width))


def up_to(most: int, like: Tensor) -> Tensor:
    """A whole number from -most to most for each image of a batch, each as likely: int64 (B,)."""
    return torch.randint(-most, most + 1, (len(like),), device=like.device)


def require_images(option: str, shape: Sequence[int], instead: str) -> None:
    """Refuse points: `shape` is (C,H,W) where the data are images."""
    if len(shape) != 3:
        raise UserError(f"{option} moves the pixels of images, and the data are points\n  try: {instead}")
