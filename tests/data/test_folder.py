import gc
import logging
import os
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from ganctl.data import decode
from ganctl.data.folder import Folder
from ganctl.errors import UserError

rng = np.random.default_rng(0)


def fill(folder, count=20, size=(6, 8), start=0):
    """`count` random RGB images, .png."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    return folder


def stored(path):
    return torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)


def test_every_image_is_in_one_part(tmp_path):
    fill(tmp_path)
    train, test = Folder(root=str(tmp_path)), Folder(root=str(tmp_path), split="test")
    assert (train.shape, len(train), len(test), train.num_classes) == ((3, 6, 8), 18, 2, 0)
    there = {image.flatten().numpy().tobytes() for image in [*train.images, *test.images]}
    assert there == {stored(path).flatten().numpy().tobytes() for path in tmp_path.iterdir()}


def test_class_folders_become_labels_sorted_by_name(tmp_path):
    for name, level in (("zebra", 200), ("ant", 100), ("cat", 10)):
        for number in range(10):
            path = tmp_path / name / "deep" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (4, 4), level + number).save(path)
    (tmp_path / "empty").mkdir()
    data = Folder(root=str(tmp_path))
    assert (data.class_names, data.num_classes, data.shape) == (["ant", "cat", "zebra"], 3, (1, 4, 4))
    batch = next(data.stream(0, 27, seed=0))
    level = ((batch["image"][:, 0, 0, 0] + 1) * 127.5).round()
    assert torch.equal(torch.tensor([100.0, 10.0, 200.0])[batch["label"]], level // 100 * 100 + (level < 100) * 10)
    assert Folder(root=str(tmp_path), num_classes=0).labels is None


@pytest.mark.parametrize("beside", [True, False])
def test_no_labels_where_images_lie_beside_the_folders_or_in_one(tmp_path, beside):
    fill(tmp_path / "only")
    if beside:
        fill(tmp_path / "other", start=50)
        fill(tmp_path, count=1)
    assert Folder(root=str(tmp_path)).class_names is None


def test_hidden_files_and_other_suffixes_are_left_out(tmp_path):
    fill(tmp_path, count=3)
    fill(tmp_path / ".thumbnails")
    fill(tmp_path / "runs" / "one" / "samples")
    (tmp_path / "runs" / "one" / "config.yaml").write_text("seed: 0")
    (tmp_path / "._000.png").write_bytes(b"resource fork")
    (tmp_path / "README.txt").write_text("hello")
    Image.new("RGB", (8, 6)).save(tmp_path / "UPPER.JPEG")
    assert len(Folder(root=str(tmp_path))) == 3


def test_links_are_followed_but_not_in_circles(tmp_path):
    fill(tmp_path / "elsewhere", count=4)
    root = fill(tmp_path / "root", count=4, start=10)
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "circle").symlink_to(root)
    assert len(Folder(root=str(root))) == 7


def test_the_split_is_by_name_and_one_image_cannot_be_split(tmp_path):
    fill(tmp_path, count=1)
    assert len(Folder(root=str(tmp_path))) == 1
    with pytest.raises(UserError, match="a single image has no test part"):
        Folder(root=str(tmp_path), split="test")


def test_the_fingerprint_does_not_depend_on_where_the_files_lie(tmp_path):
    fill(tmp_path / "a")
    os.rename(tmp_path / "a", tmp_path / "b")
    first = Folder(root=str(tmp_path / "b"))
    (tmp_path / "a").mkdir()
    for path in (tmp_path / "b").iterdir():
        (tmp_path / "a" / path.name).write_bytes(path.read_bytes())
    assert Folder(root=str(tmp_path / "a")).fingerprint == first.fingerprint
    assert Folder(root=str(tmp_path / "a"), split="test").fingerprint != first.fingerprint
    fill(tmp_path / "a")
    assert Folder(root=str(tmp_path / "a")).fingerprint != first.fingerprint


def test_it_is_decoded_once(tmp_path, monkeypatch, caplog):
    fill(tmp_path)
    with caplog.at_level(logging.INFO, "ganctl"):
        first = Folder(root=str(tmp_path))
    assert "decoded 20 images into" in caplog.text
    monkeypatch.setattr(decode, "build", lambda *_: pytest.fail("decoded again"))
    again = Folder(root=str(tmp_path), split="train", shape=[3, 6, 8], num_classes=0)
    assert torch.equal(first.images, again.images)


def test_a_changed_file_or_option_is_decoded_anew(tmp_path, cache):
    fill(tmp_path)
    Folder(root=str(tmp_path))
    Folder(root=str(tmp_path), size=4)
    fill(tmp_path, count=1, start=99)
    assert len(Folder(root=str(tmp_path))) == 19
    assert len([path for path in (cache / "folders").iterdir() if path.is_dir()]) == 3


@pytest.mark.parametrize("victim", ["pixels.npy", "facts.json"])
def test_a_damaged_cache_is_rebuilt_with_a_warning(tmp_path, cache, victim, caplog):
    fill(tmp_path)
    first = Folder(root=str(tmp_path)).images.clone()
    (path,) = (cache / "folders").glob(f"*/{victim}")
    path.write_bytes(path.read_bytes()[:-30])
    assert torch.equal(Folder(root=str(tmp_path)).images, first)
    assert "damaged" in caplog.text


def test_what_a_killed_run_left_is_swept_away(tmp_path, cache, monkeypatch):
    fill(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(decode.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr(decode.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            Folder(root=str(tmp_path))
    assert len(Folder(root=str(tmp_path))) == 18
    assert not list((cache / "folders").glob("*.partial"))


@pytest.mark.parametrize("size", [4, [4, 4]])
def test_size_brings_all_to_one(tmp_path, size):
    fill(tmp_path)
    fill(tmp_path, count=2, size=(10, 5), start=50)
    assert Folder(root=str(tmp_path), size=size).shape == (3, 4, 4)


def test_channels_are_grey_only_where_all_are_or_as_asked(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    Image.new("L", (4, 4)).save(tmp_path / "b.png")
    assert Folder(root=str(tmp_path)).shape == (1, 4, 4)
    assert Folder(root=str(tmp_path), channels=3).shape == (3, 4, 4)
    Image.new("RGB", (4, 4)).save(tmp_path / "c.png")
    assert Folder(root=str(tmp_path)).shape == (3, 4, 4)
    assert Folder(root=str(tmp_path), channels=1).shape == (1, 4, 4)


@pytest.mark.parametrize("channels_last", [False, True])
def test_batches_are_those_of_the_images_in_memory(tmp_path, channels_last):
    data = Folder(root=str(fill(tmp_path)), flip=True)
    stream = data.stream(8, 4, seed=1, channels_last=channels_last)
    again = data.stream(8, 4, seed=1, channels_last=not channels_last)
    pool = {image.float().div(127.5).sub(1).sum().item() for image in data.images}
    for _ in range(6):
        image = next(stream)["image"]
        assert torch.equal(image, next(again)["image"])
        assert image.stride() == ((144, 1, 24, 3) if channels_last else (144, 48, 8, 1))
        assert all(min(abs(one.sum().item() - total) for total in pool) < 1e-3 for one in image)
    stream.close()
    again.close()


def test_the_reading_thread_ends_with_the_stream(tmp_path):
    before = threading.active_count()
    stream = Folder(root=str(fill(tmp_path))).stream(0, 4, seed=0)
    next(stream)
    assert threading.active_count() == before + 1
    del stream
    gc.collect()
    assert threading.active_count() == before


def test_every_bad_file_is_listed_or_skipped(tmp_path, caplog):
    fill(tmp_path)
    whole = (tmp_path / "005.png").read_bytes()
    (tmp_path / "005.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "006.png").write_bytes(b"")
    (tmp_path / "007.jpg").write_bytes(b"GIF89a?")
    with pytest.raises(UserError) as caught:
        Folder(root=str(tmp_path))
    sentence = str(caught.value)
    assert "3 of 21 images" in sentence
    assert all(f"\n    {name}: " in sentence for name in ("005.png", "006.png", "007.jpg"))
    assert "dataset.skip_bad=true" in sentence
    train, test = (Folder(root=str(tmp_path), skip_bad=True, split=split) for split in ("train", "test"))
    assert len(train) + len(test) == 18
    assert "left out 3 of 21 images: 005.png, 006.png, 007.jpg" in caplog.text


def test_nothing_but_bad_files(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"1 of 1 images .*\n    a.png: .*\n  try: mend or delete them$"):
        Folder(root=str(tmp_path), skip_bad=True)


def test_mixed_sizes_are_named_with_the_remedy(tmp_path):
    fill(tmp_path)
    fill(tmp_path, count=1, size=(10, 5), start=50)
    with pytest.raises(UserError) as caught:
        Folder(root=str(tmp_path))
    assert "\n    6x8: 20 images, such as " in str(caught.value)
    assert "\n    10x5: 1 images, such as 050.png" in str(caught.value)
    assert "try: dataset.size=[6,8] or dataset.size=64" in str(caught.value)


def test_missing_file_and_empty_have_their_own_sentences(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"which folder\?\n  try: dataset.root=PATH"):
        Folder()
    with pytest.raises(UserError, match="nowhere: no such folder"):
        Folder(root=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"a.png: is a file\n  try: dataset.root="):
        Folder(root=str(tmp_path / "a.png"))
    with pytest.raises(UserError, match=r"no images under .*empty \(looked for \.png .* \.gif "):
        Folder(root=str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 0}, "dataset.size=0: a number of pixels"),
        ({"size": [4, 4, 3]}, "or \\[height,width\\]"),
        ({"fit": "pad"}, "dataset.fit=pad: unknown\n  try: dataset.fit=crop or resize"),
        ({"channels": 4}, "dataset.channels=4: images are grey or RGB"),
        ({"shape": [1, 6, 8]}, r"dataset.shape=\[1,6,8\]: the data have \[3,6,8\]"),
    ],
)
def test_wrong_options_are_refused(tmp_path, options, sentence):
    fill(tmp_path, count=2)
    with pytest.raises(UserError, match=sentence):
        Folder(root=str(tmp_path), **options)


def test_a_cache_that_cannot_be_written_names_its_variable(tmp_path, monkeypatch):
    fill(tmp_path / "images", count=2)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GANCTL_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot be kept in .*\n  try: GANCTL_CACHE=FOLDER"):
        Folder(root=str(tmp_path / "images"))


def test_a_full_disk_names_the_variable_and_leaves_nothing(tmp_path, cache, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    fill(tmp_path, count=2)
    monkeypatch.setattr(decode, "write", full)
    with pytest.raises(UserError, match=r"No space left on device.*\n  try: GANCTL_CACHE"):
        Folder(root=str(tmp_path))
    assert not [path for path in (cache / "folders").iterdir() if path.is_dir()]
