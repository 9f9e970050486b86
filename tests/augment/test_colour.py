"""Changes of colour, against the paper's matrices multiplied out."""

import math

import pytest
import torch
from torch.testing import assert_close

from ganctl.augment.colour import recoloured

NONE = {"brightness": 0.0, "contrast": 1.0, "invert": False, "hue": 0.0, "saturation": 1.0}


def one(x, **changes):
    return recoloured(x, *(torch.full((len(x),), value) for value in (NONE | changes).values()))


def by_matrices(x, brightness, contrast, invert, hue, saturation):
    """Karras et al. 2020, figure 18: C starts as the identity and is multiplied from the left, in this order."""
    v = torch.ones(3, dtype=torch.float64) / math.sqrt(3)
    projection, eye = torch.outer(v, v), torch.eye(3, dtype=torch.float64)
    cross = torch.tensor([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]], dtype=torch.float64)
    turn = eye + math.sin(hue) * cross + (1 - math.cos(hue)) * cross @ cross  # Rodrigues
    matrix = contrast * eye
    offset = contrast * brightness * torch.ones(3, dtype=torch.float64)
    for step in (eye - 2 * invert * projection, turn, projection + saturation * (eye - projection)):
        matrix, offset = step @ matrix, step @ offset
    return torch.einsum("ij,bjhw->bihw", matrix, x.double()) + offset.view(3, 1, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"brightness": 0.3},
        {"contrast": 1.7},
        {"invert": True},
        {"hue": 2.0},
        {"saturation": 0.2},
        {"brightness": -0.4, "contrast": 0.6, "invert": True, "hue": -1.1, "saturation": 2.5},
    ],
)
def test_colour_images_as_the_papers_matrices_say(changes):
    x = torch.randn(2, 3, 4, 4)
    assert_close(one(x, **changes).double(), by_matrices(x, **(NONE | changes)), atol=1e-5, rtol=0.0)


def test_no_change_is_the_identity():
    for channels in (1, 2, 3, 4):
        x = torch.randn(2, channels, 3, 3)
        assert_close(one(x), x)


def test_grey_images_by_hand():
    """(x + 0.5) * 2, then negated: hue and saturation have nothing to change."""
    x = torch.tensor([0.1, -0.6]).view(1, 1, 1, 2)
    found = one(x, brightness=0.5, contrast=2.0, invert=True, hue=1.0, saturation=3.0)
    assert_close(found, torch.tensor([-1.2, 0.2]).view(1, 1, 1, 2))


def test_a_grey_pixel_of_a_colour_image_stays_grey():
    x = torch.full((1, 3, 2, 2), 0.3)
    assert_close(one(x, hue=2.0, saturation=0.1), x)
    assert_close(one(x, brightness=0.2, hue=2.0), x + 0.2)


@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_is_kept(channels):
    x = torch.randn(2, channels, 3, 3)
    changes = {"brightness": 0.3, "contrast": 0.5, "invert": True, "hue": 1.0, "saturation": 0.5}
    found = one(x, **changes)
    assert torch.equal(found[:, -1], x[:, -1])
    assert torch.equal(found[:, :-1], one(x[:, :-1], **changes))


def test_each_image_has_changes_of_its_own():
    x = torch.randn(3, 3, 2, 2)
    changes = [torch.randn(3), torch.rand(3), torch.tensor([True, False, True]), torch.randn(3), torch.rand(3)]
    apart = [recoloured(x[i : i + 1], *(change[i : i + 1] for change in changes)) for i in range(3)]
    assert_close(recoloured(x, *changes), torch.cat(apart))
