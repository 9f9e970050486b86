"""Mirroring, quarter turns and whole shifts copy pixels exactly."""

from itertools import product

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from ganctl.augment.blit import blit


def done(x, flip=False, turns=0, down=0, right=0):
    fill = [torch.full((len(x),), value) for value in (flip, turns, down, right)]
    return blit(x, *fill)


def test_nothing_asked_is_the_identity():
    x = torch.randn(2, 3, 5, 7)
    assert torch.equal(done(x), x)


@pytest.mark.parametrize(("turns", "flip"), [*product(range(4), (False, True))])
def test_a_turn_is_torchs_after_the_mirror(turns, flip):
    x = torch.randn(2, 3, 6, 6)
    expected = torch.rot90(x.flip(-1) if flip else x, turns, (2, 3))
    assert torch.equal(done(x, flip, turns), expected)


@pytest.mark.parametrize("flip", [False, True])
def test_an_oblong_image_bears_half_a_turn(flip):
    x = torch.randn(2, 1, 4, 7)
    assert torch.equal(done(x, flip, 2), torch.rot90(x.flip(-1) if flip else x, 2, (2, 3)))


@pytest.mark.parametrize(("flip", "turns"), [(False, 0), (True, 0), (True, 3), (False, 2)])
@pytest.mark.parametrize(("down", "right"), [(1, -2), (-3, 0), (4, 4)])
def test_a_shift_comes_last_and_reflects_what_comes_in(flip, turns, down, right):
    x = torch.randn(1, 2, 6, 6)
    turned = torch.rot90(x.flip(-1) if flip else x, turns, (2, 3)).numpy()
    padded = np.pad(turned, [(0, 0), (0, 0), (5, 5), (5, 5)], mode="reflect")
    expected = np.roll(padded, (down, right), (2, 3))[:, :, 5:-5, 5:-5]
    assert torch.equal(done(x, flip, turns, down, right), torch.from_numpy(expected.copy()))


def test_each_image_is_changed_in_its_own_way():
    x = torch.randn(3, 1, 5, 5)
    ways = torch.tensor([True, False, True]), *(torch.tensor(v) for v in ([1, 0, 3], [0, 2, -1], [1, 0, 2]))
    apart = [blit(x[i : i + 1], *(way[i : i + 1] for way in ways)) for i in range(3)]
    assert torch.equal(blit(x, *ways), torch.cat(apart))


def test_the_gradient_goes_back_to_the_pixel_it_came_from():
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: done(x, True, 1, 1, -2), x)
