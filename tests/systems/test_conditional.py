"""The standard game with labels: reals under wrong labels as fakes, and what is refused."""

import pytest
import torch
from torch import nn
from torch.nn.functional import logsigmoid
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.losses.minimax import NonSaturating
from ganctl.losses.relativistic import RelativisticPaired
from ganctl.losses.wasserstein import Wasserstein
from ganctl.networks.mlp import MlpDiscriminator, MlpGenerator
from ganctl.regularizers.auxiliary import Auxiliary
from ganctl.regularizers.gradient import R1
from ganctl.systems import adversary
from ganctl.systems.adversary import wrong_labels
from ganctl.systems.standard import Standard
from ganctl.types import Critique


class Still(nn.Module):
    """G(z, y) = (-1, -1), whatever the noise."""

    latent = 2

    def __init__(self, num_classes):
        super().__init__()
        self.theta, self.num_classes = nn.Parameter(torch.tensor(-1.0)), num_classes

    def forward(self, z, y=None):
        return self.theta.expand(len(z), 2)


class ByLabel(nn.Module):
    """D(x, y) = w x_0 + 10 y, w = 1."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(1.0))

    def forward(self, x, y):
        return Critique(self.w * x[:, 0] + 10 * y)


def d_loss(loss, num_classes, label, **settings):
    system = Standard(Still(num_classes), ByLabel(), loss, **settings)
    torch.manual_seed(0)
    points = torch.tensor([[3.0, 0.0], [5.0, 0.0]])
    d, _ = system.phases()
    return d.terms({"points": points, "label": torch.tensor(label)})["adversarial"]


def test_reals_under_wrong_labels_are_half_of_the_fakes_by_hand():
    """Of two classes the wrong one is the other. Reals score 3 and 15, fakes -1 and 9, reals wrongly named 13 and 5.

    Wasserstein: (4 + 9) / 2 - 9 = -2.5, without mismatch 4 - 9 = -5.
    """
    assert_close(d_loss(Wasserstein(), 2, [0, 1]), torch.tensor(-5.0))
    assert_close(d_loss(Wasserstein(), 2, [0, 1], mismatch=True), torch.tensor(-2.5))


def test_it_is_reeds_algorithm():
    """Line 7: log s_r + (log(1 - s_w) + log(1 - s_f)) / 2, the means over the batch, s = sigmoid of the logit."""
    right, fake, wrong = (torch.tensor(logits).sigmoid() for logits in ([3.0, 15.0], [-1.0, 9.0], [13.0, 5.0]))
    expected = -(right.log() + 0.5 * ((1 - wrong).log() + (1 - fake).log())).mean()
    assert_close(d_loss(NonSaturating(), 2, [0, 1], mismatch=True), expected, rtol=1e-4, atol=0.0)


def test_a_relativistic_loss_compares_with_each_half():
    """Pairs (3,-1) (15,9) and (3,13) (15,5): softplus of -4, -6, 10, -10, halved and averaged."""
    pairs = torch.nn.functional.softplus(torch.tensor([-4.0, -6.0, 10.0, -10.0])).mean()
    assert_close(d_loss(RelativisticPaired(), 2, [0, 1], mismatch=True), pairs)


def test_flipped_labels_flip_both_halves(monkeypatch):
    """All pairs flipped, the reals count as fake and both kinds of fakes as real."""
    monkeypatch.setattr(adversary, "swapped", lambda real, fake, rate: (fake, real))
    right, fake, wrong = map(torch.tensor, ([3.0, 15.0], [-1.0, 9.0], [13.0, 5.0]))
    expected = -(logsigmoid(-right) + 0.5 * (logsigmoid(wrong) + logsigmoid(fake))).mean()
    assert_close(d_loss(NonSaturating(), 2, [0, 1], mismatch=True, label_flip=0.1), expected)


def test_a_wrong_label_is_never_the_right_one_and_any_other_alike():
    torch.manual_seed(0)
    right = torch.arange(5).repeat(4000)
    wrong = wrong_labels(right, 5)
    assert (wrong != right).all()
    counts = torch.bincount(5 * right + wrong, minlength=25).view(5, 5)
    assert_close(counts / 4000, (1 - torch.eye(5)) / 4, atol=0.03, rtol=0.0)


def test_mismatch_goes_with_a_slope_at_the_reals():
    plain = d_loss(Wasserstein(), 2, [0, 1], mismatch=True)
    assert_close(d_loss(Wasserstein(), 2, [0, 1], mismatch=True, regularizers={"r1": R1()}), plain)


def players(kind, num_classes=3):
    both = {"shape": (2,), "widths": (4,), "conditioning": kind, "num_classes": num_classes}
    return MlpGenerator(**both), MlpDiscriminator(**both)


@pytest.mark.parametrize("kind", ["none", "auxiliary"])
def test_wrong_labels_need_a_discriminator_that_sees_them(kind):
    terms = {"auxiliary": Auxiliary()} if kind == "auxiliary" else {}
    with pytest.raises(UserError, match=r"mismatch=true needs(.|\n)*try: model.conditioning=concat"):
        Standard(*players(kind), Wasserstein(), terms, mismatch=True)
    Standard(*players("projection"), Wasserstein(), mismatch=True)


def test_one_class_has_no_wrong_label():
    with pytest.raises(UserError, match="two classes or more"):
        Standard(*players("concat", 1), Wasserstein(), mismatch=True)


def test_a_class_head_that_nothing_trains_is_refused_with_the_list_to_type():
    with pytest.raises(UserError, match=r"class head\n  try: regularizer=\[auxiliary\]"):
        Standard(*players("auxiliary"), Wasserstein())
    with pytest.raises(UserError, match=r"try: regularizer=\[r1,auxiliary\]"):
        Standard(*players("auxiliary"), Wasserstein(), {"r1": R1()})
    Standard(*players("auxiliary"), Wasserstein(), {"r1": R1(), "auxiliary": Auxiliary()})
