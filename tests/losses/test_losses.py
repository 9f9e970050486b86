"""Each loss against its paper: formulas in float64, numbers by hand, which argument is real, which way is up."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.losses.hinge import Hinge
from ganctl.losses.least_squares import LeastSquares
from ganctl.losses.minimax import Minimax, NonSaturating
from ganctl.losses.relativistic import RelativisticAverage, RelativisticPaired
from ganctl.losses.wasserstein import Wasserstein

LOSSES = {
    "minimax": Minimax(),
    "nsgan": NonSaturating(),
    "lsgan": LeastSquares(),
    "wgan": Wasserstein(),
    "hinge": Hinge(),
    "rsgan": RelativisticPaired(),
    "ragan": RelativisticAverage(),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def numbers(*values, **options):
    return torch.tensor(values, dtype=torch.float64, **options)


def d_loss(name, real, fake):
    return LOSSES[name].d_loss(real, fake)


def g_loss(name, real, fake):
    loss = LOSSES[name]
    return loss.g_loss(fake, real if loss.g_sees_real else None)


def sigmoid(v):
    """In float64, without overflow and without cancellation on either side."""
    return 1 / (1 + math.exp(-v)) if v >= 0 else math.exp(v) / (1 + math.exp(v))


# -- values -----------------------------------------------------------------------------------------------------------


def mean_log(logits):
    """E log D, the probability D being the sigmoid of the logit, in float64: -log(e^0 + e^-logit)."""
    return -np.logaddexp(0, -logits).mean()


def mean_log_not(logits):
    """E log(1 - D)."""
    return mean_log(-logits)


PAPER = {
    "minimax": (lambda r, f: -(mean_log(r) + mean_log_not(f)), lambda r, f: mean_log_not(f)),
    "nsgan": (lambda r, f: -(mean_log(r) + mean_log_not(f)), lambda r, f: -mean_log(f)),
    "lsgan": (
        lambda r, f: np.mean((r - 1) ** 2) / 2 + np.mean(f**2) / 2,
        lambda r, f: np.mean((f - 1) ** 2) / 2,
    ),
    "wgan": (lambda r, f: -(r.mean() - f.mean()), lambda r, f: -f.mean()),
    "hinge": (
        lambda r, f: -np.minimum(0, r - 1).mean() - np.minimum(0, -1 - f).mean(),
        lambda r, f: -f.mean(),
    ),
    "rsgan": (lambda r, f: -mean_log(r - f), lambda r, f: -mean_log(f - r)),
    "ragan": (
        lambda r, f: -mean_log(r - f.mean()) - mean_log_not(f - r.mean()),
        lambda r, f: -mean_log(f - r.mean()) - mean_log_not(r - f.mean()),
    ),
}
"""What D and what G minimise, as the papers write it; those of games are maximised by D, hence the signs."""


@every_loss
def test_a_batch_costs_what_the_paper_says(name):
    real, fake = numbers(0.3, -1.2, 2.0), numbers(-0.7, 0.4, 1.5)
    expected = [formula(real.numpy(), fake.numpy()) for formula in PAPER[name]]
    assert_close(torch.stack([d_loss(name, real, fake), g_loss(name, real, fake)]), numbers(*expected))


LOG2 = 0.693147  # softplus(0)
SP1, SP_1 = 1.313262, 0.313262  # log(1 + e) and log(1 + 1/e)
SP2, SP_2 = 2.126928, 0.126928  # log(1 + e^2) and log(1 + e^-2)


@pytest.mark.parametrize(
    ("name", "at_0_0", "at_1_minus_1"),
    [
        ("minimax", (2 * LOG2, -LOG2), (2 * SP_1, -SP_1)),
        ("nsgan", (2 * LOG2, LOG2), (2 * SP_1, SP1)),
        ("lsgan", (0.5, 0.5), (0.5, 2.0)),
        ("wgan", (0.0, 0.0), (-2.0, 1.0)),
        ("hinge", (2.0, 0.0), (0.0, 1.0)),
        ("rsgan", (LOG2, LOG2), (SP_2, SP2)),
        ("ragan", (2 * LOG2, 2 * LOG2), (2 * SP_2, 2 * SP2)),
    ],
)
def test_costs_by_hand(name, at_0_0, at_1_minus_1):
    for (real, fake), expected in {(0.0, 0.0): at_0_0, (1.0, -1.0): at_1_minus_1}.items():
        costs = d_loss(name, numbers(real), numbers(fake)), g_loss(name, numbers(real), numbers(fake))
        assert_close(torch.stack(costs), numbers(*expected), atol=1e-6, rtol=0.0)


@every_loss
def test_patches_count_like_samples(name):
    torch.manual_seed(0)
    real, fake = torch.randn(2, 3, 1, 4, 5).unbind()
    for cost in (d_loss, g_loss):
        assert cost(name, real, fake).shape == ()
        assert_close(cost(name, real, fake), cost(name, real.flatten(), fake.flatten()))


# -- gradients --------------------------------------------------------------------------------------------------------


@every_loss
def test_gradients_agree_with_finite_differences(name):
    torch.manual_seed(1)
    real, fake = (torch.randn(5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda r, f: d_loss(name, r, f), (real, fake))
    assert torch.autograd.gradcheck(lambda f: g_loss(name, real.detach(), f), (fake,))


@every_loss
def test_d_raises_reals_and_lowers_fakes_and_g_raises_fakes(name):
    real, fake = (torch.zeros(3, requires_grad=True) for _ in range(2))
    d_real, d_fake = torch.autograd.grad(d_loss(name, real, fake), (real, fake))
    (g_fake,) = torch.autograd.grad(g_loss(name, real.detach(), fake - 0.5), fake)
    downhill = -torch.stack([d_real, d_fake, g_fake])
    assert (downhill[0] > 0).all()
    assert (downhill[1] < 0).all() or name == "lsgan"  # whose fakes are where they should be, at 0
    assert (downhill[2] > 0).all()
    if name == "lsgan":
        (d_fake,) = torch.autograd.grad(d_loss(name, real, fake + 0.5), fake)
        assert (d_fake > 0).all()


SLOPES = {
    "minimax": lambda r, f: (-sigmoid(-r), sigmoid(f), -sigmoid(f)),
    "nsgan": lambda r, f: (-sigmoid(-r), sigmoid(f), -sigmoid(-f)),
    "lsgan": lambda r, f: (r - 1, f, f - 1),
    "wgan": lambda r, f: (-1, 1, -1),
    "hinge": lambda r, f: (-(r < 1), f > -1, -1),
    "rsgan": lambda r, f: (-sigmoid(f - r), sigmoid(f - r), -sigmoid(r - f)),
    "ragan": lambda r, f: (-2 * sigmoid(f - r), 2 * sigmoid(f - r), -2 * sigmoid(r - f)),
}
"""d D / d real, d D / d fake and d G / d fake for one pair, by hand; the average form counts it twice."""


@every_loss
@pytest.mark.parametrize("real", [50.0, -50.0])
@pytest.mark.parametrize("fake", [50.0, -50.0])
def test_far_logits_in_float32_cost_and_slope_as_in_float64(name, real, fake):
    r, f = (torch.tensor([value], requires_grad=True) for value in (real, fake))
    costs = [d_loss(name, r, f), g_loss(name, r, f)]
    slopes = [*torch.autograd.grad(costs[0], (r, f)), *torch.autograd.grad(costs[1], f)]
    assert_close(torch.cat(slopes).double(), numbers(*map(float, SLOPES[name](real, fake))), rtol=1e-6, atol=1e-40)
    expected = [float(formula(np.array(real), np.array(fake))) for formula in PAPER[name]]
    assert_close(torch.stack(costs).double(), numbers(*expected), rtol=1e-6, atol=1e-40)


# -- what sets each apart ---------------------------------------------------------------------------------------------


def test_minimax_saturates_where_the_non_saturating_loss_does_not():
    fake = numbers(-10.0, requires_grad=True)
    slope = {name: torch.autograd.grad(g_loss(name, None, fake), fake)[0] for name in ("minimax", "nsgan")}
    assert_close(slope["minimax"], numbers(-4.5398e-5), atol=1e-9, rtol=0.0)  # -1 / (1 + e^10)
    assert_close(slope["nsgan"], numbers(-0.9999546), atol=1e-7, rtol=0.0)


@pytest.mark.parametrize(("real_label", "fake_label"), [(0.9, 0.0), (1.0, 0.1), (0.9, 0.1), (0.7, 0.3)])
def test_smoothed_labels_are_cross_entropies_with_those_targets(real_label, fake_label):
    real, fake = numbers(0.4, -3.0), numbers(1.1, -0.2)
    expected = -sum(
        target * mean_log(logits.numpy()) + (1 - target) * mean_log_not(logits.numpy())
        for target, logits in ((real_label, real), (fake_label, fake))
    )
    loss = NonSaturating(real_label, fake_label)
    assert_close(loss.d_loss(real, fake), numbers(expected).squeeze())
    assert_close(loss.g_loss(fake), NonSaturating().g_loss(fake), rtol=0.0, atol=0.0)


def test_smoothed_labels_make_a_confident_discriminator_turn_back():
    """Cross-entropy is least where the sigmoid is the target: at log 9 for 0.9, at -log 9 for 0.1."""
    real, fake = numbers(math.log(9), requires_grad=True), numbers(-math.log(9), requires_grad=True)
    slopes = torch.autograd.grad(NonSaturating(0.9, 0.1).d_loss(real, fake), (real, fake))
    assert_close(torch.cat(slopes), numbers(0.0, 0.0))
    far = numbers(50.0, requires_grad=True)
    (slope,) = torch.autograd.grad(NonSaturating(0.9).d_loss(far, fake), far)
    assert_close(slope, numbers(0.1))


def test_labels_are_not_smoothed_unless_asked():
    assert_close(NonSaturating().d_loss(numbers(2.0), numbers(-1.0)), Minimax().d_loss(numbers(2.0), numbers(-1.0)))


@pytest.mark.parametrize("labels", [(0.0, 1.0), (0.5, 0.5), (1.1, 0.0), (0.9, -0.1), (float("nan"), 0.0)])
def test_silly_labels_are_refused_with_a_remedy(labels):
    with pytest.raises(UserError, match=r"need 0 <= fake_label < real_label <= 1\n  try: loss.real_label=0.9"):
        NonSaturating(*labels)


def test_hinge_lets_go_beyond_its_margins():
    real, fake = numbers(0.9, 1.1, requires_grad=True), numbers(-0.9, -1.1, requires_grad=True)
    slopes = torch.autograd.grad(Hinge().d_loss(real, fake), (real, fake))
    assert_close(torch.stack(slopes), numbers([-0.5, 0.0], [0.5, 0.0]))
    (slope,) = torch.autograd.grad(Hinge().g_loss(fake), fake)
    assert_close(slope, numbers(-0.5, -0.5))  # the generator has no margin


def test_least_squares_pulls_to_its_three_targets():
    real, fake = numbers(0.0, requires_grad=True), numbers(0.0, requires_grad=True)
    loss = LeastSquares(a=-1.0, b=2.0, c=3.0)
    assert_close(loss.d_loss(real, fake), torch.tensor(2.5, dtype=torch.float64))  # (2^2 + 1^2) / 2
    assert_close(loss.g_loss(fake), torch.tensor(4.5, dtype=torch.float64))  # 3^2 / 2
    slopes = [
        *torch.autograd.grad(loss.d_loss(real, fake), (real, fake)),
        *torch.autograd.grad(loss.g_loss(fake), fake),
    ]
    assert_close(torch.cat(slopes), numbers(-2.0, 1.0, -3.0))


def test_a_unit_slope_critic_measures_the_distance_between_two_points():
    assert_close(-Wasserstein().d_loss(numbers(3.0), numbers(1.0)), torch.tensor(2.0, dtype=torch.float64))


@every_loss
def test_only_relativistic_losses_ask_for_reals_and_ignore_a_common_shift(name):
    real, fake = numbers(0.3, -1.2), numbers(-0.7, 0.4)
    for cost in (d_loss, g_loss):
        moved = cost(name, real + 3, fake + 3) - cost(name, real, fake)
        stays = LOSSES[name].g_sees_real or (name == "wgan" and cost is d_loss)
        assert (moved.abs() < 1e-12) == stays
    assert LOSSES[name].g_sees_real == (name in ("rsgan", "ragan"))


def test_the_paired_form_depends_on_the_pairs_and_the_average_form_does_not():
    real, fake = numbers(0.0, 2.0), numbers(-1.0, 1.0)
    assert_close(d_loss("rsgan", real, fake), torch.tensor(SP_1, dtype=torch.float64), atol=1e-6, rtol=0.0)
    crossed = d_loss("rsgan", real, fake.flip(0))  # pairs (0, 1) and (2, -1): the mean of log(1+e) and log(1+e^-3)
    assert_close(crossed, torch.tensor((SP1 + 0.048587) / 2, dtype=torch.float64), atol=1e-6, rtol=0.0)
    assert_close(d_loss("ragan", real, fake), d_loss("ragan", real, fake.flip(0)))
