import math

import pytest
import torch
from torch.testing import assert_close

from ganctl.data.points import Grid, Ring
from ganctl.errors import UserError


def test_the_ring_has_as_many_modes_as_it_says():
    """Made with linspace(0, 2 pi, 8), the end points coincide and seven are left."""
    centres = torch.tensor(Ring().centres)
    apart = torch.cdist(centres, centres) + 9 * torch.eye(8)
    assert_close(apart.min(), torch.tensor(2 * math.sin(math.pi / 8)))  # the side of a regular octagon
    assert_close(centres.norm(dim=1), torch.ones(8))


@pytest.mark.parametrize("make", [Ring, Grid])
def test_points_lie_evenly_round_their_modes(make):
    data = make()
    points, centres = data.points * data.scale, torch.tensor(data.centres)
    distance, mode = torch.cdist(points, centres).min(dim=1)
    counts = mode.bincount(minlength=len(centres))
    assert (counts / counts.float().mean() - 1).abs().max() < 0.1
    # E|x - centre|^2 = 2 sigma^2 in the plane
    assert_close(distance.square().mean().sqrt().item(), math.sqrt(2) * data.sigma, rtol=0.01, atol=0)


@pytest.mark.parametrize(
    ("data", "variance"),
    [
        (Ring(radius=2.0, sigma=0.1), 2.0 + 0.01),  # radius^2 / 2, since cos^2 averages one half
        (Grid(sigma=0.5), (16 + 4 + 0 + 4 + 16) / 5 + 0.25),  # ticks -4 -2 0 2 4
    ],
)
def test_they_are_divided_by_the_mixtures_standard_deviation(data, variance):
    assert_close(data.scale, math.sqrt(variance))
    assert_close(data.points.std(dim=0), torch.ones(2), rtol=0.01, atol=0)


def test_a_batch_holds_points_as_they_are_stored():
    data = Ring()
    batch = next(data.stream(0, 64, seed=0, channels_last=True))  # a trainer asks every data set for one layout
    assert batch.keys() == {"points"}
    assert batch["points"].shape == (64, 2)
    assert (data.shape, data.num_classes, len(data)) == ((2,), 0, 100_000)


def test_the_test_part_is_another_draw_and_a_build_is_repeatable():
    assert Ring().fingerprint == Ring().fingerprint
    assert Ring().fingerprint != Ring(split="test").fingerprint
    assert Ring().fingerprint != Ring(sigma=0.02).fingerprint


def test_what_was_filled_in_is_accepted_again():
    data = Grid()
    again = Grid(shape=[2], num_classes=0, scale=data.scale, centres=data.centres)
    assert again.fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"modes": 0}, "dataset.modes=0: must be greater"),
        ({"sigma": -1.0}, "dataset.sigma=-1.0: must be greater"),
        ({"modes": 2, "centres": [[0.0, 1.0]]}, r"dataset.centres=\[\[0.0,1.0\]\]: the data have \[\[1.0,0.0\],"),
        ({"shape": [1, 28, 28]}, r"dataset.shape=\[1,28,28\]: the data have \[2\]"),
    ],
)
def test_wrong_options_are_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        Ring(**options)


def test_a_batch_larger_than_the_data_speaks_of_points():
    with pytest.raises(UserError, match="which have 100 points"):
        Ring(limit=100).stream(0, 101, seed=0)
