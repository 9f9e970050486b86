import torch
from torch.testing import assert_close

from ganctl.metrics import distances
from ganctl.metrics.distances import blocks, nearest, radii


def test_blocks_are_the_whole_matrix(monkeypatch):
    x, y = torch.randn(23, 5, dtype=torch.float64) + 100, torch.randn(9, 5, dtype=torch.float64) + 100
    monkeypatch.setattr(distances, "BLOCK", 40)
    found = list(blocks(x, y, ""))
    assert [rows.stop - rows.start for rows, _ in found] == [4, 4, 4, 4, 4, 3]
    whole = torch.cat([near for _, near in found])
    assert_close(whole, (x[:, None] - y).square().sum(2), rtol=1e-9, atol=1e-9)


def test_an_offset_costs_no_precision_in_float32():
    x, y = torch.randint(4096, (50, 8)) / 4096 + 1000, torch.randint(4096, (60, 8)) / 4096 + 1000
    ((_, found),) = blocks(x, y, "")
    exact = (x.double()[:, None] - y.double()).square().sum(2)
    assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)


def test_neighbours_on_a_line():
    x = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert_close(radii(x, 1), torch.tensor([1.0, 1.0, 4.0, 16.0]))
    assert_close(radii(x, 2), torch.tensor([9.0, 4.0, 9.0, 36.0]))


def test_the_nearest_of_images():
    y = torch.rand(30, 1, 4, 4)
    distance, index = nearest(y[[3, 17]] + 0.01, y)
    assert index.tolist() == [3, 17]
    assert_close(distance, torch.full((2,), 0.04, dtype=torch.float64), rtol=1e-5, atol=0)
