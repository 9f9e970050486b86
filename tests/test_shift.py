"""Pixels put elsewhere, against numpy."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.shift import mirrored, picked, require_images, shifted, up_to


@pytest.mark.parametrize("side", [2, 3, 5])
def test_positions_outside_are_reflected_as_numpy_does(side):
    reach = 4 * side
    expected = np.pad(np.arange(side), reach, mode="reflect")
    assert mirrored(torch.arange(-reach, side + reach), side).tolist() == expected.tolist()


def test_fractions_are_reflected_as_well():
    assert_close(mirrored(torch.tensor([-0.25, 3.5, 4.25, 8.5]), 5), torch.tensor([0.25, 3.5, 3.75, 0.5]))


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, 0), (0, -2), (-4, 5), (11, -9)])
def test_a_shift_equals_a_padded_roll(down, right):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 7)
    padded = np.pad(x.numpy(), [(0, 0), (0, 0), (12, 12), (12, 12)], mode="reflect")
    expected = np.roll(padded, (down, right), (2, 3))[:, :, 12:-12, 12:-12]
    found = shifted(x, torch.full((2,), down), torch.full((2,), right))
    assert torch.equal(found, torch.from_numpy(expected.copy()))


def test_each_image_moves_its_own_way():
    x = torch.randn(3, 1, 5, 5)
    down, right = torch.tensor([0, 1, -2]), torch.tensor([2, 0, -1])
    apart = [shifted(x[i : i + 1], down[i : i + 1], right[i : i + 1]) for i in range(3)]
    assert torch.equal(shifted(x, down, right), torch.cat(apart))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_any_layout_and_any_number_of_pixels(layout):
    x = torch.randn(2, 4, 3, 5).contiguous(memory_format=layout)
    rows, columns = torch.tensor([[2, 0]]), torch.tensor([[4, 1]])
    expected = torch.stack([x[:, :, 2, 4], x[:, :, 0, 1]], -1).unsqueeze(2)
    assert torch.equal(picked(x, rows[None], columns[None].expand(2, 1, 2)), expected)


def test_it_is_differentiable_twice():
    x = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    rows, columns = torch.randint(3, (2, 3, 3)), torch.randint(4, (2, 3, 3))  # some pixels twice, some never

    def squares(x):
        return picked(x, rows, columns).square()

    assert gradcheck(squares, x)
    assert gradgradcheck(squares, x)


def test_whole_numbers_of_either_sign_each_as_likely():
    torch.manual_seed(0)
    drawn = up_to(2, torch.empty(10_000))
    assert_close(torch.bincount(drawn + 2) / 10_000, torch.full((5,), 0.2), atol=0.015, rtol=0.0)


def test_points_are_refused_with_a_remedy():
    require_images("augment=mine", [1, 2, 2], "augment=none")
    with pytest.raises(UserError, match=r"augment=mine moves the pixels.*points\n  try: augment=none"):
        require_images("augment=mine", [2], "augment=none")
