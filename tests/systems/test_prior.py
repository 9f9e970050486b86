"""Latents: each row from its own seed, and the distributions they follow."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.systems.system import draw_latents, draw_prior

ROOT2 = math.sqrt(2)
CPU = torch.device("cpu")


def normal_below(z):
    return (1 + torch.erf(z.double() / ROOT2)) / 2


def uniform_below(z):
    return (z.double() + 1) / 2


def truncated_below(psi):
    """P(Z < z given |Z| <= psi)."""
    return lambda z: (normal_below(z) - normal_below(torch.tensor(-psi))) / math.erf(psi / ROOT2)


def assert_follows(sample, below):
    """Kolmogorov and Smirnov: one sample in a thousand lies further than 1.95 / sqrt(n) from its distribution."""
    z = sample.flatten().sort().values
    steps = torch.arange(len(z) + 1, dtype=torch.float64) / len(z)
    distance = torch.maximum(steps[1:] - below(z), below(z) - steps[:-1]).max()
    assert distance < 1.95 / len(z) ** 0.5


@pytest.mark.parametrize("settings", [{}, {"prior": "uniform"}, {"truncation": 0.5}])
def test_a_row_is_its_seeds_own(settings):
    rows = draw_prior([3, 1, 4], 8, **settings)
    assert rows.shape == (3, 8)
    assert rows.dtype == torch.float32
    for seed, row in zip([3, 1, 4], rows, strict=True):
        assert torch.equal(draw_prior([seed], 8, **settings)[0], row)
    assert torch.equal(draw_prior(np.array([3, 1, 4]), 8, **settings), rows)
    assert torch.equal(draw_prior(torch.tensor([3, 1, 4]), 8, **settings), rows)


def test_seeds_are_independent_of_training_and_of_one_another():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    rows = draw_prior(range(2000), 4)
    assert torch.equal(torch.rand(1), expected)
    neighbours = torch.corrcoef(torch.stack([rows[:-1].flatten(), rows[1:].flatten()]))[0, 1]
    assert neighbours.abs() < 4 / 8000**0.5
    assert len(rows.unique(dim=0)) == 2000


@pytest.mark.parametrize(
    ("settings", "below"),
    [({}, normal_below), ({"prior": "uniform"}, uniform_below)]
    + [({"truncation": psi}, truncated_below(psi)) for psi in (0.04, 0.5, 2.0, 8.0)],
)
def test_priors_follow_their_distribution(settings, below):
    assert_follows(draw_prior(range(2000), 8, **settings), below)


@pytest.mark.parametrize("psi", [0.04, 0.5, 2.0])
def test_truncated_latents_lie_within_and_reach_the_bound(psi):
    z = draw_prior(range(500), 16, truncation=psi)
    assert 0.97 * psi < z.abs().max() <= psi * (1 + 1e-6)


def test_truncation_is_what_resampling_gives():
    """Draw again whatever lies beyond the bound, as Brock et al. 2019 do, and compare the moments."""
    z = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    kept = z[z.abs() <= 0.7]
    drawn = draw_prior(range(4000), 16, truncation=0.7)
    for moment in (1, 2, 4):
        assert_close((drawn**moment).mean(), (kept**moment).mean(), atol=0.008, rtol=0.0)


@pytest.mark.parametrize(("prior", "below"), [("normal", normal_below), ("uniform", uniform_below)])
def test_training_draws_from_the_same_prior(prior, below):
    torch.manual_seed(0)
    z = draw_latents(2000, 8, prior, CPU)
    assert z.shape == (2000, 8)
    assert_follows(z, below)
    torch.manual_seed(0)
    assert torch.equal(draw_latents(2000, 8, prior, CPU), z)  # the generator that the trainer seeds


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"prior": "uniform", "truncation": 0.5}, "needs a normal prior, this system's is uniform"),
        ({"truncation": 0.0}, "truncation=0.0: must be greater than 0"),
        ({"truncation": -1.0}, "truncation=-1.0: must be greater than 0"),
    ],
)
def test_truncation_that_cannot_work_is_refused(settings, words):
    with pytest.raises(UserError, match=words) as caught:
        draw_prior([0], 2, **settings)
    assert "\n  try: truncation=" in str(caught.value)
