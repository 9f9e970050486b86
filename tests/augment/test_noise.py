"""Instance noise: how much, for how long, and a fresh draw each time."""

import pytest
import torch
from torch.testing import assert_close

from ganctl.augment.noise import InstanceNoise
from ganctl.errors import UserError


def spread_at(noise, step):
    noise.begin(step)
    torch.manual_seed(0)
    return noise(torch.full((200, 200), 5.0)).std()


@pytest.mark.parametrize(
    ("until", "deviations"),
    [
        (0.5, {0: 0.4, 25: 0.2, 40: 0.08, 50: 0.0, 99: 0.0}),
        (1.0, {0: 0.4, 25: 0.3, 50: 0.2, 100: 0.0}),
        (None, {0: 0.4, 50: 0.4, 1000: 0.4}),
    ],
)
def test_it_falls_linearly_to_none(until, deviations):
    noise = InstanceNoise(std=0.4, until=until, steps=100)
    for step, expected in deviations.items():
        assert_close(spread_at(noise, step), torch.tensor(expected), rtol=0.02, atol=0.0)


def test_it_is_centred_and_normal():
    torch.manual_seed(0)
    drawn = InstanceNoise(std=2.0, until=None)(torch.full((100_000,), 3.0)) - 3
    assert_close(drawn.mean(), torch.tensor(0.0), atol=0.03, rtol=0.0)
    within = torch.stack([(drawn.abs() < 2 * k).float().mean() for k in (1, 2)])
    assert_close(within, torch.tensor([0.6827, 0.9545]), atol=0.006, rtol=0.0)


def test_each_call_is_a_fresh_draw_and_passes_gradients():
    noise, x = InstanceNoise(until=None), torch.zeros(3, requires_grad=True)
    first, second = noise(x), noise(x)
    assert not torch.equal(first, second)
    assert_close(torch.autograd.grad(first.sum(), x)[0], torch.ones(3))


def test_spent_noise_draws_nothing():
    noise, x = InstanceNoise(std=0.1, until=0.5, steps=10), torch.zeros(3)
    noise.begin(5)
    state = torch.get_rng_state()
    assert noise(x) is x
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("settings", [{"std": -0.1}, {"until": 0.0}, {"until": -1.0}])
def test_silly_settings_are_refused_with_a_remedy(settings):
    with pytest.raises(UserError, match=r"augment.std=.*\n  try: augment.std=0.1"):
        InstanceNoise(**settings)
