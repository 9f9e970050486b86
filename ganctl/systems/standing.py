"""Standing statistics: what batch norm subtracts and divides by once a generator is trained."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def take_standing_statistics(generator: nn.Module, batches: Sequence[tuple[Tensor, Tensor | None]]) -> None:
    """Batch norm's running statistics become the means over these batches of (z, label); the mode stays evaluation.

    Brock et al. 2019, appendix C.1. A generator without batch norm is left alone.
    """
    norms = [part for part in generator.modules() if isinstance(part, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for the plain mean of all batches
        norm.train()
    for z, label in batches:
        generator(z, label)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
