import inspect
from importlib import import_module
from itertools import islice
from pathlib import Path

import pytest
import torch
import yaml
from torch.testing import assert_close

from ganctl.data.dataset import Dataset
from ganctl.errors import UserError

CONF = sorted(Path(__file__).parents[2].glob("conf/dataset/*.yaml"))


def numbered(count=10, channels=1, **options):
    """Image i is i everywhere but in its first column, which is 255 - i."""
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, channels, 3, 4)
    images[..., 0] = 255 - images[..., 0]
    return Dataset(images, torch.arange(count), [str(name) for name in range(count)], **options)


def seen(data, batches, start=0, batch_size=4, seed=0, **where):
    stream = data.stream(start, batch_size, seed=seed, **where)
    return torch.stack([batch["label"] for batch in islice(stream, batches)])


def test_a_byte_becomes_a_number_from_minus_one_to_one():
    data = Dataset(torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16))
    image = next(data.stream(0, 1, seed=0))["image"]
    assert_close(image.flatten(), torch.arange(256) / 127.5 - 1)
    assert image.min() == -1
    assert image.max() == 1


def test_an_image_keeps_its_label():
    batch = next(numbered().stream(0, 8, seed=3))
    assert_close(batch["image"][:, 0, 0, 1], batch["label"] / 127.5 - 1)
    assert batch["label"].dtype == torch.int64


def test_an_epoch_shows_no_image_twice_and_drops_the_partial_batch():
    epochs = seen(numbered(), 4).view(2, 8)  # 10 images, batches of 4: two whole batches an epoch
    assert all(len(epoch.unique()) == 8 for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])


def test_the_order_depends_on_the_seed_alone():
    assert torch.equal(seen(numbered(), 6, seed=1), seen(numbered(), 6, seed=1))
    assert not torch.equal(seen(numbered(), 6, seed=1), seen(numbered(), 6, seed=2))


@pytest.mark.parametrize("done", range(6))
def test_resume_continues_the_sequence(done):
    assert torch.equal(seen(numbered(), 4, start=4 * done), seen(numbered(), 10)[done : done + 4])


def test_ranks_take_disjoint_slices_of_each_batch():
    data = numbered(flip=True)
    ranks = [list(islice(data.stream(4, 4, seed=0, rank=rank, world=2), 5)) for rank in range(2)]
    whole = list(islice(data.stream(4, 4, seed=0), 5))
    for left, right, both in zip(*ranks, whole, strict=True):
        for key in both:
            assert torch.equal(torch.cat([left[key], right[key]]), both[key])


def test_a_flip_mirrors_half_of_the_images_anew_each_epoch():
    data = numbered(200, flip=True)
    epochs = [next(data.stream(start, 200, seed=0)) for start in (0, 200)]
    flipped = []
    for batch in epochs:
        first = 255 - batch["label"]  # the odd column, at the left or, mirrored, at the right
        pixels = ((batch["image"] + 1) * 127.5).round().long()
        at_left, at_right = pixels[:, 0, 0, 0] == first, pixels[:, 0, 0, 3] == first
        assert torch.equal(at_left, ~at_right)
        assert 70 < at_right.sum() < 130
        flipped.append(at_right[batch["label"].argsort()])
    assert not torch.equal(*flipped)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_channels_last_is_a_matter_of_strides(channels, flip):
    data = numbered(channels=channels, flip=flip)
    plain, last = (next(data.stream(0, 4, seed=0, channels_last=choice))["image"] for choice in (False, True))
    assert torch.equal(plain, last)
    assert plain.stride() == (12 * channels, 12, 4, 1)
    assert last.stride() == (12 * channels, 1, 4 * channels, channels)


def test_a_change_of_layout_changes_neither_the_images_nor_the_memory():
    data = numbered(channels=3)
    before = data.images.clone()
    next(data.stream(0, 4, seed=0, channels_last=True))
    assert torch.equal(data.images, before)
    assert data.images.is_contiguous(memory_format=torch.channels_last)
    assert data._placed == {}  # on the CPU the images themselves serve the stream


def test_a_device_is_given_its_own_copy_once():
    data = numbered()
    first = data._rows(torch.device("meta"), False)
    assert first.device.type == "meta"
    assert data._rows(torch.device("meta"), False) is first
    assert data.images.device.type == "cpu"


def test_splits_cut_the_parts():
    train, valid = numbered(holdout=3), numbered(holdout=3, split="valid")
    assert train.labels.tolist() == list(range(7))
    assert valid.labels.tolist() == [7, 8, 9]
    assert numbered(split="test", limit=2).labels.tolist() == [0, 1]
    assert len(numbered(limit=99)) == 10


def test_a_limit_lets_go_of_the_rest():
    assert numbered(limit=2).images.untyped_storage().nbytes() == 2 * 12


def test_the_fingerprint_is_of_the_content():
    same = {numbered().fingerprint, numbered(flip=True).fingerprint, numbered(limit=10).fingerprint}
    others = [numbered(limit=9), numbered(num_classes=0), Dataset(numbered().images + 1, torch.arange(10), ["a"])]
    assert len(same) == 1
    assert len(same | {other.fingerprint for other in others}) == 4


def test_no_classes_drop_the_labels():
    data = numbered(num_classes=0)
    assert (data.labels, data.class_names, data.num_classes) == (None, None, 0)
    assert next(data.stream(0, 4, seed=0)).keys() == {"image"}


def test_declared_facts_that_hold_are_accepted():
    data = numbered(3, shape=[1, 3, 4], num_classes=3, class_names=["0", "1", "2"])
    assert (data.shape, data.num_classes, data.class_names) == ((1, 3, 4), 3, ["0", "1", "2"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shape": [3, 3, 4]}, r"dataset.shape=\[3,3,4\]: the data have \[1,3,4\]\n  try: dataset.shape=\[1,3,4\]"),
        ({"num_classes": 7}, "dataset.num_classes=7: the data have 10"),
        ({"split": "dev"}, "dataset.split=dev: unknown\n  try: dataset.split=train, valid or test"),
        ({"split": "valid"}, "dataset.split=valid: nothing is held out .*\n  try: dataset.holdout=1"),
        ({"holdout": 10}, "dataset.holdout=10: out of range, the training part has 10 images"),
        ({"holdout": -1}, "dataset.holdout=-1: out of range"),
        ({"limit": 0}, "dataset.limit=0: must be 1 or more\n  try: dataset.limit=null"),
    ],
)
def test_wrong_options_are_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        numbered(**options)


@pytest.mark.parametrize(
    ("batch_size", "world", "sentence"),
    [
        (0, 1, "batch_size=0: must be greater than 0"),
        (11, 1, "batch_size=11: larger than the data, which have 10 images\n  try: batch_size=10"),
        (5, 2, "batch_size=5: .* cannot be divided among 2 processes\n  try: batch_size=6"),
    ],
)
def test_wrong_batch_sizes_are_refused_at_once(batch_size, world, sentence):
    with pytest.raises(UserError, match=sentence):
        numbered().stream(0, batch_size, seed=0, world=world)


@pytest.mark.parametrize("path", CONF, ids=lambda path: path.stem)
def test_every_option_says_the_keys_and_defaults_of_its_class(path):
    node = yaml.safe_load(path.read_text())
    module, _, name = node.pop("_target_").rpartition(".")
    signature = inspect.signature(getattr(import_module(module), name))
    assert node.keys() == signature.parameters.keys()
    for key, parameter in signature.parameters.items():
        if parameter.default is not None:
            assert node[key] == parameter.default, key


def test_fields_go_with_their_rows():
    samples = torch.arange(8, dtype=torch.uint8).view(8, 1, 1, 1).expand(8, 1, 2, 2).clone()
    maps = samples[:, 0].clone()
    words = torch.arange(8, dtype=torch.uint8).view(8, 1).expand(8, 3).clone()
    data = Dataset(samples, torch.arange(8) % 2, ["a", "b"], {"segmap": maps, "caption": words}, limit=6)
    assert data.names == ("image", "segmap", "caption", "label")
    batch = next(data.stream(0, 6, seed=0))
    numbers = ((batch["image"][:, 0, 0, 0] + 1) * 127.5).round().long()
    assert numbers.max() == 5
    assert batch["segmap"].dtype == batch["caption"].dtype == torch.int64
    assert torch.equal(batch["segmap"][:, 1, 1], numbers)
    assert torch.equal(batch["caption"][:, 2], numbers)
    assert torch.equal(batch["label"], numbers % 2)
    taken = data.take(torch.tensor([3, 1]))
    assert taken["segmap"][:, 0, 0].tolist() == taken["caption"][:, 0].tolist() == [3, 1]


def test_a_map_is_mirrored_with_its_image():
    samples = torch.randint(256, (40, 1, 2, 3), dtype=torch.uint8)
    batch = next(Dataset(samples, fields={"segmap": samples[:, 0]}, flip=True).stream(0, 40, seed=0))
    assert torch.equal(((batch["image"][:, 0] + 1) * 127.5).round().long(), batch["segmap"])
    assert sorted(map(tuple, batch["segmap"].flatten(1).tolist())) != sorted(map(tuple, samples.flatten(1).tolist()))


def test_words_forbid_a_mirror():
    samples, words = torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.zeros(4, 3, dtype=torch.uint8)
    with pytest.raises(UserError, match="the caption of a mirrored image would be wrong"):
        Dataset(samples, fields={"caption": words}, flip=True)


def test_fields_count_in_the_fingerprint():
    samples, maps = torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.zeros(4, 2, 2, dtype=torch.uint8)
    prints = {
        Dataset(samples).fingerprint,
        *(Dataset(samples, fields={"segmap": maps + k}).fingerprint for k in (0, 1)),
    }
    assert len(prints) == 3
