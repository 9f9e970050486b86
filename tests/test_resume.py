"""A run that was interrupted ends with the very bits of one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import cycle, islice

import pytest
import torch
from torch import Tensor

from ganctl import checkpoint
from ganctl.help import options_of
from ganctl.systems.standard import Standard

GROUPS = ("loss", "optimizer", "schedule", "augment")
OPTIONS = {group: list(options_of(group)) for group in GROUPS}
LONGEST = max(map(len, OPTIONS.values()))
SPREAD = [islice(cycle([f"{group}={name}" for name in OPTIONS[group]]), LONGEST) for group in GROUPS]
MIXED = [
    (*changes, "augment.target=null", "augment.p=0.5") if "augment=ada" in changes else changes
    for changes in zip(*SPREAD, strict=True)
]
"""As many recipes as the largest group has options, so that every option of each group is in one. ADA with a target is
not for every loss."""

ALL = f"regularizer=[{','.join(options_of('regularizer'))}]"
LAZY = [ALL, "critic_norm=none", "regularizer.r1.every=2", "model.conditioning=auxiliary"]
TRICKS = [
    LAZY,
    ["model=mlp", "dataset=ring", "loss=wgan_gp"],
    ["system.reuse_fakes=true", "accumulate=2", "n_critic=2", "model.discriminator.dropout=0.2"],
    ["loss=ebgan", "system.pretrain_d=3"],
    ["model=mlp", "model.conditioning=concat", "model.generator.dropout=0.2", "accumulate=4"],
    ["model.conditioning=concat", "accumulate=2", "clip_grad=0.5", "dataset.flip=true", "system.mismatch=true"],
    ["model=mlp", "model.conditioning=projection", "critic_norm=spectral"],
    ["model=mlp", "model.pack=2", "model.mixture=3", "model.discriminator.minibatch=discrimination"],
    ["model.generator.norm=virtual", "critic_norm=virtual", "model.discriminator.minibatch=stddev"],
    ["loss=hinge", "model.generator.norm=spectral", "n_critic=2", "ema=0.5"],
    ["model.discriminator.dropout=0.3", "model.generator.upsample=nearest", "ema=0.0", "system.prior=uniform"],
    ["augment=ada", "augment.images=200", "augment.interval=3", "accumulate=2", "system.label_flip=0.2"],
    ["loss=rsgan", "augment=ada", "augment.images=200", "n_critic=2", "regularizer=[r1]", "critic_norm=none"],
    ["device.precision=bf16", "loss=dragan", "schedule=cosine", "schedule.warmup=2"],
    ["dataset=stacked_digits", "batch_size=32", "dataset.holdout=10"],
    *([f"experiment={name}"] for name in options_of("experiment")),
]


def assert_same(one, other, path=""):
    """Equal containers, and tensors equal bit for bit."""
    assert type(one) is type(other), path
    if isinstance(one, Tensor):
        assert torch.equal(one, other), path
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            assert_same(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), path
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f"{path}[{index}]")
    else:
        assert one == other, path


def trained(trainer, steps, state=None):
    if state:
        trainer.load_state_dict(state)
    trainer.steps = steps
    trainer.fit()
    return trainer.state_dict()


SLOW = [pytest.param(changes, marks=pytest.mark.slow) for changes in [*MIXED[4:], *TRICKS[3:]]]


@pytest.mark.parametrize("changes", [*MIXED[:4], *TRICKS[:3], *SLOW], ids=" ".join)
def test_resume_is_bit_exact(recipe, tmp_path, changes):
    built = recipe("batch_size=16", "steps=5", *changes)  # four batches an epoch: both parts cross its end
    whole = trained(built.trainer(), 5)
    checkpoint.save(trained(built.trainer(), 2), tmp_path / "half.pt")
    resumed = trained(built.trainer(), 5, checkpoint.load(tmp_path / "half.pt"))
    assert resumed["images"] >= 5 * 16
    assert_same(resumed, whole)


def test_images_of_a_folder_resume(recipe, tmp_path):
    from PIL import Image

    (tmp_path / "photos").mkdir()
    for number in range(40):
        Image.linear_gradient("L").rotate(9 * number).resize((20, 18)).save(tmp_path / f"photos/{number}.png")
    built = recipe("dataset=folder", f"dataset.root={tmp_path / 'photos'}", "batch_size=12", "dataset.flip=true")
    whole = trained(built.trainer(), 5)
    assert_same(trained(built.trainer(), 5, trained(built.trainer(), 2)), whole)


# -- through the command line ---------------------------------------------------------------------------------------


def events(folder):
    """What metrics.jsonl holds, without what the clock decides."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if not key.startswith(("speed/", "seconds"))} for line in lines]


def last(folder):
    """The checkpoint, without the configuration, in which `steps` and `name` may differ."""
    return {key: value for key, value in checkpoint.load(folder / "checkpoints" / "last.pt").items() if key != "config"}


def test_the_same_command_continues(train, workplace):
    train("steps=6", "name=whole")
    train("steps=4", "name=parts")
    told = train("steps=6", "name=parts")
    assert "continues at step 4 of 6 steps" in told.err
    whole, parts = (workplace / "runs" / name for name in ("whole", "parts"))
    assert_same(last(parts), last(whole))
    assert events(parts) == events(whole)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_a_signal_ends_the_step_saves_and_says_how_to_go_on(train, workplace, monkeypatch, number, status):
    train("steps=6", "name=whole")

    def begin(self, step, inner=Standard.begin):
        if step == 2:
            signal.raise_signal(number)
        inner(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(Standard, "begin", begin)
        told = train("steps=6", "name=parts", "seed=0", status=status)
    assert f"stopped by {number.name} after step 3 of 6; saved in runs/parts" in told.err
    assert "continue with: ganctl train " in told.err
    assert "Traceback" not in told.err
    parts = workplace / "runs/parts"
    assert last(parts)["step"] == 3
    train("steps=6", "name=parts")
    assert_same(last(parts), last(workplace / "runs/whole"))
    assert events(parts) == events(workplace / "runs/whole")


def test_a_second_signal_ends_at_once(train, workplace, monkeypatch):
    train("steps=2", "name=mine")

    def begin(self, step):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Standard, "begin", begin)
    told = train("steps=4", "name=mine", status=130)
    assert told.err.endswith("interrupted\n")
    assert last(workplace / "runs/mine")["step"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_process_that_is_told_to_stop(tiny, workplace, number, status):
    changes = tiny("steps=100000", "every.log=1", "every.checkpoint=100000", "name=parts")
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    arguments = [sys.executable, "-m", "ganctl", "train", *changes]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=environment) as process:
        lines = workplace / "runs/parts/metrics.jsonl"
        while not (lines.exists() and lines.stat().st_size):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(number)
        told = process.communicate(timeout=60)[1]
    assert process.returncode == status
    step = last(workplace / "runs/parts")["step"]
    assert f"stopped by {number.name} after step {step} of 100000" in told
    assert "Traceback" not in told
