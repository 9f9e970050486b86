"""The players of Brock et al. 2019: the authors' own sizes, the hierarchical latent, the shared embedding."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.networks.biggan import BigganGenerator, ConditionedNorm
from ganctl.networks.resnet import ResnetDiscriminator

SMALL = {"width": 4, "max_width": 8, "shared": 5, "num_classes": 3, "conditioning": "projection"}


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_the_authors_sizes_at_128_pixels(monkeypatch):
    """The counts that their PyTorch code prints for its ImageNet model, 158.4 million as in table 1 of the paper."""
    monkeypatch.setattr(nn.init, "orthogonal_", lambda weight: weight)  # weights without memory have no values
    labels = {"num_classes": 1000, "conditioning": "projection"}
    with torch.device("meta"):  # spectral norm has no parameters
        generator = BigganGenerator((3, 128, 128), spectral=False, **labels)
        discriminator = ResnetDiscriminator(
            (3, 128, 128), width=96, max_width=1536, attention=1, wide=True, norm="none", **labels
        )
    assert parameters(generator) == 70_433_988
    assert parameters(discriminator) == 87_982_370
    assert generator.chunk == 20  # 120 numbers for five blocks and the first layer
    assert generator.shared.weight.shape == (1000, 128)
    assert generator.project.weight.shape == (16 * 96 * 4 * 4, 20)
    assert [norm.scale.weight.shape for norm in generator.path.blocks[0].norms] == [(1536, 148), (1536, 148)]
    assert generator.path.attention.query.weight.shape == (24, 192, 1, 1)  # at 64 pixels
    assert discriminator.path.attention.query.weight.shape == (12, 96, 1, 1)


def test_each_block_reads_its_own_chunk_of_the_latent():
    torch.manual_seed(0)
    generator, heard = BigganGenerator((1, 28, 28), latent=8, **SMALL).eval(), []
    for block in generator.path.blocks:
        block.register_forward_hook(lambda _block, inputs, _out: heard.append(inputs[1]))
    z, y = torch.randn(2, 8), torch.tensor([2, 0])
    generator(z, y)
    embedding = generator.shared(y)
    assert_close(heard, [torch.cat([embedding, z[:, i : i + 2]], 1) for i in (2, 4, 6)])


def test_without_labels_the_chunk_alone_conditions():
    generator = BigganGenerator((1, 28, 28), latent=8, width=4, max_width=8)
    assert generator.shared is None
    assert generator.path.blocks[0].norms[0].scale.in_features == 2
    assert generator(torch.randn(2, 8)).shape == (2, 1, 28, 28)


def test_a_latent_that_does_not_divide_is_refused():
    with pytest.raises(UserError, match=r"model.latent=10 does not divide into 4(.|\n)*try: model.latent=12"):
        BigganGenerator((1, 28, 28), latent=10, width=4, max_width=8)


def test_scale_and_shift_are_linear_in_the_condition():
    torch.manual_seed(0)
    norm = ConditionedNorm("batch", 2, 3).double()
    x, condition = torch.randn(4, 2, 3, 3).double(), torch.randn(4, 3).double()
    centred = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    gain, bias = 1 + condition @ norm.scale.weight.T, condition @ norm.shift.weight.T
    assert_close(norm(x, condition), centred * gain[:, :, None, None] + bias[:, :, None, None])


def test_weights_start_orthogonal():
    torch.manual_seed(0)
    generator = BigganGenerator((1, 28, 28), latent=8, spectral=False, **SMALL)
    discriminator = ResnetDiscriminator((1, 28, 28), width=4, max_width=8, attention=1, orthogonal=True, norm="none")
    layers = [
        layer
        for player in (generator, discriminator)
        for layer in player.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding)
    ]
    assert len(layers) > 30
    for layer in layers:
        rows = layer.weight.detach().flatten(1)
        short = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
        assert_close(short, torch.eye(len(short)), atol=1e-5, rtol=0.0)
        assert getattr(layer, "bias", None) is None or not layer.bias.any()


def test_the_class_embedding_is_free_of_spectral_norm():
    generator = BigganGenerator((1, 28, 28), latent=8, **SMALL)
    spectral = {
        name
        for name, layer in generator.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding)
        and not nn.utils.parametrize.is_parametrized(layer, "weight")
    }
    assert spectral == {"shared"}
