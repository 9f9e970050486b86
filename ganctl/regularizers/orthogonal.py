"""Orthogonal regularization."""

import torch
from torch import Tensor, nn

from ganctl.errors import UserError
from ganctl.regularizers.regularizer import Regularizer
from ganctl.types import Play, Schedule


class Orthogonal(Regularizer):
    """Brock et al. 2019, eq. 3: the sum over the generator's weights of ||W W^T (1 - I)||_F^2, without the diagonal.

    The rows of W are what a dense layer or a convolution computes, one an output unit or channel; their lengths are
    free. Under spectral norm W is the weight before the division.
    """

    def __init__(self, weight: float | Schedule = 1e-4, every: int = 1) -> None:
        super().__init__(weight, every)

    def attach(self, generator: nn.Module, discriminator: nn.Module) -> None:
        if not any(isinstance(layer, LAYERS) for layer in generator.modules()):
            raise UserError("regularizer=orthogonal: the generator has no weight with rows\n  try: model=dcgan")

    def g_term(self, play: Play) -> Tensor:
        weights = [rows_of(layer) for layer in play.generator.modules() if isinstance(layer, LAYERS)]
        with torch.autocast(weights[0].device.type, enabled=False):
            return torch.stack([overlap(weight) for weight in weights]).sum()


LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def rows_of(layer: nn.Module) -> Tensor:
    """A layer's weight, as its optimizer knows it, as (outputs, inputs)."""
    weight = next(parameter for parameter in layer.parameters() if parameter.dim() > 1)
    return (weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight).flatten(1)


def overlap(rows: Tensor) -> Tensor:
    """The sum of squared inner products of different rows, (n,m).

    That of all pairs less that of each with itself; all pairs of rows give the same sum as all pairs of columns, of
    which there may be fewer.
    """
    gram = rows.T @ rows if len(rows) > rows.shape[1] else rows @ rows.T
    return gram.square().sum() - rows.square().sum(1).square().sum()
