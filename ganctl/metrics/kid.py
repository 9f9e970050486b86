"""Kernel distance: fakes and reals compared without assuming that their features are Gaussian."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from ganctl.errors import UserError
from ganctl.metrics.metric import Metric, Side
from ganctl.progress import with_bar
from ganctl.seeding import generator
from ganctl.types import Evidence


class KID(Metric):
    """Bińkowski et al. 2018, section 4: the squared MMD under the kernel (x·y/F + 1)^3, averaged over random subsets.

    Unbiased, so that it does not depend on n and falls below 0 by chance where fakes are perfect. `kid_se` is the
    standard error over the subsets; they share samples, so with many subsets of few samples it is too small,
    and where every subset is the whole it is left out.
    """

    name = "kid"
    sees: ClassVar[Literal["features"]] = "features"

    def __init__(self, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0, against: Side = "test") -> None:
        if subsets < 2 or subset_size < 2:
            raise UserError(
                f"metric.kid: subsets={subsets} and subset_size={subset_size} must both be 2 or more\n"
                f"  try: metric.kid.subsets=100 metric.kid.subset_size=1000"
            )
        self.needs = frozenset({"fake", against})
        self.subsets, self.subset_size, self.seed, self.against = subsets, subset_size, seed, against
        self.protocol = {"subsets": subsets, "subset_size": subset_size, "seed": seed, "against": against}

    def __call__(self, evidence: Evidence) -> dict[str, float]:
        fake, real = self.take(evidence, "fake", self.against, least=self.subset_size)
        values = []
        for subset in with_bar(range(self.subsets), "kid"):
            draw = generator(self.seed, "kid", subset)
            values.append(mmd2(some(fake, self.subset_size, draw), some(real, self.subset_size, draw)))
        found = torch.stack(values)
        values_differ = max(len(fake), len(real)) > self.subset_size
        error = {"kid_se": found.std().item() / self.subsets**0.5} if values_differ else {}
        return {"kid": found.mean().item(), **error}


def some(x: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """`count` of the features (N,...), none of them twice, (count,F)."""
    return x.index_select(0, torch.randperm(len(x), generator=draw)[:count].to(x.device)).flatten(1)


def mmd2(x: Tensor, y: Tensor) -> Tensor:
    """Gretton et al. 2012, lemma 6: the unbiased squared MMD of x (N,F) and y (M,F), a float64 scalar."""
    return within(x) + within(y) - 2 * kernel(x, y).mean(dtype=torch.float64)


def within(x: Tensor) -> Tensor:
    """The mean kernel of two different samples of x (N,F)."""
    total, n = x.new_zeros((), dtype=torch.float64), len(x)
    for start in range(0, n, 200):
        # Symmetric: from the diagonal on is enough, and what lies beyond this square counts twice.
        values = kernel(x[start : start + 200], x[start:])
        square = values[:, : len(values)]
        total += 2 * values.sum(dtype=torch.float64)
        total -= square.sum(dtype=torch.float64) + square.diagonal().sum(dtype=torch.float64)
    return total / (n * (n - 1))


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x·y/F + 1)^3, (N,M) in the features' own precision: sums are taken in float64, where they cancel."""
    return (x @ y.T).div_(x.shape[1]).add_(1).pow_(3)
