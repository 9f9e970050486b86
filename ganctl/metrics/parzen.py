"""The likelihood of test images under a window around every sample: the first GAN paper's yardstick."""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ganctl.errors import UserError, require_positive
from ganctl.metrics.distances import blocks
from ganctl.metrics.metric import Metric
from ganctl.types import Evidence


class Parzen(Metric):
    """Goodfellow et al. 2014, table 1, in nats, higher is better: mean and standard error over the test images.

    Images in [-1,1] are brought to [0,1]; an isotropic Gaussian sits on each fake, and its sigma is the one of
    `sigmas` under which the first `valid` held-out images are likeliest. The published numbers take 10,000 fakes,
    the ten sigmas of the default, and the last 10,000 of MNIST's training images held out.
    """

    name = "parzen"
    sees: ClassVar[Literal["samples"]] = "samples"
    needs = frozenset({"fake", "valid", "test"})

    def __init__(self, *, valid: int = 1000, sigmas: Sequence[float] | None = None) -> None:
        grid = torch.logspace(-1, 0, 10, dtype=torch.float64).tolist() if sigmas is None else list(sigmas)
        require_positive(**{"metric.parzen.valid": valid, "metric.parzen.sigmas": min(grid, default=0)})
        self.valid, self.sigmas = valid, grid
        self.protocol = {"valid": valid, "sigmas": grid}

    def __call__(self, evidence: Evidence) -> dict[str, float]:
        fake, valid, test = self.take(evidence, "fake", "valid", "test")
        self.take(evidence, "valid", least=self.valid)
        if any(part.abs().max() > 1 for part in (fake, valid, test)):
            raise UserError("parzen: there are pixels outside of -1 to 1\n  try: metric=fid, which takes any features")
        fake, valid, test = ((part.flatten(1).double() + 1) / 2 for part in (fake, valid[: self.valid], test))
        sigma = self.sigmas[int(log_likelihood(valid, fake, self.sigmas).mean(1).argmax())]
        (found,) = log_likelihood(test, fake, [sigma])
        error = found.std(correction=0) / len(found) ** 0.5
        return {"parzen": found.mean().item(), "parzen_se": error.item(), "parzen_sigma": sigma}


def log_likelihood(x: Tensor, samples: Tensor, sigmas: Sequence[float]) -> Tensor:
    """(S,N) nats of x (N,F) under the mean of Gaussians on the samples (M,F), for each sigma."""
    parts = []
    for _, distances in blocks(x, samples, "parzen"):
        parts.append(torch.stack([torch.logsumexp(distances / (-2 * sigma**2), 1) for sigma in sigmas]))
    norms = torch.tensor([x[0].numel() * math.log(sigma * math.sqrt(2 * math.pi)) for sigma in sigmas])
    return torch.cat(parts, 1) - math.log(len(samples)) - norms.to(x.device)[:, None]
