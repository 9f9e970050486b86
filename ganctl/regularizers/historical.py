"""Historical averaging."""

import torch
from torch import Tensor, nn

from ganctl.regularizers.regularizer import Regularizer
from ganctl.types import Play, Schedule


class HistoricalAveraging(Regularizer):
    """Salimans et al. 2016, section 3.3: ||theta - 1/t sum of theta[1..t]||^2, for each player's own parameters.

    theta[i] is what the parameters were when step i began; the mean is a running one, so a long history costs no more
    than a short one: one number a parameter. The paper names no weight.
    """

    def __init__(self, weight: float | Schedule = 0.01, every: int = 1) -> None:
        super().__init__(weight, every)

    def attach(self, generator: nn.Module, discriminator: nn.Module) -> None:
        self._players = {"g": generator, "d": discriminator}  # a mapping, so that they are no submodules of this one
        for name, player in self._players.items():
            self.register_buffer(f"mean_{name}", flat(player).detach().clone())

    @torch.no_grad()
    def begin(self, step: int) -> None:
        for name, player in self._players.items():
            self.get_buffer(f"mean_{name}").lerp_(flat(player), 1 / (step + 1))

    def d_term(self, play: Play) -> Tensor:
        return (flat(play.discriminator) - self.get_buffer("mean_d")).square().sum()

    def g_term(self, play: Play) -> Tensor:
        return (flat(play.generator) - self.get_buffer("mean_g")).square().sum()


def flat(player: nn.Module) -> Tensor:
    """All parameters in one row."""
    return torch.cat([parameter.flatten() for parameter in player.parameters()])
