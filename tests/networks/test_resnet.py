"""The residual players of Miyato et al. 2018, their tables weight for weight, and those of Zhang et al. 2019."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ganctl.networks.resnet import ResnetDiscriminator, ResnetGenerator

Sagan = partial(ResnetGenerator, attention=2, spectral=True)
SaganCritic = partial(ResnetDiscriminator, attention=2, wide=True)


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_table_4_for_32_pixels():
    with torch.device("meta"):  # norm none: spectral norm has no parameters
        generator = ResnetGenerator((3, 32, 32), width=256, max_width=256)
        discriminator = ResnetDiscriminator((3, 32, 32), width=128, max_width=128, depth=2, flat=2, norm="none")
    three, one = 256 * 256 * 9 + 256, 256 * 256 + 256
    block = 2 * three + one + 4 * 256  # two batch norms
    assert parameters(generator) == (128 * 4096 + 4096) + 3 * block + 2 * 256 + (256 * 3 * 9 + 3) == 4_276_739
    three, one = 128 * 128 * 9 + 128, 128 * 128 + 128
    first = (3 * 128 * 9 + 128) + three + (3 * 128 + 128)
    assert parameters(discriminator) == first + (2 * three + one) + 2 * 2 * three + 128 + 1


def test_table_6_for_128_pixels():
    with torch.device("meta"):
        generator = ResnetGenerator((3, 128, 128), num_classes=1000, conditioning="projection")
        discriminator = ResnetDiscriminator((3, 128, 128), 1000, "projection", norm="none")
    assert generator.start == (1024, 4, 4)
    assert [block.refine.out_channels for block in generator.path.blocks] == [1024, 512, 256, 128, 64]
    sizes = [(block.branch[-1].out_channels, block.halve) for block in discriminator.path.blocks]
    assert sizes == [(64, True), (128, True), (256, True), (512, True), (1024, True), (1024, False)]
    assert discriminator.head.projection.weight.shape == (1000, 1024)


def test_the_weights_start_as_glorots():
    torch.manual_seed(0)
    generator = ResnetGenerator((1, 28, 28), width=32, max_width=64)
    block = generator.path.blocks[0]  # residual convolutions are larger by the square root of 2
    for layer, gain in ((block.widen, 2**0.5), (block.refine, 2**0.5), (block.shortcut, 1.0), (generator.project, 1.0)):
        fans = layer.weight[0].numel() + layer.weight.shape[0] * layer.weight[0, 0].numel()
        assert layer.weight.std().item() == pytest.approx(gain * (2 / fans) ** 0.5, rel=0.05)
        assert not layer.bias.any()


def test_the_generator_is_not_spectral_unless_asked():
    def normed(network):
        return {type(layer) for layer in network.modules() if is_parametrized(layer, "weight")}

    assert not normed(ResnetGenerator((1, 28, 28), width=2, max_width=4))
    assert normed(ResnetGenerator((1, 28, 28), width=2, max_width=4, norm="spectral"))
    assert normed(ResnetDiscriminator((1, 28, 28), width=2, max_width=4))
    assert not normed(ResnetDiscriminator((1, 28, 28), width=2, max_width=4, norm="layer"))


def test_the_papers_size_of_sagan():
    """Brock et al. 2019, table 1, count 81.5 million in both players of their SA-GAN baseline at 128 pixels."""
    labels = {"num_classes": 1000, "conditioning": "projection"}
    with torch.device("meta"):  # spectral norm has no parameters
        generator = Sagan((3, 128, 128), spectral=False, **labels)
        players = generator, SaganCritic((3, 128, 128), norm="none", **labels)
    count = sum(p.numel() for player in players for p in player.parameters())
    assert abs(count / 1e6 - 81.5) < 0.5


def test_attention_stands_at_32_pixels():
    """Section 3 and table 1: feat32 in both players, on 256 and on 128 channels."""
    with torch.device("meta"):
        generator = Sagan((3, 128, 128), spectral=False)
        discriminator = SaganCritic((3, 128, 128), norm="none")
    assert generator.path.blocks[2].size == (32, 32)
    assert generator.path.levels[2] == generator.path.attended == 2
    assert generator.path.attention.query.weight.shape == (32, 256, 1, 1)
    assert discriminator.path.attention.query.weight.shape == (16, 128, 1, 1)


def test_both_players_are_spectral_and_attention_starts_shut():
    generator = Sagan((1, 28, 28), width=2, max_width=4, attention=1)
    discriminator = SaganCritic((1, 28, 28), width=2, max_width=4, attention=1)
    for player in (generator, discriminator):
        layers = [layer for layer in player.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
        assert all(is_parametrized(layer, "weight") for layer in layers)
        assert player.path.attention.gate == 0
    plain = Sagan((1, 28, 28), width=2, max_width=4, attention=None, spectral=False)
    assert plain.path.attention is None
    assert not any(is_parametrized(layer) for layer in plain.modules())
