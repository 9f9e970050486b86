"""What every regularizer is: a term added to a player's loss, or a projection after the discriminator's step."""

import logging

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganctl.errors import UserError
from ganctl.types import Play, Schedule, value_at

log = logging.getLogger("ganctl")


class Regularizer(nn.Module):
    """Terms are returned unweighted; the system multiplies them by `factor(step)`. State lives in buffers."""

    differentiates = False
    """Whether a term differentiates the discriminator with respect to its input (double backward)."""

    at_judged = False
    """Whether that is at the very samples that the critic judges, so that they must carry a gradient."""

    reads_classes = False
    """Whether a term is of the discriminator's class logits: a class head without one would never be trained."""

    def __init__(self, weight: float | Schedule = 1.0, every: int = 1) -> None:
        super().__init__()
        if every < 1:
            raise UserError(f"regularizer every={every}: must be 1 (each step) or more\n  try: every=1")
        if not isinstance(weight, Schedule) and weight < 0:
            raise UserError(f"regularizer weight={weight}: must be at least 0\n  try: weight={-weight}")
        self.weight, self.every = weight, every

    def factor(self, step: int) -> float:
        """The weight at this step; a lazy term rests, then counts `every` times (Karras et al. 2020, app. B)."""
        return 0.0 if step % self.every else value_at(self.weight, step) * self.every

    def attach(self, generator: nn.Module, discriminator: nn.Module) -> None:
        """Called once, before any weights are loaded: create buffers, refuse what cannot work."""

    def begin(self, step: int) -> None:
        """Called before each step."""

    def d_term(self, play: Play) -> Tensor | None:
        return None

    def g_term(self, play: Play) -> Tensor | None:
        return None

    def after_d(self, discriminator: nn.Module) -> None:
        """Called after each of the discriminator's optimizer steps."""


def has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(m, _BatchNorm) for m in module.modules())


def has_class_head(discriminator: nn.Module) -> bool:
    """Whether the discriminator's critique holds class logits: it, or a part of it, says `names_classes = True`."""
    return any(getattr(module, "names_classes", False) for module in discriminator.modules())


def doubt_batch_norm(discriminator: nn.Module, what: str) -> None:
    """One warning where batch norm in the critic is a doubtful companion, though not an impossible one."""
    if has_batch_norm(discriminator):
        log.warning(f"{what} with batch norm in the critic often fails: try critic_norm=none or critic_norm=layer")
