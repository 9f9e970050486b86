"""What an encoder minimises who made the real side: the generator's loss with the sides exchanged."""

import pytest
import torch
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.losses.energy import EnergyMargin
from ganctl.losses.fgan import Alpha, Jeffrey, KullbackLeibler, OriginalGan
from ganctl.losses.hinge import Hinge
from ganctl.losses.least_squares import LeastSquares
from ganctl.losses.minimax import Minimax, NonSaturating
from ganctl.losses.relativistic import RelativisticAverage, RelativisticPaired
from ganctl.losses.wasserstein import Wasserstein

REAL = torch.tensor([2.0, -1.0])


@pytest.mark.parametrize(
    ("loss", "by_hand"),
    [
        # log sigmoid(2) = -0.126928, log sigmoid(-1) = -1.313262: E log D(x, E(x)), which the encoder lowers
        (Minimax(), (-0.126928 - 1.313262) / 2),
        # -log(1 - D): softplus(2) = 2.126928, softplus(-1) = 0.313262
        (NonSaturating(), (2.126928 + 0.313262) / 2),
        (Hinge(), 0.5),
        (Wasserstein(), 0.5),
        (LeastSquares(), 0.5 * (4 + 1) / 2),  # towards the fakes' target, 0
        (LeastSquares(-1.0, 1.0, 0.0), 0.5 * (4 + 1) / 2),  # 0 lies between both targets
        (LeastSquares(0.0, 1.0, 0.8), 0.5 * (1.8**2 + 1.2**2) / 2),  # 0.2 lies as far from 0 as 0.8 from 1
        (KullbackLeibler("minimax"), 0.5),  # g(v) = v
        (KullbackLeibler(), (2.718282 + 0.135335) / 2),  # exp(v - 1)
    ],
)
def test_by_hand(loss, by_hand):
    assert_close(loss.e_loss(REAL), torch.tensor(by_hand))


@pytest.mark.parametrize(
    ("loss", "twin"), [(OriginalGan(), NonSaturating()), (OriginalGan("minimax"), Minimax())], ids=["nsgan", "minimax"]
)
def test_the_f_gan_of_the_first_paper_is_its_twin(loss, twin):
    assert_close(loss.e_loss(REAL), twin.e_loss(REAL))


@pytest.mark.parametrize(
    "loss", [Minimax(), NonSaturating(), Hinge(), Wasserstein(), LeastSquares(), Jeffrey(), Alpha()]
)
def test_an_encoder_lowers_the_logits_of_its_reals(loss):
    real = REAL.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss.e_loss(real), real)
    assert (slope[0] > 0).all()


@pytest.mark.parametrize("loss", [Minimax(), Wasserstein(), KullbackLeibler("minimax"), OriginalGan("minimax")])
def test_what_the_encoder_lowers_is_what_the_discriminator_raises(loss):
    """Under the bound itself the real side of D's loss is minus the encoder's."""
    real, other = REAL, torch.tensor([0.3, 0.7])
    fake = torch.zeros(2)
    assert_close(loss.d_loss(real, fake) - loss.d_loss(other, fake), loss.e_loss(other) - loss.e_loss(real))


@pytest.mark.parametrize("loss", [RelativisticPaired(), RelativisticAverage(), EnergyMargin()])
def test_a_loss_that_has_none_refuses_in_a_sentence(loss):
    assert not loss.defines("e_loss")
    with pytest.raises(UserError, match=rf"{type(loss).__name__} does not say what an encoder minimises\n  try: "):
        loss.e_loss(REAL)


def test_a_loss_says_what_it_defines():
    assert Hinge().defines("e_loss")
    assert not Hinge().defines("real_loss")
    assert EnergyMargin().defines("real_loss")
    with pytest.raises(UserError, match=r"Hinge does not say what .* reals alone\n  try: loss=ebgan"):
        Hinge().real_loss(REAL)
