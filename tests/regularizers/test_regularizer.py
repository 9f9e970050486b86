"""What all regularizers share, and the one that only projects."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.regularizers.clip import WeightClip
from ganctl.regularizers.gradient import GradientPenalty
from ganctl.regularizers.regularizer import Regularizer
from ganctl.types import Schedule


def test_a_lazy_term_rests_then_counts_as_often_as_it_rested():
    assert [Regularizer(weight=3.0, every=4).factor(step) for step in range(6)] == [12.0, 0.0, 0.0, 0.0, 12.0, 0.0]


def test_a_lazy_term_weighs_as_much_over_time_as_an_eager_one():
    eager, lazy = Regularizer(weight=3.0), Regularizer(weight=3.0, every=16)
    assert sum(map(eager.factor, range(64))) == sum(map(lazy.factor, range(64)))


def test_the_weight_may_follow_a_schedule():
    annealed = Regularizer(weight=Schedule(start=8.0, end=0.0, over=4), every=2)
    assert [annealed.factor(step) for step in range(5)] == [16.0, 0.0, 8.0, 0.0, 0.0]


def test_a_term_rests_never_or_by_whole_steps():
    with pytest.raises(UserError, match=r"every=0.*\n  try: every=1"):
        Regularizer(every=0)


def test_weight_clip_clamps_every_parameter_and_nothing_else():
    critic = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    buffers = {name: buffer.fill_(5).clone() for name, buffer in critic.named_buffers()}
    with torch.no_grad():
        for weight in critic.parameters():
            weight.copy_(torch.linspace(-0.05, 0.03, weight.numel()).view_as(weight))
    before = [weight.detach().clone() for weight in critic.parameters()]
    WeightClip(0.01).after_d(critic)
    for weight, was in zip(critic.parameters(), before, strict=True):
        expected = [min(0.01, max(-0.01, value)) for value in was.flatten().tolist()]
        assert_close(weight.detach().flatten(), torch.tensor(expected))
        assert weight.requires_grad
    for name, buffer in critic.named_buffers():
        assert_close(buffer, buffers[name], rtol=0.0, atol=0.0)


def test_weight_clip_adds_no_term(a_play):
    play = a_play(lambda x: x, torch.zeros(1, 1))
    assert WeightClip().d_term(play) is None
    assert WeightClip().g_term(play) is None


@pytest.mark.parametrize("bound", [0.0, -0.01])
def test_a_bound_must_leave_room(bound):
    with pytest.raises(UserError, match=r"bound=.* must be greater than 0\n  try: "):
        WeightClip(bound)


@pytest.mark.parametrize("doubtful", [WeightClip(), GradientPenalty(around="real")])
def test_batch_norm_gets_one_warning(doubtful, warned):
    doubtful.attach(nn.BatchNorm1d(2), nn.Linear(2, 1))
    assert warned() == []
    doubtful.attach(nn.Identity(), nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2)))
    assert len(warned()) == 1
