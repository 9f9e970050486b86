"""Mixtures of Gaussians in the plane: the data on which mode dropping can be counted."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ganctl.data.dataset import Dataset, part_of
from ganctl.data.source import Split, agree
from ganctl.errors import require_at_most, require_positive
from ganctl.seeding import derive

COUNT = 100_000


class Mixture(Dataset):
    """100,000 fixed points of an even mixture of round Gaussians, float32 (N,2), divided by `scale`.

    `scale` is the mixture's standard deviation along an axis: its square is the mean squared distance of the modes
    from their mean, halved, plus sigma^2. The points do not depend on a run's seed; the test part is another draw.
    """

    key = "points"

    def __init__(
        self,
        name: str,
        centres: list[list[float]],
        sigma: float,
        *,
        shape: Sequence[int] | None,
        num_classes: int | None,
        scale: float | None,
        declared_centres: Sequence[Sequence[float]] | None,
        split: Split,
        holdout: int,
        limit: int | None,
    ) -> None:
        require_positive(**{"dataset.sigma": sigma, "dataset.scale": scale})
        agree("centres", declared_centres, centres)
        self.centres, self.sigma = centres, sigma
        modes = np.array(centres)
        self.scale = scale or math.sqrt(modes.var(axis=0).mean() + sigma**2)
        # numpy's normal draws are the same on every machine; torch's vectorised ones may differ in the last bit, and
        # with them the fingerprint.
        rng = np.random.default_rng(derive(name, part_of(split)))
        points = modes[rng.integers(len(modes), size=COUNT)] + sigma * rng.standard_normal((COUNT, 2))
        samples = torch.from_numpy((points / self.scale).astype(np.float32))
        super().__init__(samples, shape=shape, num_classes=num_classes, split=split, holdout=holdout, limit=limit)

    @property
    def points(self) -> Tensor:
        """All points, float32 (N,2), divided by `scale`."""
        return self.samples

    def _finish(self, samples: Tensor, flips: Tensor | None) -> Tensor:
        return samples


class Ring(Mixture):
    """`modes` Gaussians evenly spaced on a circle."""

    def __init__(
        self,
        *,
        modes: int = 8,
        radius: float = 1.0,
        sigma: float = 0.01,
        shape: Sequence[int] | None = None,
        num_classes: int | None = None,
        scale: float | None = None,
        centres: Sequence[Sequence[float]] | None = None,
        split: Split = "train",
        holdout: int = 0,
        limit: int | None = None,
    ) -> None:
        require_positive(**{"dataset.modes": modes, "dataset.radius": radius})
        require_at_most(COUNT, **{"dataset.modes": modes})
        angles = [2 * math.pi * mode / modes for mode in range(modes)]
        # Rounded, so that cos(pi/2) is 0.0 in the configuration as well.
        circle = [[round(radius * wave(angle), 12) + 0.0 for wave in (math.cos, math.sin)] for angle in angles]
        super().__init__(
            "ring",
            circle,
            sigma,
            shape=shape,
            num_classes=num_classes,
            scale=scale,
            declared_centres=centres,
            split=split,
            holdout=holdout,
            limit=limit,
        )


class Grid(Mixture):
    """`side` x `side` Gaussians, `spacing` apart, centred at the origin."""

    def __init__(
        self,
        *,
        side: int = 5,
        spacing: float = 2.0,
        sigma: float = 0.05,
        shape: Sequence[int] | None = None,
        num_classes: int | None = None,
        scale: float | None = None,
        centres: Sequence[Sequence[float]] | None = None,
        split: Split = "train",
        holdout: int = 0,
        limit: int | None = None,
    ) -> None:
        require_positive(**{"dataset.side": side, "dataset.spacing": spacing})
        require_at_most(math.isqrt(COUNT), **{"dataset.side": side})
        ticks = [spacing * (step - (side - 1) / 2) for step in range(side)]
        super().__init__(
            "grid",
            [[x, y] for x in ticks for y in ticks],
            sigma,
            shape=shape,
            num_classes=num_classes,
            scale=scale,
            declared_centres=centres,
            split=split,
            holdout=holdout,
            limit=limit,
        )
