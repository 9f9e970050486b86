"""Standing statistics: what batch norm uses to draw, taken anew for the weights and the truncation in use."""

import hashlib

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import ganctl as package
from ganctl.ema import EMA
from ganctl.losses.hinge import Hinge
from ganctl.networks.biggan import BigganGenerator
from ganctl.networks.resnet import ResnetDiscriminator
from ganctl.systems.standard import Standard
from ganctl.systems.standing import take_standing_statistics


def buffers(system):
    return {name: value.clone() for name, value in system.generator.named_buffers()}


def a_system(standing=4, **settings):
    """Untrained players of three classes, with biases: what a generator draws whatever the latent."""
    torch.manual_seed(0)
    labels = {"num_classes": 3, "conditioning": "projection", "width": 4, "max_width": 8}
    generator = BigganGenerator((1, 16, 16), latent=12, shared=4, standing=standing, **labels, **settings)
    for layer in generator.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.normal_(layer.bias)
    return Standard(generator, ResnetDiscriminator((1, 16, 16), **labels), Hinge()).eval()


def test_statistics_are_means_over_the_batches():
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(3).eval()
    batches = [(torch.randn(5, 3) * 2 + 1, None) for _ in range(4)]

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = norm

        def forward(self, z, y):
            return self.norm(z)

    take_standing_statistics(Network(), batches)
    assert_close(norm.running_mean, torch.stack([z.mean(0) for z, _ in batches]).mean(0))
    assert_close(norm.running_var, torch.stack([z.var(0) for z, _ in batches]).mean(0))
    assert norm.momentum == 0.1
    assert not norm.training


def test_settling_is_seeded_and_leaves_training_alone():
    one, other = a_system(), a_system()
    before = torch.default_generator.get_state()
    one.settle(truncation=0.5)
    assert torch.equal(torch.default_generator.get_state(), before)
    torch.manual_seed(5)
    other.settle(truncation=0.5)
    assert_close(buffers(one), buffers(other), rtol=0.0, atol=0.0)
    one.settle(truncation=0.5)  # once more changes nothing
    assert_close(buffers(one), buffers(other), rtol=0.0, atol=0.0)


def test_statistics_are_those_of_the_truncation_in_use():
    system = a_system()
    found = {}
    for truncation in (None, 1.0, 0.3):
        system.settle(truncation=truncation)
        found[truncation] = system.generator.path.blocks[0].norms[0].normalise[0].running_var.mean()
    assert found[None] > found[1.0] > found[0.3]


def test_where_none_are_asked_for_the_running_averages_stay():
    system = a_system(standing=0)
    for part in system.generator.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
    before = buffers(system)
    system.settle(truncation=0.5)
    assert_close(buffers(system), before, rtol=0.0, atol=0.0)


def test_truncation_lowers_the_variance_of_the_samples():
    system = a_system(standing=4)
    label = torch.zeros(100, dtype=torch.int64)
    variances = []
    for truncation in (None, 1.5, 1.0, 0.6, 0.3, 0.05):
        system.settle(truncation=truncation)
        drawn = system.draw(system.prior(range(100), truncation=truncation), label=label)
        variances.append(drawn.var(0).mean().item())
    assert variances == sorted(variances, reverse=True)
    assert variances[-1] < 0.1 * variances[0]


def test_settling_within_the_average_leaves_the_average_as_it_was():
    system = a_system()
    ema = EMA(system.averaged(), 0.9)
    for part in system.generator.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
    ema.update(0)
    live = buffers(system)
    kept = {name: value.clone() for name, value in ema.shadow[0].state_dict().items()}
    with ema.applied():
        system.settle()
        drawing = buffers(system)
    assert any(not torch.equal(drawing[name], kept[name]) for name in drawing if "running_mean" in name)
    assert_close(buffers(system), live, rtol=0.0, atol=0.0)
    assert_close(dict(ema.shadow[0].state_dict()), kept, rtol=0.0, atol=0.0)


# -- through the command line ---------------------------------------------------------------------------------------


@pytest.fixture
def a_run(train, the_run):
    train("model=biggan", "model.generator.standing=2", "model.generator.shared=4")
    return the_run()


def test_drawing_leaves_the_checkpoint_untouched(a_run, ganctl):
    def digest():
        return hashlib.sha256((a_run / "checkpoints/last.pt").read_bytes()).hexdigest()

    before = digest()
    assert ganctl("sample", "n=4", "truncation=0.3", "device=cpu").status == 0
    assert digest() == before
    loose, tight = (package.load(a_run, truncation=truncation) for truncation in (None, 0.3))
    one, other = (sampler.system.generator.path.blocks[0].norms[0].normalise[0] for sampler in (loose, tight))
    assert not torch.equal(one.running_var, other.running_var)
    again = package.load(a_run, truncation=0.3)
    assert torch.equal(again.draw([3]), tight.draw([3]))


@pytest.mark.slow
def test_evaluation_in_training_changes_no_weight(train, workplace):
    settings = ("model=biggan", "model.generator.standing=2", "model.generator.shared=4", "steps=4")
    train(*settings, "name=plain")
    train(*settings, "name=judged", "every.eval=2", "eval.source=pixels", "metric=[density_coverage]")
    states = [
        torch.load(workplace / f"runs/{name}/checkpoints/last.pt", weights_only=True)["ema"]
        for name in ("plain", "judged")
    ]
    assert_close(states[0], states[1], rtol=0.0, atol=0.0)
