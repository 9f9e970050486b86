"""A discriminator with its terms, beside others of one system: numbers by hand, copies, names, heads."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.augment.noise import InstanceNoise
from ganctl.errors import UserError
from ganctl.losses.hinge import Hinge
from ganctl.losses.least_squares import LeastSquares
from ganctl.losses.minimax import NonSaturating
from ganctl.losses.relativistic import RelativisticAverage, RelativisticPaired
from ganctl.losses.wasserstein import Wasserstein
from ganctl.regularizers.gradient import R1
from ganctl.regularizers.historical import HistoricalAveraging
from ganctl.regularizers.regularizer import Regularizer
from ganctl.systems.adversary import Adversary, swapped
from ganctl.types import Critique


class Line(nn.Module):
    """D(x) = w . x with w = (3, 4), and a second head of 10 w . x where one is asked for."""

    def __init__(self, heads=1):
        super().__init__()
        self.w, self.heads = nn.Parameter(torch.tensor([3.0, 4.0])), heads

    def forward(self, x, y=None):
        logits = x @ self.w
        return Critique(logits, others=(10 * logits,) * (self.heads - 1))


REAL = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
FAKE = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [0.0, -1.0]])
"""Logits 3, 4, 14 of mean 7 and -3, 0, -4 of mean -7/3."""


def an_adversary(loss=None, heads=1, **more):
    generator = nn.Linear(1, 1)
    return Adversary(Line(heads), loss or Wasserstein(), **{"generator": generator, **more})


def test_terms_of_both_players_by_hand():
    adversary = an_adversary(regularizers={"r1": R1(2.0)})
    found = adversary.d_terms(REAL, FAKE.clone())
    assert_close(found, {"adversarial": torch.tensor(-7 / 3 - 7), "r1": torch.tensor(25.0)})
    assert_close(adversary.g_terms(REAL, FAKE), {"adversarial": torch.tensor(7 / 3)})
    assert_close(adversary.facts["logits/real"], torch.tensor([3.0, 4.0, 14.0]))


def test_a_named_one_names_its_terms_and_facts():
    facts = {}
    sides = {
        name: an_adversary(regularizers={"r1": R1()}, augment=InstanceNoise(0.0), name=name, facts=facts)
        for name in ("a", "b")
    }
    terms = sides["a"].d_terms(REAL, FAKE.clone()) | sides["b"].d_terms(REAL, FAKE.clone())
    assert list(terms) == ["adversarial_a", "r1_a", "adversarial_b", "r1_b"]
    assert list(sides["b"].g_terms(REAL, FAKE)) == ["adversarial_b"]
    assert set(facts) == {f"logits/{side}_{name}" for side in ("real", "fake") for name in "ab"}


def test_each_has_copies_of_what_it_was_handed():
    shared = {"history": HistoricalAveraging()}
    augment = InstanceNoise(0.5)
    one, other = (an_adversary(regularizers=shared, augment=augment, name=name) for name in "ab")
    parts = [one.regularizers["history"], other.regularizers["history"], shared["history"]]
    assert len({id(part) for part in parts}) == 3
    assert len({id(part) for part in (one.augment, other.augment, augment)}) == 3
    with torch.no_grad():
        other.discriminator.w.zero_()
    other.begin(0)
    assert_close(one.regularizers["history"].mean_d, torch.tensor([3.0, 4.0]))
    assert_close(other.regularizers["history"].mean_d, torch.zeros(2))


def test_it_holds_its_discriminator_and_not_the_generator():
    adversary = an_adversary(regularizers={"history": HistoricalAveraging()})
    assert [name for name, _ in adversary.named_parameters()] == ["discriminator.w"]
    assert set(adversary.state_dict()) == {
        "discriminator.w",
        "regularizers.history.mean_g",
        "regularizers.history.mean_d",
    }


@pytest.mark.parametrize("loss", [Hinge(), NonSaturating(), RelativisticPaired(), Wasserstein()])
def test_losses_are_summed_over_heads(loss):
    one, two = an_adversary(loss), an_adversary(loss, heads=2)
    real, fake = (x @ torch.tensor([3.0, 4.0]) for x in (REAL, FAKE))
    beside = real if loss.g_sees_real else None
    d = loss.d_loss(real, fake) + loss.d_loss(10 * real, 10 * fake)
    g = loss.g_loss(fake, beside) + loss.g_loss(10 * fake, None if beside is None else 10 * real)
    assert_close(two.d_terms(REAL, FAKE)["adversarial"], d)
    assert_close(two.g_terms(REAL, FAKE)["adversarial"], g)
    assert_close(one.d_terms(REAL, FAKE)["adversarial"], loss.d_loss(real, fake))


def test_an_encoder_minimises_the_losses_e_loss_with_its_gradient():
    adversary = an_adversary(g_weight=0.5)
    real = REAL.clone().requires_grad_()
    terms = adversary.e_terms(real)
    assert_close(terms, {"encoder": torch.tensor(3.5)})
    (slope,) = torch.autograd.grad(terms["encoder"], real)
    assert_close(slope, torch.tensor([3.0, 4.0]).expand(3, 2) / 6)
    with pytest.raises(UserError, match="does not say what an encoder minimises"):
        an_adversary(RelativisticPaired()).e_terms(real)


def test_it_describes_both_sides():
    class Both(Regularizer):
        def d_term(self, play):
            return play.real.sum()

        def after_d(self, discriminator):
            pass

    adversary = an_adversary(regularizers={"r1": R1(), "both": Both()}, g_weight=0.0)
    assert adversary.describe() == {"d": "Wasserstein + r1 + both, then both", "g": ""}
    assert adversary.differentiates
    assert not an_adversary().differentiates


def test_an_interrupted_step_leaves_nothing_to_the_augmentation():
    class Counting(InstanceNoise):
        seen = 0

        def observe(self, real, fake):
            self.seen = len(real)

    adversary = an_adversary(augment=Counting(0.1))
    adversary.begin(0)
    adversary.d_terms(REAL, FAKE)
    adversary.begin(1)
    adversary.d_terms(REAL, FAKE)
    adversary.after_d()
    assert adversary.augment.seen == 3


def test_a_map_of_logits_has_one_opinion_a_sample():
    class Patches(nn.Module):
        def forward(self, x, y=None):
            return Critique(torch.stack([x[:, 0], 3 * x[:, 0]], 1)[:, None, None])

    adversary = Adversary(Patches(), Wasserstein(), generator=nn.Identity())
    assert_close(adversary.opinion(REAL), torch.tensor([2.0, 0.0, 4.0]))


# -- label flipping ---------------------------------------------------------------------------------------------------


def test_flipped_pairs_change_sides_and_no_others():
    """Of 20,000 pairs three in ten are exchanged; the logits bear their pair's number: each keeps its place."""
    torch.manual_seed(0)
    real = torch.arange(20_000.0)
    fake = real + 0.5
    a, b = swapped(real, fake, 0.3)
    flipped = a == fake
    assert torch.equal(a, real.where(~flipped, fake))
    assert torch.equal(b, fake.where(~flipped, real))
    assert_close(flipped.float().mean(), torch.tensor(0.3), atol=0.015, rtol=0.0)


def test_a_patch_critic_flips_whole_images():
    torch.manual_seed(0)
    a, _ = swapped(torch.zeros(50, 1, 3, 3), torch.ones(50, 1, 3, 3), 0.4)
    shares = a.mean((1, 2, 3))
    assert set(shares.tolist()) == {0.0, 1.0}


SP = torch.nn.functional.softplus


@pytest.mark.parametrize(
    ("loss", "by_hand"),
    [
        # logits r = (2, 1), f = (0, -1); the first pair is flipped, so that D is told r = (0, 1), f = (2, -1)
        (Wasserstein(), lambda sp: torch.tensor(0.5 - 0.5)),
        (NonSaturating(), lambda sp: (sp(0) + sp(-1)) / 2 + (sp(2) + sp(-1)) / 2),
        (Hinge(), lambda sp: torch.tensor((1 + 0) / 2 + (3 + 0) / 2)),
        (LeastSquares(), lambda sp: torch.tensor(0.5 * ((1 + 0) / 2 + (4 + 1) / 2))),
        (RelativisticPaired(), lambda sp: (sp(2 - 0) + sp(-1 - 1)) / 2),
        # the mean of the side called real is 0.5, of the other 0.5: both means hold the flipped pair
        (RelativisticAverage(), lambda sp: (sp(0.5 - 0) + sp(0.5 - 1)) / 2 + (sp(2 - 0.5) + sp(-1 - 0.5)) / 2),
    ],
)
def test_a_flipped_pair_counts_as_if_swapped(monkeypatch, loss, by_hand):
    monkeypatch.setattr(torch, "rand", lambda *shape, **more: torch.tensor([0.05, 0.95]))
    real, fake = swapped(torch.tensor([2.0, 1.0]), torch.tensor([0.0, -1.0]), 0.1)
    assert_close(loss.d_loss(real, fake), by_hand(lambda x: SP(torch.tensor(float(x)))))
