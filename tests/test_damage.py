"""Damaged, hostile and missing runs, full disks, full memory: one sentence, and what was saved stays as it was."""

import errno
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from ganctl import checkpoint
from ganctl.systems.standard import Standard


def some(cases):
    """A quarter of the cases whenever the fast tests run, all of them in the whole set."""
    return [pytest.param(case, marks=() if n % 4 == 0 else pytest.mark.slow) for n, case in enumerate(cases)]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*.pt"))}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept") / "runs"


@pytest.fixture
def good(train, workplace, kept):
    """A finished tiny run named `good`, trained once and copied for each test."""
    if kept.exists():
        shutil.copytree(kept, workplace / "runs")
    else:
        train("name=good", "model.conditioning=none")
        shutil.copytree("runs", kept)
    return workplace / "runs" / "good"


@pytest.fixture
def go_on(ganctl, tiny):
    """The command that would take the run `good` to eight steps."""
    return lambda *changes: ganctl("train", *tiny("name=good", "model.conditioning=none", "steps=8", *changes))


# -- runs and checkpoints -------------------------------------------------------------------------------------------


class Hostile:
    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.mkdir, (str(self.witness),)


def saved(path, content):
    with path.open("wb") as file:
        torch.save(content, file)


def damage(kind, path, witness):
    whole = path.read_bytes()
    if kind == "hostile pickle":
        path.write_bytes(pickle.dumps(Hostile(witness)))
    elif kind == "hostile checkpoint":
        saved(path, {"format": 1, "step": 4, "system": Hostile(witness)})
    elif kind == "another format":
        saved(path, {"format": 99})
    elif kind == "a list":
        saved(path, [1, 2])
    elif kind == "parts missing":
        saved(path, {"format": 1, "step": 4})
    elif kind == "another network":
        saved(path, {**checkpoint.load(path), "system": {"weight": torch.zeros(3)}})
    elif kind == "another optimizer":
        saved(path, {**checkpoint.load(path), "optimizers": {"d": {}, "g": {}}})
    else:
        path.write_bytes(
            {"empty": b"", "truncated": whole[: len(whole) // 2], "text": b"hello\n", "picture": b"\x89PNG"}[kind]
        )


KINDS = ["empty", "truncated", "text", "picture", "hostile pickle", "hostile checkpoint", "another format", "a list"]
KINDS += ["parts missing", "another network", "another optimizer"]


@pytest.mark.parametrize("kind", some(KINDS))
def test_a_checkpoint_that_is_none(refused, good, go_on, ganctl, workplace, kind):
    last = good / "checkpoints/last.pt"
    damage(kind, last, workplace / "witness")
    before = snapshot(good)
    refused(go_on(), "checkpoint")
    if kind != "another optimizer":
        refused(ganctl("sample", "run=good"), "checkpoint")
    assert not (workplace / "witness").exists()
    assert snapshot(good) == before


def test_a_run_that_is_not_there(refused, ganctl, tiny, workplace):
    refused(ganctl("sample"), "no trained run", "try: ganctl train")
    refused(ganctl("train", *tiny("init_from=nowhere")), "init_from=nowhere: no such folder")
    refused(ganctl("sample", "run=nowhere"), "run=nowhere")
    (workplace / "empty").mkdir()
    refused(ganctl("sample", "run=empty"), "config.yaml is missing")


def test_a_checkpoint_that_is_not_there(refused, good, ganctl):
    refused(ganctl("sample", "checkpoint=nowhere"), "nowhere.pt")
    refused(ganctl("sample", "artifact=classes"), "trained without labels", "model.conditioning=")


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "steps: 3", "!!python/object/apply:os.mkdir ['witness']"])
def test_a_stored_configuration_that_is_none(refused, good, go_on, ganctl, workplace, text):
    (good / "config.yaml").write_text(text)
    before = snapshot(good)
    refused(ganctl("sample"), "config.yaml")
    refused(go_on(), "config.yaml")
    assert not (workplace / "witness").exists()
    assert snapshot(good) == before


HOSTILE = {
    "a function": {"_target_": "os.mkdir", "path": "witness"},
    "a path through torch": {"_target_": "torch.optim.optimizer.torch.load", "f": "x.pt"},
    "a path through ganctl": {"_target_": "ganctl.run.hashlib.os.mkdir", "path": "witness"},
    "a module of the folder": {"_target_": "hostile.Mine"},
    "an interpolation": "${oc.create:'{_target_: builtins.open, file: witness, mode: w}'}",
    "an interpolated module": "${oc.create:'{_target_: hostile.Mine}'}",
    "an interpolated name": {"_target_": "${oc.decode:hostile.Mine}"},
    "positional arguments": {"_target_": "ganctl.losses.minimax.NonSaturating", "_args_": [1, 2]},
    "no name": {"_target_": 5},
}


@pytest.mark.parametrize("kind", some(HOSTILE))
def test_a_stored_configuration_that_would_run_code(refused, good, ganctl, workplace, kind):
    (workplace / "hostile.py").write_text("open('witness', 'w').close()\nclass Mine: pass\n")
    stored = yaml.safe_load((good / "config.yaml").read_text())
    stored["system"]["regularizers"] = {"mine": HOSTILE[kind]}
    (good / "config.yaml").write_text(yaml.safe_dump(stored))
    refused(ganctl("sample"), "system.")
    assert not (workplace / "witness").exists()


@pytest.mark.parametrize("system", [{"a": 1}, {"_target_": "ganctl.losses.minimax.NonSaturating"}])
def test_a_stored_system_that_is_none(refused, good, ganctl, system):
    stored = yaml.safe_load((good / "config.yaml").read_text())
    (good / "config.yaml").write_text(yaml.safe_dump({**stored, "system": system}))
    refused(ganctl("sample"), "config.yaml builds no system")


def test_a_named_run_with_other_settings_lists_them(refused, good, go_on):
    before = snapshot(good)
    told = go_on("loss=lsgan", "optimizer.lr=0.1")
    refused(
        told, "name=good", "loss._target_: ganctl.losses.minimax.NonSaturating there", "optimizer.lr: 0.001 there, 0.1"
    )
    assert snapshot(good) == before


# -- disk and memory ------------------------------------------------------------------------------------------------


def test_runs_cannot_be_made(refused, ganctl, tiny, workplace):
    (workplace / "runs").write_text("a file where the folder should be")
    refused(ganctl("train", *tiny()), "cannot make runs/", "try: a folder you may write to")


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_checkpoint(refused, good, go_on, monkeypatch):
    before = snapshot(good)

    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        refused(go_on(), "No space left on device", "config.yaml")
    assert snapshot(good) == before
    assert not list(good.rglob("*.tmp"))
    assert go_on().status == 0


def test_a_disk_that_fills_while_training(refused, good, go_on, monkeypatch):
    before = snapshot(good)
    room = [3]  # config.yaml takes a file and its folder, the next checkpoint finds the disk full

    def full(file, inner=os.fsync):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        inner(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        refused(go_on(), "No space left on device", "last.pt")
    assert snapshot(good).keys() == before.keys()
    assert checkpoint.load(good / "checkpoints/last.pt")["step"] in (4, 6)
    assert not list(good.rglob("*.tmp"))


@pytest.mark.parametrize("limit", some([6_000, 1_000, 20_000, 60_000]))
def test_files_that_cannot_grow(refused, good, go_on, limit):
    """Whichever file meets the limit first: the configuration, a picture, TensorBoard's events, a checkpoint."""
    resource = pytest.importorskip("resource")
    before = snapshot(good)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        refused(go_on(), "File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert snapshot(good) == before
    assert not list(good.rglob("*.tmp"))


def test_a_log_that_cannot_be_written_costs_no_checkpoint(refused, good, go_on):
    (good / "train.log").unlink()
    (good / "train.log").symlink_to("/dev/full")
    refused(go_on(), "No space left on device")
    assert checkpoint.load(good / "checkpoints/last.pt")["step"] == 8


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory(refused, good, go_on, monkeypatch, error):
    before = snapshot(good)

    def begin(self, step):
        raise error

    monkeypatch.setattr(Standard, "begin", begin)
    refused(go_on(), "out of memory", "batch_size", "accumulate=2")
    assert snapshot(good) == before


def test_a_loss_that_is_no_longer_finite(refused, good, go_on, monkeypatch, workplace):
    before = snapshot(good)

    def g_terms(self, batch, inner=Standard._g_terms):
        terms = inner(self, batch)
        return {name: term / (self.step != 6) for name, term in terms.items()}

    monkeypatch.setattr(Standard, "_g_terms", g_terms)
    told = go_on("steps=12", "every.checkpoint=4")
    refused(
        told,
        "loss/g/adversarial is no longer a finite number at step 6",
        "the last good checkpoint, of step 4, is kept",
    )
    assert snapshot(good) == before  # of step 4; step 8 was not saved
    assert "no longer a finite number" in (good / "train.log").read_text()


def test_weights_that_explode_are_not_saved(refused, ganctl, tiny, workplace):
    refused(ganctl("train", *tiny("optimizer.lr=1e20", "steps=6")), "no longer a finite number at step", "optimizer.lr")
    assert not list(workplace.rglob("*.pt"))
