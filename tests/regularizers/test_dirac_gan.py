"""The Dirac-GAN (Mescheder et al. 2018, section 2): the data is the point 0, G(z) = theta, D(x) = psi x.

The least game that tells training that converges from training that circles. All played by 500 alternating steps of
plain gradient descent, h = 0.2, from (theta, psi) = (1, 1).
"""

from itertools import product

import pytest
import torch
from torch import nn

from ganctl.augment.noise import InstanceNoise
from ganctl.losses.fgan import FDivergence
from ganctl.losses.hinge import Hinge
from ganctl.losses.least_squares import LeastSquares
from ganctl.losses.minimax import Minimax, NonSaturating
from ganctl.losses.relativistic import RelativisticAverage, RelativisticPaired
from ganctl.losses.wasserstein import Wasserstein
from ganctl.regularizers.clip import WeightClip
from ganctl.regularizers.gradient import R1, R2, GradientPenalty
from ganctl.types import Critique, Play

pytestmark = pytest.mark.slow
LOSSES = (Minimax(), NonSaturating(), Wasserstein(), Hinge(), RelativisticPaired(), RelativisticAverage())


def games(penalties, once):
    """Every loss with `penalties`; one loss with those of `once`, which differ little for a critic that is a line."""
    pairs = [*product(LOSSES, penalties), *product([NonSaturating()], once)]
    return pytest.mark.parametrize(("loss", "penalty"), pairs, ids=lambda part: type(part).__name__)


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.ones(()))

    def forward(self, x, y=None):
        return Critique((self.psi * x).flatten())


def play_out(loss, penalty=None, augment=None, samples=2, h=0.2):
    """(theta, psi) after 500 steps of each player."""
    line, theta = Line(), torch.ones((), requires_grad=True)
    real = torch.zeros(samples, 1, requires_grad=True)

    def descend(cost, weight):
        (gradient,) = torch.autograd.grad(cost, weight)
        with torch.no_grad():
            weight -= h * gradient

    for step in range(500):
        fake = theta.detach().repeat(samples, 1).requires_grad_()
        play = Play(step, "d", line, line, real, fake, augment=augment)
        cost = loss.d_loss(play.on_real.logits, play.on_fake.logits)
        if penalty and penalty.factor(step) and (term := penalty.d_term(play)) is not None:
            cost = cost + penalty.factor(step) * term
        descend(cost, line.psi)
        if penalty:
            penalty.after_d(line)
        play = Play(step, "g", line, line, real, theta.expand(samples, 1), augment=augment)
        descend(loss.g_loss(play.on_fake.logits, play.on_real.logits if loss.g_sees_real else None), theta)
    return torch.stack([theta, line.psi]).detach()


@games([R1(0.3), R1(1.0)], once=[R2(0.3), R1(0.3, every=4), GradientPenalty(0.5, target=0.0)])
def test_a_zero_centred_penalty_makes_the_game_converge(loss, penalty):
    assert play_out(loss, penalty).norm() < 1e-4


@pytest.mark.parametrize("divergence", FDivergence.__subclasses__(), ids=lambda part: part.__name__)
def test_r1_makes_every_divergence_converge(divergence):
    assert play_out(divergence(), R1(1.0)).norm() < 1e-4


@games(
    [None, GradientPenalty(0.35), GradientPenalty(0.35, one_sided=True)],
    once=[GradientPenalty(0.35, around="real"), WeightClip(0.5)],
)
def test_without_one_the_game_circles(loss, penalty):
    assert 0.15 < play_out(loss, penalty).norm() < 2


@pytest.mark.parametrize("penalty", [R1(0.3), R1(1.0)])
def test_least_squares_dies_even_so(penalty):
    """With targets 0 and 1, D = 0 is its best answer once theta has left the data: theta stays where it is."""
    theta, psi = play_out(LeastSquares(), penalty)
    assert psi.abs() < 1e-6
    assert 1.1 < theta < 1.3


def test_instance_noise_makes_minimax_converge():
    """To the noise of 1,024 draws a step, some hundredths; without it minimax ends at a radius above 1."""
    torch.manual_seed(0)
    noise = InstanceNoise(std=0.7, until=None)
    assert play_out(Minimax(), augment=noise, samples=1024).norm() < 0.1
    assert play_out(Minimax()).norm() > 1
