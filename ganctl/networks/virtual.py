"""Virtual batch norm: batch norm whose batch is always the same one, so that samples do not see one another."""

import torch
from torch import Tensor, nn

REFERENCE = 32
"""n, the samples of a reference batch; each pass of a network pays for them."""


class Reference(nn.Module):
    """The n inputs that a network with virtual batch norm carries along, in buffers; under other norms nothing.

    A network hands its input (B,...) and label (B,) through `forward`, which puts the reference batch before them, and
    its output through `rest`, which takes it away again. So the statistics are those of the weights of the moment.
    """

    input: Tensor
    label: Tensor

    def __init__(self, norm: str, *shape: int) -> None:
        super().__init__()
        self.rows = REFERENCE if norm == "virtual" else 0
        if self.rows:
            self.register_buffer("input", torch.randn(self.rows, *shape))
            self.register_buffer("label", torch.zeros(self.rows, dtype=torch.int64))

    def keep(self, x: Tensor, y: Tensor | None = None) -> None:
        """Take the first n of x (B,...) and y (B,) as the reference from now on; of fewer some count twice."""
        if self.rows:
            some = torch.arange(self.rows, device=x.device) % len(x)
            self.input.copy_(x[some])
            if y is not None:
                self.label.copy_(y[some])

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        if not self.rows:
            return x, y
        return torch.cat([self.input.to(x.dtype), x]), None if y is None else torch.cat([self.label, y])

    def rest(self, x: Tensor) -> Tensor:
        """What is not the reference: (n+B,...) -> (B,...)."""
        return x[self.rows :] if self.rows else x


class VirtualBatchNorm(nn.Module):
    """Salimans et al. 2016, section 3.5: each sample is normalised by the reference batch and itself.

    `forward(x: (n+B,C) or (n+B,C,H,W))`, the first n being the reference, which is normalised by its own statistics.
    Those of a sample weigh 1/(n+1) beside the reference's n/(n+1), over the pixels of a map as in batch norm. Outside
    a network with a `Reference` it means nothing.
    """

    def __init__(self, channels: int, affine: bool = True, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(*x.shape[:2], -1)
        mean, variance = (moment.unsqueeze(2) for moment in self._moments(pixels.mean(2), pixels.var(2, correction=0)))
        normal = (pixels - mean) * (variance + self.eps).rsqrt()
        if self.weight is not None and self.bias is not None:
            normal = torch.addcmul(self.bias[:, None], normal, self.weight[:, None])
        return normal.to(x.dtype).view_as(x)

    def _moments(self, means: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
        """(n+B,C) each: from those of every sample alone those it is normalised by."""
        centre = means[:REFERENCE].mean(0)
        spread = (variances[:REFERENCE] + (means[:REFERENCE] - centre).square()).mean(0)
        share, own, own_variance = 1 / (REFERENCE + 1), means[REFERENCE:], variances[REFERENCE:]
        mean = torch.lerp(centre.expand_as(own), own, share)
        variance = torch.lerp(spread + (centre - mean).square(), own_variance + (own - mean).square(), share)
        before = (REFERENCE, means.shape[1])
        return torch.cat([centre.expand(before), mean]), torch.cat([spread.expand(before), variance])
