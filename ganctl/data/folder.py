"""A folder of one's own images; folders in it become classes."""

import os
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ganctl.data.dataset import Dataset, part_of
from ganctl.data.decode import decoded
from ganctl.data.memory import unflat
from ganctl.data.pixels import Decoding
from ganctl.data.source import Split
from ganctl.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


class Folder(Dataset):
    """All images under `root`, decoded once into a memory map and read batch by batch.

    Where every image lies in one of two or more folders of `root`, these are its class. `size` is one number or
    (H, W); None keeps the images' own, which must then agree. A tenth of the images, chosen by name, is the test part.
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
        part, how, base = part_of(split), checked(size, fit, channels), existing(root)
        pixels, names, content = decoded(base, scan(base), how, skip_bad)
        rows = tenth(len(names), part)
        labels, classes = classes_of(names)
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
            content=f"{content} {part}",
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


def existing(root: str | None) -> Path:
    if root is None:
        raise UserError("dataset=folder: which folder?\n  try: dataset.root=PATH")
    path = Path(root).expanduser()
    if path.is_file():
        raise UserError(f"dataset.root={root}: is a file\n  try: dataset.root={path.parent}, the folder it lies in")
    if not path.is_dir():
        raise UserError(f"dataset.root={root}: no such folder (seen from {Path.cwd()})\n  try: dataset.root=PATH")
    return path


def checked(size: int | Sequence[int] | None, fit: Literal["crop", "resize"], channels: int | None) -> Decoding:
    pair = (size, size) if isinstance(size, int) else None if size is None else tuple(size)
    if pair is not None and (len(pair) != 2 or min(pair) < 1):
        raise UserError(f"dataset.size={size}: a number of pixels, or [height,width]\n  try: dataset.size=64")
    if fit not in ("crop", "resize"):
        raise UserError(f"dataset.fit={fit}: unknown\n  try: dataset.fit=crop or resize")
    if channels not in (None, 1, 3):
        raise UserError(f"dataset.channels={channels}: images are grey or RGB\n  try: dataset.channels=1, 3 or null")
    return Decoding(pair, fit, channels)


def scan(root: Path) -> list[str]:
    """The relative names of all images, ordered by a hash of the name.

    So the order is the same on every machine, any first n are a fair choice over the classes, and a new file moves no
    other. Hidden files and folders and run folders are left out; links are followed, except to a folder that they lie
    in.
    """
    names = []
    for folder, folders, files in os.walk(root, followlinks=True, onerror=unreadable):
        here = Path(folder)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and not (here / name / "checkpoints").is_dir()  # a run of ganctl's, with pictures of its own
            and not here.resolve().is_relative_to((here / name).resolve())
        ]
        names += [
            (here / name).relative_to(root).as_posix()
            for name in files
            if not name.startswith(".") and name.lower().endswith(SUFFIXES)
        ]
    if not names:
        raise UserError(
            f"dataset=folder: no images under {root} (looked for {' '.join(SUFFIXES)})\n  try: dataset.root=PATH"
        )
    return sorted(names, key=lambda name: (blake2b(os.fsencode(name), digest_size=8).digest(), name))


def unreadable(error: OSError) -> None:
    raise UserError(
        f"dataset=folder: {error.filename} cannot be read ({error.strerror})\n  try: chmod -R u+rX {error.filename}"
    )


def classes_of(names: list[str]) -> tuple[Tensor | None, list[str] | None]:
    """Labels (N,) and class names, sorted; None where images lie beside the folders, or in a single one."""
    first = [name.split("/")[0] if "/" in name else None for name in names]
    classes = sorted({name for name in first if name is not None})
    if None in first or len(classes) < 2:
        return None, None
    number = {name: label for label, name in enumerate(classes)}
    return torch.tensor([number[name] for name in first if name is not None]), classes


def tenth(total: int, part: str) -> slice:
    """The rows of a part: the first tenth is for tests, at least one image, unless there is but one."""
    tests = min(max(1, total // 10), total - 1)
    if part == "test" and tests == 0:
        raise UserError("dataset.split=test: a single image has no test part\n  try: dataset.split=train")
    return slice(0, tests) if part == "test" else slice(tests, total)
