"""The class terms of AC-GAN on class logits whose cross-entropy a person can work out."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.networks.mlp import MlpDiscriminator
from ganctl.regularizers.auxiliary import Auxiliary
from ganctl.types import Critique, Play

LABEL = torch.tensor([0, 1])
REAL = math.log(1 + math.exp(-2)) / 2 + math.log(2) / 2
"""Cross-entropy of the logits (2, 0) for class 0 and (0, 0) for class 1."""
FAKE = math.log(1 + math.exp(3))
"""Of (0, 3) for class 0 and (3, 0) for class 1."""


class Namer(nn.Module):
    """Its class logits are what it is shown."""

    names_classes = True

    def forward(self, x, y=None):
        return Critique(x[:, 0], (), x)


def a_play(phase):
    real, fake = torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 3.0], [3.0, 0.0]])
    return Play(0, phase, nn.Identity(), Namer(), real, fake.requires_grad_(phase == "g"), LABEL)


def test_each_players_term_by_hand():
    assert_close(Auxiliary().d_term(a_play("d")), torch.tensor(REAL + FAKE))
    assert_close(Auxiliary().g_term(a_play("g")), torch.tensor(FAKE))


def test_each_part_has_a_weight_of_its_own():
    term = Auxiliary(real=3.0, fake=0.0, generator=0.1)
    assert_close(term.d_term(a_play("d")), torch.tensor(3 * REAL))
    assert_close(term.g_term(a_play("g")), torch.tensor(0.1 * FAKE))


def test_the_cross_entropy_is_that_of_logits():
    """Far on the wrong side its gradient is 1 in each logit; a softmax before it would leave next to nothing."""
    play = a_play("g")
    play.fake = (10 * play.fake.detach()).requires_grad_()
    (gradient,) = torch.autograd.grad(Auxiliary().g_term(play), play.fake)
    assert_close(gradient, torch.tensor([[-0.5, 0.5], [0.5, -0.5]]))


def test_mixed_precision_does_not_touch_the_term():
    with torch.autocast("cpu", torch.bfloat16):
        assert Auxiliary().d_term(a_play("d")).dtype == torch.float32


def test_a_discriminator_without_a_class_head_is_refused():
    settings = {"shape": [2], "num_classes": 3}
    Auxiliary().attach(nn.Identity(), MlpDiscriminator(**settings, conditioning="auxiliary"))
    for kind in ("none", "concat", "projection"):
        with pytest.raises(UserError, match=r"gives none\n  try: model.conditioning=auxiliary"):
            Auxiliary().attach(nn.Identity(), MlpDiscriminator(**settings, conditioning=kind))
