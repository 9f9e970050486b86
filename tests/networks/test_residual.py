"""Blocks of the residual networks, each against its paper's formula written out."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.networks.conditioning import Labelled, generator_norms
from ganctl.networks.residual import Attention, DownBlock, DownPath, UpBlock, UpPath, ladder


def plain(channels):
    return Labelled(*generator_norms("none", channels, 0))


@pytest.mark.parametrize(
    ("shape", "depth", "sizes"),
    [
        ((1, 28, 28), None, [(28, 28), (14, 14), (7, 7), (4, 4)]),
        ((3, 32, 32), 2, [(32, 32), (16, 16), (8, 8)]),
        ((3, 37, 53), None, [(37, 53), (19, 27), (10, 14), (5, 7)]),
        ((3, 128, 128), None, [(128, 128), (64, 64), (32, 32), (16, 16), (8, 8), (4, 4)]),
    ],
)
def test_levels_halve_and_round_up(shape, depth, sizes):
    assert ladder(shape, 8, 24, depth) == (sizes, [8, 16, 24, 24, 24, 24][: len(sizes)])


def test_an_up_block_is_the_papers():
    """The paper convolves after the doubling on both ways; here the shortcut does so before, which is the same."""
    torch.manual_seed(0)
    block, x = UpBlock(3, 2, (5, 7), plain).double(), torch.randn(2, 3, 3, 4, dtype=torch.float64)
    up = nn.Upsample(scale_factor=2)
    h = block.widen(up(x.relu())[..., :5, :7])
    expected = block.refine(h.relu()) + block.shortcut(up(x)[..., :5, :7])
    assert_close(block(x), expected, atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("first", [False, True])
def test_a_down_block_is_the_papers(first):
    torch.manual_seed(0)
    block = DownBlock(3, 4, first=first, norm="none").double()
    x = torch.randn(2, 3, 6, 8, dtype=torch.float64)
    one, two = (layer for layer in block.branch if isinstance(layer, nn.Conv2d))
    branch = two(one(x if first else x.relu()).relu())
    expected = F.avg_pool2d(branch, 2) + F.avg_pool2d(block.shortcut(x), 2)
    assert_close(block(x), expected, atol=1e-12, rtol=0.0)
    assert one.out_channels == (4 if first else 3)  # Miyato's code: the first convolution keeps the channels


def test_a_block_that_changes_nothing_in_shape_has_a_bare_shortcut():
    assert DownBlock(3, 3, halve=False, norm="none").shortcut is None
    assert DownBlock(3, 4, halve=False, norm="none").shortcut is not None
    assert DownBlock(3, 4, wide=True, norm="none").branch[1].out_channels == 4


def test_halving_an_odd_map_keeps_its_last_row_and_column():
    x = torch.arange(15.0).view(1, 1, 3, 5)
    block = DownBlock(1, 1, norm="none")
    for layer in (block.branch[-1], block.shortcut):
        nn.init.zeros_(layer.weight)
    nn.init.ones_(block.shortcut.weight)
    assert_close(block(x)[0, 0], torch.tensor([[3.0, 5.0, 6.5], [10.5, 12.5, 14.0]]))


@torch.no_grad()
def attended(block, x):
    """Eq. 1 to 4 of Zhang et al. 2019, position by position, for one image x (C,H,W)."""
    f, g, h, v = (layer.weight[:, :, 0, 0] for layer in (block.key, block.query, block.value, block.out))
    (_, height, width), out = x.shape, x.clone()
    corners = [(i, j) for i in range(0, height, 2) for j in range(0, width, 2)]
    pooled = [[(matrix @ x[:, i : i + 2, j : j + 2].flatten(1)).max(1).values for matrix in (f, h)] for i, j in corners]
    for i in range(height):
        for j in range(width):
            scores = [float(key @ (g @ x[:, i, j])) for key, _ in pooled]
            total = sum(math.exp(score) for score in scores)
            o = sum(math.exp(score) / total * value for score, (_, value) in zip(scores, pooled, strict=True))
            out[:, i, j] += block.gate * (v @ o)
    return out


@pytest.mark.parametrize("size", [(4, 4), (5, 3)])
def test_attention_is_the_plain_formula(size):
    torch.manual_seed(0)
    block, x = Attention(16).double(), torch.randn(2, 16, *size, dtype=torch.float64)
    nn.init.constant_(block.gate, 0.7)
    expected = torch.stack([attended(block, image) for image in x])
    assert (expected - x).abs().max() > 0.1
    assert_close(block(x).detach(), expected, atol=1e-10, rtol=0.0)


def test_attention_is_the_identity_while_its_gate_is_shut_and_the_gate_learns():
    torch.manual_seed(0)
    block, x = Attention(8), torch.randn(2, 8, 6, 6)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.gate.grad != 0


def test_attention_lies_at_its_level_in_both_players():
    sizes, widths = ladder((1, 32, 32), 8, 64, None)
    seen = {}
    up = UpPath(1, sizes, widths, plain, "none", attention=1)
    down = DownPath(1, widths, 1, True, "none", attention=1)
    for name, path in (("up", up), ("down", down)):
        path.attention.register_forward_hook(lambda _layer, x, _out, name=name: seen.update({name: x[0].shape[1:]}))
    down(up(torch.randn(2, widths[-2], 4, 4), [None] * 3))
    assert seen == {"up": (16, 16, 16), "down": (8, 16, 16)}  # channels as BigGAN's: of the block before it


@pytest.mark.parametrize("attention", [0, 3, -1])
def test_attention_at_a_level_that_is_not_there(attention):
    sizes, widths = ladder((1, 28, 28), 8, 64, None)
    with pytest.raises(UserError, match=rf"attention={attention}: (.|\n)*up to 2; or null"):
        UpPath(1, sizes, widths, plain, "none", attention)
    with pytest.raises(UserError, match=rf"attention={attention}: "):
        DownPath(1, widths, 1, True, "none", attention)
