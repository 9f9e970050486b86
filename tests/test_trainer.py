"""The loop: nothing waits for the device between two log points, steps and moves are counted, time runs out."""

from collections import Counter

import pytest
import torch

from ganctl.errors import UserError
from ganctl.watch import OUT_OF_TIME

SYNCHRONISING = ["item", "cpu", "tolist", "numpy", "nonzero"]
SYNCHRONISING += ["__bool__", "__float__", "__int__", "__index__", "__format__"]


@pytest.mark.parametrize("loss", ["nsgan", "wgan_gp"])
@pytest.mark.parametrize("model", ["mlp", "dcgan"])
def test_a_steady_step_never_waits_for_the_device(recipe, monkeypatch, model, loss):
    changes = ["clip_grad=1.0", "schedule=cosine", "every.log=6", "every.checkpoint=6", "every.sample=6", "steps=12"]
    trainer = recipe(f"model={model}", f"loss={loss}", *changes, "batch_size=16").trainer()
    waits: Counter[int] = Counter()

    def counted(inner):
        def call(*args, **kwargs):
            waits[trainer.step] += 1
            return inner(*args, **kwargs)

        return call

    for name in SYNCHRONISING:
        monkeypatch.setattr(torch.Tensor, name, counted(getattr(torch.Tensor, name)))
    trainer.fit()
    assert {step for step in waits if step} == {6, 12}, waits


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA, which can tell of every wait itself")
@pytest.mark.parametrize(
    "changes", [["model=mlp"], ["model=dcgan"], ["loss=wgan_gp"], ["device.precision=bf16"]], ids=" ".join
)
def test_cuda_is_not_waited_for(recipe, changes):
    trainer = recipe("device=cuda", "device.deterministic=true", "every.log=1000", "steps=1000", *changes).trainer()
    batches = trainer._stream(0)
    for _ in range(3):
        trainer._one_step(batches)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            trainer._one_step(batches)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_an_epoch_is_what_the_critic_saw(recipe):
    """64 images in batches of 8 with two critic moves a step: an epoch is four steps."""
    built = recipe("n_critic=2", "epochs=2", "model=mlp")
    assert built.plain["steps"] == 8
    trainer = built.trainer()
    trainer.fit()
    assert trainer.images == 128


def test_accumulated_parts_have_the_gradient_of_the_whole(recipe):
    """Without batch norm and noise the mean over four parts is the mean over the batch."""
    torch.manual_seed(0)
    z = torch.randn(16, 8)
    gradients = []
    for parts in (1, 4):
        trainer = recipe("model=mlp", "dataset=ring", "batch_size=16", f"accumulate={parts}", "optimizer=sgd").trainer()
        chunks = iter(z.chunk(parts))
        phase = trainer.system.phases()[0]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trainer.system.latents, "draw", lambda *args, chunks=chunks: next(chunks))
            trainer.update(phase, next(trainer._stream(0)))
        gradients.append([p.grad for p in trainer.params["d"]])
    torch.testing.assert_close(*gradients)


def test_the_time_runs_out(recipe):
    trainer = recipe("model=mlp", "steps=100000", "max_minutes=1e-6").trainer()
    saved = []

    def save(state, name):
        saved.append(state["step"])
        raise KeyboardInterrupt  # what matters was seen

    with pytest.raises(KeyboardInterrupt):
        trainer.fit(save)
    assert saved == [1]
    trainer = recipe("model=mlp", "steps=100000", "max_minutes=1e-6").trainer()
    assert trainer.fit() == OUT_OF_TIME


def test_every_parameter_has_one_player(recipe, monkeypatch):
    built = recipe("model=mlp")
    system = built.trainer().system
    monkeypatch.setattr(type(system), "players", lambda self: {"d": [self.discriminator], "g": []})
    with pytest.raises(ValueError, match=r"exactly one player; not so: generator\."):
        built.trainer()
    monkeypatch.setattr(type(system), "players", lambda self: {"d": [self], "g": [self.generator]})
    with pytest.raises(ValueError, match="shared ones"):
        built.trainer()


def test_an_unknown_player_takes_the_generators_optimizer(recipe):
    built = recipe("model=mlp", "optimizer.d.lr=0.5", "optimizer.g.lr=0.25")
    plain = built.plain
    trainer = built.trainer()
    assert [trainer.optimizers[player].param_groups[0]["lr"] for player in "dg"] == [0.5, 0.25]
    built.plain = {**plain, "optimizer": {"lr": 1.0}}
    with pytest.raises(UserError, match="no optimizer for player 'd'"):
        built.trainer()


def test_the_rate_follows_its_schedule(recipe):
    """lr 0.1, linear to 0 over 4 steps: 0.1, 0.075, 0.05, 0.025."""
    trainer = recipe("model=mlp", "optimizer=sgd", "optimizer.lr=0.1", "schedule=linear", "steps=4").trainer()
    rates = []
    batches = trainer._stream(0)
    for _ in range(4):
        trainer._one_step(batches)
        rates.append(trainer.optimizers["g"].param_groups[0]["lr"])
    torch.testing.assert_close(rates, [0.1, 0.075, 0.05, 0.025])


def test_while_d_is_trained_alone_no_other_player_moves(recipe):
    """Weights, statistics, moving average and optimizer of G are those of the start for two steps, then they move."""
    trainer = recipe("loss=ebgan", "system.pretrain_d=2").trainer()
    batches = trainer._stream(0)

    def of_g():
        weights = {**trainer.system.generator.state_dict(), **trainer.ema.state_dict()[0]}
        return [value.clone() for value in weights.values()]

    start, d_start = of_g(), [p.clone() for p in trainer.params["d"]]
    for _ in range(2):
        trainer._one_step(batches)
    torch.testing.assert_close(of_g(), start, rtol=0.0, atol=0.0)
    assert not trainer.optimizers["g"].state
    assert all(not torch.equal(p, before) for p, before in zip(trainer.params["d"], d_start, strict=True))
    trainer._one_step(batches)
    assert trainer.step == 3
    assert any(not torch.equal(now, before) for now, before in zip(of_g(), start, strict=True))
