"""The residual players of Miyato et al. 2018: their tables, weight for weight."""

import pytest
import torch
from torch import nn

from ganctl.networks.sngan import SnganDiscriminator, SnganGenerator


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_table_4_for_32_pixels():
    with torch.device("meta"):  # norm none: spectral norm has no parameters
        generator = SnganGenerator((3, 32, 32), width=256, max_width=256)
        discriminator = SnganDiscriminator((3, 32, 32), width=128, max_width=128, depth=2, flat=2, norm="none")
    three, one = 256 * 256 * 9 + 256, 256 * 256 + 256
    block = 2 * three + one + 4 * 256  # two batch norms
    assert parameters(generator) == (128 * 4096 + 4096) + 3 * block + 2 * 256 + (256 * 3 * 9 + 3) == 4_276_739
    three, one = 128 * 128 * 9 + 128, 128 * 128 + 128
    first = (3 * 128 * 9 + 128) + three + (3 * 128 + 128)
    assert parameters(discriminator) == first + (2 * three + one) + 2 * 2 * three + 128 + 1


def test_table_6_for_128_pixels():
    with torch.device("meta"):
        generator = SnganGenerator((3, 128, 128), num_classes=1000, conditioning="projection")
        discriminator = SnganDiscriminator((3, 128, 128), 1000, "projection", norm="none")
    assert generator.start == (1024, 4, 4)
    assert [block.refine.out_channels for block in generator.path.blocks] == [1024, 512, 256, 128, 64]
    sizes = [(block.branch[-1].out_channels, block.halve) for block in discriminator.path.blocks]
    assert sizes == [(64, True), (128, True), (256, True), (512, True), (1024, True), (1024, False)]
    assert discriminator.head.projection.weight.shape == (1000, 1024)


def test_the_weights_start_as_glorots():
    torch.manual_seed(0)
    generator = SnganGenerator((1, 28, 28), width=32, max_width=64)
    block = generator.path.blocks[0]  # residual convolutions are larger by the square root of 2
    for layer, gain in ((block.widen, 2**0.5), (block.refine, 2**0.5), (block.shortcut, 1.0), (generator.project, 1.0)):
        fans = layer.weight[0].numel() + layer.weight.shape[0] * layer.weight[0, 0].numel()
        assert layer.weight.std().item() == pytest.approx(gain * (2 / fans) ** 0.5, rel=0.05)
        assert not layer.bias.any()


def test_the_generator_is_not_spectral_unless_asked():
    def normed(network):
        return {type(layer) for layer in network.modules() if nn.utils.parametrize.is_parametrized(layer, "weight")}

    assert not normed(SnganGenerator((1, 28, 28), width=2, max_width=4))
    assert normed(SnganGenerator((1, 28, 28), width=2, max_width=4, norm="spectral"))
    assert normed(SnganDiscriminator((1, 28, 28), width=2, max_width=4))
    assert not normed(SnganDiscriminator((1, 28, 28), width=2, max_width=4, norm="layer"))
