"""Features of the whole batch beside those of each sample: by them a discriminator sees that fakes are all alike."""

from typing import Literal

import torch
from torch import Tensor, nn

from ganctl.errors import UserError, require_positive

Minibatch = Literal["none", "discrimination", "stddev"]


class MinibatchDiscrimination(nn.Module):
    """(B,F) -> (B, F + kernels): how near a sample lies to the others (Salimans et al. 2016, section 3.2).

    M_i = T f(x_i) is `kernels` rows of `dimensions` numbers; feature b is o_b(x_i) = sum_j exp(-||M_ib - M_jb||_1),
    j = i included, so it is 1 where nothing is near and B where all are alike. T starts with columns of norm about 1.
    """

    def __init__(self, features: int, kernels: int = 100, dimensions: int = 5) -> None:
        super().__init__()
        require_positive(kernels=kernels, dimensions=dimensions)
        self.width = features + kernels
        self.tensor = nn.Parameter(torch.randn(features, kernels, dimensions) / features**0.5)

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.einsum("bf,fkd->bkd", x, self.tensor)
        distance = (rows.unsqueeze(0) - rows.unsqueeze(1)).abs().sum(3)
        return torch.cat([x, (-distance).exp().sum(1)], dim=1)


class MinibatchStddev(nn.Module):
    """(B,F) -> (B,F+1): the spread of each feature over a group, their mean (Karras et al. 2018, section 3).

    A group is up to `group` neighbours: the largest number that divides the batch. For a dense head one number is worth
    what the paper's constant map is.
    """

    def __init__(self, features: int, group: int = 4) -> None:
        super().__init__()
        require_positive(group=group)
        self.width, self.group = features + 1, group

    def forward(self, x: Tensor) -> Tensor:
        size = next(size for size in range(min(self.group, len(x)), 0, -1) if len(x) % size == 0)
        groups = x.view(-1, size, x.shape[1])
        # 1e-8 inside the root: its gradient where all are alike would be infinite.
        spread = (groups.var(1, correction=0) + 1e-8).sqrt().mean(1)
        return torch.cat([x, spread.repeat_interleave(size).to(x.dtype).unsqueeze(1)], dim=1)


class Alone(nn.Module):
    """(B,F) as it is."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.width = features

    def forward(self, x: Tensor) -> Tensor:
        return x


def minibatch_layer(kind: Minibatch, features: int) -> MinibatchDiscrimination | MinibatchStddev | Alone:
    """What comes before a discriminator's head: it reads the layer's `width` numbers a sample."""
    match kind:
        case "none":
            return Alone(features)
        case "discrimination":
            return MinibatchDiscrimination(features)
        case "stddev":
            return MinibatchStddev(features)
    raise UserError(f"minibatch '{kind}' is unknown\n  try: none, discrimination or stddev")
