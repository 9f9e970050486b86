"""What every system is: who plays, what each player minimises, and how a sample is drawn."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganctl.errors import UserError
from ganctl.systems.prior import Normal, Prior
from ganctl.types import Batch, Code, Encoding, Phase

GRID, CLOUD, ROWS = 64, 2500, 16
"""How many images, points, or rows of something given training shows."""


class System(nn.Module):
    """Pure maths on tensors: no optimizer, device, logger or process group. All state is in parameters and buffers.

    It owns its priors, players and adversaries by composition.
    """

    num_classes = 0
    """K of the labels that `draw` takes; 0 for a system that takes none."""

    latents: Prior = Normal(0)
    """Where z comes from; of size 0 where nothing is random."""

    takes: frozenset[str] = frozenset()
    """The keys of `given` that `draw` can start from; none where noise, and a label, is enough."""

    moves_from = 0
    """The first step at which the averaged modules move."""

    def __init__(self) -> None:
        super().__init__()
        self.facts: dict[str, Tensor] = {}
        """Detached tensors of the latest step; their means are logged under these names, as in `logits/real`."""

    @property
    def conditional(self) -> bool:
        """Whether `draw` takes labels."""
        return self.num_classes > 0

    @property
    def pack(self) -> int:
        """A number that divides every batch: so many samples are judged together."""
        return math.lcm(*(getattr(module, "pack", 1) for module in self.modules() if module is not self))

    # -- the game ---------------------------------------------------------------------------------------------------

    def players(self) -> dict[str, Sequence[nn.Module]]:
        """The modules each player's optimizer owns: every parameter belongs to exactly one player."""
        raise NotImplementedError

    def phases(self) -> Sequence[Phase]:
        """Who moves in this step, in order; a player that sleeps has no phase."""
        raise NotImplementedError

    def prepare(self, batch: Batch) -> None:
        """Called once before step 0 with the same batch on every rank; what it finds goes into buffers."""

    def begin(self, step: int) -> None:
        """Called before each step: anneal, open a scale or a stage."""

    def averaged(self) -> Sequence[nn.Module]:
        """The modules whose moving average is sampled from."""
        raise NotImplementedError

    def compilable(self) -> Sequence[nn.Module]:
        """The modules that torch may compile: none that a term differentiates twice."""
        return self.averaged()

    def describe(self) -> dict[str, str]:
        """What each player minimises, in one line for the person who starts a run."""
        raise NotImplementedError

    # -- drawing ----------------------------------------------------------------------------------------------------

    def prior(self, seeds: Sequence[int], *, truncation: float | None = None) -> Tensor:
        """(N,Z) on the CPU, every random choice of a sample from its own seed; None draws from the whole prior."""
        return self.latents.at(seeds, truncation)

    def settle(self, *, truncation: float | None = None) -> None:
        """Called once before drawing, in evaluation mode: take anew what depends on these weights and the truncation.

        It may change buffers, of averaged modules only.
        """

    def guide(self, batch: Batch) -> Batch | None:
        """What a sample is made from, cut out of a batch: the map, the words, the damaged image. None: from noise."""
        return None

    def draw(
        self,
        z: Tensor,
        *,
        label: Tensor | None = None,
        given: Batch | None = None,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """Samples of z in the data's units: (N,C,H,W) in [-1,1] or (N,2) points. No gradient.

        given: what to start from, by one of the keys that the system `takes`; the key is the direction. size: (H,W) of
        the images, where the system can draw any.
        """
        raise NotImplementedError

    def plain(self, given: Batch) -> Tensor | None:
        """What anyone would make of `given` without learning: enlarged, filled, left as it is. The control's row."""
        return None

    def panels(self, batch: Batch) -> Sequence[Tensor]:
        """Columns of training's grid, (N,...) each: what is there without learning, what is drawn."""
        given = self.guide(batch)
        first = next(iter(batch.values()))
        drawn = self.draw(self.prior(range(len(first))).to(first.device), given=given)
        before = None if given is None else self.plain(given)
        return [drawn] if before is None else [before, drawn]

    def preview(self, batch: Batch) -> Sequence[Tensor]:
        """What training shows: one column of samples of fixed seeds, or panels of the first rows of a fixed batch."""
        if self.takes:
            return self.panels({key: value[:ROWS] for key, value in batch.items()})
        device = next(iter(batch.values())).device
        count = CLOUD if "points" in batch else GRID
        label = torch.arange(count, device=device) % self.num_classes if self.conditional else None
        return [self.draw(self.prior(range(count)).to(device), label=label)]

    def require_taken(self, given: Batch | None, size: object = None) -> None:
        """Refuse by name what `draw` cannot start from, and a start from nothing where something must be given."""
        keys = " or ".join(sorted(self.takes))
        for key in given or {}:
            if key not in self.takes:
                meant = f"starts from {keys}" if keys else "draws from noise"
                way = f"given.{sorted(self.takes)[0]}=PATH" if keys else "without it"
                raise UserError(f"given.{key}: {type(self).__name__} {meant}\n  try: {way}")
        if self.takes and not given:
            raise UserError(
                f"{type(self).__name__} starts from {keys}, and nothing is given\n"
                f"  try: given.{sorted(self.takes)[0]}=PATH"
            )
        if size is not None:
            raise UserError(f"size={size}: {type(self).__name__} draws one size\n  try: size=null")

    # -- reading ----------------------------------------------------------------------------------------------------

    def opinion(self, samples: Tensor, *, label: Tensor | None = None) -> Tensor | None:
        """Logits (N,) of the discriminator on samples in the data's units; None if there is not exactly one."""
        return None

    def codes(self) -> Sequence[Code]:
        """The entries of z that are meant to mean something."""
        return ()

    def encode(self, samples: Tensor, *, label: Tensor | None = None) -> Encoding | None:
        """The latents that samples in the data's units may have come from; None from a system without an encoder."""
        return None

    def read(self, samples: Tensor) -> dict[str, Tensor]:
        """What the system reads on samples, by name of code: (N,K) probabilities of a choice, (N,1) a value."""
        return {}
