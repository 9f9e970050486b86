"""Runs that an earlier version wrote go on, draw and are judged: `stored_runs/` was made at commit 623fc24.

Each was trained for 3 steps by the words below; `after_6_steps.pt` is what that version went on to.
"""

import shutil
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

STORED = Path(__file__).parent / "stored_runs"
COMMON = ["debug=fast", "device.kind=cpu", "device.threads=1", "every.sample=6"]
DIGITS = [
    f"model.{player}.{width}" for player in ("generator", "discriminator") for width in ("width=4", "max_width=8")
]
WORDS = {
    "digits-dcgan-nsgan-s0-54e11142": [
        *("model.latent=8", *DIGITS, "critic_norm=none", "regularizer=[r1]", "augment=diffaugment", "every.log=1")
    ],
    "ring-mlp-wgan_gp-s0-98fbbfcb": [
        *(
            "model=mlp",
            "dataset=ring",
            "model.latent=4",
            "model.generator.widths=[8]",
            "model.discriminator.widths=[8]",
        ),
        *("loss=wgan_gp", "model.mixture=2", "model.pack=2", "system.prior=uniform"),
        *("schedule=cosine", "schedule.over=10"),
    ],
}


@pytest.fixture(params=WORDS)
def stored(request, workplace):
    """A stored run below runs/, as if it had been trained here."""
    folder = workplace / "runs" / request.param
    shutil.copytree(STORED / request.param, folder)
    return folder


def assert_near(one, other, path=""):
    """Equal containers, and numbers equal but for what another processor rounds elsewhere."""
    if isinstance(other, torch.Tensor):
        assert_close(one, other, rtol=1e-3, atol=1e-5, msg=lambda text: f"{path}: {text}")
    elif isinstance(other, dict):
        assert one.keys() == other.keys(), path
        for key in other:
            assert_near(one[key], other[key], f"{path}.{key}")
    elif isinstance(other, list):
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_near(*pair, f"{path}[{index}]")
    else:
        assert one == other, path


def test_the_same_command_goes_on(ganctl, stored):
    outcome = ganctl("train", *COMMON, *WORDS[stored.name], "steps=6")
    assert outcome.status == 0, outcome.err
    assert f"{stored.relative_to(Path.cwd())} continues at step 3" in outcome.err
    now, then = (
        torch.load(path, weights_only=True) for path in (stored / "checkpoints/last.pt", stored / "after_6_steps.pt")
    )
    for part in ("step", "images", "system", "ema", "optimizers"):
        assert_near(now[part], then[part], part)


def test_it_draws(ganctl, stored):
    outcome = ganctl("sample", f"run={stored}", "n=4", "device=cpu")
    assert outcome.status == 0, outcome.err
    assert (stored / "artifacts" / "grid.png").is_file()


def test_it_is_judged(ganctl, stored):
    outcome = ganctl("eval", f"run={stored}", "device=cpu", "n=20", "source=pixels", "metric.kid.subset_size=10")
    assert outcome.status == 0, outcome.err
    assert (stored / "metrics.json").is_file()
