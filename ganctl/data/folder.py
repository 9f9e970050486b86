"""A folder of one's own images; folders in it become classes."""

import os
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ganctl.data.dataset import Dataset, part_of
from ganctl.data.decode import decoded
from ganctl.data.layout import arrange, classes_of, rows_of_part, say
from ganctl.data.memory import unflat
from ganctl.data.pixels import Decoding
from ganctl.data.places import Found, Place, place_at
from ganctl.data.source import Split
from ganctl.errors import UserError, printable
from ganctl.pictures import SUFFIXES

LARGEST = 4096
"""Pixels a side."""


class Folder(Dataset):
    """All images under `root`, a folder or a zip, decoded once into a memory map and read batch by batch.

    Where `root` has folders for training and tests (train, test, val), these are the parts, else a tenth of the
    images, chosen by name, is the test part. Where every image lies in one of two or more folders, these are its class.
    `size` is one number or (H, W); None keeps the images' own, which must then agree.
    """

    mapped = True

    def __init__(
        self,
        *,
        root: str | None = None,
        size: int | Sequence[int] | None = None,
        fit: Literal["crop", "resize"] = "crop",
        channels: int | None = None,
        skip_bad: bool = False,
        shape: Sequence[int] | None = None,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
        split: Split = "train",
        holdout: int = 0,
        limit: int | None = None,
        flip: bool = False,
    ) -> None:
        part, how, shown = part_of(split), decoding(size, fit, channels), printable(root)
        with place_at(root) as place:
            found = place.find()
            require_pictures(place, found)
            say(inventory(shown, found))
            layout, names = arrange(shown, found.names)
            pixels, names, content, held = decoded(place, names, found.bad, how, skip_bad)
        weakref.finalize(self, os.close, held)  # as long as this lives, its pixels are in use
        rows = rows_of_part(layout, names, part)
        labels, classes = (None, None) if num_classes == 0 else classes_of(shown, layout, names)
        super().__init__(
            torch.from_numpy(pixels).permute(0, 3, 1, 2)[rows],
            labels if labels is None else labels[rows],
            classes,
            shape=shape,
            num_classes=num_classes,
            class_names=class_names,
            split=split,
            holdout=holdout,
            limit=limit,
            flip=flip,
            content=f"{content} {part}{rows if layout.tests else ''}",
        )

    def _reader(self, home: torch.device, channels_last: bool) -> Callable[[Tensor], Tensor]:
        pixels = self.samples.permute(0, 2, 3, 1).numpy()

        def read(index: Tensor) -> Tensor:
            # numpy, because torch would start a second set of threads for the one that reads ahead
            batch = pixels[index.numpy()]
            if not channels_last:
                batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
            return unflat(torch.from_numpy(batch).flatten(1), self.shape, channels_last)

        return read


def decoding(size: int | Sequence[int] | None, fit: Literal["crop", "resize"], channels: int | None) -> Decoding:
    """What is to be made of the files; refuses what cannot be."""
    pair = (size, size) if isinstance(size, int) else None if size is None else tuple(size)
    if pair is not None and (len(pair) != 2 or min(pair) < 1 or max(pair) > LARGEST):
        raise UserError(
            f"dataset.size={size}: a number of pixels up to {LARGEST}, or [height,width]\n  try: dataset.size=64"
        )
    if fit not in ("crop", "resize"):
        raise UserError(f"dataset.fit={fit}: unknown\n  try: dataset.fit=crop or resize")
    if channels not in (None, 1, 3):
        raise UserError(f"dataset.channels={channels}: images are grey or RGB\n  try: dataset.channels=1, 3 or null")
    return Decoding(pair, fit, channels)


def require_pictures(place: Place, found: Found) -> None:
    if found.names:
        return
    there = f"; there are {counted(found.passed)}" if found.passed.total() else ""
    there += "".join(f"\n    {printable(name)}: {why}" for name, why in list(found.bad.items())[:10])
    raise UserError(
        f"dataset=folder: no images under {printable(place.path)} (looked for {' '.join(SUFFIXES)}){there}\n"
        f"  try: dataset.root=PATH of a folder with such pictures"
    )


def inventory(root: str, found: Found) -> str:
    """What is read, and what is passed over, by suffix."""
    read = Counter(PurePosixPath(name).suffix.lower() for name in found.names)
    passed = f"; passed over: {counted(found.passed)}" if found.passed.total() else ""
    return f"dataset.root={root}: pictures: {counted(read)}{passed}"


def counted(kinds: Counter[str], most: int = 6) -> str:
    """The commonest kinds with their counts, of equal ones in the order of names, which no file system decides."""
    order = sorted((+kinds).items(), key=lambda kind: (-kind[1], kind[0]))
    rest = sum(count for _, count in order[most:])
    return ", ".join(
        [f"{count} {printable(kind)}" for kind, count in order[:most]] + ([f"{rest} others"] if rest else [])
    )
