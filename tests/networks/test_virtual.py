"""Virtual batch norm: plain loops over its definition, and the property it is for: images do not see one another."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.networks.conditioning import ClassNorm
from ganctl.networks.dcgan import DcganDiscriminator, DcganGenerator
from ganctl.networks.mlp import MlpDiscriminator, MlpGenerator
from ganctl.networks.packing import Pack
from ganctl.networks.virtual import REFERENCE, Reference, VirtualBatchNorm

PLAYERS = {
    "mlp": (MlpGenerator, MlpDiscriminator, {"shape": [1, 16, 16], "widths": [6, 5]}),
    "dcgan": (DcganGenerator, DcganDiscriminator, {"shape": [1, 16, 16], "width": 4}),
}


def drawn(seed, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def players(model, **changes):
    """Both in float64, their reference batches set, and an input of eight for each."""
    torch.manual_seed(0)
    generator, discriminator, settings = PLAYERS[model]
    both = {**settings, "norm": "virtual", **changes}
    networks = generator(**both, latent=4).double(), discriminator(**both).double()
    for network, shape in zip(networks, ([4], [1, 16, 16]), strict=True):
        for weight in network.parameters():
            weight.data.mul_(3)  # out of the first weights' flatness
        network.prepare(drawn(1, 40, *shape), torch.arange(40) % 3 if changes.get("num_classes") else None)
    return [(networks[0], drawn(2, 8, 4)), (networks[1], drawn(2, 8, 1, 16, 16))]


def out(network, x, y=None):
    found = network(x, y)
    return found if isinstance(found, torch.Tensor) else found.logits


# -- the layer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [(), (2, 3)])
def test_it_is_its_definition(pixels):
    """All values of the n references and of one more sample, weighed alike; the moments of that list, by numpy."""
    x, layer = drawn(0, REFERENCE + 5, 3, *pixels) * 2 + 1, VirtualBatchNorm(3).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
        layer.bias.copy_(torch.tensor([0.0, 5.0, 7.0]))
    found, numbers = layer(x).detach(), x.numpy()
    for i in range(REFERENCE + 5):
        for c in range(3):
            batch = numbers[:REFERENCE, c].ravel()
            if i >= REFERENCE:
                batch = np.concatenate([batch, numbers[i, c].ravel()])
            expected = (numbers[i, c] - batch.mean()) / np.sqrt(batch.var() + 1e-5) * (c + 1) + [0.0, 5.0, 7.0][c]
            assert_close(found[i, c], torch.as_tensor(expected), rtol=0.0, atol=1e-10)


def test_an_outlier_is_held_by_its_own_weight():
    """33 far out among 32 zeros: the mean is 1, the variance (33^2 / 33) - 1 = 32."""
    layer = VirtualBatchNorm(1, affine=False, eps=0.0)
    x = torch.zeros(REFERENCE + 1, 1)
    x[-1] = 33.0
    assert_close(layer(x)[-1], torch.tensor([32 / 32**0.5]))


def test_the_reference_is_normalised_as_batch_norm_would():
    x = drawn(0, REFERENCE + 3, 4, 2, 2)
    plain = nn.functional.batch_norm(x[:REFERENCE], None, None, training=True)
    assert_close(VirtualBatchNorm(4).double()(x)[:REFERENCE], plain)


def test_class_conditional_virtual_batch_norm():
    x, y = drawn(0, REFERENCE + 2, 4), torch.arange(REFERENCE + 2) % 3
    layer = ClassNorm("virtual", 4, 3, maps=False).double()
    layer.shift.data[1] += 5
    plain = VirtualBatchNorm(4, affine=False)(x)
    assert_close(layer(x, y), plain + 5 * (y == 1).double()[:, None])


def test_mixed_precision_keeps_its_statistics_in_float32():
    x = drawn(0, REFERENCE + 4, 3).float() + 100
    rough = x.bfloat16()
    found = VirtualBatchNorm(3)(rough)
    assert found.dtype == torch.bfloat16
    assert_close(found.float(), VirtualBatchNorm(3)(rough.float()), atol=0.02, rtol=0.01)


# -- in the networks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [0, 1], ids=["generator", "discriminator"])
@pytest.mark.parametrize("model", PLAYERS)
def test_an_image_does_not_depend_on_the_others_of_its_batch(model, side):
    network, x = players(model)[side]
    others = torch.cat([x[:1], 5 * x[1:] + 1])
    assert_close(out(network, x)[0], out(network, others)[0], rtol=0.0, atol=1e-12)
    assert_close(out(network, x[:1])[0], out(network, x)[0], rtol=0.0, atol=1e-12)
    assert_close(out(network.eval(), x), out(network.train(), x))  # training and drawing are one
    if side:
        assert not network.couples_batch


@pytest.mark.parametrize("side", [0, 1], ids=["generator", "discriminator"])
@pytest.mark.parametrize("model", PLAYERS)
def test_it_depends_on_the_reference_and_on_the_weights_of_the_moment(model, side):
    network, x = players(model)[side]
    before = out(network, x).detach()
    fresh = players(model)[side][0]
    with torch.no_grad():
        for one, other in zip(network.parameters(), fresh.parameters(), strict=True):
            one.copy_(2 * one + 0.1 * one.sin())
            other.copy_(one)
    after = out(network, x).detach()
    assert not torch.allclose(before, after)
    assert_close(after, out(fresh, x).detach())  # nothing of the old weights is left in one that saw them
    network.reference.keep(5 * network.reference.input + 1)
    assert not torch.allclose(after, out(network, x).detach())


@pytest.mark.parametrize("model", PLAYERS)
def test_the_gradient_flows_through_the_reference_too(model):
    """The statistics move with the weights: the derivative along one weight by differences."""
    network, x = players(model)[0]
    weight = next(p for p in network.parameters() if p.dim() > 1)
    loss = out(network, x).square().sum()
    (gradient,) = torch.autograd.grad(loss, weight)
    step = torch.zeros_like(weight)
    step[0, 0] = 1e-6
    with torch.no_grad():
        weight += step
        above = out(network, x).square().sum()
        weight -= 2 * step
        below = out(network, x).square().sum()
    assert_close(gradient[0, 0], (above - below) / 2e-6, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", ["concat", "projection"])
@pytest.mark.parametrize("model", PLAYERS)
def test_the_reference_has_labels_of_its_own(model, kind):
    (generator, z), (discriminator, x) = players(model, num_classes=3, conditioning=kind)
    assert torch.equal(generator.reference.label, torch.arange(REFERENCE) % 3)
    for network, some in ((generator, z), (discriminator, x)):
        y = torch.arange(8) % 3
        assert_close(out(network, some[:1], y[:1])[0], out(network, some, y)[0], rtol=0.0, atol=1e-12)


def test_a_small_batch_is_repeated():
    reference = Reference("virtual", 2)
    reference.keep(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([5, 6]))
    assert reference.input.shape == (REFERENCE, 2)
    assert reference.input[:, 0].tolist() == [1.0, 3.0] * (REFERENCE // 2)
    assert reference.label.tolist() == [5, 6] * (REFERENCE // 2)


def test_other_norms_carry_nothing():
    x, y = torch.zeros(2, 3), torch.tensor([0, 1])
    reference = Reference("batch", 3)
    assert reference(x, y) == (x, y)
    assert reference.rest(x) is x
    assert not list(reference.buffers())


def test_a_packed_discriminator_has_packs_for_a_reference():
    torch.manual_seed(0)
    inner = MlpDiscriminator([4], num_classes=6, conditioning="concat", norm="virtual", widths=[5, 5])
    packed = Pack(inner, 2, 3)
    x, y = drawn(0, 2 * REFERENCE, 2).float(), torch.arange(2 * REFERENCE) % 3
    packed.prepare(x, y)
    assert torch.equal(inner.reference.input[:, :4], x.view(REFERENCE, 4))
    assert (inner.reference.input[:, 4:].sum(1) == 2).all()


# -- in a run ---------------------------------------------------------------------------------------------------------

VIRTUAL = ["model.generator.norm=virtual", "critic_norm=virtual"]


@pytest.mark.parametrize("model", PLAYERS)
def test_a_run_keeps_its_reference_from_before_the_first_step(recipe, model):
    trainer = recipe(f"model={model}", *VIRTUAL).trainer()
    trainer.steps = 2
    trainer.fit()
    trainer.require_finite()
    first = next(trainer._stream(0, whole=True))
    kept = trainer.system.discriminator.reference.input
    images = first["image"] if model == "dcgan" else first["image"].flatten(1)
    planes = images.shape[1]
    assert_close(kept[:8, :planes], images)
    assert torch.equal(trainer.system.generator.reference.label[:8], first["label"])
    assert torch.equal(trainer.ema.shadow[0].reference.input, trainer.system.generator.reference.input)


def test_the_first_picture_is_drawn_with_the_reference(recipe):
    trainer = recipe("model=mlp", *VIRTUAL).trainer()
    trainer.system.prepare(next(trainer._stream(0, whole=True)))
    trainer.ema.copy()
    z, label = trainer.system.prior(range(4)), torch.arange(4)
    with trainer.averaged_weights():
        averaged = trainer.system.draw(z, label=label)
    assert_close(averaged, trainer.system.draw(z, label=label))


def test_drawing_needs_no_data_and_a_seed_is_a_picture(train, ganctl, the_run, monkeypatch):
    from ganctl import load
    from ganctl.data import digits

    train(*VIRTUAL, "model.mixture=2", "model.pack=2")
    monkeypatch.setattr(digits, "read_digits", None)
    sampler = load(the_run())
    assert_close(sampler.draw([3], [1])[0], sampler.draw(range(6), [1] * 6)[3], atol=1e-5, rtol=0.0)
