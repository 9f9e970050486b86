"""R1 and R2 on a bowl: D(x) = a |x|^2 / 2 has the squared slope a^2 |x|^2."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.regularizers.gradient import R1, R2, GradientPenalty
from ganctl.types import Critique, Play

A = torch.tensor(2.0)
REAL = torch.tensor([[3.0, 4.0], [0.0, 2.0]])  # squared lengths 25 and 4
FAKE = torch.tensor([[1.0, 0.0], [1.0, 2.0]])  # squared lengths 1 and 5


def bowl(a):
    return lambda x: a * x.square().sum(1) / 2


@pytest.mark.parametrize(("penalty", "value"), [(R1(10.0), 290.0), (R2(10.0), 60.0), (R1(1.0), 29.0), (R2(0.0), 0.0)])
def test_half_the_weight_times_the_mean_squared_slope(a_play, penalty, value):
    """gamma/2 * a^2 * mean |x|^2: 10/2 * 4 * 14.5 at the reals, 10/2 * 4 * 3 at the fakes."""
    assert_close(penalty.factor(0) * penalty.d_term(a_play(bowl(A), REAL, FAKE)), torch.tensor(value))


@pytest.mark.parametrize(("penalty", "slope"), [(R1(), 29.0), (R2(), 6.0)])
@pytest.mark.parametrize("reuse", [True, False])
def test_the_gradient_reaches_the_critic(a_play, penalty, slope, reuse):
    """d/da of a^2/2 mean |x|^2 is a mean |x|^2, whichever forward the slope is taken through."""
    a = A.clone().requires_grad_()
    play = a_play(bowl(a), REAL.clone().requires_grad_(reuse), FAKE.clone().requires_grad_(reuse))
    assert_close(torch.autograd.grad(penalty.d_term(play), a)[0], torch.tensor(slope))


@pytest.mark.parametrize(("penalty", "judged"), [(R1(), "on_real"), (R2(), "on_fake")])
def test_a_forward_that_exists_is_used_again_and_equals_a_fresh_one(a_play, smooth_critic, penalty, judged):
    torch.manual_seed(1)
    real, fake = torch.randn(2, 8, 3).unbind()
    terms, calls = [], []
    for reuse in (True, False):
        play = a_play(smooth_critic, real.clone().requires_grad_(reuse), fake.clone().requires_grad_(reuse))
        getattr(play, judged).logits.sum()
        terms.append(penalty.d_term(play))
        calls.append(play.discriminator.calls)
    assert calls == [1, 2]
    assert_close(*terms, rtol=0.0, atol=0.0)


@pytest.mark.parametrize(("penalty", "judged"), [(R1(), "on_real"), (R2(), "on_fake")])
def test_mixed_precision_does_not_touch_the_penalty(a_play, smooth_critic, penalty, judged):
    torch.manual_seed(1)
    real, fake = (x.clone().requires_grad_() for x in torch.randn(2, 32, 3))
    expected = penalty.d_term(a_play(smooth_critic, real, fake))
    with torch.autocast("cpu", torch.bfloat16):
        play = a_play(smooth_critic, real, fake)
        logits = getattr(play, judged).logits
        assert torch.equal(logits, logits.bfloat16().float())  # judged in bfloat16
        assert_close(penalty.d_term(play), expected, rtol=1e-6, atol=0.0)


def test_the_slope_is_that_of_the_augmented_conditional_critic(a_play):
    """|3 (y+1) x_0| has the slope 3 or 6: (9 + 36) / 2 / 2."""
    label = torch.tensor([0, 1])
    play = a_play(lambda x, y: (y + 1) * x[:, 0], REAL, label=label, augment=lambda x: 3 * x)
    assert_close(R1().d_term(play), torch.tensor(11.25))


def test_a_patch_critic_has_one_norm_a_sample(a_play):
    play = a_play(lambda x, y: 2 * x, torch.randn(4, 1, 3, 3))  # nine gradients of 2: the square of their length is 36
    assert_close(R1().d_term(play), torch.tensor(18.0))


@pytest.mark.parametrize("penalty", [R1(), R2()])
def test_batch_norm_gets_one_warning(penalty, warned):
    penalty.attach(nn.BatchNorm1d(2), nn.Linear(2, 1))
    assert warned() == []
    penalty.attach(nn.Identity(), nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2)))
    (message,) = warned()
    assert message.startswith(type(penalty).__name__)
    assert "critic_norm=none" in message


class TwoHeads(nn.Module):
    """Logits 2 x_0 and a map whose sum is 3 x_1: slopes 2 and 3."""

    couples_batch = False

    def forward(self, x, y=None):
        return Critique(2 * x[:, 0], others=((x[:, 1] * 1.5)[:, None, None, None].expand(-1, 1, 1, 2),))


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize(
    ("penalty", "value"),
    [(R1(), 0.5 * (4 + 9)), (R2(), 0.5 * (4 + 9)), (GradientPenalty(), (2 - 1) ** 2 + (3 - 1) ** 2)],
)
def test_the_penalties_of_several_heads_add_up(penalty, value, reuse):
    real, fake = (torch.randn(4, 2, requires_grad=reuse) for _ in range(2))
    play = Play(0, "d", nn.Identity(), TwoHeads(), real, fake)
    assert_close(penalty.d_term(play), torch.tensor(float(value)))
