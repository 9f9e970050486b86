"""A system whose pictures a person can work out: seed s draws the grey level s everywhere, plus 100 a class."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from ganctl.artifacts.sampler import Sampler
from ganctl.systems.prior import Normal


class FlatSystem:
    """Seed s has latent (s, 0). Images are 2 x 3 of one level, channel k is 10 k brighter."""

    latents = Normal(2)

    def __init__(self, channels: int = 1) -> None:
        self.channels = channels
        self.batches: list[int] = []

    def prior(self, seeds, *, truncation=None) -> Tensor:
        return torch.stack([torch.tensor([float(seed), 0.0]) for seed in seeds])

    def draw(self, z: Tensor, *, label: Tensor | None = None) -> Tensor:
        self.batches.append(len(z))
        level = z[:, 0] + (0 if label is None else 100 * label)
        level = level[:, None] + 10 * torch.arange(self.channels)
        return (level / 127.5 - 1)[:, :, None, None].expand(-1, -1, 2, 3)


class PointSystem(FlatSystem):
    """Seed s draws the point (s, label)."""

    def draw(self, z: Tensor, *, label: Tensor | None = None) -> Tensor:
        return torch.stack([z[:, 0], torch.zeros(len(z)) if label is None else label.float()], dim=1)


@pytest.fixture
def a_sampler(tmp_path: Path) -> Callable[..., Sampler]:
    """A sampler of grey images with classes 0 and 1, or of what `system` draws."""

    def make(system=None, conditional: bool = False, **settings) -> Sampler:
        settings = {"shape": (1, 2, 3), "num_classes": 2, "run": tmp_path / "run"} | settings
        return Sampler(system or FlatSystem(), conditional=conditional, **settings)

    return make


@pytest.fixture
def flat() -> type[FlatSystem]:
    return FlatSystem


@pytest.fixture
def points() -> type[PointSystem]:
    return PointSystem


@pytest.fixture
def frames_of() -> Callable[[Path], list[Image.Image]]:
    """The frames of a picture or film on disk, each with its own `info`."""

    def read(path: Path) -> list[Image.Image]:
        frames = []
        with Image.open(path) as film:
            for i in range(getattr(film, "n_frames", 1)):
                film.seek(i)
                frames.append(film.copy())
        return frames

    return read
