"""Feature matching: the difference of batch means, and what a generator that minimises it alone becomes."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.losses.minimax import NonSaturating
from ganctl.networks.mlp import MlpDiscriminator, MlpGenerator
from ganctl.regularizers.feature_matching import FeatureMatching
from ganctl.systems.standard import Standard
from ganctl.types import Critique, Play


class Seen(nn.Module):
    """Shows x and, as a map, 2 x: the logits are of no interest."""

    def forward(self, x, y=None):
        return Critique(x.sum(1), (x, 2 * x[:, :, None, None]))


def a_play(real, fake, critic=None):
    return Play(0, "g", nn.Identity(), critic or Seen(), torch.tensor(real), torch.tensor(fake, requires_grad=True))


REAL, FAKE = [[1.0, 0.0], [0.0, 3.0]], [[2.0, 1.0], [1.0, -1.0]]
"""Their means (0.5, 1.5) and (1.5, 0) differ by (1, 1.5): the squared norm is 3.25, and 13 of twice that."""


@pytest.mark.parametrize(("layers", "value"), [([0], 3.25), ([1], 13.0), ([-1], 13.0), ([0, 1], 16.25), ([0, 0], 6.5)])
def test_the_squared_distance_of_the_means_summed_over_layers(layers, value):
    assert_close(FeatureMatching(layers=layers).g_term(a_play(REAL, FAKE)), torch.tensor(value))


def test_it_is_of_batch_means_and_not_of_samples():
    """The same samples in another order match, though no sample equals its neighbour."""
    assert_close(FeatureMatching().g_term(a_play(REAL, REAL[::-1])), torch.tensor(0.0))


def test_the_last_layer_is_matched_by_default():
    assert_close(FeatureMatching().g_term(a_play(REAL, FAKE)), torch.tensor(13.0))


def test_the_gradient_pulls_the_mean_of_the_fakes():
    """d/dfake_i |mean real - mean fake|^2 = -2/2 (gap), the same for each."""
    play = a_play(REAL, FAKE)
    (gradient,) = torch.autograd.grad(FeatureMatching(layers=[0]).g_term(play), play.fake)
    assert_close(gradient, torch.tensor([[1.0, -1.5], [1.0, -1.5]]))


def test_d_has_no_such_term():
    assert FeatureMatching().d_term(a_play(REAL, FAKE)) is None


def test_means_are_taken_in_float32():
    """The mean of 0 and 511 ones is 0.998; bfloat16 has no number between 0.996 and 1."""

    class Coarse(nn.Module):
        def forward(self, x, y=None):
            return Critique(x[:, 0], (x.bfloat16(),))

    real = torch.ones(512, 1)
    real[0] = 0
    play = Play(0, "g", nn.Identity(), Coarse(), real, torch.ones(512, 1))
    assert_close(FeatureMatching().g_term(play), torch.tensor((1 / 512) ** 2), rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("layers", [[2], [-3], [0, 5]])
def test_a_layer_that_is_not_there_is_named(layers):
    with pytest.raises(UserError, match=r"layers=.*has 2 to match\n  try: .*layers=\[-1\]"):
        FeatureMatching(layers=layers).g_term(a_play(REAL, FAKE))


def test_no_layers_are_refused():
    with pytest.raises(UserError, match=r"layers=\[\]"):
        FeatureMatching(layers=[])


def test_a_generator_that_minimises_it_alone_closes_the_gap_of_mean_features():
    """A fixed critic, points around (2, -1): the gap on fresh samples falls below a hundredth of what it was."""
    torch.manual_seed(0)
    generator, critic = MlpGenerator((2,), 4, widths=(32,)), MlpDiscriminator((2,), widths=(16, 16))
    system = Standard(generator, critic, NonSaturating(), {"match": FeatureMatching(layers=[0, 1])}, g_weight=0.0)
    optimizer = torch.optim.Adam(generator.parameters(), lr=1e-2, betas=(0.5, 0.9))

    def drawn(count):
        return torch.tensor([2.0, -1.0]) + 0.5 * torch.randn(count, 2)

    def gap():
        torch.manual_seed(9)
        with torch.no_grad():
            seen = [critic(x).features for x in (drawn(4000), generator(torch.randn(4000, 4)))]
        return sum((real.mean(0) - fake.mean(0)).square().sum() for real, fake in zip(*seen, strict=True))

    before = gap()
    (phase,) = (phase for phase in system.phases() if phase.player == "g")
    for _ in range(150):
        terms = phase.terms({"points": drawn(128)})
        assert list(terms) == ["match"]
        optimizer.zero_grad()
        terms["match"].backward(inputs=list(generator.parameters()))
        optimizer.step()
    assert gap() < 0.01 * before
