"""The convolutional players."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.networks.dcgan import Crop, DcganDiscriminator, DcganGenerator

NORMS = ["batch", "layer", "instance", "group", "spectral", "none"]
SHAPES = [
    (1, 16, 16),
    (1, 28, 28),
    (3, 32, 32),
    (2, 37, 53),
    (3, 64, 64),
    (4, 96, 96),
    (3, 128, 128),
    (1, 48, 40),
    (1, 16, 128),
]


def parameters(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("kernel", [4, 5])
@pytest.mark.parametrize("upsample", ["transposed", "nearest"])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_size_without_resizing(shape, upsample, kernel):
    generator = DcganGenerator(shape, latent=5, width=2, max_width=4, kernel=kernel, upsample=upsample)
    discriminator = DcganDiscriminator(shape, width=2, max_width=4, kernel=kernel)
    x = generator(torch.randn(2, 5))
    critique = discriminator(x)
    assert x.shape == (2, *shape)
    assert critique.logits.shape == (2,)
    assert_close(discriminator.head(critique.features[-1])[0], critique.logits)


@pytest.mark.parametrize(
    ("shape", "depth", "sizes"),
    [
        ((1, 28, 28), None, [(4, 4), (7, 7), (14, 14), (28, 28)]),
        ((1, 28, 28), 2, [(7, 7), (14, 14), (28, 28)]),
        ((3, 64, 64), None, [(4, 4), (8, 8), (16, 16), (32, 32), (64, 64)]),
        ((3, 37, 53), None, [(5, 7), (10, 14), (19, 27), (37, 53)]),
    ],
)
def test_maps_double_from_about_four_pixels(shape, depth, sizes):
    generator, seen = DcganGenerator(shape, width=2, depth=depth), []
    for layer in generator.modules():
        if isinstance(layer, nn.Unflatten | Crop):
            layer.register_forward_hook(lambda _layer, _x, out: seen.append(tuple(out.shape[2:])))
    generator(torch.randn(2, 100))
    assert seen == sizes


def test_inner_layers_are_wider_up_to_a_bound():
    widths = [
        m.num_features
        for m in DcganGenerator((1, 64, 64), width=8, max_width=24).modules()
        if hasattr(m, "num_features")
    ]
    assert widths == [24, 24, 16, 8]


@pytest.mark.parametrize("kernel", [4, 5])
def test_every_pixel_is_judged_and_drawn(kernel):
    torch.manual_seed(0)
    x = torch.zeros(1, 1, 37, 53, requires_grad=True)
    DcganDiscriminator([1, 37, 53], width=4, kernel=kernel)(x).logits.sum().backward()
    assert (x.grad != 0).all()
    z = torch.randn(2, 100)
    one, two = DcganGenerator([1, 37, 53], width=4, kernel=kernel)(z)
    assert (one != two).all()


def test_paper_sizes():
    paper = {"width": 128, "max_width": 1024, "kernel": 5}
    with torch.device("meta"):
        generator, discriminator = DcganGenerator([3, 64, 64], **paper), DcganDiscriminator([3, 64, 64], **paper)
    inner = 25 * (1024 * 512 + 512 * 256 + 256 * 128)  # 5x5 kernels, no bias before a normalisation
    project, scales = 100 * 1024 * 4 * 4, 2 * (1024 + 512 + 256 + 128)
    assert parameters(generator) == project + scales + inner + 25 * 128 * 3 + 3
    first, head = 25 * 3 * 128 + 128, 1024 * 4 * 4 + 1
    assert parameters(discriminator) == first + inner + 2 * (256 + 512 + 1024) + head


def test_initialisation():
    torch.manual_seed(0)
    for network in (DcganGenerator([1, 28, 28]), DcganDiscriminator([1, 28, 28])):
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                assert_close(layer.weight.std(), torch.tensor(0.02), rtol=0.1, atol=0.0)
                assert layer.bias is None or not layer.bias.any()
            if isinstance(layer, nn.BatchNorm2d):
                assert_close(layer.weight.mean(), torch.tensor(1.0), rtol=0.02, atol=0.0)
                assert_close(layer.weight.std(), torch.tensor(0.02), rtol=0.3, atol=0.0)


@pytest.mark.parametrize("norm", NORMS)
def test_every_norm_trains_both_players(norm):
    torch.manual_seed(0)
    generator = DcganGenerator([1, 16, 16], latent=5, width=4, norm=norm)
    discriminator = DcganDiscriminator([1, 16, 16], width=4, norm=norm, dropout=0.1)
    discriminator(generator(torch.randn(4, 5))).logits.square().sum().backward()
    for p in [*generator.parameters(), *discriminator.parameters()]:
        assert p.grad is not None
        assert p.grad.isfinite().all()


@pytest.mark.parametrize("norm", NORMS)
def test_penalties_differentiate_twice_in_channels_last(norm):
    torch.manual_seed(0)
    discriminator = DcganDiscriminator([1, 16, 16], width=4, norm=norm).double()
    x = torch.randn(2, 1, 16, 16, dtype=torch.float64)
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        network = discriminator.to(memory_format=layout).eval()  # eval: spectral norm's iteration stands still
        fresh = x.to(memory_format=layout).requires_grad_()
        (slope,) = torch.autograd.grad(network(fresh).logits.sum(), fresh, create_graph=True)
        network.zero_grad()
        slope.square().sum().backward()
        found.append([slope.detach(), *(p.grad for p in network.parameters() if p.grad is not None)])
    assert_close(found[0], found[1])


@pytest.mark.parametrize("norm", ["layer", "instance", "group", "spectral", "none"])
def test_only_batch_norm_couples_the_images_of_a_batch(norm):
    torch.manual_seed(0)
    x = torch.randn(3, 1, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(DcganDiscriminator([1, 16, 16], width=4, norm=norm)(x).logits[1], x)
    assert not slope[0].any()
    assert slope[1].any()
    assert not slope[2].any()


def test_batch_norm_couples_in_training_and_not_in_eval():
    torch.manual_seed(0)
    discriminator = DcganDiscriminator([1, 16, 16], width=4)
    x = torch.randn(3, 1, 16, 16)
    assert not torch.allclose(discriminator(x[:2]).logits[0], discriminator(x[[0, 2]]).logits[0])
    discriminator.eval()
    assert_close(discriminator(x[:2]).logits[0], discriminator(x[[0, 2]]).logits[0])


def test_concat_uses_the_label():
    torch.manual_seed(0)
    generator = DcganGenerator([1, 16, 16], num_classes=3, conditioning="concat", width=4).eval()
    discriminator = DcganDiscriminator([1, 16, 16], num_classes=3, conditioning="concat", width=4).eval()
    y = torch.tensor([0, 2])
    first, second = generator(torch.randn(1, 100).expand(2, -1), y)
    assert not torch.equal(first, second)
    logits = discriminator(first.expand(2, -1, -1, -1), y).logits
    assert logits[0] != logits[1]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"shape": [2]}, "model=mlp"),
        ({"shape": [1, 15, 28]}, "1x15x28"),
        ({"shape": [3, 64, 129]}, "3x64x129"),
        ({"kernel": 3}, "kernel=3"),
        ({"width": 0}, "width=0"),
        ({"depth": 0}, "depth=0"),
        ({"depth": 4}, "depth from 1 to 3"),
        ({"width": 64, "max_width": 32}, "max_width=32"),
        ({"norm": "batsch"}, "batsch"),
        ({"conditioning": "concat"}, "labelled data set"),
    ],
)
@pytest.mark.parametrize("player", [DcganGenerator, DcganDiscriminator])
def test_mistakes(player, wrong, words):
    with pytest.raises(UserError, match=words):
        player(**{"shape": [1, 28, 28], **wrong})


def test_no_image_has_five_channels_but_a_pack_may():
    with pytest.raises(UserError, match="5x32x32"):
        DcganGenerator([5, 32, 32])
    assert DcganDiscriminator([6, 32, 32], width=2)(torch.zeros(2, 6, 32, 32)).logits.shape == (2,)


def test_unknown_upsampling():
    with pytest.raises(UserError, match="transposed or nearest"):
        DcganGenerator([1, 28, 28], upsample="bilinear")


def test_a_stem_is_one_more_convolution():
    generator = DcganGenerator((1, 28, 28), width=64, depth=2, stem=256, kernel=5)
    dense, convolution, wide, image = (
        layer for layer in generator.layers if hasattr(layer, "kernel_size") or hasattr(layer, "out_features")
    )
    assert dense.out_features == 7 * 7 * 256
    assert (convolution.in_channels, convolution.out_channels, convolution.stride) == (256, 128, (1, 1))
    assert (wide.out_channels, image.out_channels) == (64, 1)
    assert generator(torch.zeros(2, 100)).shape == (2, 1, 28, 28)
