"""Memorisation: do samples lie nearer to the images trained on than to images never seen?"""

from typing import ClassVar, Literal

import torch

from ganctl.metrics.distances import nearest
from ganctl.metrics.metric import Metric
from ganctl.seeding import generator
from ganctl.types import Evidence


class Nearest(Metric):
    """Mean Euclidean distance of a sample to its nearest training and to its nearest test image, equally many of each.

    `nearer_train` is the share of samples whose nearest image is one of train, ties counting half: about 0.5 for a
    generator that knows the distribution. A copy counts if its original is among the m of N training images compared,
    so one that only copies scores 1/2 + m/(2N).
    """

    name = "nearest"
    sees: ClassVar[Literal["samples"]] = "samples"
    needs = frozenset({"fake", "train", "test"})

    def __init__(self, *, seed: int = 0) -> None:
        self.seed, self.protocol = seed, {"seed": seed}

    def __call__(self, evidence: Evidence) -> dict[str, float]:
        fake, *sides = self.take(evidence, "fake", "train", "test")
        count = min(map(len, sides))
        draw = generator(self.seed, "nearest")
        train, test = (nearest(fake, side[torch.randperm(len(side), generator=draw)[:count]])[0] for side in sides)
        nearer = (train < test).double() + (train == test).double() / 2
        return {
            "nearest_train": train.mean().item(),
            "nearest_test": test.mean().item(),
            "nearer_train": nearer.mean().item(),
        }
