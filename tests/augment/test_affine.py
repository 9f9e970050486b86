"""Resampling under an affine map: exact where it can be, smooth and free of aliases elsewhere."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from ganctl.augment.affine import Resample, bilinear, gathered, rotation, scaling

EYE = torch.eye(2)


def mapped(x, matrix=EYE, offset=(0.0, 0.0)):
    """Every image of x under one map from output to input."""
    matrix = matrix.to(x.dtype).expand(len(x), 2, 2)
    offset = torch.tensor(offset, dtype=x.dtype).expand(len(x), 2)
    return Resample(*x.shape[2:]).to(x.dtype)(x, matrix, offset)


def waves(height, width, at=lambda column, row: (column, row)):
    """A smooth picture, (1,1,H,W): a function of the pixel's position from the centre, after `at`."""
    row = torch.arange(height).view(-1, 1) - (height - 1) / 2
    column = torch.arange(width) - (width - 1) / 2
    column, row = at(*torch.broadcast_tensors(column, row))
    return (torch.cos(0.5 * column + 1) + torch.sin(0.4 * row - 0.3 * column))[None, None]


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (1, 3, 5, 12), (2, 4, 2, 3)])
def test_the_identity_is_exact(shape):
    x = torch.randn(shape)
    assert_close(mapped(x), x, atol=2e-6, rtol=0.0)


@pytest.mark.parametrize(("right", "down"), [(2, 0), (0, -3), (-1, 2)])
def test_a_whole_shift_is_exact_away_from_the_edges(right, down):
    """The output at p shows the input at p - shift."""
    x = torch.randn(2, 3, 24, 24)
    expected = torch.roll(x, (down, right), (2, 3))
    found = mapped(x, offset=(-float(right), -float(down)))
    inner = slice(9, -9)
    assert_close(found[..., inner, inner], expected[..., inner, inner], atol=1e-3, rtol=0.0)
    assert (found - torch.roll(x, (-down, -right), (2, 3)))[..., inner, inner].abs().max() > 0.5


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_exact(turns):
    x = torch.randn(2, 3, 9, 9)
    angle = torch.tensor(-turns * math.pi / 2)  # rot90 turns against the clock
    assert_close(mapped(x, rotation(-angle)), torch.rot90(x, turns, (2, 3)), atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("angle", [0.3, -1.0, 2.5])
def test_a_turned_wave_is_the_wave_of_turned_positions(angle):
    cos, sin = math.cos(angle), math.sin(angle)
    expected = waves(32, 32, lambda column, row: (cos * column - sin * row, sin * column + cos * row))
    found = mapped(waves(32, 32), rotation(torch.tensor(angle)))
    inner = (slice(None), slice(None), slice(9, -9), slice(9, -9))  # a turn brings the corners in
    assert_close(found[inner], expected[inner], atol=0.03, rtol=0.0)


def test_stretch_and_a_fraction_of_a_pixel():
    expected = waves(30, 40, lambda column, row: (0.8 * column + 0.4, 1.1 * row - 0.7))
    found = mapped(waves(30, 40), scaling(torch.tensor(0.8), torch.tensor(1.1)), (0.4, -0.7))
    inner = (slice(None), slice(None), slice(5, -5), slice(5, -5))
    assert_close(found[inner], expected[inner], atol=0.03, rtol=0.0)


def test_what_comes_in_is_the_mirror_image():
    """A shift by a third of the picture: the first columns show those behind the edge, in reverse."""
    x = waves(24, 24)
    found = mapped(x, offset=(-8.0, 0.0))
    assert_close(found[..., 1:7], x[..., 2:8].flip(-1), atol=0.05, rtol=0.0)


def test_a_smaller_picture_has_no_aliases():
    """0.35 waves a pixel become 0.665, more than pixels can show: grey is right, other waves are aliases."""
    x = torch.cos(2 * math.pi * 0.35 * torch.arange(64.0)).expand(1, 1, 64, 64)
    inner = (slice(None), slice(None), slice(24, -24), slice(24, -24))
    zoom = scaling(torch.tensor(1.9), torch.tensor(1.9))
    assert mapped(x, zoom)[inner].abs().max() < 0.15
    sources = ((torch.arange(64) - 31.5) * 1.9 + 31.5).clamp(0, 63).expand(1, 64, 64)
    assert bilinear(x, sources.mT, sources)[inner].abs().max() > 0.6


def test_a_larger_picture_is_sharp():
    """Bilinear sampling half-way between the columns of a fine pattern nearly halves it; the smooth filter does not."""
    row = torch.cos(0.6 * math.pi * torch.arange(40.0))
    x = row.expand(1, 1, 40, 40)
    found = mapped(x, offset=(0.5, 0.0))[..., 15:25, 15:25]
    expected = torch.cos(0.6 * math.pi * (torch.arange(40.0) + 0.5))[15:25].expand_as(found)
    assert_close(found, expected, atol=0.12, rtol=0.0)
    blurred = (x + x.roll(-1, 3))[..., 15:25, 15:25] / 2
    assert (blurred - expected).abs().max() > 0.3


# -- sampling ---------------------------------------------------------------------------------------------------------


def places(batch, height, width, size=4):
    torch.manual_seed(1)
    rows = torch.rand(batch, size, size, dtype=torch.float64) * (height - 1)
    columns = torch.rand(batch, size, size, dtype=torch.float64) * (width - 1)
    rows[0, 0, 0], columns[0, 0, 0] = 0.0, 0.0
    rows[0, 0, 1], columns[0, 0, 1] = height - 1, width - 1
    return rows, columns


def test_between_four_pixels_by_hand():
    x = torch.tensor([[0.0, 1.0], [10.0, 11.0]])[None, None]
    found = bilinear(x, torch.tensor([[[0.5, 0.25]]]), torch.tensor([[[0.5, 1.0]]]))
    assert_close(found, torch.tensor([[[[5.5, 3.5]]]]))


def test_both_ways_of_sampling_agree():
    x = torch.randn(3, 2, 5, 7, dtype=torch.float64)
    rows, columns = places(3, 5, 7)
    assert_close(bilinear(x, rows, columns), gathered(x, rows, columns), atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("way", [bilinear, gathered])
def test_sampling_is_differentiable_twice(way):
    x = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    rows, columns = places(2, 4, 5, size=3)

    def squares(x):
        return way(x, rows, columns).square()

    assert gradcheck(squares, x)
    assert gradgradcheck(squares, x)


def test_resampling_is_linear_and_its_gradient_is_its_transpose():
    torch.manual_seed(0)
    x, y = torch.randn(2, 1, 1, 6, 6, dtype=torch.float64).unbind()
    x.requires_grad_()
    out = mapped(x, rotation(torch.tensor(0.4)), (0.3, 0.1))
    (back,) = torch.autograd.grad((out * y).sum(), x)
    assert_close((back * x).sum(), (out * y).sum())


def test_a_rotation_goes_with_the_clock_where_rows_grow_downward():
    assert_close(rotation(torch.tensor(math.pi / 2)) @ torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))


def test_scaling_stretches_columns_first():
    found = scaling(torch.tensor([2.0]), torch.tensor([3.0])) @ torch.tensor([1.0, 1.0])
    assert_close(found, torch.tensor([[2.0, 3.0]]))
