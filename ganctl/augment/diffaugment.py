"""DiffAugment."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from ganctl.augment.augment import Augment
from ganctl.errors import UserError
from ganctl.shift import picked, require_images, up_to


class DiffAugment(Augment):
    """Zhao et al. 2020, section 3.2: always on, each image drawn for itself; no value is clamped.

    policy: any of "color" (brightness, saturation, contrast), "translation" (up to 1/8 of a side) and "cutout" (a
    square of half the side), applied in the order given. What comes in or is cut out is 0, the grey in the middle of
    [-1,1]. shape: (C,H,W) of the data, for refusing points.
    """

    def __init__(
        self,
        shape: Sequence[int],
        policy: Sequence[Literal["color", "translation", "cutout"]] = ("color", "translation", "cutout"),
    ) -> None:
        super().__init__()
        require_images("augment=diffaugment", shape, "augment=instance_noise")
        if not policy or not set(policy) <= set(POLICIES):
            raise UserError(
                f"augment.policy=[{','.join(policy)}]: any of {', '.join(POLICIES)} expected\n"
                "  try: augment.policy=[color,translation,cutout]"
            )
        self.policy = list(policy)

    def forward(self, x: Tensor) -> Tensor:
        for name in self.policy:
            for change in POLICIES[name]:
                x = change(x)
        return x


def one_each(x: Tensor) -> Tensor:
    """A number in [0,1) for each image, (B,1,1,1)."""
    return torch.rand(len(x), 1, 1, 1, device=x.device, dtype=x.dtype)


def brighter(x: Tensor) -> Tensor:
    """x plus U(-1/2, 1/2)."""
    return x + (one_each(x) - 0.5)


def more_saturated(x: Tensor) -> Tensor:
    """U(0, 2) times the distance from the mean of a pixel's channels: nothing changes in grey images."""
    grey = x.mean(1, keepdim=True)
    return torch.lerp(grey, x, 2 * one_each(x))


def more_contrasted(x: Tensor) -> Tensor:
    """U(1/2, 3/2) times the distance from the image's mean."""
    return torch.lerp(x.mean((1, 2, 3), keepdim=True), x, one_each(x) + 0.5)


def translated(x: Tensor, most: float = 1 / 8) -> Tensor:
    """Moved by whole pixels, up to `most` of each side either way; what comes in is 0."""
    height, width = x.shape[2:]
    down, right = (up_to(round_half_up(side * most), x).view(-1, 1, 1) for side in (height, width))
    rows = torch.arange(height, device=x.device).view(1, -1, 1) - down
    columns = torch.arange(width, device=x.device) - right
    there = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    moved = picked(x, rows.clamp(0, height - 1), columns.clamp(0, width - 1))
    return moved.where(there.unsqueeze(1), torch.zeros((), device=x.device))


def cut_out(x: Tensor, share: float = 1 / 2) -> Tensor:
    """0 in a rectangle with `share` of each side, its centre anywhere in the image."""
    inside = []
    for dim, side in ((-2, x.shape[2]), (-1, x.shape[3])):
        size = round_half_up(side * share)
        centre = torch.randint(side + 1 - size % 2, (len(x), 1, 1, 1), device=x.device)
        offset = torch.arange(side, device=x.device).view(-1, *[1] * (-1 - dim)) - centre + size // 2
        inside.append((offset >= 0) & (offset < size))
    return x.masked_fill(inside[0] & inside[1], 0.0)


def round_half_up(number: float) -> int:
    return int(number + 0.5)


POLICIES: dict[str, list[Callable[[Tensor], Tensor]]] = {
    "color": [brighter, more_saturated, more_contrasted],
    "translation": [translated],
    "cutout": [cut_out],
}
