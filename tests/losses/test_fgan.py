"""f-GAN: each divergence by its definition. Conjugates by search, bounds by quadrature."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import lambertw
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.losses.fgan import (
    Alpha,
    Jeffrey,
    JensenShannon,
    KullbackLeibler,
    LogOmega,
    NeymanChiSquare,
    OriginalGan,
    PearsonChiSquare,
    ReverseKullbackLeibler,
    SquaredHellinger,
)
from ganctl.losses.minimax import Minimax, NonSaturating

CLASSES = {
    "kl": KullbackLeibler,
    "rkl": ReverseKullbackLeibler,
    "pearson": PearsonChiSquare,
    "neyman": NeymanChiSquare,
    "hellinger": SquaredHellinger,
    "jeffrey": Jeffrey,
    "js": JensenShannon,
    "gan": OriginalGan,
    "alpha": Alpha,
}
every_divergence = pytest.mark.parametrize("name", CLASSES)
A = 0.5
"""The alpha that is the default."""


def xlogx(u):
    return u * np.log(u) if u > 0 else 0.0


F = {
    "kl": xlogx,
    "rkl": lambda u: -np.log(u),
    "pearson": lambda u: (u - 1) ** 2,
    "neyman": lambda u: (1 - u) ** 2 / u,
    "hellinger": lambda u: (np.sqrt(u) - 1) ** 2,
    "jeffrey": lambda u: (u - 1) * np.log(u),
    "js": lambda u: xlogx(u) - (u + 1) * np.log((1 + u) / 2),
    "gan": lambda u: xlogx(u) - (u + 1) * np.log(u + 1),
    "alpha": lambda u: (u**A - 1 - A * (u - 1)) / (A * (A - 1)),
}
"""The convex functions of Nowozin et al. 2016, table 6; `alpha` of their table 1."""

SLOPE_AT_U = {
    "kl": lambda u: np.log(u) + 1,
    "rkl": lambda u: -1 / u,
    "pearson": lambda u: 2 * (u - 1),
    "neyman": lambda u: 1 - u**-2,
    "hellinger": lambda u: 1 - u**-0.5,
    "jeffrey": lambda u: 1 + np.log(u) - 1 / u,
    "js": lambda u: np.log(2 * u / (1 + u)),
    "gan": lambda u: np.log(u / (1 + u)),
    "alpha": lambda u: (u ** (A - 1) - 1) / (A - 1),
}
"""f'(u), by hand."""

LOGIT_AT_LOG_U = {
    "kl": lambda s: s + 1,
    "rkl": lambda s: s,
    "pearson": lambda s: 2 * np.expm1(s),
    "neyman": lambda s: 2 * s,
    "hellinger": lambda s: s / 2,
    "jeffrey": lambda s: 1 + s - np.exp(-s),
    "js": lambda s: s,
    "gan": lambda s: s,
    "alpha": lambda s: s,
}
"""The logit of the best critic where the density ratio p/q is e^s: g⁻¹(f'(e^s)), by hand."""


def f64(values):
    return torch.as_tensor(np.asarray(values), dtype=torch.float64)


# -- conjugates -------------------------------------------------------------------------------------------------------


def conjugate_by_search(f, t):
    """sup over u >= 0 of ut - f(u): a search over log u, and u = 0 itself."""
    found = minimize_scalar(
        lambda s: f(np.exp(s)) - np.exp(s) * t, bounds=(-25, 12), method="bounded", options={"xatol": 1e-10}
    )
    return -found.fun


@every_divergence
def test_the_composed_conjugate_is_the_conjugate_of_the_activation(name):
    loss, v = CLASSES[name](), np.linspace(-5.0, 4.0, 37)
    t = loss.activation(f64(v)).numpy()
    expected = [conjugate_by_search(F[name], value) for value in t]
    assert_close(loss.conjugate(f64(v)), f64(expected), atol=1e-6, rtol=1e-6)


CONJUGATE = {
    "kl": lambda t: torch.exp(t - 1),
    "rkl": lambda t: -1 - torch.log(-t),
    "pearson": lambda t: torch.where(t >= -2, t**2 / 4 + t, -1.0),
    "neyman": lambda t: 2 - 2 * torch.sqrt(1 - t),
    "hellinger": lambda t: t / (1 - t),
    "jeffrey": lambda t: (w := f64(lambertw(np.exp(1 - t.numpy())).real)) + 1 / w + t - 2,
    "js": lambda t: -torch.log(2 - torch.exp(t)),
    "gan": lambda t: -torch.log(1 - torch.exp(t)),
    "alpha": lambda t: (t * (A - 1) + 1) ** (A / (A - 1)) / A - 1 / A,
}
"""As the paper's table 6 writes them, pearson with its second piece."""


@every_divergence
def test_the_composed_form_is_the_tables_conjugate_of_the_activation(name):
    loss, v = CLASSES[name](), torch.linspace(-15.0, 15.0, 121, dtype=torch.float64)
    t = loss.activation(v)
    assert_close(loss.conjugate(v), CONJUGATE[name](t), atol=1e-9, rtol=1e-7)


@every_divergence
def test_the_activation_rises_onto_the_domain_of_the_conjugate(name):
    ends = {"rkl": 0.0, "neyman": 1.0, "hellinger": 1.0, "js": math.log(2), "gan": 0.0, "alpha": 1 / (1 - A)}
    t = CLASSES[name]().activation(torch.linspace(-30.0, 30.0, 601, dtype=torch.float64))
    assert (t.diff() > 0).all()
    assert t[-1] <= ends.get(name, math.inf)
    assert t[0] < -29


def test_pearson_is_flat_where_no_u_but_0_is_best():
    v = f64([-50.0, -3.0, -2.0, -1.0, 0.0, 2.0]).requires_grad_()
    value = PearsonChiSquare().conjugate(v)
    assert_close(value.detach(), f64([-1.0, -1.0, -1.0, -0.75, 0.0, 3.0]))  # t^2/4 + t: 1/4 - 1, 0, 1 + 2
    (slope,) = torch.autograd.grad(value.sum(), v)
    assert_close(slope, f64([0.0, 0.0, 0.0, 0.5, 1.0, 2.0]))


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_alpha_by_its_definition(alpha):
    def f(u):
        return (u**alpha - 1 - alpha * (u - 1)) / (alpha * (alpha - 1))

    loss, v = Alpha(alpha=alpha), np.linspace(-3.0, 3.0, 13)
    expected = [conjugate_by_search(f, value) for value in loss.activation(f64(v)).numpy()]
    assert_close(loss.conjugate(f64(v)), f64(expected), atol=1e-6, rtol=1e-6)


# -- bounds -----------------------------------------------------------------------------------------------------------

X = np.linspace(-14.0, 14.0, 28_001)
MEAN = 0.8
P, Q = (np.exp(-((X - mean) ** 2) / 2) / math.sqrt(2 * math.pi) for mean in (MEAN, 0.0))
LOG_RATIO = MEAN * X - MEAN**2 / 2


def integral(values):
    """Over the line: the trapezoid rule on functions that vanish at both ends is exact to many digits."""
    return float(np.trapezoid(values, X))


SQUARE = MEAN**2
CLOSED = {
    "kl": SQUARE / 2,
    "rkl": SQUARE / 2,
    "pearson": math.expm1(SQUARE),
    "neyman": math.expm1(SQUARE),
    "hellinger": -2 * math.expm1(-SQUARE / 8),
    "jeffrey": SQUARE,
    "alpha": -math.expm1(-A * (1 - A) * SQUARE / 2) / (A * (1 - A)),
}
"""Divergences of N(0.8, 1) from N(0, 1); Jensen-Shannon has no closed form."""


def divergence(name):
    return integral(Q * np.array([F[name](u) for u in np.exp(LOG_RATIO)]))


def bound(loss, logits):
    """What d_loss negates, with expectations by quadrature: E_P g(v) - E_Q f*(g(v))."""
    t, conjugate = loss.activation(f64(logits)).numpy(), loss.conjugate(f64(logits)).numpy()
    return integral(P * t) - integral(Q * conjugate)


@every_divergence
def test_the_best_critic_reaches_the_divergence(name):
    expected = divergence(name)
    if name in CLOSED:
        assert expected == pytest.approx(CLOSED[name], abs=1e-9)
    logits = LOGIT_AT_LOG_U[name](LOG_RATIO)
    t = CLASSES[name]().activation(f64(logits)).numpy()
    np.testing.assert_allclose(t, SLOPE_AT_U[name](np.exp(LOG_RATIO)), rtol=1e-9, atol=1e-12)
    assert bound(CLASSES[name](), logits) == pytest.approx(expected, abs=1e-6)


@every_divergence
@pytest.mark.parametrize("wrong", [lambda v: v + 0.1, lambda v: v - 0.1, lambda v: 0.9 * v, lambda v: 0 * v])
def test_no_other_critic_does(name, wrong):
    best = LOGIT_AT_LOG_U[name](LOG_RATIO)
    assert bound(CLASSES[name](), wrong(best)) < divergence(name) - 1e-4


def test_the_gan_divergence_is_twice_jensen_shannon_less_log_4():
    mixture = (P + Q) / 2
    half = [integral(density * np.log(density / mixture)) for density in (P, Q)]
    assert divergence("js") == pytest.approx(sum(half), abs=1e-9)
    assert divergence("gan") == pytest.approx(sum(half) - math.log(4), abs=1e-9)


@every_divergence
def test_where_the_densities_are_equal_the_logit_is_0_but_for_kl(name):
    """f'(1) is where the paper draws the line between real and fake."""
    here = f64(LOGIT_AT_LOG_U[name](0.0)).reshape(1)
    assert here.item() == (1.0 if name == "kl" else 0.0)
    assert_close(CLASSES[name]().activation(here), f64([SLOPE_AT_U[name](1.0)]))


# -- as losses --------------------------------------------------------------------------------------------------------


@every_divergence
def test_d_minimises_the_negated_bound_and_g_either_form(name):
    real, fake = f64([0.3, -1.2, 2.0]), f64([-0.7, 0.4])
    plain, minimax = CLASSES[name](), CLASSES[name](generator="minimax")
    expected = plain.conjugate(fake).mean() - plain.activation(real).mean()
    assert_close(plain.d_loss(real, fake), expected)
    assert_close(minimax.d_loss(real, fake), expected)
    assert_close(plain.g_loss(fake), -plain.activation(fake).mean())
    assert_close(minimax.g_loss(fake), -minimax.conjugate(fake).mean())


def test_the_gan_divergence_gives_goodfellows_losses():
    real, fake = f64([0.3, -1.2, 2.0]), f64([-0.7, 0.4, 1.5])
    assert_close(OriginalGan().d_loss(real, fake), Minimax().d_loss(real, fake))
    assert_close(OriginalGan("minimax").g_loss(fake), Minimax().g_loss(fake))
    assert_close(OriginalGan().g_loss(fake), NonSaturating().g_loss(fake))


@every_divergence
@pytest.mark.parametrize("generator", ["nonsaturating", "minimax"])
def test_d_raises_reals_and_lowers_fakes_and_g_raises_fakes(name, generator):
    loss = CLASSES[name](generator)
    real, fake = (torch.linspace(-1.5, 1.5, 4).requires_grad_() for _ in range(2))
    d_real, d_fake = torch.autograd.grad(loss.d_loss(real, fake), (real, fake))
    (g_fake,) = torch.autograd.grad(loss.g_loss(fake), fake)
    assert (d_real < 0).all()
    assert (d_fake > 0).all()
    assert (g_fake < 0).all()


@every_divergence
def test_far_logits_in_float32_are_as_in_float64(name):
    for v in (50.0, -50.0):
        found = []
        for dtype in (torch.float32, torch.float64):
            logit = torch.tensor([v], dtype=dtype, requires_grad=True)
            values = [CLASSES[name]().activation(logit), CLASSES[name]().conjugate(logit)]
            slopes = [torch.autograd.grad(value, logit)[0] for value in values]
            found.append(torch.cat([*values, *slopes]).detach().double())
        assert found[0].isfinite().all()
        assert_close(found[0], found[1], rtol=1e-5, atol=1e-6)


@every_divergence
def test_gradients_agree_with_finite_differences_twice(name):
    v = torch.linspace(-3.1, 3.3, 6, dtype=torch.float64, requires_grad=True)
    loss = CLASSES[name]()
    for part in (loss.activation, loss.conjugate):
        assert torch.autograd.gradcheck(part, v)
        assert torch.autograd.gradgradcheck(part, v)


def test_log_omega_solves_its_equation_wherever_the_root_lies():
    c = f64([-700.0, -50.0, -1.0, 0.0, 0.999, 1.0, 1.001, 2.0, 51.0, 1e6]).requires_grad_()
    s = LogOmega.apply(c)
    assert_close(s.exp() + s, c, rtol=1e-14, atol=1e-14)
    assert_close(s[5], f64(0.0))  # e^0 + 0 = 1
    (slope,) = torch.autograd.grad(s.sum(), c)
    assert_close(slope[5], f64(0.5))  # 1 / (1 + e^0)
    assert_close(slope[0], f64(1.0))


def test_jeffreys_conjugate_has_the_slope_1_over_w():
    t = f64([-2.0, 0.0, 3.0]).requires_grad_()
    (slope,) = torch.autograd.grad(Jeffrey().conjugate(t).sum(), t)
    assert_close(slope, f64(1 / lambertw(np.exp(1 - t.detach().numpy())).real))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: KullbackLeibler("saturating"), "loss.generator=saturating is unknown"),
        (lambda: Alpha(alpha=1.0), "loss.alpha=1.0: must lie between 0 and 1"),
        (lambda: Alpha(alpha=0.0), "loss=fgan_rkl"),
    ],
)
def test_mistakes_get_a_sentence_and_a_remedy(call, words):
    with pytest.raises(UserError, match=words) as caught:
        call()
    assert "\n  try: " in str(caught.value)
