"""Three random digits as the colours of one image: 1,000 modes that a classifier can count."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ganctl.data.dataset import Dataset, part_of
from ganctl.data.digits import Digits
from ganctl.data.memory import flat, unflat
from ganctl.data.source import Split
from ganctl.data.vision import MNIST
from ganctl.errors import require_at_most, require_positive
from ganctl.seeding import generator

MOST = 100_000_000
"""Triples: 2.4 GB of memory."""


class Stacked(Dataset):
    """Metz et al. 2017 (unrolled GAN), section 3.3.1; Lin et al. 2018 (PacGAN) train on 128,000 such images.

    A fixed list of triples, the same for every run; the test part has a fifth of them, from test digits. An image
    is put together when its batch is drawn: only the digits and the triples are held. Unlabelled, but `codes` (N,)
    int64 in 0..999 are the digits read as a number, red first.
    """

    def __init__(
        self,
        digits: Dataset,
        count: int,
        *,
        shape: Sequence[int] | None,
        num_classes: int | None,
        split: Split,
        holdout: int,
        limit: int | None,
        flip: bool,
    ) -> None:
        require_positive(**{"dataset.count": count})
        require_at_most(MOST, **{"dataset.count": count})
        assert digits.labels is not None
        part = part_of(split)
        self.base = digits
        """The labelled digits that the triples point to."""
        self.digits = digits.images
        count = count if part == "train" else max(1, count // 5)
        triples = torch.randint(len(digits), (count, 3), generator=generator("stacked", part))
        super().__init__(
            triples,
            shape=shape,
            num_classes=num_classes,
            split=split,
            holdout=holdout,
            limit=limit,
            flip=flip,
            content=f"{digits.fingerprint} {count}",
        )
        self.codes: Tensor = digits.labels[self.samples] @ torch.tensor([100, 10, 1])

    @property
    def images(self) -> Tensor:
        """All images, put together now: 2.3 kB each, so take a `limit` or read a stream where there are many."""
        return self.digits[self.samples].squeeze(2)

    def _shape(self) -> tuple[int, ...]:
        return (3, *self.digits.shape[2:])

    def _reader(self, home: torch.device, channels_last: bool) -> Callable[[Tensor], Tensor]:
        digits, triples = flat(self.digits.to(home), False), self.samples.to(home)

        def read(index: Tensor) -> Tensor:
            images = digits.index_select(0, triples.index_select(0, index).flatten()).view(-1, *self.shape)
            return unflat(flat(images, channels_last), self.shape, channels_last)

        return read


class StackedDigits(Stacked):
    """Stacked from the embedded digits: no network needed."""

    def __init__(
        self,
        *,
        count: int = 128_000,
        shape: Sequence[int] | None = None,
        num_classes: int | None = None,
        split: Split = "train",
        holdout: int = 0,
        limit: int | None = None,
        flip: bool = False,
    ) -> None:
        super().__init__(
            Digits(split=part_of(split)),
            count,
            shape=shape,
            num_classes=num_classes,
            split=split,
            holdout=holdout,
            limit=limit,
            flip=flip,
        )


class StackedMNIST(Stacked):
    """Stacked from MNIST."""

    def __init__(
        self,
        *,
        count: int = 128_000,
        root: str | None = None,
        download: bool = True,
        shape: Sequence[int] | None = None,
        num_classes: int | None = None,
        split: Split = "train",
        holdout: int = 0,
        limit: int | None = None,
        flip: bool = False,
    ) -> None:
        digits = MNIST(root=root, download=download, split=part_of(split))
        super().__init__(
            digits, count, shape=shape, num_classes=num_classes, split=split, holdout=holdout, limit=limit, flip=flip
        )
