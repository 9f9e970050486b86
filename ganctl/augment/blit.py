"""Pixels copied as they are: mirroring, quarter turns and whole shifts in one gather."""

import torch
from torch import Tensor

from ganctl.shift import mirrored, picked


def blit(x: Tensor, flip: Tensor, turns: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """x (B,C,H,W), each image mirrored left to right where `flip`, then turned, then shifted by whole pixels, all (B,).

    turns: quarter turns against the clock, 0 to 3; only square images bear odd ones. What comes in is mirrored.
    """
    height, width = x.shape[2:]
    flip, turns, down, right = (value.view(-1, 1, 1) for value in (flip, turns, down, right))
    rows = mirrored(torch.arange(height, device=x.device).view(1, -1, 1) - down, height)
    columns = mirrored(torch.arange(width, device=x.device) - right, width)
    odd = turns % 2 == 1
    rows, columns = torch.where(odd, columns, rows), torch.where(odd, rows, columns)
    rows = torch.where(turns >= 2, height - 1 - rows, rows)
    back = flip ^ ((turns == 1) | (turns == 2))
    return picked(x, rows, torch.where(back, width - 1 - columns, columns))
