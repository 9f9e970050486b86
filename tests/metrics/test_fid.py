import math

import pytest
import torch
from scipy.linalg import sqrtm
from torch.testing import assert_close

from ganctl.metrics.fid import FID, frechet, moments
from ganctl.types import Evidence


def fid(fake, real):
    return FID()(Evidence(fake=fake, test=real))["fid"]


def spread(variances):
    return torch.diag(torch.tensor(variances, dtype=torch.float64))


def features(n, f, seed, scale=1.0):
    """Full rank and correlated, float32."""
    draw = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, f, generator=draw) @ torch.randn(f, f, generator=draw) + torch.rand(f, generator=draw)


def test_gaussians_whose_covariances_commute():
    mean1, mean2 = torch.tensor([1.0, 2.0]).double(), torch.tensor([4.0, -2.0]).double()
    # |m1 - m2|^2 = 25; (2 - 1)^2 + (3 - 5)^2 = 5 of the standard deviations.
    assert frechet(mean1, spread([4.0, 9.0]), mean2, spread([1.0, 25.0])) == pytest.approx(30, rel=1e-12)


def test_gaussians_whose_covariances_do_not_commute():
    # tr (C1 C2)^(1/2) of two by two matrices is sqrt(tr(C1 C2) + 2 sqrt(det C1 det C2)).
    c1, c2 = torch.tensor([[2.0, 1.0], [1.0, 2.0]]).double(), spread([1.0, 4.0])
    expected = 4 + 5 - 2 * math.sqrt(10 + 2 * math.sqrt(3 * 4))
    assert frechet(torch.zeros(2), c1, torch.zeros(2), c2) == pytest.approx(expected, rel=1e-12)


def test_moments():
    x = torch.tensor([[1.0, 2.0], [3.0, 2.0], [5.0, 8.0]])
    mean, cov = moments(x)
    assert_close(mean, torch.tensor([3.0, 4.0]).double())
    assert_close(cov, torch.tensor([[4.0, 6.0], [6.0, 12.0]]).double())
    many = features(5000, 6, 0) + 1000
    assert_close(moments(many)[1], many.double().T.cov(), rtol=1e-9, atol=1e-9)


def test_the_matrix_square_root():
    fake, real = features(300, 40, 1), features(200, 40, 2)
    (m1, c1), (m2, c2) = moments(fake), moments(real)
    root = torch.from_numpy(sqrtm((c1 @ c2).numpy()).real)
    expected = (m1 - m2).square().sum() + (c1 + c2 - 2 * root).trace()
    assert fid(fake, real) == pytest.approx(float(expected), rel=1e-6)


def test_constant_and_repeated_features():
    """Dead units make a covariance singular; they add nothing."""
    fake, real = features(300, 10, 1), features(200, 10, 2)
    wide = [torch.cat([x, torch.zeros(len(x), 3), x[:, :1]], 1) for x in (fake, real)]
    (m1, c1), (m2, c2) = (moments(torch.cat([x, x[:, :1]], 1)) for x in (fake, real))
    root = torch.from_numpy(sqrtm((c1 @ c2).numpy()).real)
    expected = (m1 - m2).square().sum() + (c1 + c2 - 2 * root).trace()
    assert fid(*wide) == pytest.approx(float(expected), rel=1e-5)


def test_equal_sets_are_at_no_distance():
    same = features(300, 30, 3)
    assert fid(same, same) == pytest.approx(0, abs=1e-6)


def test_torch_fidelity_agrees():
    theirs = pytest.importorskip("torch_fidelity.metric_fid")
    fake, real = features(400, 64, 1), features(300, 64, 2)
    stats = [theirs.fid_features_to_statistics(x.double()) for x in (fake, real)]
    expected = theirs.fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    assert fid(fake, real) == pytest.approx(expected, rel=1e-6)
