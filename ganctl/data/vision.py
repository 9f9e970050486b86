"""The small classics that torchvision downloads: MNIST and its kin, CIFAR-10, SVHN."""

import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from ganctl.data.cache import cache_dir
from ganctl.data.dataset import Dataset, part_of
from ganctl.data.source import Split
from ganctl.errors import UserError, printable

TIMEOUT = 20.0
"""Seconds without a byte after which a download is given up."""
log = logging.getLogger("ganctl")


class Vision(Dataset, ABC):
    """A set of torchvision's, read from the files under `root`; only what is missing is downloaded.

    torchvision is imported where it is needed and no earlier: it adds 160 MB to a process.
    """

    name: ClassVar[str]
    """The class's name in torchvision.datasets."""
    option: ClassVar[str]
    """What the command line calls it."""
    classes: ClassVar[Sequence[str]] = [str(digit) for digit in range(10)]

    def __init__(
        self,
        *,
        root: str | None = None,
        download: bool = True,
        shape: Sequence[int] | None = None,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
        split: Split = "train",
        holdout: int = 0,
        limit: int | None = None,
        flip: bool = False,
    ) -> None:
        images, labels = self.obtain(place_of(root), part_of(split), download)
        super().__init__(
            images,
            labels,
            self.classes,
            shape=shape,
            num_classes=num_classes,
            class_names=class_names,
            split=split,
            holdout=holdout,
            limit=limit,
            flip=flip,
        )

    @abstractmethod
    def files(self, root: Path, part: str) -> list[Path]:
        """The files that this part is read from."""

    @abstractmethod
    def read(self, root: Path, part: str) -> tuple[Tensor, Tensor]:
        """Images uint8 (N,C,H,W) and labels int64 (N,)."""

    def fetch(self, root: Path, part: str) -> None:
        """Download and unpack."""
        from torchvision import datasets

        getattr(datasets, self.name)(root, train=part == "train", download=True)

    def obtain(self, root: Path, part: str, download: bool) -> tuple[Tensor, Tensor]:
        """Read a part, after a download where files are missing."""
        files = self.files(root, part)
        if any(not file.is_file() for file in files):
            if not download:
                raise UserError(
                    f"dataset={self.option}: {listed(files)} not found in {printable(files[0].parent)}\n"
                    f"  try: dataset.download=true, dataset.root=FOLDER where the files lie, or dataset=digits"
                )
            self.download(root, part, files)
        try:
            return self.read(root, part)
        except (OSError, RuntimeError, ValueError, EOFError) as error:
            raise UserError(
                f"dataset={self.option}: {listed(files)} in {printable(files[0].parent)} "
                f"cannot be read ({printable(last_line(error))})\n"
                f"  try: delete the files, so that they are downloaded again"
            ) from error

    def download(self, root: Path, part: str, files: list[Path]) -> None:
        """One process of several downloads; the others wait for it."""
        try:
            locks = cache_dir() / "locks"  # not in root: nothing but the files themselves is written there
            locks.mkdir(parents=True, exist_ok=True)
            with FileLock(locks / f"{self.option}.lock"), patience(TIMEOUT):
                if any(not file.is_file() for file in files):
                    log.info("dataset=%s: downloading to %s", self.option, printable(root))
                    self.fetch(root, part)
        except (OSError, RuntimeError, EOFError, HTTPException) as error:
            raise UserError(
                f"dataset={self.option}: the download failed ({printable(last_line(error))})\n"
                f"  try: put {listed(files)} into {printable(files[0].parent)}, "
                "or dataset=digits, which needs no network"
            ) from error


class MNIST(Vision):
    """LeCun et al. 1998: 60,000 training and 10,000 test digits, (1,28,28). Files in root/MNIST/raw."""

    name = "MNIST"
    option = "mnist"

    def files(self, root: Path, part: str) -> list[Path]:
        stem = "train" if part == "train" else "t10k"
        return [root / self.name / "raw" / f"{stem}-{kind}" for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]

    def read(self, root: Path, part: str) -> tuple[Tensor, Tensor]:
        images, labels = (read_idx(file) for file in self.files(root, part))
        return images.unsqueeze(1), labels.long()


class FashionMNIST(MNIST):
    """Xiao et al. 2017: MNIST's format and numbers, ten kinds of clothes."""

    name = "FashionMNIST"
    option = "fashion_mnist"
    classes = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


class KMNIST(MNIST):
    """Clanuwat et al. 2018: MNIST's format and numbers, ten cursive Japanese characters."""

    name = "KMNIST"
    option = "kmnist"
    classes = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


class CIFAR10(Vision):
    """Krizhevsky 2009: 50,000 training and 10,000 test photographs, (3,32,32). Files in root/cifar-10-batches-py."""

    name = "CIFAR10"
    option = "cifar10"
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def files(self, root: Path, part: str) -> list[Path]:
        batches = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"]
        return [root / "cifar-10-batches-py" / name for name in batches]

    def read(self, root: Path, part: str) -> tuple[Tensor, Tensor]:
        from torchvision import datasets

        stored = datasets.CIFAR10(root, train=part == "train")
        return torch.from_numpy(stored.data.transpose(0, 3, 1, 2)), torch.tensor(stored.targets)


class SVHN(Vision):
    """Netzer et al. 2011: 73,257 training and 26,032 test house numbers, (3,32,32). Files in root."""

    name = "SVHN"
    option = "svhn"

    def files(self, root: Path, part: str) -> list[Path]:
        return [root / f"{part}_32x32.mat"]

    def fetch(self, root: Path, part: str) -> None:
        from torchvision import datasets

        datasets.SVHN(root, split=part, download=True)

    def read(self, root: Path, part: str) -> tuple[Tensor, Tensor]:
        from torchvision import datasets

        stored = datasets.SVHN(root, split=part)
        return torch.from_numpy(np.ascontiguousarray(stored.data)), torch.from_numpy(stored.labels)


def read_idx(path: Path) -> Tensor:
    """An IDX file of unsigned bytes: two zeros, type 8, the number of dimensions, big-endian sizes, the values."""
    raw = np.fromfile(path, np.uint8)
    if len(raw) < 4 or raw[:3].tolist() != [0, 0, 8]:
        raise ValueError(f"{path.name} is not an IDX file of bytes")
    start = 4 + 4 * int(raw[3])
    sizes = raw[4:start].view(">u4").tolist()
    return torch.from_numpy(raw[start:].reshape(sizes))


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """A limit on how long a socket may be silent; torchvision sets none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def place_of(root: str | None) -> Path:
    """Where the files lie: `root`, or the cache."""
    try:
        return Path(root).expanduser() if root else cache_dir() / "data"
    except RuntimeError as error:  # ~nobody
        raise UserError(f"dataset.root={printable(root)}: {printable(error)}\n  try: dataset.root=PATH") from error


def listed(files: list[Path]) -> str:
    return ", ".join(file.name for file in files)


def last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1]
