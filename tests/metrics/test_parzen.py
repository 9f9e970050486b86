import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch.testing import assert_close

from ganctl.data.vision import MNIST
from ganctl.errors import UserError
from ganctl.metrics.parzen import Parzen, log_likelihood
from ganctl.types import Evidence

REAL = Path(os.environ.get("GANCTL_DATA", "../shared/data"))


def uniform(n, seed, shape=(1, 3, 3)):
    return 2 * torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed)) - 1


def scipys(x, samples, sigma):
    x, samples = x.flatten(1).double().numpy(), samples.flatten(1).double().numpy()
    squares = np.square(x[:, None] - samples).sum(2)
    norm = x.shape[1] * math.log(sigma * math.sqrt(2 * math.pi))
    return logsumexp(-squares / (2 * sigma**2), axis=1) - math.log(len(samples)) - norm


def test_one_sample_is_a_gaussian():
    x = torch.tensor([[0.3, 0.4]]).double()
    found = log_likelihood(x, torch.zeros(1, 2).double(), [0.5])
    assert_close(found, torch.tensor([[-0.5 - math.log(0.25 * 2 * math.pi)]]).double())


def test_many_samples_of_a_gaussian():
    """N(0, s^2) seen through windows of width h is N(0, s^2 + h^2)."""
    samples = torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.tensor([[-1.0], [0.0], [0.5]]).double()
    expected = torch.distributions.Normal(0, math.sqrt(1 + 0.3**2)).log_prob(x.T)
    assert_close(log_likelihood(x, samples, [0.3]), expected.double(), rtol=0, atol=0.01)


def test_scipy_agrees_and_sigma_is_the_best_of_the_grid():
    fake, valid, test = uniform(50, 0), uniform(30, 1), uniform(20, 2)
    found = Parzen(valid=25)(Evidence(fake=fake, valid=valid, test=test))
    fake, valid, test = ((part + 1) / 2 for part in (fake, valid, test))
    sigma = max(np.logspace(-1, 0, 10), key=lambda width: scipys(valid[:25], fake, width).mean())
    nats = scipys(test, fake, sigma)
    expected = {"parzen": nats.mean(), "parzen_se": nats.std() / math.sqrt(20), "parzen_sigma": sigma}
    assert_close(found, {name: float(value) for name, value in expected.items()}, rtol=1e-6, atol=1e-6)
    assert 0.1 < found["parzen_sigma"] < 1


def test_only_the_first_of_the_held_out_choose():
    fake, valid, test = uniform(50, 0), uniform(30, 1), uniform(20, 2)
    other = torch.cat([valid[:25], -torch.ones(5, 1, 3, 3)])
    first, second = (Parzen(valid=25)(Evidence(fake=fake, valid=side, test=test)) for side in (valid, other))
    assert first == second
    with pytest.raises(UserError, match="valid=30: parzen needs at least 1000"):
        Parzen()(Evidence(fake=fake, valid=valid, test=test))


def test_pixels_beyond_one_are_refused():
    grey = uniform(20, 0)
    with pytest.raises(UserError, match="outside of -1 to 1"):
        Parzen(valid=10)(Evidence(fake=grey * 255, valid=grey, test=grey))


@pytest.mark.slow
@pytest.mark.skipif(not (REAL / "MNIST").is_dir(), reason="needs the real MNIST: set GANCTL_DATA to its root")
def test_training_images_as_samples():
    """The control row: what 10,000 real images score."""

    def images(split):
        data = MNIST(root=str(REAL), download=False, split=split, holdout=10_000)
        return data.images[:10_000].float() / 127.5 - 1

    found = Parzen()(Evidence(fake=images("train"), valid=images("valid"), test=images("test")))
    assert 241 < found["parzen"] < 243
    assert_close(found["parzen_sigma"], 10 ** (-7 / 9))
    assert 1.8 < found["parzen_se"] < 2.4
