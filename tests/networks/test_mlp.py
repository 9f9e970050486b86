"""The fully connected players."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.networks.mlp import MlpDiscriminator, MlpGenerator

NORMS = ["batch", "layer", "group", "spectral", "none"]


def parameters(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("shape", [[1, 28, 28], [3, 5, 7], [2]])
@pytest.mark.parametrize("norm", NORMS)
def test_shapes_and_gradients(shape, norm):
    torch.manual_seed(0)
    generator = MlpGenerator(shape, latent=6, widths=[8, 16], norm=norm)
    discriminator = MlpDiscriminator(shape, widths=[16, 8], norm=norm)
    x = generator(torch.randn(4, 6))
    critique = discriminator(x)
    assert x.shape == (4, *shape)
    assert critique.logits.shape == (4,)
    assert [f.shape for f in critique.features] == [(4, 16), (4, 8)]
    critique.logits.sum().backward()
    assert all(p.grad is not None for p in [*generator.parameters(), *discriminator.parameters()])


def test_head_reads_the_last_feature():
    discriminator = MlpDiscriminator([2])
    critique = discriminator(torch.randn(3, 2))
    assert_close(discriminator.head(critique.features[-1])[0], critique.logits)


def test_reference_sizes():
    # PyTorch-GAN's gan.py: dense layers in x out + out, batch norm 2 a channel in place of the bias
    hidden = 100 * 128 + 128 + 128 * 256 + 2 * 256 + 256 * 512 + 2 * 512 + 512 * 1024 + 2 * 1024
    assert parameters(MlpGenerator([1, 28, 28])) == hidden + 1024 * 784 + 784
    assert parameters(MlpDiscriminator([1, 28, 28])) == 784 * 512 + 512 + 512 * 256 + 256 + 256 + 1


def test_tutorial_players():
    generator = MlpGenerator([1, 28, 28], latent=128, widths=[256, 512], activation=["tanh", "relu"], norm="none")
    kinds = [type(m) for m in generator.layers.modules() if not list(m.children())]
    assert kinds == [nn.Linear, nn.Tanh, nn.Linear, nn.ReLU, nn.Linear, nn.Tanh]
    assert parameters(generator) == 128 * 256 + 256 + 256 * 512 + 512 + 512 * 784 + 784
    discriminator = MlpDiscriminator([1, 28, 28], widths=[512, 256, 128], activation="tanh")
    assert parameters(discriminator) == 784 * 512 + 512 + 512 * 256 + 256 + 256 * 128 + 128 + 128 + 1


def test_images_are_bounded_and_points_are_not():
    torch.manual_seed(0)
    z = 100 * torch.randn(64, 3)
    assert MlpGenerator([1, 4, 4], latent=3, norm="none")(z).abs().max() <= 1
    assert MlpGenerator([2], latent=3)(z).abs().max() > 1


def test_points_are_not_normalised_unless_asked():
    def normalised(generator):
        return any(isinstance(m, nn.BatchNorm1d) for m in generator.modules())

    assert not normalised(MlpGenerator([2]))
    assert normalised(MlpGenerator([2], norm="batch"))
    assert normalised(MlpGenerator([1, 4, 4]))


@pytest.mark.parametrize("player", [MlpGenerator, MlpDiscriminator])
def test_concat_uses_the_label(player):
    torch.manual_seed(0)
    network = player([2], num_classes=3, conditioning="concat").eval()
    x = torch.randn(1, 100 if player is MlpGenerator else 2).expand(2, -1)
    out = network(x, torch.tensor([0, 2]))
    out = out if player is MlpGenerator else out.logits
    assert not torch.equal(out[0], out[1])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"activation": ["relu", "tanh", "tanh"]}, "3 names for 2"),
        ({"widths": []}, "at least one layer"),
        ({"widths": [4, 0]}, "at least one layer"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"norm": "instance"}, "no maps"),
        ({"conditioning": "concat"}, "labelled data set"),
    ],
)
@pytest.mark.parametrize("player", [MlpGenerator, MlpDiscriminator])
def test_mistakes(player, wrong, words):
    with pytest.raises(UserError, match=words):
        player([1, 8, 8], **{"widths": [4, 4], **wrong})
