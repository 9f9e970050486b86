"""Signs of a failing game are told once, late enough, and never in a healthy one."""

import pytest
import torch
from torch.testing import assert_close

from ganctl.monitors import Monitors, diversity, signs

HEALTHY = {
    "loss/d/adversarial": 1.2,
    "loss/d/r1": 0.1,
    "logits/real": 0.5,
    "logits/fake": -0.5,
    "gradient_norm/g": 0.3,
    "monitor/diversity": 0.9,
}


def test_diversity_is_the_ratio_of_mean_distances():
    real = torch.tensor([[0.0, 0.0], [3.0, 4.0]])  # 5 apart
    assert_close(diversity(real * 0.5, real), torch.tensor(0.5))
    assert diversity(real[:1].repeat(2, 1), real) == 0.0


@pytest.mark.parametrize(
    ("sign", "change"),
    [
        ("saturated", {"loss/d/adversarial": 1e-4}),
        ("vanishing", {"gradient_norm/g": 1e-9}),
        ("collapsing", {"monitor/diversity": 0.01}),
        ("drifting", {"logits/fake": -5000.0}),
        ("exploding", {"loss/d/r1": 1e6}),
    ],
)
def test_each_sign_is_told_once_when_it_stays(sign, change):
    monitors = Monitors(patience=3)
    told = [monitors.look(step, HEALTHY | change) for step in range(6)]
    assert told == [[], [], [sign], [], [], []]


def test_a_sign_that_passes_is_not_told():
    monitors = Monitors(patience=2)
    for step in range(6):
        assert monitors.look(step, HEALTHY | ({"gradient_norm/g": 0.0} if step % 2 else {})) == []


def test_a_healthy_game_shows_no_sign_and_a_negative_loss_is_no_saturation():
    assert not any(seen for seen, _ in signs(HEALTHY).values())
    assert not signs(HEALTHY | {"loss/d/adversarial": -5.0})["saturated"][0]  # a Wasserstein estimate
    assert not any(seen for seen, _ in signs({}).values())
