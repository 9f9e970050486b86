import logging

import pytest
from PIL import Image

from ganctl.data.folder import Folder
from ganctl.data.layout import say
from ganctl.errors import UserError


@pytest.fixture(autouse=True)
def listening(caplog):
    caplog.set_level(logging.INFO, "ganctl")
    say.cache_clear()


@pytest.fixture
def plant(tmp_path):
    """A folder of tiny pictures at these paths, each of its own grey."""

    def make(*names):
        for level, name in enumerate(names):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (2, 2), level).save(path)
        return str(tmp_path)

    return make


def levels(data):
    return sorted(data.images[:, 0, 0, 0].tolist())


def pets(*parts, count=2):
    return [f"{part}/{kind}/{n}.png" for part in parts for kind in ("cat", "dog") for n in range(count)]


@pytest.mark.parametrize(("train", "test"), [("train", "val"), ("Training", "TEST"), ("train", "validation")])
def test_train_is_for_training_and_the_other_for_tests(plant, caplog, train, test):
    root = plant(*pets(train, test))
    trained, tested = Folder(root=root), Folder(root=root, split="test")
    assert (levels(trained), levels(tested)) == ([0, 1, 2, 3], [4, 5, 6, 7])
    assert trained.class_names == tested.class_names == ["cat", "dog"]
    assert trained.labels.tolist() == [int(level > 1) for level in trained.images[:, 0, 0, 0]]
    assert f"{train} (4 pictures) is for training, {test} (4) is the test split" in caplog.text
    assert "the 2 classes are the folders: cat and dog" in caplog.text


def test_val_and_test_together_are_the_test_split(plant):
    root = plant(*pets("train", "val", "test"), "stray.png")
    assert levels(Folder(root=root, split="test")) == [4, 5, 6, 7, 8, 9, 10, 11]
    assert levels(Folder(root=root)) == [0, 1, 2, 3]


def test_a_test_folder_without_classes_is_left_out(plant, caplog):
    data = Folder(root=plant(*pets("train"), "test/0.png", "test/1.png"))
    assert (len(data), data.class_names) == (3, ["cat", "dog"])
    assert "test is left out, because it lacks the class folders of train" in caplog.text


def test_parts_without_classes(plant):
    root = plant("train/0.png", "train/1.png", "val/2.png")
    data = Folder(root=root)
    assert (levels(data), data.labels) == ([0, 1], None)
    assert levels(Folder(root=root, split="test")) == [2]


def test_parts_beside_other_folders_are_classes_and_told(plant, caplog):
    data = Folder(root=plant(*pets("train", "val"), "boat/0.png"))
    assert data.class_names == ["boat", "train", "val"]
    assert (
        "train and val are read as classes, because other folders lie beside them\n  try: dataset.root=" in caplog.text
    )


def test_classes_one_level_down_are_found(plant, caplog):
    assert Folder(root=plant(*pets("pets/train"))).class_names == ["cat", "dog"]
    assert "the 2 classes are the folders in pets/train: cat and dog" in caplog.text


def test_a_stray_picture_is_named_as_the_reason_for_no_classes(plant, caplog):
    root = plant(*pets("."), "stray.png")
    assert Folder(root=root).class_names is None
    assert "no classes, because 1 picture lies beside the class folders cat and dog, such as stray.png" in caplog.text
    caplog.clear()
    say.cache_clear()
    Folder(root=root, num_classes=0)  # the remedy
    assert "no classes" not in caplog.text


def test_a_part_of_which_nothing_can_be_read(plant, tmp_path):
    root = plant(*pets("train", "val"))
    for path in (tmp_path / "val").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"no picture in val can be read\n  try: "):
        Folder(root=root, skip_bad=True)
