"""Blocks shared by all networks: normalisations, spectral norm, labels beside the input."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.networks.layers import activation_layer, norm_layers, normalise_spectrally, with_label


def test_label_becomes_constant_planes_after_the_channels():
    x = torch.zeros(2, 1, 2, 3)
    joined = with_label(x, torch.tensor([2, 0]), 3)
    assert joined.shape == (2, 4, 2, 3)
    assert_close(joined[0, :, 0, 0], torch.tensor([0.0, 0.0, 0.0, 1.0]))
    assert_close(joined[1, :, 1, 2], torch.tensor([0.0, 1.0, 0.0, 0.0]))


def test_label_beside_a_vector_is_its_one_hot():
    assert_close(with_label(torch.full((1, 2), 5.0), torch.tensor([1]), 2), torch.tensor([[5.0, 5.0, 0.0, 1.0]]))


def test_no_conditioning_leaves_input_alone():
    x = torch.randn(2, 3)
    assert with_label(x, torch.tensor([0, 1]), 0) is x


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: with_label(torch.zeros(2, 3), None, 10), "no label"),
        (lambda: activation_layer("leeky_relu"), "did you mean 'leaky_relu'"),
        (lambda: norm_layers("batsch", 8, maps=True), "norm 'batsch'"),
        (lambda: norm_layers("instance", 8, maps=False), "no maps"),
    ],
)
def test_mistakes_get_a_sentence_and_a_remedy(call, words):
    with pytest.raises(UserError, match=words) as caught:
        call()
    assert "\n  try: " in str(caught.value)


def test_layer_norm_takes_channels_and_pixels_together():
    (layer,) = norm_layers("layer", 2, maps=True)
    x = torch.tensor([[[[0.0, 0.0]], [[2.0, 2.0]]]])  # mean 1, standard deviation 1 over all four numbers
    assert_close(layer(x), x - 1, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize(("channels", "groups"), [(8, 1), (64, 4), (100, 2), (1024, 64)])
def test_group_norm_takes_sixteen_channels_a_group_where_they_divide(channels, groups):
    (layer,) = norm_layers("group", channels, maps=True)
    assert layer.num_groups == groups


def test_spectral_norm_bounds_every_weight_layer():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 5, 3), nn.ConvTranspose2d(5, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 1))
    normalise_spectrally(network)
    for _ in range(200):  # one power iteration a forward pass
        network(torch.randn(1, 2, 6, 6))
    for layer, out in ((network[0], 0), (network[1], 1), (network[3], 0)):
        rows = layer.weight.movedim(out, 0).flatten(1)
        assert_close(torch.linalg.matrix_norm(rows, 2), torch.tensor(1.0), atol=1e-3, rtol=0.0)
