import torch
from torch.testing import assert_close

from ganctl.metrics.nearest import Nearest
from ganctl.types import Evidence


def images(n, seed):
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def test_by_hand():
    fake = torch.tensor([[0.0], [2.0], [9.0]])
    found = Nearest()(Evidence(fake=fake, train=torch.tensor([[1.0], [8.5]]), test=torch.tensor([[4.0], [8.0]])))
    # To train 1, 1, 0.5; to test 4, 2, 1.
    assert_close(found, {"nearest_train": 2.5 / 3, "nearest_test": 7 / 3, "nearer_train": 1.0})


def test_ties_count_half():
    both = images(20, 0)
    found = Nearest()(Evidence(fake=images(10, 1), train=both, test=both))
    assert found["nearest_train"] == found["nearest_test"]
    assert found["nearer_train"] == 0.5


def test_copies_are_found_among_as_many_as_there_are_to_test():
    """A quarter of the training images is compared: it holds a quarter of the originals, the rest is even."""
    train, test = images(400, 0), images(100, 1)
    found = Nearest()(Evidence(fake=train, train=train, test=test))
    assert abs(found["nearer_train"] - (0.5 + 100 / 800)) < 0.08
    copies = Nearest()(Evidence(fake=train[:100], train=train[:100], test=test))
    assert copies["nearer_train"] == 1
    assert copies["nearest_train"] < 1e-6


def test_fresh_samples_are_even():
    found = Nearest()(Evidence(fake=images(400, 2), train=images(300, 0), test=images(200, 1)))
    assert abs(found["nearer_train"] - 0.5) < 0.1
