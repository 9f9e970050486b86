"""The way from one latent to the next."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ganctl.artifacts.picture import limits_of, save, save_film, scatter, tile
from ganctl.artifacts.sampler import Sampler
from ganctl.errors import UserError, require_positive
from ganctl.progress import with_bar
from ganctl.systems.prior import Prior


def linear(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The straight line from a (Z,) at t=0 to b (Z,) at t=1."""
    return torch.lerp(a, b, t)


def spherical(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Along the great arc (Shoemake 1985, section 3.3): between latents of one norm the norm stays.

    A straight line leads through latents too near 0 for a normal prior. Parallel and opposite latents, which have no
    arc or no one arc between them, are joined by a straight line.
    """
    cosine = torch.cosine_similarity(a.double(), b.double(), dim=0).clamp(-1, 1).item()
    angle = math.acos(cosine)
    if math.sin(angle) < 1e-4:
        return linear(a, b, t)
    return (math.sin((1 - t) * angle) * a + math.sin(t * angle) * b) / math.sin(angle)


class Interpolation:
    """`interpolation.png`, a row from each seed to the next, and `interpolation.gif`, the same as a film.

    mode: the way between normal latents. Uniform ones are joined by a straight line, as an arc would leave their range.
    hold_label: the first seed's class and choices all the way. Points are drawn as a path that grows over the true
    modes.
    """

    def __init__(
        self,
        *,
        mode: Literal["linear", "spherical"] = "spherical",
        frames: int = 8,
        milliseconds: int = 80,
        hold_label: bool = True,
    ) -> None:
        require_positive(frames=frames, milliseconds=milliseconds)
        paths = {"linear": linear, "spherical": spherical}
        if mode not in paths:
            raise UserError(f"artifact.mode={mode} is unknown\n  try: artifact.mode=linear or artifact.mode=spherical")
        self.way, self.frames, self.milliseconds, self.hold_label = paths[mode], frames, milliseconds, hold_label

    def __call__(self, sampler: Sampler, seeds: list[int], labels: list[int] | None, out: Path) -> list[Path]:
        if len(seeds) < 2:
            raise UserError("an interpolation leads from one seed to another, and there is one\n  try: seeds=0-4")
        prior = sampler.system.latents
        if not prior.size:
            raise UserError(
                f"{sampler.run} draws from something given, and nothing lies between two latents\n  try: artifact=grid"
            )
        keys = sampler.latents(seeds)
        latents = self.path(prior.held(keys) if self.hold_label else keys, prior)
        if labels is not None:
            labels = [labels[0 if self.hold_label else int(i / self.frames + 0.5)] for i in range(len(latents))]
        drawn = np.concatenate(list(sampler.render(latents, labels)))
        strip, film = self._points(drawn, sampler) if drawn.ndim == 2 else self._images(drawn)
        gif = save_film(film, out / "interpolation.gif", self.milliseconds)
        return [save(strip, out / "interpolation.png"), gif]

    def path(self, keys: Tensor, prior: Prior) -> Tensor:
        """From (N,Z) the ((N-1) frames + 1, Z) latents on the way; every `frames`-th is a key itself."""
        steps = [k / self.frames for k in range(self.frames)]
        way = [prior.between(a, b, t, self.way) for a, b in pairwise(keys) for t in steps]
        return torch.stack([*way, keys[-1]])

    def _images(self, drawn: NDArray[Any]) -> tuple[Image.Image, list[Image.Image]]:
        # Each row shows both of its ends, so a key closes one row and opens the next.
        rows = [drawn[i : i + self.frames + 1] for i in range(0, len(drawn) - 1, self.frames)]
        strip = tile(np.concatenate(rows), columns=self.frames + 1)
        return strip, [tile(drawn[i : i + 1], padding=0, min_size=256) for i in range(len(drawn))]

    def _points(self, drawn: NDArray[Any], sampler: Sampler) -> tuple[Image.Image, list[Image.Image]]:
        limits = limits_of(drawn if sampler.centres is None else sampler.centres)
        ends = with_bar(range(1, len(drawn) + 1), "plotting")
        film = [scatter(drawn[:end], sampler.centres, limits) for end in ends]
        return film[-1], film
