from functools import partial

import pytest
import torch

from ganctl.data.dataset import Dataset
from ganctl.data.domains import Domains
from ganctl.data.points import Ring
from ganctl.errors import UserError


def numbered(count, channels=1, height=4, **facts):
    """Image number k has the level k everywhere."""
    levels = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1)
    return Dataset(levels.expand(-1, channels, height, 4).clone(), **facts)


def domains(count_a=8, count_b=8, channels_a=1, channels_b=1, **facts):
    return Domains(partial(numbered, count_a, channels_a), partial(numbered, count_b, channels_b), **facts)


def levels(images):
    """The numbers of the images."""
    return ((images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def order(data, side, batches, **how):
    stream = data.stream(0, 4, **{"seed": 0, **how})
    return [level for _ in range(batches) for level in levels(next(stream)[f"image_{side}"])]


def test_a_batch_holds_both_sides():
    data = domains()
    assert data.names == ("image_a", "image_b")
    batch = next(data.stream(0, 4, seed=0))
    assert {name: tuple(image.shape) for name, image in batch.items()} == {
        "image_a": (4, 1, 4, 4),
        "image_b": (4, 1, 4, 4),
    }


def test_sides_of_one_length_are_not_paired():
    data = domains(200, 200)
    assert sorted(order(data, "a", 50)) == sorted(order(data, "b", 50)) == list(range(200))
    same = sum(a == b for a, b in zip(order(data, "a", 50), order(data, "b", 50), strict=True))
    assert same < 10  # one pair is to be expected


def test_each_side_has_epochs_of_its_own():
    data = domains(4, 12)
    assert len(data) == 12
    assert sorted(order(data, "a", 3)) == sorted([*range(4)] * 3)
    assert sorted(order(data, "b", 3)) == list(range(12))


def test_the_position_is_arithmetic():
    data = domains(4, 12)
    whole, later = data.stream(0, 4, seed=5), data.stream(8, 4, seed=5)
    for _ in range(2):
        next(whole)
    for _ in range(4):
        one, other = next(whole), next(later)
        assert all(torch.equal(one[name], other[name]) for name in data.names)


def test_ranks_take_disjoint_shares():
    data = domains()
    whole = order(data, "a", 2)
    ranks = [order(data, "a", 2, rank=rank, world=2) for rank in (0, 1)]
    assert [*ranks[0][:2], *ranks[1][:2], *ranks[0][2:], *ranks[1][2:]] == whole


@pytest.mark.parametrize("channels_last", [False, True])
def test_grey_beside_rgb_is_repeated(channels_last):
    data = domains(channels_a=1, channels_b=3)
    assert data.shape == (3, 4, 4)
    batch = next(data.stream(0, 4, seed=0, channels_last=channels_last))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert batch["image_a"].shape == (4, 3, 4, 4)
    assert all(image.is_contiguous(memory_format=layout) for image in batch.values())
    assert torch.equal(batch["image_a"][:, 0], batch["image_a"][:, 2])


def test_settings_hold_for_both_sides():
    data = domains(20, 20, split="valid", holdout=5)
    assert [len(side) for side in data.sides.values()] == [5, 5]
    assert len(domains(20, 20, limit=8)) == 8


def test_the_content_of_both_sides_counts():
    prints = {domains().fingerprint, domains(count_b=9).fingerprint, domains(9, 8).fingerprint}
    assert len(prints) == 3
    assert domains().fingerprint == domains().fingerprint


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (partial(numbered, 8), partial(numbered, 8, 1, 5), "4x4 and 5x4 pixels"),
        (partial(numbered, 8, 2), partial(numbered, 8, 3), "2 and 3 channels"),
        (partial(numbered, 8), lambda flip, **facts: Ring(**facts), r"dataset.b: points are not images"),
    ],
)
def test_sides_that_do_not_fit_are_refused(a, b, words):
    with pytest.raises(UserError, match=words):
        Domains(a, b)


def test_a_batch_larger_than_a_side_is_refused():
    with pytest.raises(UserError, match="batch_size=8: larger than the data, which have 4 images"):
        domains(4, 12).stream(0, 8, seed=0)
