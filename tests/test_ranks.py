"""Two processes train as one. A single process group of two walks every recipe; this file is its program as well."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from ganctl import distributed
from ganctl.help import options_of
from ganctl.systems import standard

STEPS = 3
RECIPES = [
    *([f"loss={loss}"] for loss in options_of("loss")),
    [
        f"regularizer=[{','.join(options_of('regularizer'))}]",
        "critic_norm=none",
        "model.conditioning=auxiliary",
        "regularizer.r1.every=2",
        "augment=instance_noise",
    ],
    ["augment=ada", "augment.images=100", "augment.interval=1", "augment.p=0.3", "system.label_flip=0.2"],
    ["augment=diffaugment", "loss=rsgan", "accumulate=2"],
    ["model=mlp", "model.discriminator.dropout=0.3", "accumulate=2", "clip_grad=0.5"],
    ["model=mlp", "dataset=ring", "n_critic=2"],
    ["system.reuse_fakes=true", "accumulate=2"],
    ["model.conditioning=projection", "system.mismatch=true"],
    ["model=mlp", "model.pack=2", "model.mixture=3", "loss=wgan_gp"],
    ["model.generator.norm=virtual", "critic_norm=virtual", "model.discriminator.minibatch=stddev"],
    ["model=mlp", "model.conditioning=auxiliary", "regularizer=[auxiliary]"],
    ["model.generator.norm=instance", "critic_norm=group", "dataset.flip=true", "model.conditioning=none"],
    *([f"experiment={name}"] for name in options_of("experiment")),
]
UNCOUPLED = [
    *([f"loss={loss}"] for loss in ("minimax", "nsgan", "lsgan", "wgan", "hinge", "rsgan", "r3gan")),
    ["model=mlp", "dataset=ring", "accumulate=2", "system.reuse_fakes=true"],
    ["model=mlp", "dataset=ring", "model.pack=4"],
    ["model.generator.norm=virtual", "critic_norm=virtual"],
]
"""Recipes where no term mixes the samples of a batch, once no network has batch norm. Spectral norm mixes none either,
but its power iteration makes the last bits of a sum large."""


@contextmanager
def alone() -> Iterator[None]:
    """Inside, this process is the only one."""
    with patch.object(distributed, "world", lambda: 1), patch.object(distributed, "rank", lambda: 0):
        yield


def trained(trainer):
    trainer.steps = STEPS
    trainer.fit()
    return {**trainer.system.state_dict(), **{f"ema.{k}": v for k, v in trainer.ema.state_dict()[0].items()}}


def assert_equal(one, other):
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def both_as_shard_0(recipe):
    """Both ranks work off the first half of each batch: the mean of two equal gradients is that gradient."""
    with patch.object(distributed, "rank", lambda: 0):
        together = trained(recipe.trainer())
    with alone():
        single = recipe.trainer()

        def half(start, whole=False):
            return single.dataset.stream(
                start, single.batch_size, seed=single.seed, world=1 if whole else 2, channels_last=True
            )

        with patch.object(single, "_stream", half):
            assert_equal(trained(single), together)


def ranks_agree(recipe):
    """Each rank has its own half, and the same weights and statistics in the end."""
    mine = trained(recipe.trainer())
    assert_equal(mine, distributed.from_rank_0(mine))


def latents_of(real, latent):
    """(B, Z) latents that each sample brings along, wherever in a batch it lies."""
    flat = real.flatten(1)
    directions = torch.randn(flat.shape[1], latent, generator=torch.Generator().manual_seed(0))
    return torch.sin(flat @ directions)


def two_halves_are_one_batch(recipe):
    """2 x 16 samples equal 1 x 32, where what is drawn for a sample depends on the sample alone."""

    def made(self, real, label):
        return self.generator(latents_of(real, self.generator.latent), label).float()

    with patch.object(standard.Standard, "_made", made):
        halves = trained(recipe.trainer())
        with alone():
            whole = trained(recipe.trainer())
    start = recipe.trainer().system.state_dict()
    assert any(not torch.equal(start[name], whole[name]) for name in start)
    torch.testing.assert_close(halves, whole, atol=1e-5, rtol=1e-5)


def walk() -> None:
    """The program of one rank."""
    sys.path.insert(0, str(Path(__file__).parent))
    from conftest import recipe_of, small

    torch.set_num_threads(1)
    with distributed.session("cpu"):
        for changes in RECIPES:
            recipe = recipe_of(*small("batch_size=16", *changes))
            both_as_shard_0(recipe)
            ranks_agree(recipe)
            print("ok", *changes, flush=True)
        for changes in UNCOUPLED:
            plain = ["batch_size=32", "optimizer=sgd", "optimizer.lr=0.1"]
            plain += ["model.generator.norm=none", "critic_norm=none"]
            two_halves_are_one_batch(recipe_of(*small(*plain, *changes)))
            print("ok 2 x 16 =", *changes, flush=True)


@pytest.mark.slow
def test_two_ranks(workplace):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=900)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    assert all(words.count("ok ") == len(RECIPES) + len(UNCOUPLED) for words in said)


@pytest.mark.slow
def test_torchrun_leaves_one_run_folder(tiny, the_run, workplace):
    arguments = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    told = subprocess.run(
        [sys.executable, *arguments, "-m", "ganctl", "train", *tiny("steps=4")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert told.returncode == 0, told.stderr
    assert "device   cpu x 2" in told.stderr
    assert told.stderr.count("finished 4 steps") == 1
    assert (the_run() / "checkpoints/last.pt").exists()


def test_a_sweep_under_torchrun_is_refused(ganctl, refused, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused(ganctl("train", "-m", "seed=0,1"), "-m", "torchrun")


if __name__ == "__main__":
    walk()
