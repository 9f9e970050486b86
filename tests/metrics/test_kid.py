import pytest
import torch
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.metrics.kid import KID, kernel, mmd2
from ganctl.types import Evidence


def normal(n, seed, shift=0.0, f=6):
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def naive(x, y):
    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    x, y = x.tolist(), y.tolist()
    within_x = sum(k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / (len(x) * (len(x) - 1))
    within_y = sum(k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / (len(y) * (len(y) - 1))
    return within_x + within_y - 2 * sum(k(a, b) for a in x for b in y) / (len(x) * len(y))


def test_the_kernel():
    assert_close(kernel(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]])), torch.tensor([[27.0, 1]]))


def test_by_hand():
    """One feature: k(1,2) = 27, k(0,0) = 1, k(1,0) = k(2,0) = 1: 27 + 1 - 2."""
    x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [0.0]])
    assert_close(mmd2(x, y), torch.tensor(26.0).double())


def test_a_double_loop_agrees():
    x, y = normal(31, 0), normal(20, 1, 0.3)
    assert_close(mmd2(x, y).item(), naive(x, y), rtol=1e-12, atol=1e-12)


def test_triangles_of_many_blocks():
    x, y = normal(613, 0), normal(500, 1)
    off = kernel(x, x).fill_diagonal_(0).sum() / (613 * 612) + kernel(y, y).fill_diagonal_(0).sum() / (500 * 499)
    assert_close(mmd2(x, y), off - 2 * kernel(x, y).mean(), rtol=1e-10, atol=1e-10)


def test_it_is_unbiased():
    """Two samples of one distribution differ by 0 on average, however few they are; the biased estimate does not."""
    values = torch.stack([mmd2(normal(8, 2 * i), normal(8, 2 * i + 1)) for i in range(2000)])
    error = values.std() / len(values) ** 0.5
    assert values.mean().abs() < 4 * error
    assert error < 0.02


def test_subsets_are_seeded_and_vary():
    evidence = Evidence(fake=normal(60, 0, 0.5), test=normal(70, 1))
    first = KID(subsets=10, subset_size=30)(evidence)
    assert first == KID(subsets=10, subset_size=30)(evidence)
    assert first != KID(subsets=10, subset_size=30, seed=1)(evidence)
    assert 0 < first["kid_se"] < first["kid"]


def test_a_subset_of_all_is_all():
    fake, real = normal(40, 0, 0.5), normal(40, 1)
    found = KID(subsets=3, subset_size=40)(Evidence(fake=fake, test=real))
    assert found["kid"] == pytest.approx(naive(fake, real), rel=1e-12)
    assert "kid_se" not in found  # there is nothing to vary


@pytest.mark.parametrize("wrong", [{"subsets": 1}, {"subset_size": 1}])
def test_one_has_no_spread(wrong):
    with pytest.raises(UserError, match=r"=1 (.*)must both be 2 or more\n  try: metric.kid.subsets=100"):
        KID(**wrong)


def test_torch_fidelity_agrees():
    theirs = pytest.importorskip("torch_fidelity.metric_kid")
    fake, real = normal(100, 0, 0.5), normal(100, 1)
    expected = theirs.kid_features_to_metric(fake, real, kid_subsets=2, kid_subset_size=100, verbose=False)
    found = KID(subsets=2, subset_size=100)(Evidence(fake=fake.float(), test=real.float()))
    assert found["kid"] == pytest.approx(expected["kernel_inception_distance_mean"], abs=1e-6)
