"""Latents: each row from its own seed, and the distributions they follow."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.systems.prior import Choice, Joint, Normal, OneHot, Uniform, prior_of

ROOT2 = math.sqrt(2)
CPU = torch.device("cpu")


def draw_prior(seeds, latent, prior="normal", truncation=None, mixture=1):
    return prior_of(prior, latent, mixture).at(seeds, truncation)


def draw_latents(count, latent, prior, device, mixture=1):
    return prior_of(prior, latent, mixture).draw(count, device)


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


# -- choices, and several priors side by side -------------------------------------------------------------------------

CODES = Joint(Normal(3), Uniform(2), OneHot(4), Choice(5))
"""z: three normal entries, two uniform ones, four of a one-hot vector, the number of one of five."""


def straight(a, b, t):
    return torch.lerp(a, b, t)


def norm_kept(a, b, t):
    """The arc between two orthogonal latents of one norm."""
    return math.cos(t * math.pi / 2) * a + math.sin(t * math.pi / 2) * b


@pytest.mark.parametrize("draw", [lambda n: CODES.draw(n, CPU), lambda n: CODES.at(range(n))], ids=["draw", "at"])
def test_each_part_of_a_joint_prior_follows_its_own(draw):
    torch.manual_seed(0)
    z = draw(4000)
    assert z.shape == (4000, CODES.size)
    assert z.dtype == torch.float32
    normal, uniform, code, number = z.split(CODES.sizes, 1)
    assert_follows(normal, normal_below)
    assert_follows(uniform, uniform_below)
    assert set(code.unique().tolist()) == {0.0, 1.0}
    assert_close(code.sum(1), torch.ones(4000))
    assert_close(code.mean(0), torch.full((4,), 0.25), atol=0.03, rtol=0.0)
    assert set(number.unique().tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}
    assert abs(torch.corrcoef(torch.stack([code.argmax(1).float(), number[:, 0]]))[0, 1]) < 0.06


def test_a_row_of_a_joint_prior_is_its_seeds_own():
    rows = CODES.at([3, 1, 4])
    assert torch.equal(CODES.at([1])[0], rows[1])
    assert torch.equal(rows[:, :3], Normal(3).at([3, 1, 4]))


def test_truncation_bounds_the_normal_parts_alone():
    loose, tight = CODES.at(range(200)), CODES.at(range(200), 0.5)
    assert tight[:, :3].abs().max() <= 0.5 + 1e-6
    assert tight[:, 3:5].abs().max() > 0.9
    assert loose[:, :3].abs().max() > 2
    with pytest.raises(UserError, match="this system's is uniform and choice"):
        Joint(Uniform(2), OneHot(3), Choice(2)).at([0], 0.5)


def test_between_two_uniform_latents_no_path_leaves_their_range():
    corners = torch.tensor([1.0, -1.0]), torch.tensor([1.0, 1.0])
    for t in (0.0, 0.25, 0.5, 1.0):
        assert_close(Uniform(2).between(*corners, t, norm_kept), torch.tensor([1.0, 2 * t - 1]))
    assert Normal(2).between(*corners, 0.5, norm_kept).max() > 1


@pytest.mark.parametrize("prior", [OneHot(3), Choice(3)])
def test_nothing_lies_between_two_choices(prior):
    a, b = prior.at([0])[0], prior.at([1])[0]
    way = [prior.between(a, b, t, straight) for t in (0.0, 0.49, 0.5, 1.0)]
    assert [torch.equal(x, y) for x, y in zip(way, (a, a, b, b), strict=True)] == [True] * 4


def test_each_part_of_a_joint_prior_takes_its_own_way():
    prior = Joint(Normal(2), Uniform(1), OneHot(2))
    a, b = torch.tensor([1.0, 0.0, -1.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])
    third = prior.between(a, b, 1 / 3, norm_kept)
    assert_close(third, torch.tensor([3**0.5 / 2, 0.5, -1 / 3, 1.0, 0.0]))


def test_choices_are_held_and_nothing_else():
    z = CODES.at(range(5))
    held = CODES.held(z)
    assert torch.equal(held[:, :5], z[:, :5])
    assert torch.equal(held[:, 5:], z[:1, 5:].expand(5, -1))
    assert torch.equal(Normal(2).held(z[:, :2]), z[:, :2])


def test_where_nothing_is_random_a_latent_is_empty():
    assert Normal(0).at(range(3)).shape == (3, 0)
    assert Normal(0).draw(3, CPU).shape == (3, 0)
    assert Normal(2).at([]).shape == (0, 2)
