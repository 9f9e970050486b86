"""What every residual image network keeps: any size, any conditioning, a picture of its own for each latent."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.networks.biggan import BigganGenerator
from ganctl.networks.r3gan import R3ganDiscriminator, R3ganGenerator
from ganctl.networks.resnet import ResnetDiscriminator, ResnetGenerator

PLAYERS = {
    "sngan": (ResnetGenerator, ResnetDiscriminator),
    "sagan": (partial(ResnetGenerator, spectral=True), partial(ResnetDiscriminator, wide=True)),
    "biggan": (BigganGenerator, partial(ResnetDiscriminator, wide=True, orthogonal=True)),
    "r3gan": (R3ganGenerator, R3ganDiscriminator),
}
SIZES = [(28, 28), (32, 32), (64, 64), (128, 128), (37, 53)]
SHAPES = [*((channels, *size) for channels in (1, 3) for size in SIZES), (2, 16, 128), (4, 48, 40)]
KINDS = ["none", "concat", "projection", "auxiliary"]
NARROW = {"width": 2, "max_width": 4}


def players(name, shape, **settings):
    """Tiny networks for three classes, with an embedding of a few numbers in BigGAN."""
    torch.manual_seed(0)
    generator, discriminator = PLAYERS[name]
    own = {"shared": 3, "standing": 2} if name == "biggan" else {}
    attention = {"attention": 1} if name in ("sagan", "biggan") else {}
    minibatch = settings.pop("minibatch", "none")
    common = {"shape": shape, **NARROW, **attention, **settings}
    if common.get("conditioning", "none") != "none":
        common["num_classes"] = 3
    return generator(latent=60, **common, **own), discriminator(minibatch=minibatch, **common)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PLAYERS)
def test_any_size_without_resizing(name, shape):
    generator, discriminator = players(name, shape)
    x = generator(torch.randn(2, 60))
    critique = discriminator(x)
    assert x.shape == (2, *shape)
    assert critique.logits.shape == (2,)
    assert critique.features[-1].dim() == 2
    assert_close(discriminator.head(critique.features[-1])[0], critique.logits)


@pytest.mark.parametrize("name", PLAYERS)
def test_a_discriminator_takes_packed_samples(name):
    discriminator = PLAYERS[name][1]((12, 28, 28), **NARROW)
    assert discriminator(torch.randn(2, 12, 28, 28)).logits.shape == (2,)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PLAYERS)
def test_labels_reach_the_picture_and_the_verdict(name, kind):
    generator, discriminator = players(name, (1, 28, 28), conditioning=kind)
    assert generator.num_classes == (0 if kind == "none" else 3)
    for table in (p for n, p in generator.named_parameters() if n.endswith(("scale", "shift"))):
        nn.init.normal_(table)  # class-conditional norms tell no classes apart before they learn to
    z, y = torch.randn(1, 60).expand(2, -1), torch.tensor([0, 2])
    one, two = generator.eval()(z, y)
    assert torch.allclose(one, two, atol=1e-4) == (kind == "none")  # rows of one batch may round apart
    critique = discriminator.eval()(one.expand(2, -1, -1, -1), y)
    assert (critique.classes is not None) == (kind == "auxiliary")
    assert torch.allclose(*critique.logits, atol=1e-5) == (kind not in ("concat", "projection"))


@pytest.mark.parametrize("name", PLAYERS)
def test_auto_is_projection_where_there_are_labels(name):
    generator, discriminator = players(name, (1, 28, 28), conditioning="auto")
    assert generator.num_classes == 3
    assert discriminator.head.projection is not None
    generator, discriminator = PLAYERS[name]
    assert generator((1, 28, 28), 60, conditioning="auto", **NARROW).num_classes == 0


@pytest.mark.parametrize("name", PLAYERS)
def test_no_discriminator_needs_the_batch(name):
    _, discriminator = players(name, (1, 28, 28))
    assert discriminator.couples_batch is False
    x = torch.randn(3, 1, 28, 28, requires_grad=True)
    (slope,) = torch.autograd.grad(discriminator(x).logits[1], x)
    assert not slope[0].any()
    assert slope[1].any()
    assert not slope[2].any()


@pytest.mark.parametrize("name", ["sngan", "sagan", "biggan"])
def test_batch_norm_in_the_critic_couples(name):
    assert players(name, (1, 28, 28), norm="batch")[1].couples_batch
    for norm in ("layer", "instance", "group", "none"):
        assert not players(name, (1, 28, 28), norm=norm)[1].couples_batch


@pytest.mark.parametrize("minibatch", ["discrimination", "stddev"])
@pytest.mark.parametrize("name", PLAYERS)
def test_minibatch_features_couple(name, minibatch):
    _, discriminator = players(name, (1, 28, 28), minibatch=minibatch)
    assert discriminator.couples_batch
    x = torch.randn(4, 1, 28, 28, requires_grad=True)
    (slope,) = torch.autograd.grad(discriminator(x).logits[1], x)
    assert slope[0].any()


@pytest.mark.parametrize("name", PLAYERS)
def test_the_picture_of_a_latent_does_not_depend_on_its_company(name):
    generator, _ = players(name, (1, 28, 28), conditioning="projection")
    z, y = torch.randn(6, 60), torch.tensor([0, 1, 2, 0, 1, 2])
    for _ in range(3):
        generator(z, y)  # running statistics that are not those of the start
    generator.eval()
    together = generator(z, y)
    assert_close(torch.cat([generator(z[i : i + 1], y[i : i + 1]) for i in range(6)]), together, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("norm", ["batch", "layer", "instance", "group", "spectral", "none"])
@pytest.mark.parametrize("name", ["sngan", "sagan", "biggan"])
def test_every_norm_trains_both_players(name, norm):
    generator, discriminator = players(name, (1, 28, 28), norm=norm, conditioning="projection")
    y = torch.tensor([0, 1, 2, 0])
    discriminator(generator(torch.randn(4, 60), y), y).logits.square().sum().backward()
    for p in [*generator.parameters(), *discriminator.parameters()]:
        assert p.grad is not None
        assert p.grad.isfinite().all()


@pytest.mark.parametrize("name", PLAYERS)
def test_penalties_differentiate_twice_in_channels_last(name):
    norm = {} if name == "r3gan" else {"norm": "none"}
    _, discriminator = players(name, (1, 28, 28), **norm)
    discriminator.double()
    for p in discriminator.parameters():
        nn.init.normal_(p, 0.0, 0.3)  # gates and residual branches that are shut would hide their own gradient
    x, found = torch.randn(2, 1, 28, 28, dtype=torch.float64), []
    for layout in (torch.contiguous_format, torch.channels_last):
        network, fresh = discriminator.to(memory_format=layout), x.to(memory_format=layout).requires_grad_()
        (slope,) = torch.autograd.grad(network(fresh).logits.sum(), fresh, create_graph=True)
        network.zero_grad()
        slope.square().sum().backward()
        found.append([slope.detach(), *(p.grad for p in network.parameters() if p.grad is not None)])
    assert_close(found[0], found[1])


@pytest.mark.parametrize("name", ["sngan", "sagan", "biggan"])
def test_under_spectral_norm_every_weight_has_norm_1(name):
    generator, discriminator = players(name, (1, 28, 28), width=4, max_width=8, conditioning="projection")
    networks = [discriminator] if name == "sngan" else [discriminator, generator.path, generator.project]
    layers = [
        layer
        for network in networks
        for layer in network.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding)
    ]
    assert len(layers) > 10
    for layer in layers:
        for _ in range(100):
            weight = layer.weight.detach()  # in training each use takes one power iteration
        assert_close(torch.linalg.matrix_norm(weight.flatten(1), 2), torch.tensor(1.0), atol=1e-3, rtol=0.0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"shape": [2]}, "model=mlp"),
        ({"shape": [1, 15, 28]}, "1x15x28"),
        ({"shape": [3, 64, 129]}, "3x64x129"),
        ({"width": 0}, "width=0"),
        ({"depth": 0}, "depth=0"),
        ({"depth": 4}, "depth from 1 to 3"),
        ({"width": 64, "max_width": 32}, "max_width=32"),
        ({"conditioning": "projection"}, "labelled data set"),
        ({"conditioning": "sideways"}, "sideways"),
    ],
)
@pytest.mark.parametrize("name", PLAYERS)
def test_mistakes(name, wrong, words):
    for player in PLAYERS[name]:
        with pytest.raises(UserError, match=words) as caught:
            player(**{"shape": [1, 28, 28], **wrong})
        assert "\n  try: " in str(caught.value)


@pytest.mark.parametrize("name", PLAYERS)
def test_a_picture_has_at_most_four_channels(name):
    with pytest.raises(UserError, match="1 to 4 channels, not 5"):
        PLAYERS[name][0]([5, 28, 28])
