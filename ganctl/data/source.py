"""What trainer, judge and plan read of data, whatever it is made of."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from typing import Literal

import torch

from ganctl.errors import UserError, require_positive
from ganctl.types import Batch

Split = Literal["train", "valid", "test"]


class Source(ABC):
    """Batches without end, whose position is arithmetic, and the facts that networks are sized by."""

    key: str = "image"
    """The entry of a batch that a system draws: image, points, or a side of two domains."""
    shape: tuple[int, ...]
    """(C,H,W) of one sample, or (2,) of a point."""
    num_classes: int = 0
    class_names: list[str] | None = None
    scale: float = 1.0
    """Points only: the number by which they were divided."""
    centres: list[list[float]] | None = None
    """Points only: the modes of the mixture, in true units."""
    fingerprint: str
    """A hash of the content."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The keys of a batch."""

    @abstractmethod
    def __len__(self) -> int:
        """How many samples an epoch has."""

    @abstractmethod
    def stream(
        self,
        start: int,
        batch_size: int,
        *,
        seed: int,
        rank: int = 0,
        world: int = 1,
        device: torch.device | str = "cpu",
        channels_last: bool = False,
    ) -> Generator[Batch, None, None]:
        """Endless batches of batch_size / world on this rank, after `start` samples have been seen over all ranks.

        `start` is a multiple of batch_size. Images are float32 in [-1,1], x / 127.5 - 1.
        """

    def require_batch(self, batch_size: int, world: int) -> None:
        """Refuse a batch that cannot be divided among the processes, or that the data cannot fill."""
        require_positive(batch_size=batch_size)
        if batch_size % world:
            raise UserError(
                f"batch_size={batch_size}: is the whole batch and cannot be divided among {world} processes\n"
                f"  try: batch_size={-(-batch_size // world) * world}"
            )
        if batch_size > len(self):
            words = "points" if self.key == "points" else "images"
            raise UserError(
                f"batch_size={batch_size}: larger than the data, which have {len(self)} {words}\n"
                f"  try: batch_size={len(self) // world * world or world}"
            )


def agree(name: str, declared: object, actual: object) -> None:
    """Refuse a declared fact that the data contradict; None declares nothing."""
    declared, actual = (list(fact) if isinstance(fact, Sequence) else fact for fact in (declared, actual))
    if declared not in (None, actual):
        said, found = (str(fact).replace(" ", "") for fact in (declared, actual))
        raise UserError(f"dataset.{name}={said}: the data have {found}\n  try: dataset.{name}={found}")
