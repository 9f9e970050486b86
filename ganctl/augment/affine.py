"""Affine maps of images about their centres, and the resampling that carries them out."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganctl.shift import mirrored, picked


class Resample(nn.Module):
    """Each image under an affine map of its own, for images of height x width pixels.

    As in Karras et al. 2020, appendix B: the image is doubled by a smooth filter, sampled bilinearly at four points a
    pixel, and filtered down again, so that neither the blur of bilinear sampling nor the aliases of a smaller picture
    reach the critic. Unlike there, the doubling is by Lanczos's kernel rather than a wavelet's, and the way down its
    least-squares inverse, so that the identity is exact. Beyond an edge the image is mirrored, as often as needed.
    """

    height_up: Tensor
    height_down: Tensor
    width_up: Tensor
    width_down: Tensor

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        for name, side in (("height", height), ("width", width)):
            up = doubling(side)
            self.register_buffer(f"{name}_up", up.float(), persistent=False)
            self.register_buffer(f"{name}_down", torch.linalg.pinv(up).float(), persistent=False)

    def forward(self, x: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
        """x (B,C,H,W); an output point p = (column, row) shows the input at matrix p + offset, (B,2,2) and (B,2).

        Points are in pixels from the image's centre.
        """
        doubled = self.height_up @ x @ self.width_up.T
        sampled = bilinear(doubled, *self._sources(matrix, offset, *x.shape[2:]))
        return self.height_down @ sampled @ self.width_down.T

    def _sources(self, matrix: Tensor, offset: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Row and column in the doubled input, (B,2H,2W) each, that the points of the doubled output show."""
        down, right = (
            torch.arange(2 * side, device=matrix.device, dtype=matrix.dtype) / 2 - (side - 0.5) / 2
            for side in (height, width)
        )
        points = torch.stack(torch.meshgrid(right, down, indexing="xy"))  # (2,2H,2W)
        columns, rows = (torch.einsum("bij,jhw->bihw", matrix, points) + offset[..., None, None]).unbind(1)
        rows, columns = (mirrored(at + (side - 1) / 2, side) for at, side in ((rows, height), (columns, width)))
        return 2 * rows + 0.5, 2 * columns + 0.5


def bilinear(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """x (B,C,H,W) between its pixels, at rows and columns (B,h,w) from 0 up to the last: (B,C,h,w).

    Linear in x and differentiable twice, as penalties on D's slope ask for. On a CPU by torch's grid_sample, six times
    as fast there; elsewhere by gathers, whose gradient is deterministic.
    """
    if x.device.type == "cpu":
        grid = torch.stack([2 * columns / (x.shape[3] - 1) - 1, 2 * rows / (x.shape[2] - 1) - 1], -1)
        sampled: Tensor = _Sample.apply(x, grid)
        return sampled
    return gathered(x, rows, columns)


def gathered(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """`bilinear` in plain operations."""
    top, left = rows.floor(), columns.floor()
    below, beside = (rows - top).unsqueeze(1), (columns - left).unsqueeze(1)
    i, j = top.long(), left.long()
    after_i, after_j = (i + 1).clamp(max=x.shape[2] - 1), (j + 1).clamp(max=x.shape[3] - 1)
    upper = torch.lerp(picked(x, i, j), picked(x, i, after_j), beside)
    lower = torch.lerp(picked(x, after_i, j), picked(x, after_i, after_j), beside)
    return torch.lerp(upper, lower, below)


class _Sample(torch.autograd.Function):
    """grid_sample with a gradient that can be differentiated again: torch's own cannot."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = x.shape
        return F.grid_sample(x, grid, align_corners=True)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Scatter.apply(gradient, *ctx.saved_tensors, ctx.shape), None


class _Scatter(torch.autograd.Function):
    """The transpose of _Sample, whose own transpose is _Sample."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        mode, padding, align_corners, wanted = 0, 0, True, (True, False)  # bilinear, zeros; the image's gradient alone
        image = y.new_zeros(shape)
        x: Tensor = torch.ops.aten.grid_sampler_2d_backward(y, image, grid, mode, padding, align_corners, wanted)[0]
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Sample.apply(gradient, *ctx.saved_tensors), None, None


def doubling(side: int, lobes: int = 3) -> Tensor:
    """(2 side, side) float64: interpolation a quarter of a pixel to either side of each, by Lanczos's kernel."""
    at = torch.arange(2 * side, dtype=torch.float64, device="cpu") / 2 - 0.25
    taps = at.floor().unsqueeze(1) + torch.arange(1 - lobes, lobes + 1, device="cpu")
    away = at.unsqueeze(1) - taps
    weight = torch.sinc(away) * torch.sinc(away / lobes)
    weight /= weight.sum(1, keepdim=True)
    return torch.zeros(2 * side, side, dtype=torch.float64, device="cpu").scatter_add_(
        1, mirrored(taps, side).long(), weight
    )


def rotation(angle: Tensor) -> Tensor:
    """(B,2,2) for angles (B,) in radians, with the clock on the screen, where rows grow downward."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)


def scaling(horizontal: Tensor, vertical: Tensor) -> Tensor:
    """(B,2,2) for factors (B,)."""
    return torch.diag_embed(torch.stack([horizontal, vertical], -1))
