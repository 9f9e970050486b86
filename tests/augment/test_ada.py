"""ADA: changes with probability p, and p after D's overfitting."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.testing import assert_close

from ganctl import distributed
from ganctl.augment.ada import ADA
from ganctl.errors import UserError
from ganctl.losses.minimax import NonSaturating
from ganctl.losses.relativistic import RelativisticPaired
from ganctl.regularizers.gradient import R1
from ganctl.systems.standard import Standard
from ganctl.types import Critique, Play

POLICIES = ("blit", "geometric", "color")


def an_ada(shape=(1, 12, 12), boundary="zero", **more):
    ada = ADA(shape, **({"batch_size": 8} | more))
    ada.attach(boundary)
    return ada


def images(count=6, channels=3, side=12):
    torch.manual_seed(0)
    return 2 * torch.rand(count, channels, side, side) - 1


def seeded(ada, x, seed=1):
    torch.manual_seed(seed)
    return ada(x)


# -- the changes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_at_p_0_it_is_the_identity_bit_for_bit(channels):
    x = images(channels=channels)
    assert torch.equal(an_ada((channels, 12, 12), p=0.0)(x), x)


@pytest.mark.parametrize("shape", [(1, 9, 9), (2, 8, 8), (3, 7, 10), (4, 12, 5)])
def test_shape_and_kind_stay(shape):
    torch.manual_seed(0)
    x = torch.randn(5, *shape)
    out = an_ada(shape, p=1.0)(x)
    assert (out.shape, out.dtype) == (x.shape, x.dtype)
    assert out.isfinite().all()
    assert not torch.equal(out, x)


@pytest.mark.parametrize("policy", POLICIES)
def test_each_image_is_drawn_for_itself(policy):
    """The same image many times comes out in many ways; what stands beside an image has no bearing on it."""
    ada = an_ada((3, 12, 12), policy=[policy], p=1.0)
    same = images(1).expand(6, -1, -1, -1)
    assert len(torch.unique(seeded(ada, same), dim=0)) == 6
    x, other = images(), images().clone()
    other[1:] = torch.randn(5, 3, 12, 12)
    assert_close(seeded(ada, x)[0], seeded(ada, other)[0], atol=1e-5, rtol=0.0)


@pytest.mark.parametrize(
    ("policy", "untouched"),
    [
        # Whether a change of probability p can be seen: a mirror in 1/2 of the cases, a turn in 3/4, a shift by up to
        # 1.5 of 12 pixels in 8/9 (a third of the time it rounds to 0, in both directions in a ninth).
        ("blit", (1 - 0.3 / 2) * (1 - 0.3 * 3 / 4) * (1 - 0.3 * 8 / 9)),
        ("geometric", (1 - 0.3) ** 4),  # zoom, stretch, shift, and two turns that share one p
        ("color", (1 - 0.3) ** 2 * (1 - 0.3 / 2) * (1 - 0.3) ** 2),  # inverted in 1/2 of the cases
    ],
)
def test_each_change_has_a_coin_of_its_own(policy, untouched):
    """The share of images that no change touched, at p = 0.3: one coin for all changes would leave 0.7."""
    torch.manual_seed(0)
    x = torch.rand(4000, 3, 12, 12)
    out = an_ada((3, 12, 12), policy=[policy], p=0.3)(x)
    share = (out - x).flatten(1).abs().amax(1) < 1e-5
    assert_close(share.float().mean(), torch.tensor(untouched), atol=0.025, rtol=0.0)


def test_blit_copies_pixels():
    x = images()
    out = an_ada((3, 12, 12), policy=["blit"], p=1.0)(x)
    for image, changed in zip(x, out, strict=True):
        pixels = {tuple(pixel) for pixel in image.flatten(1).T.tolist()}
        assert {tuple(pixel) for pixel in changed.flatten(1).T.tolist()} <= pixels


def test_an_oblong_image_is_turned_by_half_turns_only():
    """A wave along the rows stays one: a quarter turn would lay it across."""
    x = torch.cos(torch.arange(16.0)).expand(200, 1, 8, 16)
    out = an_ada((1, 8, 16), policy=["blit"], p=1.0)(x)
    assert_close(out, out[:, :, :1].expand_as(out))


@pytest.mark.parametrize("policy", POLICIES)
def test_the_gradient_is_the_numerical_one(policy):
    ada = an_ada((2, 4, 4), policy=[policy], p=0.8).double()
    x = torch.randn(2, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: seeded(ada, x), x)


def test_a_penalty_on_the_slope_is_that_of_the_changed_critic():
    """D(x) = w . x after a linear change A has the slope A^T w, and d|A^T w|^2 / dw = 2 A A^T w."""
    ada = an_ada((1, 4, 4), policy=["blit", "geometric"], p=1.0).double()
    columns = [seeded(ada, x.view(1, 1, 4, 4)).flatten() for x in torch.eye(16, dtype=torch.float64)]
    change = torch.stack(columns, 1)
    w = torch.randn(16, dtype=torch.float64, requires_grad=True)
    real = torch.randn(1, 1, 4, 4, dtype=torch.float64).requires_grad_()
    play = Play(0, "d", nn.Identity(), lambda x, y: Critique(x.flatten(1) @ w), real, real, augment=ada)
    torch.manual_seed(1)
    term = R1().d_term(play)
    slope = change.T @ w.detach()
    assert_close(term, 0.5 * slope.square().sum())
    assert_close(torch.autograd.grad(term, w)[0], change @ slope)


def test_mixed_precision_does_not_touch_it():
    ada, x = an_ada((3, 12, 12), p=0.8), images()
    plain = seeded(ada, x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(seeded(ada, x), plain)


# -- the strength -----------------------------------------------------------------------------------------------------


def tell(ada, real, fake=(-9.0,)):
    ada.observe(torch.tensor(real), torch.tensor(fake))
    return ada.p.item()


def test_p_moves_every_interval_by_its_share_of_the_images():
    """8 images an update, 2 updates, 160 images from 0 to 1: a tenth each time."""
    ada = an_ada(images=160, interval=2, p=0.5)
    assert [round(tell(ada, [1.0, 2.0, 0.5]), 6) for _ in range(5)] == [0.5, 0.6, 0.6, 0.7, 0.7]
    assert round(tell(ada, [-9.0, -9.0, -9.0]), 6) == 0.6  # signs 1 and -1: their mean is below 0.6
    assert [round(tell(ada, [1.0, 1.0, -1.0]), 6) for _ in range(2)] == [0.6, 0.5]  # 1/3 is below 0.6
    assert round(tell(ada, [1.0] * 9 + [-1.0]), 6) == 0.5
    assert round(tell(ada, [1.0] * 9 + [-1.0]), 6) == 0.6  # 0.8 is above


def test_the_sign_counts_and_not_the_size():
    ada = an_ada(images=80, interval=1, p=0.5)
    assert tell(ada, [-1e-4, -1e-4, 1e6]) < 0.5
    assert tell(ada, [1e-4, 1e-4, 1e-4]) == 0.5


def test_a_relativistic_critic_is_compared_with_the_mean_of_its_fakes():
    ada = an_ada(boundary="mean_fake", images=80, interval=1, p=0.5)
    assert tell(ada, [-1.0, -2.0], [-9.0, 1.0]) > 0.5  # above -4: overfits
    assert tell(ada, [5.0, 5.0], [5.0, 7.0]) == 0.5
    plain = an_ada(images=80, interval=1, p=0.5)
    assert tell(plain, [-1.0, -2.0], [-9.0, 1.0]) < 0.5


def test_p_stays_a_probability():
    ada = an_ada(images=20, interval=1)
    assert tell(ada, [-1.0]) == 0
    assert [round(tell(ada, [1.0]), 6) for _ in range(4)] == [0.4, 0.8, 1.0, 1.0]
    assert round(tell(ada, [-1.0]), 6) == 0.6


def test_without_a_target_p_is_kept_under_any_loss():
    ada = an_ada(boundary="none", target=None, p=0.3, interval=1)
    assert tell(ada, [1.0]) == pytest.approx(0.3)


def test_it_goes_on_from_its_buffers_in_the_middle_of_an_interval():
    whole, first, second = (an_ada(images=160, interval=3) for _ in range(3))
    for ada, moves in ((whole, 8), (first, 5)):
        for _ in range(moves):
            tell(ada, [1.0])
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        tell(second, [1.0])
    assert whole.p > 0
    assert set(whole.state_dict()) == {"p", "signs", "updates"}
    for name, value in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], value)


def test_the_statistic_is_that_of_all_ranks(monkeypatch):
    """This rank's critic overfits, the other's does not: the mean of signs 1 and -1 is below the target."""

    def average(tensors):
        for tensor in tensors:
            tensor.add_(-1.0).div_(2)

    monkeypatch.setattr(distributed, "average", average)
    ada = an_ada(images=80, interval=1, p=0.5)
    assert tell(ada, [1.0, 1.0]) < 0.5


def test_p_is_in_the_log():
    ada = an_ada(p=0.25)
    assert ada.facts()["p"] == 0.25


# -- a real critic ----------------------------------------------------------------------------------------------------


class Others(nn.Module):
    """A perfect generator: real digits, other ones each time."""

    latent, num_classes = 1, 0

    def __init__(self, pool):
        super().__init__()
        self.pool, self.unused = pool, nn.Parameter(torch.zeros(()))

    def forward(self, z, y=None):
        return self.pool[torch.randint(len(self.pool), (len(z),))]


class Dense(nn.Module):
    couples_batch = False

    def __init__(self):
        super().__init__()
        layers = [nn.Linear(196, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)]
        self.layers = nn.Sequential(nn.Flatten(), *layers)

    def forward(self, x, y=None):
        return Critique(self.layers(x).squeeze(1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "policy"),
    [
        (RelativisticPaired(), ["blit"]),
        pytest.param(RelativisticPaired(), POLICIES, marks=pytest.mark.slow),
        pytest.param(NonSaturating(), POLICIES, marks=pytest.mark.slow),
    ],
)
def test_a_critic_that_learned_64_digits_by_heart_is_brought_to_the_target(workplace, loss, policy):
    """The fakes are digits too, so that all it can tell is which 64 it has seen: r rises to 1 without ADA, then ADA
    lowers it to 0.6 and holds it there."""
    from ganctl.data.digits import Digits

    digits = Digits().images.float() / 127.5 - 1
    digits = nn.functional.avg_pool2d(digits[torch.randperm(4000, generator=torch.Generator().manual_seed(0))], 2)
    reals, others = digits[:64], digits[64:]
    torch.manual_seed(0)
    ada = ADA((1, 14, 14), batch_size=64, policy=policy, images=6_000)
    system = Standard(Others(others), Dense(), loss, augment=ada)
    ada = system.augment
    optimizer = torch.optim.Adam(system.discriminator.parameters(), lr=2e-3, betas=(0.0, 0.99))
    phase = system.phases()[0]

    def overfitting(steps):
        """The mean of r over the last 50 of so many steps."""
        signs = []
        for _ in range(steps):
            optimizer.zero_grad()
            sum(phase.terms({"image": reals}).values()).backward()
            optimizer.step()
            phase.after()
            real, fake = (system.facts[f"logits/{side}"] for side in ("real", "fake"))
            signs.append((real - fake.mean() if loss.g_sees_real else real).sign().mean())
        return torch.stack(signs[-50:]).mean()

    ada.target = None
    assert overfitting(120 if loss.g_sees_real else 300) > 0.9
    assert ada.p == 0
    ada.target = 0.6
    assert_close(overfitting(150), torch.tensor(0.6), atol=0.08, rtol=0.0)
    assert 0.02 < ada.p < 0.9


# -- what cannot work -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", ["loss=wgan", "loss=wgan_gp", "loss=lsgan", "loss=nsgan loss.real_label=0.9"])
def test_a_loss_whose_zero_is_no_boundary_is_refused_with_a_remedy(recipe, changes):
    with pytest.raises(UserError, match=r"0 is no boundary(.|\n)*try: loss=nsgan.*augment.target=null"):
        recipe("augment=ada", *changes.split()).trainer()


def test_labels_smoothed_on_both_sides_alike_are_welcome(recipe):
    changes = ["augment=ada", "loss.real_label=0.9", "loss.fake_label=0.1"]
    assert recipe(*changes).trainer().system.augment.boundary == "zero"


def test_symmetric_least_squares_are_welcome(recipe):
    trainer = recipe("augment=ada", "loss=lsgan", "loss.a=-1", "loss.b=1", "loss.c=0").trainer()
    assert trainer.system.augment.boundary == "zero"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shape": (2,)}, "augment=ada moves the pixels"),
        ({"policy": ["colour"]}, "policy=.colour.: any of blit, geometric, color"),
        ({"policy": []}, "policy="),
        ({"p": 1.5}, "p=1.5 must lie in"),
        ({"target": 1.0}, "target=1.0 in"),
        ({"images": 0}, "augment.images=0"),
        ({"interval": 0}, "augment.interval=0"),
    ],
)
def test_silly_settings_are_refused_with_a_remedy(settings, words):
    with pytest.raises(UserError, match=words) as caught:
        ADA(**({"shape": (1, 8, 8), "batch_size": 8} | settings))
    assert "\n  try: " in str(caught.value)
