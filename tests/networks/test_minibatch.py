"""Features of the batch: against plain loops, against numpy, and what they are for: a batch of equals stands out."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.networks.dcgan import DcganDiscriminator
from ganctl.networks.minibatch import MinibatchDiscrimination, MinibatchStddev, minibatch_layer
from ganctl.networks.mlp import MlpDiscriminator


def a_batch(count, features=6):
    torch.manual_seed(0)
    return torch.randn(count, features, dtype=torch.float64)


# -- minibatch discrimination -----------------------------------------------------------------------------------------


def test_discrimination_is_the_papers_double_sum():
    x, layer = a_batch(5), MinibatchDiscrimination(6, kernels=3, dimensions=2).double()
    expected = torch.zeros(5, 3, dtype=torch.float64)
    tensor = layer.tensor.detach()
    for i in range(5):
        for j in range(5):
            for b in range(3):
                apart = 0.0
                for c in range(2):
                    m_i = sum(x[i, a] * tensor[a, b, c] for a in range(6))
                    m_j = sum(x[j, a] * tensor[a, b, c] for a in range(6))
                    apart += abs(float(m_i) - float(m_j))
                expected[i, b] += math.exp(-apart)
    found = layer(x).detach()
    assert_close(found[:, :6], x, rtol=0.0, atol=0.0)
    assert_close(found[:, 6:], expected, rtol=0.0, atol=1e-10)


def test_a_constant_batch_is_told_from_a_varied_one():
    layer = MinibatchDiscrimination(64)
    torch.manual_seed(0)
    varied = layer(torch.randn(16, 64))[:, 64:]
    constant = layer(torch.randn(1, 64).expand(16, -1))[:, 64:]
    assert_close(constant, torch.full((16, 100), 16.0))
    assert (varied >= 1).all()
    assert varied.mean() < 2
    assert (varied > 1.001).any()  # at the start the exponentials have not died out


def test_discrimination_has_the_papers_size():
    layer = MinibatchDiscrimination(7)
    assert layer.tensor.shape == (7, 100, 5)
    assert layer(torch.zeros(2, 7)).shape == (2, layer.width) == (2, 107)


# -- minibatch standard deviation -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "size"), [(8, 4), (4, 4), (6, 3), (5, 1), (2, 2), (9, 3)])
def test_stddev_is_numpys_over_the_largest_group_that_divides(count, size):
    x = a_batch(count)
    found = MinibatchStddev(6)(x)
    groups = x.numpy().reshape(count // size, size, 6)
    expected = np.sqrt(groups.std(axis=1) ** 2 + 1e-8).mean(axis=1).repeat(size)
    assert_close(found[:, :6], x, rtol=0.0, atol=0.0)
    assert_close(found[:, 6], torch.from_numpy(expected), rtol=0.0, atol=1e-12)


def test_stddev_of_the_columns_0_2_and_0_4_is_one_and_a_half():
    found = MinibatchStddev(2, group=2)(torch.tensor([[0.0, 0.0], [2.0, 4.0]]))
    assert_close(found[:, 2], torch.tensor([1.5, 1.5]))


def test_a_batch_of_equals_has_a_finite_gradient():
    x = torch.ones(4, 3, requires_grad=True)
    found = MinibatchStddev(3)(x)
    assert_close(found[:, 3], torch.full((4,), 1e-4))
    found.sum().backward()
    assert x.grad.isfinite().all()


# -- before a head ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["none", "discrimination", "stddev"])
@pytest.mark.parametrize(
    ("network", "settings"),
    [(MlpDiscriminator, {"widths": [6]}), (DcganDiscriminator, {"width": 4, "norm": "none"})],
)
def test_the_head_reads_the_batch_and_says_so(network, settings, kind):
    torch.manual_seed(0)
    discriminator = network([1, 16, 16], **settings, minibatch=kind).double()
    x = torch.randn(4, 1, 16, 16, dtype=torch.float64)
    together, beside_others = discriminator(x), discriminator(torch.cat([x[:1], -x[1:]]))
    assert_close(discriminator.head(together.features[-1])[0], together.logits)
    assert discriminator.couples_batch == (kind != "none")
    assert torch.equal(together.logits[0], beside_others.logits[0]) == (kind == "none")


def test_both_layers_differentiate_twice():
    x = a_batch(4, 3).requires_grad_()
    for layer in (MinibatchDiscrimination(3, 2, 2).double(), MinibatchStddev(3)):
        assert torch.autograd.gradgradcheck(layer, (x,))


def test_mistakes_get_a_sentence_and_a_remedy():
    with pytest.raises(UserError, match="'std' is unknown\n  try: none, discrimination or stddev"):
        minibatch_layer("std", 3)
    with pytest.raises(UserError, match="kernels=0"):
        MinibatchDiscrimination(3, kernels=0)
