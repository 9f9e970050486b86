"""Two data sets side by side, unpaired: what a translator learns from."""

from collections.abc import Callable, Generator
from hashlib import blake2b
from typing import Any, Literal

import torch

from ganctl.data.dataset import Dataset
from ganctl.data.source import Source, Split, agree
from ganctl.errors import UserError
from ganctl.seeding import derive
from ganctl.types import Batch

Side = Literal["a", "b"]


class Domains(Source):
    """A batch holds `image_a` and `image_b`, each in an order of its own.

    `a` and `b` make a data set each; `split`, `holdout`, `limit` and `flip` hold for both. Where one side is grey and
    the other RGB, the grey one is repeated, so that a translator has one shape on both sides. An epoch is as long as
    the larger side.
    """

    key = "image_b"

    def __init__(
        self,
        a: Callable[..., Dataset],
        b: Callable[..., Dataset],
        *,
        shape: tuple[int, int, int] | None = None,
        split: Split = "train",
        holdout: int = 0,
        limit: int | None = None,
        flip: bool = False,
    ) -> None:
        facts: dict[str, Any] = {"split": split, "holdout": holdout, "limit": limit, "flip": flip}
        self.sides: dict[Side, Dataset] = {"a": a(**facts), "b": b(**facts)}
        for name, side in self.sides.items():
            if len(side.shape) != 3:
                raise UserError(f"dataset.{name}: points are not images\n  try: dataset@dataset.{name}=digits")
        sizes = {name: side.shape[1:] for name, side in self.sides.items()}
        if sizes["a"] != sizes["b"]:
            said = " and ".join("x".join(map(str, size)) for size in sizes.values())
            raise UserError(
                f"dataset=domains: the sides are of {said} pixels\n"
                "  try: dataset.a.size=64 dataset.b.size=64 for folders, or data sets of one size"
            )
        kinds = {side.shape[0] for side in self.sides.values()}
        if len(kinds) > 1 and kinds != {1, 3}:
            raise UserError(
                f"dataset=domains: the sides have {' and '.join(map(str, sorted(kinds)))} channels\n"
                "  try: dataset.a.channels=3 dataset.b.channels=3"
            )
        channels = max(kinds)
        self.shape = (channels, *sizes["a"])
        agree("shape", shape, self.shape)
        contents = " ".join(side.fingerprint for side in self.sides.values())
        self.fingerprint = blake2b(contents.encode(), digest_size=8).hexdigest()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"image_{name}" for name in self.sides)

    def __len__(self) -> int:
        return max(map(len, self.sides.values()))

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
        """As of one data set. Each side has epochs of its own, and its order is drawn from (seed, side): from the seed
        alone, sides of equal length would be permuted alike, which is to say paired."""
        where: dict[str, Any] = {"rank": rank, "world": world, "device": device, "channels_last": channels_last}
        streams = [
            side.stream(start, batch_size, seed=derive(seed, "side", name), **where)
            for name, side in self.sides.items()
        ]
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return self._zipped(streams, layout)

    def _zipped(
        self, streams: list[Generator[Batch, None, None]], layout: torch.memory_format
    ) -> Generator[Batch, None, None]:
        for batches in zip(*streams, strict=True):
            images = [batch["image"] for batch in batches]
            yield {
                name: image
                if len(image[0]) == self.shape[0]
                else image.expand(-1, 3, -1, -1).contiguous(memory_format=layout)
                for name, image in zip(self.names, images, strict=True)
            }
