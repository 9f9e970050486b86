"""Consistency: what critics that mind a shift and critics that do not are charged."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.regularizers.consistency import Consistency
from ganctl.types import Critique, Play

SHAPE = (1, 16, 16)


def a_spot(count, row=8, column=8):
    """Images of one bright pixel, far enough from the edges to be shifted by 4 without being mirrored in."""
    x = torch.zeros(count, *SHAPE)
    x[:, 0, row, column] = 1.0
    return x


def column_of(x):
    """Where the mass lies: minds every shift by just its size."""
    return (x * torch.arange(16.0)).sum((1, 2, 3))


def test_a_shift_invariant_critic_pays_nothing(a_play):
    regularizer = Consistency(SHAPE)
    assert_close(regularizer.d_term(a_play(lambda x: x.exp().sum((1, 2, 3)), a_spot(32))), torch.tensor(0.0))
    assert regularizer.d_term(a_play(column_of, a_spot(32))) > 1


@pytest.mark.parametrize("shift", [1, 4])
def test_a_critic_that_minds_pays_the_mean_squared_shift(a_play, shift):
    """Every whole number from -s to s is as likely: the mean square is s (s + 1) / 3, thus 2/3 and 20/3."""
    torch.manual_seed(0)
    term = Consistency(SHAPE, shift=shift).d_term(a_play(column_of, a_spot(6000)))
    assert_close(term, torch.tensor(shift * (shift + 1) / 3), rtol=0.04, atol=0.0)


def test_the_changes_of_several_heads_add_up():
    """The second head minds a shift twice as much: the mean square is 1 + 4 times as large."""

    def two(x, y=None):
        return Critique(column_of(x), others=(2 * column_of(x),))

    play = Play(0, "d", torch.nn.Identity(), two, a_spot(6000), a_spot(6000))
    torch.manual_seed(0)
    assert_close(Consistency(SHAPE, shift=1).d_term(play), torch.tensor(5 * 2 / 3), rtol=0.04, atol=0.0)


def test_ten_is_the_customary_weight():
    assert Consistency(SHAPE).factor(0) == 10


def test_each_image_is_moved_on_its_own_and_mirrored_at_the_edges():
    torch.manual_seed(0)
    x = torch.randn(1, 2, 6, 7)
    padded = np.pad(x[0].numpy(), [(0, 0), (2, 2), (2, 2)], mode="reflect")
    ways = {(i, j): torch.from_numpy(padded[:, i : i + 6, j : j + 7].copy()) for i in range(5) for j in range(5)}
    moved = Consistency((2, 6, 7), shift=2).changed(x.expand(1000, -1, -1, -1))
    counts = [sum(torch.equal(image, way) for image in moved) for way in ways.values()]
    assert sum(counts) == 1000
    assert 15 < min(counts) <= max(counts) < 70  # 40 each, of deviation 6


def test_images_are_mirrored_only_where_that_is_allowed():
    torch.manual_seed(0)
    x = torch.arange(4.0).expand(1000, 1, 3, 4)
    straight, mirrored = Consistency((1, 3, 4), shift=1), Consistency((1, 3, 4), shift=0, flip=True)
    out = mirrored.changed(x)
    turned = (out == x.flip(-1)).flatten(1).all(1)
    assert ((out == x).flatten(1).all(1) | turned).all()
    assert_close(turned.float().mean(), torch.tensor(0.5), atol=0.05, rtol=0.0)
    out = straight.changed(x)
    assert (out[:, :, :, 2] >= out[:, :, :, 1]).all()  # 1 and 2, moved by one: the order stays


def test_the_term_is_measured_from_what_the_critic_said_of_the_reals(a_play):
    play = a_play(column_of, a_spot(4))
    play.on_real.logits.sum()
    Consistency(SHAPE).d_term(play)
    assert play.discriminator.calls == 2


def test_the_gradient_reaches_the_critic(a_play):
    """(a (c - c'))^2 has the derivative 2 a (c - c')^2."""
    a = torch.tensor(3.0, requires_grad=True)
    torch.manual_seed(0)
    term = Consistency(SHAPE).d_term(a_play(lambda x: a * column_of(x), a_spot(16)))
    assert_close(torch.autograd.grad(term, a)[0], 2 * term.detach() / a.detach())


def test_a_patch_critic_is_charged_for_its_whole_map(a_play):
    """Each of 4 patches says the column: 4 times the square."""
    terms = []
    for patches in (1, 4):
        torch.manual_seed(0)
        play = a_play(column_of, a_spot(8))
        play.discriminator.forward = lambda x, y=None, n=patches: (column_of(x).view(-1, 1, 1, 1).expand(-1, 1, 1, n),)
        terms.append(Consistency(SHAPE).d_term(play))
    assert_close(terms[1], 4 * terms[0])


def test_the_critic_is_the_augmented_and_labelled_one(a_play):
    label = torch.tensor([0, 1] * 8)
    torch.manual_seed(0)
    plain = Consistency(SHAPE).d_term(a_play(column_of, a_spot(16)))
    torch.manual_seed(0)
    play = a_play(lambda x, y: column_of(x) + 100 * y, a_spot(16), label=label, augment=lambda x: 2 * x)
    assert_close(Consistency(SHAPE).d_term(play), 4 * plain)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shape": (2,)}, "consistency moves the pixels of images, and the data are points"),
        ({"shift": 16}, "shift=16: 1 to 15"),
        ({"shift": -1}, "shift=-1"),
        ({"shift": 0}, "shift=0"),
    ],
)
def test_what_cannot_work_is_refused_with_a_remedy(settings, words):
    with pytest.raises(UserError, match=words) as caught:
        Consistency(**({"shape": SHAPE} | settings))
    assert "\n  try: regularizer" in str(caught.value)


def test_the_data_say_whether_to_mirror(checked):
    for flip in (True, False):
        plain = checked("regularizer=[consistency]", f"dataset.flip={flip}")
        assert plain["regularizer"]["consistency"]["flip"] is flip
