"""The self-attention players of Zhang et al. 2019."""

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ganctl.networks.sagan import SaganDiscriminator, SaganGenerator


def test_the_papers_size():
    """Brock et al. 2019, table 1, count 81.5 million in both players of their SA-GAN baseline at 128 pixels."""
    labels = {"num_classes": 1000, "conditioning": "projection"}
    with torch.device("meta"):  # spectral norm has no parameters
        generator = SaganGenerator((3, 128, 128), spectral=False, **labels)
        players = generator, SaganDiscriminator((3, 128, 128), norm="none", **labels)
    count = sum(p.numel() for player in players for p in player.parameters())
    assert abs(count / 1e6 - 81.5) < 0.5


def test_attention_stands_at_32_pixels():
    """Section 3 and table 1: feat32 in both players, on 256 and on 128 channels."""
    with torch.device("meta"):
        generator = SaganGenerator((3, 128, 128), spectral=False)
        discriminator = SaganDiscriminator((3, 128, 128), norm="none")
    assert generator.path.blocks[2].size == (32, 32)
    assert generator.path.levels[2] == generator.path.attended == 2
    assert generator.path.attention.query.weight.shape == (32, 256, 1, 1)
    assert discriminator.path.attention.query.weight.shape == (16, 128, 1, 1)


def test_both_players_are_spectral_and_attention_starts_shut():
    generator = SaganGenerator((1, 28, 28), width=2, max_width=4, attention=1)
    discriminator = SaganDiscriminator((1, 28, 28), width=2, max_width=4, attention=1)
    for player in (generator, discriminator):
        layers = [layer for layer in player.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
        assert all(is_parametrized(layer, "weight") for layer in layers)
        assert player.path.attention.gate == 0
    plain = SaganGenerator((1, 28, 28), width=2, max_width=4, attention=None, spectral=False)
    assert plain.path.attention is None
    assert not any(is_parametrized(layer) for layer in plain.modules())
