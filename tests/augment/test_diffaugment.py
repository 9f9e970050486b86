"""DiffAugment: what each policy does to an image, each image for itself, and that gradients pass."""

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from ganctl.augment.diffaugment import DiffAugment, brighter, cut_out, more_contrasted, more_saturated, translated
from ganctl.errors import UserError

CHANGES = (brighter, more_saturated, more_contrasted, translated, cut_out)


def images(count=4, channels=3, height=8, width=8):
    torch.manual_seed(0)
    return 2 * torch.rand(count, channels, height, width) - 1


def seeded(change, x, seed=1):
    torch.manual_seed(seed)
    return change(x)


# -- any of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES)
def test_each_image_is_drawn_for_itself(change):
    """The same image four times comes out in several ways, and what stands beside an image has no bearing on it."""
    same = images(1).expand(4, -1, -1, -1)
    assert len(torch.unique(seeded(change, same), dim=0)) > 1
    x, other = images(), images().clone()
    other[1:] = torch.randn(3, 3, 8, 8)
    assert torch.equal(seeded(change, x)[0], seeded(change, other)[0])


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_shape_and_kind_stay(change, channels):
    x = images(2, channels, 9, 7)
    out = change(x)
    assert (out.shape, out.dtype) == (x.shape, x.dtype)


@pytest.mark.parametrize("change", CHANGES)
def test_the_gradient_is_the_numerical_one(change):
    x = images(2, 2, 4, 4).double().requires_grad_()
    assert gradcheck(lambda x: seeded(change, x), x)
    (gradient,) = torch.autograd.grad(seeded(change, x).sum(), x)
    assert (gradient != 0).any()


# -- one by one -------------------------------------------------------------------------------------------------------


def test_brightness_is_a_number_up_to_a_half_either_way():
    x = images(2000, 1, 2, 2)
    added = brighter(x) - x
    assert_close(added, added[:, :, :1, :1].expand_as(added), atol=1e-6, rtol=0.0)
    assert -0.5 <= added.min() < -0.49
    assert 0.49 < added.max() <= 0.5 + 1e-6
    assert added.mean().abs() < 0.02


def test_saturation_scales_the_distance_from_grey_by_0_to_2():
    x = images(2000, 3, 2, 2)
    grey = x.mean(1, keepdim=True)
    out = more_saturated(x)
    assert_close(out.mean(1, keepdim=True), grey)
    factor = ((out - grey) * (x - grey)).sum((1, 2, 3)) / (x - grey).square().sum((1, 2, 3))
    assert_close(out - grey, factor.view(-1, 1, 1, 1) * (x - grey))
    assert 0 <= factor.min() < 0.01
    assert 1.99 < factor.max() < 2
    assert_close(more_saturated(x[:, :1]), x[:, :1])


def test_contrast_scales_the_distance_from_the_mean_by_a_half_to_three_halves():
    x = images(2000)
    mean = x.mean((1, 2, 3), keepdim=True)
    out = more_contrasted(x)
    factor = ((out - mean) * (x - mean)).sum((1, 2, 3)) / (x - mean).square().sum((1, 2, 3))
    assert_close(out, mean + factor.view(-1, 1, 1, 1) * (x - mean), atol=1e-5, rtol=0.0)
    assert 0.5 <= factor.min() < 0.51
    assert 1.49 < factor.max() <= 1.5


def test_translation_moves_by_whole_pixels_up_to_an_eighth_and_brings_in_zeros():
    """On 16 x 24 pixels: by up to 2 and 3, every one of 5 x 7 shifts about as often, equal to numpy's padded roll."""
    x = images(1, 2, 16, 24)
    seen = {}
    padded = torch.nn.functional.pad(x, (4, 4, 4, 4))
    for down in range(-2, 3):
        for right in range(-3, 4):
            seen[down, right] = padded.roll((down, right), (2, 3))[0, :, 4:-4, 4:-4]
    torch.manual_seed(0)
    out = translated(x.expand(3500, -1, -1, -1))
    counts = torch.stack([(out == way).flatten(1).all(1).sum() for way in seen.values()])
    assert counts.sum() == 3500
    assert 60 < counts.min() <= counts.max() < 145  # 100 each, of deviation 10


def test_cutout_zeroes_half_of_each_side_around_any_pixel():
    """On 8 pixels a side 4 are cut, those from centre - 2 to centre + 1, the centre anywhere from 0 to 8."""
    torch.manual_seed(0)
    out = cut_out(torch.ones(4000, 2, 8, 8))
    assert set(out.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(out[:, 0], out[:, 1])
    gone = out[:, 0] == 0
    rows, columns = gone.any(2), gone.any(1)
    assert torch.equal(gone, rows.unsqueeze(2) & columns.unsqueeze(1))  # a rectangle
    for side in (rows, columns):
        cut, first = side.sum(1), side.int().argmax(1)
        for centre in range(9):
            there = range(max(0, centre - 2), min(8, centre + 2))
            found = ((first == there[0]) & (cut == len(there))).float().mean()
            assert_close(found, torch.tensor(1 / 9), atol=0.02, rtol=0.0)


def test_places_bring_in_no_value_that_was_not_there():
    x = images(50, 1, 8, 8)
    out = DiffAugment((1, 8, 8), policy=["translation", "cutout"])(x)
    assert out.abs().max() <= 1
    assert torch.isin(out, torch.cat([x.flatten(), torch.zeros(1)])).all()


# -- together ---------------------------------------------------------------------------------------------------------


def test_a_policy_is_what_it_names_in_its_order():
    x = images()
    both = seeded(DiffAugment((3, 8, 8), policy=["cutout", "color"]), x)
    assert torch.equal(both, seeded(lambda x: more_contrasted(more_saturated(brighter(cut_out(x)))), x))
    all_three = seeded(DiffAugment((3, 8, 8)), x)
    by_hand = seeded(lambda x: cut_out(translated(more_contrasted(more_saturated(brighter(x))))), x)
    assert torch.equal(all_three, by_hand)


def test_each_call_is_a_fresh_draw():
    x, augment = images(), DiffAugment((3, 8, 8))
    assert not torch.equal(augment(x), augment(x))


@pytest.mark.parametrize("policy", [[], ["colour"], ["color", "flip"]])
def test_an_unknown_policy_is_refused(policy):
    with pytest.raises(UserError, match=r"policy=.*color, translation, cutout expected\n  try: augment.policy="):
        DiffAugment((1, 8, 8), policy)


def test_points_are_refused():
    with pytest.raises(UserError, match=r"augment=diffaugment moves the pixels.*\n  try: augment=instance_noise"):
        DiffAugment((2,))
