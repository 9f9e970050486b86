"""No game: one player that learns to name the classes of images."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganctl.systems.system import System
from ganctl.types import Batch, Phase, Terms


class Classifier(System):
    """Player `c` minimises the cross-entropy of a network that returns (features, logits), as ClassifierNetwork does.

    Each image is shown shifted, turned, sheared and scaled at random: every entry of its affine map is off by up to
    `jitter`, shifts in units of half the image.
    """

    def __init__(self, network: nn.Module, jitter: float = 0.1) -> None:
        super().__init__()
        self.network, self.jitter = network, jitter

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"c": [self.network]}

    def phases(self) -> Sequence[Phase]:
        return [Phase("c", self._terms)]

    def averaged(self) -> Sequence[nn.Module]:
        return [self.network]

    def describe(self) -> dict[str, str]:
        return {"c": "cross-entropy"}

    def _terms(self, batch: Batch) -> Terms:
        _, logits = self.network(warped(batch["image"], self.jitter))
        return {"cross_entropy": F.cross_entropy(logits, batch["label"])}


def warped(x: Tensor, jitter: float) -> Tensor:
    """x (B,C,H,W), each image under an affine map of its own near the identity; what comes in is like the border."""
    off = jitter * (2 * torch.rand(len(x), 2, 3, device=x.device) - 1)
    maps = torch.eye(2, 3, device=x.device) + off
    grid = F.affine_grid(maps, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)
