"""The gradient penalty on critics whose slope a person can work out."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.regularizers.gradient import GradientPenalty


def first_pixel(x):
    return x.flatten(1)[:, 0]


def line(slope):
    return lambda x: slope * first_pixel(x)


def bowl(x):
    """|x|^2 / 2: its slope at x is |x|."""
    return x.square().flatten(1).sum(1) / 2


def slopes_5_and_2():
    """Two samples of 2 x 1 x 2 pixels, of length 5 and 2, each spread over channels and columns."""
    return torch.tensor([[[[3.0, 0.0]], [[0.0, 4.0]]], [[[0.0, 2.0]], [[0.0, 0.0]]]])


def test_a_unit_slope_costs_nothing(a_play):
    play = a_play(first_pixel, torch.randn(4, 1, 3, 3), torch.randn(4, 1, 3, 3))
    assert_close(GradientPenalty().d_term(play), torch.tensor(0.0))


def test_a_slope_of_3_costs_4_times_the_weight(a_play):
    penalty = GradientPenalty(weight=10.0)
    term = penalty.d_term(a_play(line(3.0), torch.randn(4, 2), torch.randn(4, 2)))
    assert_close(penalty.factor(0) * term, torch.tensor(40.0))


def test_each_sample_has_a_norm_of_its_own(a_play):
    """((5-1)^2 + (2-1)^2) / 2; one norm over the batch gives 19.2, one over channels (4 + 9 + 1 + 1) / 4."""
    assert_close(GradientPenalty().d_term(a_play(bowl, slopes_5_and_2())), torch.tensor(8.5))


def test_a_patch_critic_has_one_norm_a_sample(a_play):
    """Each pixel judges itself by 2 x: the gradient of the sum is 2 everywhere, of length 2 sqrt(9) = 6."""
    play = a_play(lambda x, y: 2 * x, torch.randn(4, 1, 3, 3))
    assert_close(GradientPenalty().d_term(play), torch.tensor(25.0))


@pytest.mark.parametrize(
    ("settings", "cost"),
    [
        ({"one_sided": True}, (4.0, 0.0, 0.0)),
        ({}, (4.0, 0.0, 0.25)),
        ({"target": 0.0}, (9.0, 1.0, 0.25)),
        ({"target": 2.0, "one_sided": True}, (1.0, 0.0, 0.0)),
    ],
)
def test_slopes_of_3_1_and_a_half_by_hand(a_play, settings, cost):
    for slope, expected in zip((3.0, 1.0, 0.5), cost, strict=True):
        term = GradientPenalty(**settings).d_term(a_play(line(slope), torch.randn(2, 2)))
        assert_close(term, torch.tensor(expected))


# -- where the slope is measured --------------------------------------------------------------------------------------


def test_each_point_lies_between_its_own_real_and_fake_by_one_weight_a_sample(a_play):
    torch.manual_seed(0)
    real, fake = torch.randn(2, 4000, 2, 1, 3).unbind()
    weight = (GradientPenalty().points(a_play(bowl, real, fake)) - fake) / (real - fake)
    apart = (real - fake).abs() > 0.1  # where the division is well conditioned
    weights = weight.where(apart, torch.nan).flatten(1).nanmedian(1).values
    assert_close(weight[apart], weights.view(-1, 1, 1, 1).expand_as(weight)[apart], atol=1e-4, rtol=0.0)
    share = torch.histc(weights, bins=4, min=0.0, max=1.0) / len(weights)
    assert share.sum() == 1
    assert_close(share, torch.full((4,), 0.25), atol=0.03, rtol=0.0)


def test_points_around_the_reals_are_up_to_half_a_deviation_above_them(a_play):
    torch.manual_seed(0)
    real = 3 * torch.randn(500, 1, 4, 4) + 1
    deviation = float(real.double().numpy().std(ddof=1))
    points = GradientPenalty(around="real").points(a_play(bowl, real, torch.full_like(real, torch.nan)))
    noise = (points - real) / (0.5 * deviation)
    assert -1e-5 < noise.min() < 0.01
    assert 0.99 < noise.max() < 1 + 1e-5
    assert_close(noise.mean((0, 1)), torch.full((4, 4), 0.5), atol=0.06, rtol=0.0)  # pixel by pixel
    assert (noise[:, :, 0, 0] - noise[:, :, 1, 1]).abs().mean() > 0.2  # each with a draw of its own


def test_spread_scales_the_noise(a_play):
    real = torch.tensor([[-1.0], [1.0]])  # standard deviation sqrt(2)
    torch.manual_seed(0)
    points = GradientPenalty(around="real", spread=0.25).points(a_play(bowl, real))
    torch.manual_seed(0)
    assert_close(points, real + 0.25 * 2**0.5 * torch.rand(2, 1))


def test_conditional_critics_are_asked_with_the_label(a_play):
    play = a_play(lambda x, y: (y + 1) * first_pixel(x), torch.randn(3, 2), label=torch.tensor([0, 1, 2]))
    assert_close(GradientPenalty().d_term(play), torch.tensor(5 / 3))  # slopes 1, 2, 3 cost 0, 1, 4


def test_the_slope_is_that_of_the_augmented_critic(a_play):
    play = a_play(first_pixel, torch.randn(4, 2), augment=lambda x: 3 * x)
    assert_close(GradientPenalty().d_term(play), torch.tensor(4.0))


# -- gradients --------------------------------------------------------------------------------------------------------


def test_a_flat_critic_gets_a_finite_gradient(a_play):
    weight = torch.zeros(3, requires_grad=True)
    term = GradientPenalty().d_term(a_play(lambda x: x @ weight, torch.randn(4, 3)))
    assert_close(term, torch.tensor(1.0))
    (gradient,) = torch.autograd.grad(term, weight)
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "excess"),
    [
        ({}, lambda slope: slope - 1),
        ({"around": "real", "spread": 0.0}, lambda slope: slope - 1),
        ({"one_sided": True, "target": 0.08}, lambda slope: (slope - 0.08).relu()),
    ],
)
def test_the_gradient_reaches_every_weight_of_the_critic(a_play, smooth_critic, settings, excess):
    """The slope of w2 softplus(W1 x + b1) + b2 is W1' (w2 sigmoid(W1 x + b1)): differentiate that once, in float64."""
    x = torch.randn(6, 3)
    term = GradientPenalty(**settings).d_term(a_play(smooth_critic, x))
    found = torch.autograd.grad(term, list(smooth_critic.parameters()), allow_unused=True)
    exact = [weight.detach().double().requires_grad_() for weight in smooth_critic.parameters()]
    w1, b1, w2, _ = exact
    slope = (((x.double() @ w1.T + b1).sigmoid() * w2) @ w1).norm(dim=1)
    expected = excess(slope).square().mean()
    assert_close(term.double(), expected, atol=1e-6, rtol=0.0)
    for one, other in zip(found[:3], torch.autograd.grad(expected, exact[:3]), strict=True):
        assert (other.abs() > 1e-6).all()
        assert_close(one.double(), other, atol=1e-6, rtol=1e-5)
    assert found[3] is None  # the last bias has no bearing on a slope


def test_no_gradient_reaches_the_generator(a_play, smooth_critic):
    shift = torch.zeros(3, requires_grad=True)
    term = GradientPenalty().d_term(a_play(smooth_critic, torch.randn(4, 3), torch.randn(4, 3) + shift))
    assert torch.autograd.grad(term, shift, allow_unused=True) == (None,)


def test_mixed_precision_does_not_touch_the_penalty(a_play, smooth_critic):
    real, fake = torch.randn(2, 32, 3).unbind()
    terms = {}
    for precision in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision):
            play = a_play(smooth_critic, real, fake)
            logits = play.on_real.logits
            assert torch.equal(logits, logits.bfloat16().float()) == precision  # judged in bfloat16
            terms[precision] = GradientPenalty().d_term(play)
    assert_close(terms[True], terms[False], rtol=1e-6, atol=0.0)


# -- batch norm -------------------------------------------------------------------------------------------------------


def test_batch_norm_leaves_no_slope_a_sample_and_is_refused():
    for norm in (nn.BatchNorm1d(3), nn.BatchNorm2d(3), nn.SyncBatchNorm(3)):
        with pytest.raises(UserError, match=r"batch norm in the critic.*\n  try: critic_norm=layer"):
            GradientPenalty().attach(nn.Identity(), nn.Sequential(nn.Identity(), norm))


def test_other_norms_and_a_generator_with_batch_norm_are_welcome(warned):
    for norm in (nn.GroupNorm(1, 3), nn.InstanceNorm2d(3), nn.LayerNorm(3)):
        for around in ("mix", "real"):
            GradientPenalty(around=around).attach(nn.BatchNorm2d(3), nn.Sequential(norm))
    assert warned() == []
