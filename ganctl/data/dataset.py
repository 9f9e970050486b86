"""The base of every data set that is made of arrays: one split of it, and its batches."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from ganctl.data.memory import ahead, flat, move, unflat
from ganctl.data.source import Source, Split, agree
from ganctl.errors import UserError
from ganctl.seeding import generator
from ganctl.types import Batch

CPU = torch.device("cpu")


class Turn(NamedTuple):
    """One rank's share of one batch: which samples, and which of them are mirrored."""

    rows: Tensor
    flips: Tensor | None


class Dataset(Source):
    """One split of a data set, in memory or in a memory map.

    `samples` is uint8 (N,C,H,W), or float32 (N,2) for points, and holds the whole train or test part: `split`,
    `holdout` and `limit` choose the rows that stay. `labels` is int64 (N,), indices into `classes`. `fields` are
    further entries of a batch by the same rows, uint8 (N,H,W) maps or (N,T) words, int64 in a batch: a map is mirrored
    with its image, and words, which may say left or right, forbid `flip`.
    `shape`, `num_classes` and `class_names` may be declared: what the data contradict is refused; `num_classes=0`
    drops the labels.
    `content` stands for the samples in the fingerprint where reading them all again would take long.
    """

    mapped: ClassVar[bool] = False
    """Whether the samples lie in a memory map and are read batch by batch."""

    def __init__(
        self,
        samples: Tensor,
        labels: Tensor | None = None,
        classes: Sequence[str] | None = None,
        fields: Mapping[str, Tensor] | None = None,
        *,
        shape: Sequence[int] | None = None,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
        split: Split = "train",
        holdout: int = 0,
        limit: int | None = None,
        flip: bool = False,
        content: str | None = None,
    ) -> None:
        rows = rows_of(len(samples), split, holdout, limit)
        # What a limit leaves out must not stay in memory.
        self.samples = samples[rows] if limit is None or self.mapped else samples[rows].clone()
        self.shape = self._shape()
        agree("shape", shape, self.shape)
        self.labels = None if labels is None or num_classes == 0 else labels[rows].clone()
        self.class_names = None if self.labels is None or classes is None else list(classes)
        agree("class_names", class_names, self.class_names)
        self.num_classes = len(self.class_names or ())
        agree("num_classes", num_classes, self.num_classes)
        self.fields = {name: field[rows].clone() for name, field in (fields or {}).items()}
        words = sorted(name for name, field in self.fields.items() if field.dim() == 2)
        if flip and words:
            raise UserError(
                f"dataset.flip=true: the {words[0]} of a mirrored image would be wrong\n  try: dataset.flip=false"
            )
        self.flip = flip
        self.fingerprint = self._fingerprint(content and f"{content} {rows}")
        self._placed: dict[tuple[torch.device, bool], Tensor] = {}
        self._held: tuple[torch.device, dict[str, Tensor]] | None = None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.key, *self.fields, *(("label",) if self.labels is not None else ()))

    @property
    def images(self) -> Tensor:
        """All images, uint8 (N,C,H,W), on the CPU."""
        return self.samples

    def take(self, rows: Tensor) -> Batch:
        """These rows as networks see them, on the CPU: float32 images in [-1,1], or points divided by `scale`."""
        return {self.key: self._finish(self._reader(CPU, False)(rows), None), **self._beside(rows, CPU)}

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

        Epoch e is a permutation drawn from (seed, e); its last partial batch is dropped, and ranks take disjoint
        slices of each whole batch.
        """
        self.require_batch(batch_size, world)
        device = torch.device(device)
        home = CPU if self.mapped else device
        return self._batches(
            self._turns(start // batch_size, batch_size, seed, rank, world, home),
            home,
            device,
            channels_last and self.key == "image",  # points have no channels
        )

    def _turns(self, done: int, size: int, seed: int, rank: int, world: int, home: torch.device) -> Iterator[Turn]:
        count, mine = len(self), size // world
        epoch, first = divmod(done, count // size)
        while True:
            order = move(torch.randperm(count, generator=generator(seed, "order", epoch)), home)
            flips = None
            if self.flip:
                flips = move(torch.rand(count, generator=generator(seed, "flip", epoch)) < 0.5, home)
            for at in range(first * size + rank * mine, count // size * size, size):
                yield Turn(order[at : at + mine], None if flips is None else flips[at : at + mine])
            epoch, first = epoch + 1, 0

    def _batches(
        self, turns: Iterator[Turn], home: torch.device, device: torch.device, channels_last: bool
    ) -> Generator[Batch, None, None]:
        read = self._reader(home, channels_last)

        def load(turn: Turn) -> tuple[Turn, Tensor]:
            return turn, read(turn.rows)

        for turn, samples in ahead(load, turns) if self.mapped else map(load, turns):
            flips = None if turn.flips is None else move(turn.flips, device)
            beside = self._beside(turn.rows, device, flips)
            yield {self.key: self._finish(move(samples, device), flips), **beside}

    def _beside(self, rows: Tensor, device: torch.device, flips: Tensor | None = None) -> Batch:
        """The fields and the labels of these rows, int64."""
        held = self.fields if self.labels is None else {**self.fields, "label": self.labels}
        if self._held is None or self._held[0] != rows.device:
            self._held = rows.device, {name: field.to(rows.device) for name, field in held.items()}
        found = {name: move(field.index_select(0, rows), device).long() for name, field in self._held[1].items()}
        if flips is not None:
            maps = [name for name, field in found.items() if field.dim() == 3]
            found |= {name: torch.where(flips.view(-1, 1, 1), found[name].flip(-1), found[name]) for name in maps}
        return found

    def _reader(self, home: torch.device, channels_last: bool) -> Callable[[Tensor], Tensor]:
        """A function from an index to samples as they are stored, on `home`, in the layout asked for."""
        rows = self._rows(home, channels_last)
        return lambda index: unflat(rows.index_select(0, index), self.shape, channels_last)

    def _rows(self, home: torch.device, channels_last: bool) -> Tensor:
        """The samples as rows on `home`, moved and laid out once."""
        if home == CPU:
            # One copy in memory, not two: the same values with other strides take the place of the old.
            self.samples = unflat(flat(self.samples, channels_last), self.shape, channels_last)
            return flat(self.samples, channels_last)
        if (home, channels_last) not in self._placed:
            self._placed = {(home, channels_last): flat(self.samples.to(home), channels_last)}
        return self._placed[home, channels_last]

    def _finish(self, samples: Tensor, flips: Tensor | None) -> Tensor:
        """Stored images to what a network sees: mirrored, float32 in [-1,1]."""
        if flips is not None:
            samples = torch.where(flips.view(-1, 1, 1, 1), samples.flip(-1), samples)
        return samples.float().mul_(1 / 127.5).sub_(1)

    def _shape(self) -> tuple[int, ...]:
        return tuple(self.samples.shape[1:])

    def _fingerprint(self, content: str | None) -> str:
        digest = blake2b(f"{self.key} {len(self)} {self.shape}".encode(), digest_size=8)
        digest.update(self.samples.contiguous().numpy().data if content is None else content.encode())
        for beside in (*self.fields.values(), *(() if self.labels is None else (self.labels,))):
            digest.update(beside.contiguous().numpy().data)
        return digest.hexdigest()


def part_of(split: str) -> Literal["train", "test"]:
    """The part that a split is cut from: train and valid share one."""
    if split not in ("train", "valid", "test"):
        raise UserError(f"dataset.split={split}: unknown\n  try: dataset.split=train, valid or test")
    return "test" if split == "test" else "train"


def rows_of(total: int, split: str, holdout: int, limit: int | None) -> slice:
    """The rows of a part that make up a split: `holdout` at the end of train are valid; `limit` keeps the first."""
    part = part_of(split)
    if limit is not None and limit < 1:
        raise UserError(f"dataset.limit={limit}: must be 1 or more\n  try: dataset.limit=null for all of the data")
    if part == "train" and not 0 <= holdout < total:
        raise UserError(
            f"dataset.holdout={holdout}: out of range, the training part has {total} images\n"
            f"  try: dataset.holdout={total // 10}"
        )
    if split == "valid" and holdout == 0:
        raise UserError(
            "dataset.split=valid: nothing is held out of the training part\n"
            f"  try: dataset.holdout={max(1, total // 10)}, and the same where you train, so that it is not learned"
        )
    first, last = {"train": (0, total - holdout), "valid": (total - holdout, total), "test": (0, total)}[split]
    return slice(first, last if limit is None else min(last, first + limit))
