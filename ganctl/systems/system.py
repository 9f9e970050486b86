"""What every system is: who plays, what each player minimises, and how a sample is drawn."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ganctl.errors import UserError
from ganctl.seeding import generator
from ganctl.types import Batch, Phase

Prior = Literal["normal", "uniform"]


class System(nn.Module):
    """Pure maths on tensors: no optimizer, device, logger or process group. All state is in parameters and buffers."""

    conditional = False
    """Whether `draw` takes labels."""

    choices = 0
    """How many entries at the end of z are choices (a mixture's number): nothing lies between one and the next."""

    pack = 1
    """A number that divides every batch: so many samples are judged together."""

    moves_from = 0
    """The first step at which the averaged modules move."""

    def __init__(self) -> None:
        super().__init__()
        self.facts: dict[str, Tensor] = {}
        """Detached tensors of the latest step; their means are logged under these names, as in `logits/real`."""

    def players(self) -> dict[str, Sequence[nn.Module]]:
        """The modules each player's optimizer owns: every parameter belongs to exactly one player."""
        raise NotImplementedError

    def phases(self) -> Sequence[Phase]:
        """Who moves in this step, in order."""
        raise NotImplementedError

    def prepare(self, batch: Batch) -> None:
        """Called once before step 0 with the same batch on every rank; what it finds goes into buffers."""

    def begin(self, step: int) -> None:
        """Called before each step: anneal, grow."""

    def prior(self, seeds: Sequence[int], *, truncation: float | None = None) -> Tensor:
        """(N,Z) on the CPU, every random choice of a sample from its own seed; None draws from the whole prior."""
        raise NotImplementedError

    def settle(self, *, truncation: float | None = None) -> None:
        """Called once before drawing, in evaluation mode: take anew what depends on these weights and the truncation.

        It may change buffers, of averaged modules only.
        """

    def draw(self, z: Tensor, *, label: Tensor | None = None) -> Tensor:
        """Samples of z in the data's units: (N,C,H,W) in [-1,1] or (N,2) points. No gradient."""
        raise NotImplementedError

    def opinion(self, samples: Tensor, *, label: Tensor | None = None) -> Tensor | None:
        """Logits (N,) of the one discriminator on samples in the data's units; None where there is no such one."""
        return None

    def averaged(self) -> Sequence[nn.Module]:
        """The modules whose moving average is sampled from."""
        raise NotImplementedError

    def compilable(self) -> Sequence[nn.Module]:
        """The modules that torch may compile: none that a term differentiates twice."""
        return self.averaged()

    def describe(self) -> dict[str, str]:
        """What each player minimises, in one line for the person who starts a run."""
        raise NotImplementedError


def draw_prior(
    seeds: Sequence[int], latent: int, prior: Prior = "normal", truncation: float | None = None, mixture: int = 1
) -> Tensor:
    """(N,Z) latents, N(0,1) or U(-1,1), row i from seed i alone; of a mixture (N,Z+1), the last one of k numbers.

    Truncation psi (Brock et al. 2019, section 3.1) keeps |z| <= psi: the distribution that resampling gives, drawn by
    inverting the normal's distribution function.
    """
    if truncation is not None and prior != "normal":
        raise UserError(
            f"truncation={truncation} needs a normal prior, this system's is {prior}\n  try: truncation=null"
        )
    if truncation is not None and truncation <= 0:
        raise UserError(f"truncation={truncation}: must be greater than 0\n  try: truncation=0.7")
    rows = []
    for seed in seeds:
        source = generator("prior", int(seed))  # a numpy integer names the same sample
        if truncation is not None:
            u = torch.rand(latent, generator=source, dtype=torch.float64) * 2 - 1
            rows.append((math.sqrt(2) * torch.erfinv(u * math.erf(truncation / math.sqrt(2)))).float())
        elif prior == "uniform":
            rows.append(torch.rand(latent, generator=source) * 2 - 1)
        else:
            rows.append(torch.randn(latent, generator=source))
        if mixture > 1:
            rows[-1] = torch.cat([rows[-1], torch.randint(mixture, (1,), generator=source)])
    return torch.stack(rows)


def draw_latents(count: int, latent: int, prior: Prior, device: torch.device, mixture: int = 1) -> Tensor:
    """(count, Z) latents for training, from the device's default generator; of a mixture (count, Z+1)."""
    if prior == "uniform":
        z = torch.rand(count, latent, device=device) * 2 - 1
    else:
        z = torch.randn(count, latent, device=device)
    return z if mixture == 1 else torch.cat([z, torch.randint(mixture, (count, 1), device=device)], dim=1)
