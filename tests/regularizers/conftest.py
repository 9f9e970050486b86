"""A play whose discriminator is any function of x, or of x and the label."""

import inspect
import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ganctl.types import Critique, Play


class Judge(nn.Module):
    """A discriminator whose logits a function gives; `calls` counts its forward passes."""

    def __init__(self, score: Callable[..., Tensor]) -> None:
        super().__init__()
        self.score, self.calls = score, 0
        self.takes_label = not isinstance(score, nn.Module) and len(inspect.signature(score).parameters) == 2

    def forward(self, x: Tensor, y: Tensor | None = None) -> Critique:
        self.calls += 1
        return Critique(self.score(x, y) if self.takes_label else self.score(x).reshape(len(x)))


@pytest.fixture
def a_play() -> Callable[..., Play]:
    """`a_play(score, real, fake)`: discriminator's phase, step 0; the fakes default to the reals."""

    def make(score: Callable[..., Tensor], real: Tensor, fake: Tensor | None = None, **more) -> Play:
        settings = {"step": 0, "phase": "d", "generator": nn.Identity()} | more
        fake = real.clone() if fake is None else fake
        return Play(**settings, discriminator=Judge(score), real=real, fake=fake)

    return make


@pytest.fixture
def warned(caplog, monkeypatch) -> Callable[[], list[str]]:
    """The warnings ganctl has logged, whether or not another test sent its log to a console of its own."""
    log = logging.getLogger("ganctl")
    monkeypatch.setattr(log, "handlers", [caplog.handler])
    monkeypatch.setattr(log, "propagate", False)
    return lambda: [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.fixture
def smooth_critic() -> nn.Module:
    """A small network with a second derivative everywhere, seeded."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Softplus(), nn.Linear(5, 1))
