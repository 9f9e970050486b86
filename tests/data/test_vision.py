import os
import pickle
import socket
import struct
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from scipy.io import savemat

from ganctl.data import vision
from ganctl.data.stacked import StackedMNIST
from ganctl.data.vision import CIFAR10, KMNIST, MNIST, SVHN, FashionMNIST
from ganctl.errors import UserError

REAL = Path(os.environ.get("GANCTL_DATA", "../shared/data"))
rng = np.random.default_rng(0)


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


@pytest.fixture
def mnist(tmp_path):
    """Twenty training images and ten to test, under the names of each of MNIST's kin."""
    images, labels = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8), np.arange(20, dtype=np.uint8) % 10
    for name in ("MNIST", "FashionMNIST", "KMNIST"):
        for stem, count in (("train", 20), ("t10k", 10)):
            write_idx(tmp_path / name / "raw" / f"{stem}-images-idx3-ubyte", images[:count])
            write_idx(tmp_path / name / "raw" / f"{stem}-labels-idx1-ubyte", labels[:count])
    return tmp_path, images, labels


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST, KMNIST])
def test_idx_files_are_read_where_they_lie(mnist, kind, offline):
    root, images, labels = mnist
    data = kind(root=str(root), num_classes=10, shape=[1, 28, 28])
    assert np.array_equal(data.images[:, 0].numpy(), images)
    assert data.labels.tolist() == labels.tolist()
    assert len(data.class_names) == 10
    assert len(kind(root=str(root), split="test")) == 10
    assert sorted(path.name for path in root.iterdir()) == ["FashionMNIST", "KMNIST", "MNIST"]  # no lock file is left


@pytest.mark.slow
def test_the_default_root_is_in_the_cache(cache, mnist):
    root, _, _ = mnist
    (cache / "data").symlink_to(root)
    assert len(MNIST()) == 20


def test_reading_does_not_import_torchvision(mnist):
    script = (
        "import sys; from ganctl.data.vision import MNIST; MNIST(root=sys.argv[1]); print('torchvision' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", script, mnist[0]], check=True, capture_output=True, text=True)
    assert said.stdout == "False\n"


def test_stacked_mnist_is_stacked_from_it(mnist):
    root, images, labels = mnist
    data = StackedMNIST(root=str(root), count=40)
    assert np.array_equal(data.images[0].numpy(), images[data.samples[0]])
    assert data.codes[0] == torch.from_numpy(labels.astype(np.int64))[data.samples[0]] @ torch.tensor([100, 10, 1])


def test_cifar_batches_are_read(tmp_path, monkeypatch):
    from torchvision import datasets

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    names = [name for name, _ in datasets.CIFAR10.train_list + datasets.CIFAR10.test_list]
    pixels = rng.integers(0, 256, (len(names), 4, 3072), dtype=np.uint8)
    for name, rows in zip(names, pixels, strict=True):
        (folder / name).write_bytes(pickle.dumps({"data": rows, "labels": [3, 1, 4, 1]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(CIFAR10.classes)}))
    for attribute in ("train_list", "test_list"):  # no checksum: these are not the real files
        listed = [[name, None] for name, _ in getattr(datasets.CIFAR10, attribute)]
        monkeypatch.setattr(datasets.CIFAR10, attribute, listed)
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "md5": None})
    train, test = CIFAR10(root=str(tmp_path)), CIFAR10(root=str(tmp_path), split="test")
    assert np.array_equal(train.images.numpy(), pixels[:5].reshape(20, 3, 32, 32))
    assert test.labels.tolist() == [3, 1, 4, 1]


def test_svhn_matrices_are_read(tmp_path, monkeypatch):
    from torchvision import datasets

    pixels = rng.integers(0, 256, (32, 32, 3, 5), dtype=np.uint8)
    savemat(tmp_path / "train_32x32.mat", {"X": pixels, "y": np.array([[1], [10], [2], [3], [9]], np.uint8)})
    monkeypatch.setattr(datasets.SVHN, "split_list", {"train": ["", "train_32x32.mat", None]})
    data = SVHN(root=str(tmp_path))
    assert np.array_equal(data.images.numpy(), pixels.transpose(3, 2, 0, 1))
    assert data.labels.tolist() == [1, 0, 2, 3, 9]  # the files call the digit 0 ten


@pytest.mark.parametrize("kind", [MNIST, CIFAR10, SVHN])
def test_without_a_network_the_sentence_names_files_folder_and_digits(kind, tmp_path, offline):
    with pytest.raises(UserError) as caught:
        kind(root=str(tmp_path))
    sentence = str(caught.value)
    first = kind.files(kind, tmp_path, "train")[0]
    assert f"dataset={kind.option}: the download failed" in sentence
    assert "Temporary failure in name resolution" in sentence
    assert f"into {first.parent}, or dataset=digits" in sentence
    assert first.name in sentence


def test_a_download_is_given_up_after_silence(tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(MNIST, "fetch", lambda self, root, part: waits.append(socket.getdefaulttimeout()))
    with pytest.raises(UserError):
        MNIST(root=str(tmp_path))
    assert waits == [vision.TIMEOUT]
    assert socket.getdefaulttimeout() is None


def test_a_process_that_waited_finds_the_files(mnist, tmp_path_factory, monkeypatch):
    """Another process downloads while this one waits for the lock: nothing is left to fetch."""
    root = tmp_path_factory.mktemp("root")

    class Lock:
        def __init__(self, path):
            (root / "MNIST").symlink_to(mnist[0] / "MNIST")

        __enter__ = __exit__ = lambda *_: None

    monkeypatch.setattr(vision, "FileLock", Lock)
    monkeypatch.setattr(MNIST, "fetch", lambda *_: pytest.fail("it was fetched again"))
    assert len(MNIST(root=str(root))) == 20


def test_download_false_says_what_is_missing(tmp_path):
    with pytest.raises(
        UserError, match=r"train-images-idx3-ubyte, .* not found in .*MNIST/raw\n  try: dataset.download"
    ):
        MNIST(root=str(tmp_path), download=False)


@pytest.mark.parametrize(
    "damage", [b"", b"<html>not found</html>", struct.pack(">4B3I", 0, 0, 8, 3, 20, 28, 28) + b"x"]
)
def test_damaged_files_are_named(mnist, damage):
    root, _, _ = mnist
    (root / "MNIST/raw/train-images-idx3-ubyte").write_bytes(damage)
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte.* cannot be read .*\n  try: delete the files"):
        MNIST(root=str(root))


@pytest.mark.skipif(not (REAL / "MNIST").is_dir(), reason="needs the real MNIST: set GANCTL_DATA to its root")
def test_the_real_files():
    data = MNIST(root=str(REAL))
    assert (len(data), data.shape) == (60_000, (1, 28, 28))
    assert data.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.images.float().mean().item() == pytest.approx(33.3184, abs=1e-3)  # 0.1307 * 255, the customary mean
