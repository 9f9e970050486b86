"""The words every room shares: a schedule's values by hand, and what a play computes with and without gradient."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.types import Critique, Play, Schedule, is_adversarial, role, value_at


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({}, {0: 1.0, 1: 0.0, 9: 0.0}),
        ({"start": 2.0, "end": 1.0, "over": 4}, {0: 2.0, 1: 1.75, 2: 1.5, 4: 1.0, 99: 1.0}),
        ({"end": 3.0, "over": 4}, {0: 1.0, 3: 2.5, 4: 3.0}),  # a schedule may rise
        # half a cosine: (1 + cos(pi/3)) / 2 = 0.75 after a third, 0.5 after half
        ({"over": 6, "shape": "cosine"}, {0: 1.0, 2: 0.75, 3: 0.5, 4: 0.25, 6: 0.0, 7: 0.0}),
        ({"start": 5.0, "over": 6, "shape": "constant"}, {0: 5.0, 3: 5.0, 99: 5.0}),
        # warm-up counts within `over`: four steps up, then six down
        ({"over": 10, "warmup": 4}, {0: 0.25, 1: 0.5, 3: 1.0, 4: 1.0, 7: 0.5, 10: 0.0}),
        ({"start": 2.0, "over": 10, "warmup": 4, "shape": "cosine"}, {1: 1.0, 4: 2.0, 6: 1.5, 7: 1.0}),
        ({"start": 2.0, "warmup": 2, "shape": "constant"}, {0: 1.0, 1: 2.0, 50: 2.0}),
        # half of ten steps held, then five down; of the eight after the warm-up half are held, then four down
        ({"over": 10, "hold": 0.5}, {0: 1.0, 5: 1.0, 6: 0.8, 9: 0.2, 10: 0.0, 11: 0.0}),
        ({"over": 10, "hold": 0.5, "warmup": 2}, {0: 0.5, 1: 1.0, 6: 1.0, 7: 0.75, 9: 0.25, 10: 0.0}),
        ({"over": 8, "hold": 0.25, "shape": "cosine"}, {2: 1.0, 4: 0.75, 5: 0.5, 8: 0.0}),
        ({"over": 1, "hold": 0.5}, {0: 1.0, 1: 0.0}),
    ],
)
def test_schedules_by_hand(settings, values):
    schedule = Schedule(**settings)
    assert {step: schedule(step) for step in values} == pytest.approx(values, abs=1e-12)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shape": "cosinus"}, "shape 'cosinus' is unknown\n  try: constant, step, linear or cosine"),
        ({"over": 0}, "over=0 must be at least 1"),
        ({"warmup": -1}, "warmup=-1 at least 0"),
        ({"hold": 1.0}, "schedule.hold=1.0: a share of the steps, from 0 to below 1\n  try: schedule.hold=0.5"),
        ({"hold": -0.1}, "schedule.hold=-0.1"),
    ],
)
def test_a_silly_schedule_is_refused(settings, words):
    with pytest.raises(UserError) as caught:
        Schedule(**settings)
    assert words in str(caught.value)


def test_a_number_is_a_schedule_that_never_changes():
    assert value_at(0.3, 7) == 0.3
    assert value_at(Schedule(over=4), 1) == 0.75


class Scale(nn.Module):
    """D(x, y) = a x + y, and how often it was asked."""

    def __init__(self):
        super().__init__()
        self.a, self.calls = nn.Parameter(torch.tensor(2.0)), 0

    def forward(self, x, y=None):
        self.calls += 1
        return Critique(self.a * x if y is None else self.a * x + y, (x,))


def a_play(phase, **more):
    real, fake = torch.tensor([1.0, 2.0]), torch.tensor([5.0, 6.0], requires_grad=phase == "g")
    return Play(0, phase, nn.Identity(), Scale(), real, fake, **more)


def test_a_play_asks_once_for_each_side_when_first_needed():
    play = a_play("d")
    assert play.discriminator.calls == 0
    for _ in range(2):
        assert_close(play.on_real.logits, torch.tensor([2.0, 4.0]))
        assert_close(play.on_fake.logits, torch.tensor([10.0, 12.0]))
    assert play.discriminator.calls == 2


def test_reals_are_judged_with_gradient_in_ds_phase_alone():
    assert a_play("d").on_real.logits.requires_grad
    assert not a_play("g").on_real.logits.requires_grad
    with torch.no_grad():
        assert not a_play("d").on_real.logits.requires_grad


def test_gs_phase_sends_a_gradient_to_the_fakes():
    play = a_play("g")
    assert_close(torch.autograd.grad(play.on_fake.logits.sum(), play.fake)[0], torch.tensor([2.0, 2.0]))


def test_the_critic_has_the_label_and_the_augmentation_bound():
    play = a_play("d", label=torch.tensor([0, 3]), augment=lambda x: 10 * x)
    assert_close(play.on_real.logits, torch.tensor([20.0, 43.0]))
    assert_close(play.on_real.features[0], torch.tensor([10.0, 20.0]))
    assert_close(play.critic(play.real, torch.tensor([1, 1])).logits, torch.tensor([21.0, 41.0]))


def test_a_discriminator_may_return_a_plain_tuple():
    play = Play(0, "d", nn.Identity(), lambda x, y: (x,), torch.ones(2), torch.ones(2))
    assert play.on_real == Critique(play.real, (), None)


def test_a_step_schedule_jumps_once():
    schedule = Schedule(start=0.1, end=0.01, over=3, shape="step")
    assert [schedule(step) for step in range(5)] == [0.1, 0.1, 0.1, 0.01, 0.01]


class Line(nn.Module):
    """A critic that counts its passes."""

    couples_batch = False
    passes = 0

    def forward(self, x, y=None):
        self.passes += 1
        return Critique(x.sum(1), (2 * x,), x if y is None else x + y[:, None])


@pytest.mark.parametrize("label", [None, torch.tensor([5, 7])])
def test_reals_and_fakes_are_judged_in_one_pass_where_the_critic_judges_each_alone(label):
    real, fake = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 6.0], [7.0, 8.0]])
    critic = Line()
    play = Play(0, "d", nn.Identity(), critic, real, fake, label)
    for judged, x in ((play.on_real, real), (play.on_fake, fake)):
        alone = Line()(x, label)
        assert_close(judged.logits, alone.logits)
        assert_close(judged.features[0], alone.features[0])
        assert_close(judged.classes, alone.classes)
    assert critic.passes == 1


@pytest.mark.parametrize("reason", ["coupled", "slope", "g"])
def test_they_are_judged_apart_where_one_pass_would_change_or_slow_it(reason):
    critic = Line()
    critic.couples_batch = reason == "coupled"
    real = torch.ones(2, 2, requires_grad=reason == "slope")
    play = Play(0, "g" if reason == "g" else "d", nn.Identity(), critic, real, torch.zeros(2, 2))
    assert play.on_real.logits.tolist() == [2.0, 2.0]
    assert play.on_fake.logits.tolist() == [0.0, 0.0]
    assert critic.passes == 2


class Scales(nn.Module):
    """Two heads, of a vector and of a map, in 16 bits."""

    couples_batch = False

    def forward(self, x, y=None):
        return Critique(x.sum(1).bfloat16(), (x,), None, ((3 * x[:, :, None, None]).bfloat16(),))


def test_further_heads_are_widened_and_parted_as_the_logits_are():
    real, fake = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 6.0], [7.0, 8.0]])
    play = Play(0, "d", nn.Identity(), Scales(), real, fake)
    for judged, x in ((play.on_real, real), (play.on_fake, fake)):
        assert [logits.dtype for logits in judged.heads] == [torch.float32] * 2
        assert_close(judged.heads[0], x.sum(1))
        assert_close(judged.heads[1], 3 * x[:, :, None, None])


def test_one_head_is_all_heads():
    critique = Critique(torch.ones(2))
    assert len(critique.heads) == 1
    assert critique.heads[0] is critique.logits


def test_players_have_roles_and_terms_their_adversaries():
    assert [role(player) for player in ("d", "g0", "d12", "e")] == ["d", "g", "d", "e"]
    assert [is_adversarial(term) for term in ("adversarial", "adversarial_b", "adversarially", "r1")] == [
        True,
        True,
        False,
        False,
    ]
