"""Autoencoder discriminators: the logit is minus the error, a sample at a time."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.networks.autoencoder import ConvolutionalAutoencoder, MlpAutoencoder

SHAPES = [(1, 16, 16), (1, 28, 28), (3, 32, 32), (2, 37, 53), (4, 64, 64), (1, 16, 128), (3, 128, 128)]


def convolutional(**more):
    return ConvolutionalAutoencoder((1, 16, 16), **{"width": 4, "code": 5, **more})


def dense(**more):
    return MlpAutoencoder((1, 16, 16), **{"widths": (8, 6), "code": 5, **more})


each_kind = pytest.mark.parametrize("kind", [convolutional, dense])


class Black(nn.Module):
    """A decoder that answers black, -1, to every code."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, z, y=None):
        return -torch.ones(len(z), *self.shape)


@pytest.mark.parametrize("kernel", [4, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_size_comes_back_in_its_own_size(shape, kernel):
    network = ConvolutionalAutoencoder(shape, width=2, max_width=4, kernel=kernel, code=7)
    x = torch.rand(2, *shape) * 2 - 1
    critique = network(x)
    assert critique.logits.shape == (2,)
    assert (critique.logits < 0).all()
    assert critique.features[-1].shape == (2, 7)
    assert network.decoder(critique.features[-1]).shape == x.shape


@pytest.mark.parametrize("shape", [(2,), (1, 28, 28), (3, 8, 5)])
def test_a_dense_one_takes_points_and_images(shape):
    network = MlpAutoencoder(shape, widths=(6, 4), code=3)
    critique = network(torch.randn(2, *shape))
    assert [tuple(feature.shape) for feature in critique.features] == [(2, 6), (2, 4), (2, 3)]
    assert network.decoder(critique.features[-1]).shape == (2, *shape)


@each_kind
def test_an_error_may_exceed_what_images_could_differ_by(kind):
    """Two images in [-1,1] differ by 2 at most: no tanh keeps a decoder from answering 100."""
    network = kind(norm="none", energy="mean_square")
    answer = [layer for layer in network.decoder.modules() if hasattr(layer, "bias")][-1]
    torch.nn.init.constant_(answer.bias, 100.0)
    assert (network(torch.zeros(2, 1, 16, 16)).logits < -9000).all()


@each_kind
def test_the_energies_by_hand(kind):
    """Against a black answer four white pixels of 256 have errors of 2: a mean square of 16/256, and, with images in
    [0,1], the length of four ones, 2."""
    x = -torch.ones(2, 1, 16, 16)
    x[0, 0, 3, :4] = 1.0
    for energy, expected in {"mean_square": (1 / 16, 0.0), "norm": (2.0, 0.0)}.items():
        network = kind(energy=energy)
        network.decoder = Black(x.shape[1:])
        assert_close(network(x).logits, -torch.tensor(expected), atol=1e-6, rtol=1e-6)


@each_kind
@pytest.mark.parametrize("energy", ["norm", "mean_square"])
def test_the_logit_is_minus_the_error_of_the_decoded_code(kind, energy):
    torch.manual_seed(0)
    network, x = kind(energy=energy, norm="none"), torch.rand(3, 1, 16, 16) * 2 - 1
    critique = network(x)
    gap = (x - network.decoder(critique.features[-1])).flatten(1)
    expected = gap.norm(dim=1) / 2 if energy == "norm" else (gap**2).mean(1)
    assert_close(critique.logits, -expected)


def test_a_perfect_reconstruction_has_a_finite_gradient():
    network = convolutional(energy="norm")
    network.decoder = Black((1, 16, 16))
    x = -torch.ones(2, 1, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(network(x).logits.sum(), x)
    assert_close(slope, torch.zeros_like(slope))


@each_kind
@pytest.mark.parametrize("norm", ["batch", "layer", "group", "spectral", "none"])
def test_every_norm_reaches_every_parameter_and_only_batch_norm_couples_samples(kind, norm):
    torch.manual_seed(0)
    network, x = kind(norm=norm), torch.randn(3, 1, 16, 16, requires_grad=True)
    logits = network(x).logits
    (slope,) = torch.autograd.grad(logits[1], x, retain_graph=True)
    assert slope[1].any()
    assert bool(slope[0].any()) == network.couples_batch == (norm == "batch")
    logits.sum().backward()
    for p in network.parameters():
        assert p.grad is not None
        assert p.grad.isfinite().all()


@each_kind
def test_penalties_differentiate_it_twice(kind):
    torch.manual_seed(0)
    network, x = kind(norm="layer"), torch.randn(2, 1, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(network(x).logits.sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
    assert network.code.weight.grad.any()


@each_kind
def test_the_label_is_read_on_both_ways(kind):
    torch.manual_seed(0)
    network = kind(num_classes=3, conditioning="concat", norm="none")
    x, y = torch.randn(1, 1, 16, 16).expand(2, -1, -1, -1), torch.tensor([0, 2])
    codes = network(x, y).features[-1]
    assert not torch.equal(codes[0], codes[1])
    one, two = network.decoder(codes[:1].expand(2, -1), y)
    assert not torch.equal(one, two)


@each_kind
def test_it_learns_to_reconstruct_what_it_sees_and_nothing_else(kind):
    """Bars are reconstructed, noise is not: the energy tells them apart."""
    torch.manual_seed(0)
    network = kind(norm="none", energy="mean_square")
    places = torch.arange(16)
    bars = -torch.ones(16, 1, 16, 16)
    bars[places, 0, places] = 1.0
    noise = torch.rand(16, 1, 16, 16).round() * 2 - 1
    descent = torch.optim.Adam(network.parameters(), lr=1e-2)
    before = network(bars).logits.mean().item()
    for _ in range(60):
        descent.zero_grad()
        (-network(bars).logits.mean()).backward()
        descent.step()
    with torch.no_grad():
        after, strange = network(bars).logits.mean(), network(noise).logits.mean()
    assert after > before / 3
    assert strange < 3 * after


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"energy": "length"}, "energy=length is unknown"),
        ({"code": 0}, "code=0"),
        ({"norm": "batsch"}, "batsch"),
        ({"conditioning": "concat"}, "labelled data set"),
    ],
)
@each_kind
def test_mistakes_get_a_sentence_and_a_remedy(kind, wrong, words):
    with pytest.raises(UserError, match=words) as caught:
        kind(**wrong)
    assert "\n  try: " in str(caught.value)
