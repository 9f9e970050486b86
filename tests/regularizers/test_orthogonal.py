"""Orthogonal regularization: nothing for rows at right angles, by hand for others."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.regularizers.orthogonal import Orthogonal
from ganctl.types import Play


def term_of(*layers):
    generator = nn.Sequential(*layers)
    Orthogonal().attach(generator, nn.Identity())
    return Orthogonal().g_term(Play(0, "g", generator, nn.Identity(), torch.zeros(1), torch.zeros(1)))


def dense(rows, **more):
    layer = nn.Linear(len(rows[0]), len(rows), **more)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rows))
    return layer


def off_diagonal(rows):
    """||W W^T (1 - I)||_F^2, as it is written."""
    gram = rows @ rows.T
    return (gram * (1 - torch.eye(len(rows), dtype=rows.dtype))).square().sum()


@pytest.mark.parametrize("lengths", [[1.0, 1.0, 1.0], [0.1, 5.0, 30.0]])
def test_rows_at_right_angles_cost_nothing_whatever_their_lengths(lengths):
    torch.manual_seed(0)
    rows = torch.linalg.qr(torch.randn(7, 7)).Q[:3] * torch.tensor(lengths).view(-1, 1)
    assert_close(term_of(dense(rows.tolist())), torch.tensor(0.0), atol=1e-6 * sum(n**4 for n in lengths), rtol=0.0)


def test_two_rows_by_hand():
    """(1, 1) and (2, 0) have the inner product 2, which stands twice beside the diagonal: 4 + 4."""
    assert_close(term_of(dense([[1.0, 1.0], [2.0, 0.0]])), torch.tensor(8.0))
    assert_close(term_of(dense([[1.0, 2.0, 3.0]])), torch.tensor(0.0))  # one row


def test_layers_are_summed_and_biases_left_out():
    layer = dense([[1.0, 1.0], [2.0, 0.0]])
    nn.init.constant_(layer.bias, 9.0)
    assert_close(term_of(layer, nn.BatchNorm1d(2), dense([[3.0, 0.0], [1.0, 0.0]])), torch.tensor(8.0 + 18.0))


def test_a_row_is_what_computes_one_output_channel():
    """In a convolution the first axis counts outputs, in a transposed one the second."""
    torch.manual_seed(0)
    forth, back = nn.Conv2d(3, 4, 2), nn.ConvTranspose2d(3, 5, 2)
    assert_close(term_of(forth), off_diagonal(forth.weight.flatten(1)))
    rows = back.weight.transpose(0, 1).reshape(5, -1)
    assert_close(term_of(back), off_diagonal(rows))
    assert not torch.isclose(off_diagonal(rows), off_diagonal(back.weight.flatten(1)))


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5)])
def test_the_value_and_the_gradient_are_those_of_the_formula(shape):
    torch.manual_seed(0)
    layer = nn.Linear(shape[1], shape[0]).double()
    term, expected = term_of(layer), off_diagonal(layer.weight)
    assert_close(term, expected)
    assert_close(torch.autograd.grad(term, layer.weight)[0], torch.autograd.grad(expected, layer.weight)[0])


def test_under_spectral_norm_it_is_the_weight_that_is_learned():
    layer = spectral_norm(dense([[1.0, 1.0], [2.0, 0.0]]))
    u = layer.parametrizations.weight[0]._u.clone()
    assert_close(term_of(layer), torch.tensor(8.0))
    assert torch.equal(layer.parametrizations.weight[0]._u, u)  # no power iteration on the side


def test_mixed_precision_does_not_touch_it():
    torch.manual_seed(0)
    layer = nn.Linear(30, 20)
    expected = term_of(layer)
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(term_of(layer), expected, rtol=1e-6, atol=0.0)


def test_it_is_the_generators():
    assert Orthogonal().factor(0) == 1e-4
    assert Orthogonal().d_term(Play(0, "d", nn.Linear(2, 2), nn.Linear(2, 2), torch.zeros(1), torch.zeros(1))) is None


def test_a_generator_without_weights_is_refused():
    with pytest.raises(UserError, match=r"orthogonal.*\n  try: model=dcgan"):
        term_of(nn.Identity())
