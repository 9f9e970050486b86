import math

import pytest
import torch

from ganctl.data.points import Grid, Ring
from ganctl.metrics.modes import Modes, StackedModes
from ganctl.types import Evidence

CENTRES = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


def modes(points):
    return Modes()(Evidence(fake=torch.tensor(points), centres=CENTRES, sigma=0.1))


def test_by_hand():
    """Three samples of four are near a mode, two modes of four have one, and the assignment is 2, 1, 1, 0."""
    found = modes([[0.0, 0.2], [0.29, 0.0], [10.0, 0.1], [0.0, 9.6]])
    assert found["modes"] == 2
    assert found["high_quality"] == 0.75
    assert found["reverse_kl"] == pytest.approx(math.log(4) - 1.5 * math.log(2))


def test_three_sigma_is_a_circle():
    assert modes([[0.29, 0.0]])["high_quality"] == 1
    assert modes([[0.31, 0.0]])["high_quality"] == 0
    assert modes([[0.22, 0.22]])["high_quality"] == 0  # each coordinate is within, the distance is not


def test_collapse_and_balance():
    assert modes([[0.0, 0.0]] * 6)["reverse_kl"] == pytest.approx(math.log(4))
    assert modes(CENTRES.tolist()) == {"modes": 4.0, "high_quality": 1.0, "reverse_kl": pytest.approx(0, abs=1e-12)}
    assert modes([[5.1, 0.0]])["modes"] == 0


@pytest.mark.parametrize(("mixture", "count", "published"), [(Ring, 8, 0.0014), (Grid, 25, 0.0048)])
def test_real_data_score_the_published_control_row(mixture, count, published):
    """2,500 points at a time of 100,000: 98.9 % and (M-1)/(2n) on average."""
    data = mixture()
    points = (data.points.double() * data.scale).split(2500)
    evidence = {"centres": torch.tensor(data.centres), "sigma": data.sigma}
    found = [Modes()(Evidence(fake=part, **evidence)) for part in points]
    assert {each["modes"] for each in found} == {count}
    assert sum(each["high_quality"] for each in found) / 40 == pytest.approx(1 - math.exp(-4.5), abs=0.001)
    assert sum(each["reverse_kl"] for each in found) / 40 == pytest.approx(published, rel=0.1)


def test_stacked_codes_by_hand():
    found = StackedModes(modes=4)(Evidence(codes=torch.tensor([3, 3, 0, 1])))
    assert found["modes"] == 3
    assert found["kl"] == pytest.approx(math.log(4) - 1.5 * math.log(2))


def test_the_floor_of_the_stacked_protocol():
    codes = torch.randint(1000, (26_000,), generator=torch.Generator().manual_seed(0))
    found = StackedModes()(Evidence(codes=codes))
    assert found["modes"] == 1000
    assert found["kl"] == pytest.approx(0.0192, abs=0.002)
