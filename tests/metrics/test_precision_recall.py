import pytest
import torch
from torch.testing import assert_close

from ganctl.metrics.density_coverage import DensityCoverage
from ganctl.metrics.precision_recall import PrecisionRecall
from ganctl.types import Evidence


def column(*values):
    return torch.tensor(values)[:, None]


def naive_radius(x, i, k):
    return sorted((x[i] - other).norm().item() for j, other in enumerate(x) if j != i)[k - 1]


def naive(fake, real, k):
    """Precision, recall, density, coverage in plain loops."""
    r_fake = [naive_radius(fake, i, k) for i in range(len(fake))]
    r_real = [naive_radius(real, i, k) for i in range(len(real))]
    far = [[(f - r).norm().item() for r in real] for f in fake]
    precise = [any(d <= r for d, r in zip(row, r_real, strict=True)) for row in far]
    recalled = [any(row[j] <= r for row, r in zip(far, r_fake, strict=True)) for j in range(len(real))]
    held = [sum(row[j] < r_real[j] for row in far) for j in range(len(real))]
    return {
        "precision": sum(precise) / len(fake),
        "recall": sum(recalled) / len(real),
        "density": sum(held) / (k * len(fake)),
        "coverage": sum(count > 0 for count in held) / len(real),
    }


def ours(fake, real, k):
    evidence = Evidence(fake=fake, test=real)
    return PrecisionRecall(k=k)(evidence) | DensityCoverage(k=k)(evidence)


def test_on_a_line():
    """With k = 1 the balls of the reals 0, 1, 3 have radii 1, 1, 2; those of the fakes 0.5, 6, 7 have 5.5, 1, 1."""
    found = ours(column(0.5, 6.0, 7.0), column(0.0, 1.0, 3.0), 1)
    # 0.5 lies in the balls of 0 and 1; all reals lie in the ball of 0.5; of three balls two hold a fake.
    assert_close(found, {"precision": 1 / 3, "recall": 1.0, "density": 2 / 3, "coverage": 2 / 3})


def test_which_is_which():
    """Fakes at one real mode of two are precise and recall half."""
    near, far = column(0.0, 0.1, 0.2, 0.3), column(10.0, 10.1, 10.2, 10.3)
    found = ours(near + 0.05, torch.cat([near, far]), 1)
    # Three fakes lie in two balls of radius 0.1, the last in one.
    assert_close(found, {"precision": 1.0, "recall": 0.5, "density": 1.75, "coverage": 0.5})


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_plain_loops_agree(k, dtype):
    draw = torch.Generator().manual_seed(k)
    fake = (torch.randn(40, 3, generator=draw) * 1.2 + 0.4).to(dtype)
    real = torch.randn(50, 3, generator=draw).to(dtype)
    assert_close(ours(fake, real, k), naive(fake, real, k), rtol=0, atol=1e-12)


def test_copies_of_the_data_score_one():
    real = torch.randn(60, 8)
    found = ours(real, real, 3)
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)


def test_torch_fidelity_agrees():
    theirs = pytest.importorskip("torch_fidelity.metric_prc")
    fake, real = torch.randn(200, 4) * 0.9, torch.randn(300, 4)
    expected = theirs.prc_features_to_metric(fake, real, verbose=False)
    found = PrecisionRecall()(Evidence(fake=fake, test=real))
    assert_close(found, {name: expected[name] for name in found}, rtol=0, atol=1e-6)
