"""The energy margin: numbers by hand, and what it asks of a discriminator."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.losses.energy import EnergyMargin
from ganctl.losses.hinge import Hinge


def test_costs_by_hand():
    """Energies 1 and 3 of reals, 4 and 12 of fakes, margin 10: 2 + (6 + 0)/2, and 8 for the generator."""
    real, fake = torch.tensor([-1.0, -3.0]), torch.tensor([-4.0, -12.0])
    loss = EnergyMargin(10.0)
    assert_close(loss.d_loss(real, fake), torch.tensor(5.0))
    assert_close(loss.g_loss(fake), torch.tensor(8.0))
    assert_close(loss.real_loss(real), torch.tensor(2.0))


def test_d_lets_go_of_fakes_beyond_the_margin_and_g_never_does():
    real, fake = (torch.tensor([-0.5, -1.5], requires_grad=True) for _ in range(2))
    slopes = torch.autograd.grad(EnergyMargin(1.0).d_loss(real, fake), (real, fake))
    assert_close(torch.stack(slopes), torch.tensor([[-0.5, -0.5], [0.5, 0.0]]))
    (slope,) = torch.autograd.grad(EnergyMargin(1.0).g_loss(fake), fake)
    assert_close(slope, torch.tensor([-0.5, -0.5]))


def test_fakes_like_the_data_cost_d_the_margin():
    """Theorem 1 of the paper: V = m in equilibrium, where the energies of both sides are distributed alike."""
    energies = torch.tensor([0.1, 0.4, 0.7])
    assert_close(EnergyMargin(1.0).d_loss(-energies, -energies), torch.tensor(1.0))


def test_a_discriminator_that_is_no_energy_is_refused():
    score, energy = nn.Linear(2, 1), nn.Linear(2, 1)
    energy.gives_energy = True
    with pytest.raises(UserError, match=r"EnergyMargin needs .* energy.*\n  try: model=autoencoder"):
        EnergyMargin().attach(score)
    EnergyMargin().attach(nn.Sequential(energy))  # within a wrapper
    Hinge().attach(score)


def test_a_margin_must_leave_room():
    with pytest.raises(UserError, match=r"loss.margin=0.*\n  try: "):
        EnergyMargin(0.0)
