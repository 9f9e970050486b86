"""The players of Huang et al. 2024: fix-up initialisation, bilinear resampling, the paper's sizes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.networks.r3gan import GAIN, Bottleneck, Doubling, Halving, R3ganDiscriminator, R3ganGenerator


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_residual_branches_are_zero_at_first():
    torch.manual_seed(0)
    for player in (R3ganGenerator((1, 28, 28), width=4), R3ganDiscriminator((1, 28, 28), width=4)):
        blocks = [part for part in player.modules() if isinstance(part, Bottleneck)]
        assert len(blocks) == 2 * 4
        for block in blocks:
            x = torch.randn(2, block.branch[0].in_channels, 5, 5)
            assert torch.equal(block(x), x)


def test_the_branch_learns_from_the_first_step():
    torch.manual_seed(0)
    block = Bottleneck(4, 2, 4, 8)
    block(torch.randn(2, 4, 5, 5)).square().sum().backward()
    assert block.branch[-1].weight.grad.any()


def test_fix_up_scales_the_other_two_convolutions():
    """He et al.'s standard deviation times L^(-1/(2m-2)) with m = 3 convolutions a block, L = 16 blocks: a half."""
    torch.manual_seed(0)
    block = Bottleneck(64, 2, 16, 16)
    for layer in (block.branch[0], block.branch[2]):
        fan_in = layer.weight[0].numel()
        assert layer.weight.std().item() == pytest.approx(0.5 * GAIN / fan_in**0.5, rel=0.05)
        assert not layer.bias.any()
    assert block.branch[2].groups == 8
    assert block.branch[2].weight.shape == (128, 16, 3, 3)


def test_variance_survives_the_network_at_first():
    """Blocks add nothing yet; bilinear filters alone take variance away."""
    torch.manual_seed(0)
    generator = R3ganGenerator((3, 32, 32), width=64, max_width=64)
    spread = generator(torch.randn(64, 64)).std().item()
    assert 0.2 < spread < 1.5


def test_the_papers_size():
    """Config E has 23.06 million weights in the generator and 23.01 in the discriminator at 256 pixels, of which the
    stage at 256 pixels (96 channels) is left out here: this network ends at 128 pixels, with 192."""
    with torch.device("meta"):
        generator = R3ganGenerator((3, 128, 128), width=192)
        discriminator = R3ganDiscriminator((3, 128, 128), width=192)
    one = 2 * 96 * 192 + 192 * 16 * 9 + 2 * 192  # two 1x1 convolutions, a grouped 3x3, biases of the inner two
    last_stage = 2 * one + 192 * 96 + 3 * 96 - 3 * 192
    assert parameters(generator) + last_stage == 23_057_952
    assert parameters(discriminator) - 1 + last_stage == 23_009_568  # but for the bias of the head
    assert generator.layers[0].branch[2].groups == 96


def test_doubling_is_bilinear_interpolation():
    """Away from the edge, where the authors' filter sees zeros."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 6)
    expected = F.interpolate(x, scale_factor=2.0, mode="bilinear")
    assert_close(Doubling((10, 12))(x)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])
    assert_close(Doubling((9, 11))(x), Doubling((10, 12))(x)[..., :9, :11])


def test_halving_is_antialiased_bilinear_interpolation():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, 10)
    expected = F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True)
    assert_close(Halving()(x)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])
    assert Halving()(x[..., :7, :9]).shape == (2, 3, 4, 5)


def test_there_is_no_normalisation():
    with pytest.raises(UserError, match=r"critic_norm=spectral(.|\n)*try: critic_norm=none"):
        R3ganDiscriminator((1, 28, 28), norm="spectral")
    kinds = {type(layer) for layer in R3ganGenerator((1, 28, 28), width=4).modules()}
    assert not kinds & {nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d, nn.LayerNorm}


def test_features_are_whole_maps_weighted():
    """The last features are the innermost map times a learned weight a channel and pixel, summed over the pixels."""
    torch.manual_seed(0)
    discriminator = R3ganDiscriminator((1, 28, 28), width=4)
    critique = discriminator(torch.randn(2, 1, 28, 28))
    assert [f.shape[2:] for f in critique.features[:-1]] == [(28, 28), (14, 14), (7, 7), (4, 4)]
    expected = (critique.features[-2] * discriminator.basis.weight[:, 0]).sum((2, 3))
    assert_close(critique.features[-1], expected)


@pytest.mark.parametrize("wrong", [{"blocks": 0}, {"expansion": 0}, {"group": 0}])
def test_sizes_that_are_none(wrong):
    with pytest.raises(UserError, match="must be greater than 0"):
        R3ganGenerator((1, 28, 28), **wrong)
