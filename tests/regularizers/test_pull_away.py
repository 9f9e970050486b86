"""The pull-away term, on codes whose cosines are known."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.regularizers.pull_away import PullAway
from ganctl.types import Critique, Play


class Coder(nn.Module):
    """Its code of a sample is the sample; its earlier features are all alike."""

    def forward(self, x, y=None):
        return Critique(x.flatten(1).sum(1), (torch.ones_like(x), x))


def cost(codes, discriminator=None):
    codes = torch.as_tensor(codes, dtype=torch.float32)
    return PullAway().g_term(Play(0, "g", nn.Identity(), discriminator or Coder(), torch.zeros_like(codes), codes))


def test_orthogonal_codes_cost_nothing():
    assert_close(cost([[3.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, -2.0]]), torch.tensor(0.0))


@pytest.mark.parametrize("others", [1.0, 0.1, -1.0])
def test_parallel_and_opposite_codes_cost_1(others):
    code = torch.tensor([0.6, -2.0, 1.0])
    assert_close(cost(torch.stack([code, others * code, others * code])), torch.tensor(1.0))


def test_three_codes_by_hand():
    """Angles 0, 60 and 90 degrees: squared cosines 1/4, 0 and 3/4, each counted twice among 6 ordered pairs."""
    codes = [[2.0, 0.0], [math.cos(math.pi / 3), math.sin(math.pi / 3)], [0.0, 5.0]]
    assert_close(cost(codes), torch.tensor(1 / 3))


def test_maps_are_codes_too():
    codes = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 2.0]]).view(2, 1, 2, 2)
    assert_close(cost(codes), torch.tensor(0.5))  # the cosine is 1/sqrt(2)


def test_one_fake_alone_has_nothing_to_be_pulled_from():
    assert_close(cost([[1.0, 2.0]]), torch.tensor(0.0))


def test_it_pulls_codes_apart_until_they_are_orthogonal():
    torch.manual_seed(0)
    codes = (torch.ones(3, 4) + 0.1 * torch.randn(3, 4)).requires_grad_()
    assert cost(codes) > 0.9
    descent = torch.optim.SGD([codes], lr=3.0)
    for _ in range(200):
        descent.zero_grad()
        PullAway().g_term(Play(0, "g", nn.Identity(), Coder(), codes, codes)).backward()
        descent.step()
    assert cost(codes) < 1e-3


def test_a_code_of_zeros_has_a_finite_gradient():
    codes = torch.tensor([[0.0, 0.0], [1.0, 2.0], [1.0, 0.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(PullAway().g_term(Play(0, "g", nn.Identity(), Coder(), codes, codes)), codes)
    assert slope.isfinite().all()


def test_it_is_the_generators_term_alone_and_needs_features():
    codes = torch.eye(2)
    assert PullAway().d_term(Play(0, "d", nn.Identity(), Coder(), codes, codes)) is None

    class Mute(nn.Module):
        def forward(self, x, y=None):
            return Critique(x.sum(1))

    with pytest.raises(UserError, match=r"no features\n  try: model=autoencoder"):
        cost(codes, Mute())
