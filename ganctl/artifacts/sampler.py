"""A trained generator as a person uses it: seeds in, pictures out."""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from ganctl.artifacts.picture import to_uint8
from ganctl.errors import UserError, did_you_mean, require_positive
from ganctl.progress import with_bar
from ganctl.systems.prior import Prior
from ganctl.types import Batch


class Drawable(Protocol):
    """What Sampler needs from a system."""

    latents: Prior
    """Where z comes from."""

    @property
    def pack(self) -> int:
        """How many samples share one opinion."""

    def prior(self, seeds: Sequence[int], *, truncation: float | None = None) -> Tensor:
        """(N,Z) on the CPU, row i a function of seed i alone."""

    def draw(
        self,
        z: Tensor,
        *,
        label: Tensor | None = None,
        given: Batch | None = None,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """(N,C,H,W) in [-1,1], or points (N,2) in true units; in evaluation mode, without gradient."""

    def opinion(self, samples: Tensor, *, label: Tensor | None = None) -> Tensor | None:
        """Logits (N,) of the one discriminator on such samples, or None."""


class Sampler:
    """Draws from a trained generator; what artifacts are handed and what `ganctl.load` returns.

    The picture of a seed is the same (to one grey level) whatever else is drawn with it.
    """

    def __init__(
        self,
        system: Drawable,
        *,
        shape: Sequence[int],
        num_classes: int,
        conditional: bool,
        run: Path,
        class_names: list[str] | None = None,
        centres: list[list[float]] | None = None,
        device: torch.device | str = "cpu",
        truncation: float | None = None,
        batch_size: int = 64,
    ) -> None:
        require_positive(batch_size=batch_size, truncation=truncation)
        self.system, self.num_classes, self.conditional, self.run = system, num_classes, conditional, run
        self.shape = tuple(shape)
        """(C,H,W) of one picture, or (2,) of a point."""
        self.class_names, self.centres = class_names or [], centres
        self.device, self.truncation, self.batch_size = torch.device(device), truncation, batch_size

    def latents(self, seeds: Sequence[int]) -> Tensor:
        """(N,Z) on the CPU: every random choice behind these seeds."""
        return self.system.prior(seeds, truncation=self.truncation)

    def draw(self, seeds: Sequence[int] | Tensor, labels: Sequence[int] | None = None) -> Tensor:
        """(N,C,H,W) float in [-1,1] on the CPU, or points (N,2), from seeds or from latents (N,Z).

        Class numbers `labels` (N,) are for conditional generators; without them seed s draws class s modulo K.
        """
        return torch.cat(list(self._batches(seeds, labels)))

    def render(self, seeds: Sequence[int] | Tensor, labels: Sequence[int] | None = None) -> Iterator[NDArray[Any]]:
        """As `draw`, but batch by batch and as it is stored: uint8 (B,H,W,C), or float32 points (B,2)."""
        for batch in self._batches(seeds, labels):
            yield to_uint8(batch) if batch.ndim == 4 else batch.float().numpy()

    def opinion(self, samples: Tensor, labels: Tensor | None = None) -> Tensor | None:
        """What the run's discriminator says of samples in the data's units: logits (N,), or None if it has no one."""
        said = []
        count = math.ceil(self.batch_size / self.system.pack) * self.system.pack
        for start in range(0, len(samples), count):
            some = slice(start, start + count)
            label = None if labels is None else labels[some].to(self.device)
            logits = self.system.opinion(samples[some].to(self.device), label=label)
            if logits is None:
                return None
            said.append(logits.cpu())
        return torch.cat(said)

    def require_classes(self) -> None:
        """Refuse, with a UserError, to choose the class of an unconditional generator's picture."""
        if not self.conditional:
            raise UserError(
                f"{self.run} was trained without labels (model.conditioning=none, or none in the data) and cannot draw "
                f"a chosen class\n  try: artifact=grid without label, or train with model.conditioning=auto"
            )

    def labels_for(
        self, seeds: Sequence[int], label: int | str | Sequence[int | str] | None = None
    ) -> list[int] | None:
        """The class number of each seed; None from an unconditional generator.

        `label` is a class (its name, else its number) or several (a list, or text with commas), by default all:
        of m classes seed s draws number s modulo m, so that the label too depends on the seed alone.
        """
        if label is not None:
            self.require_classes()
        if not self.conditional:
            return None
        if label is None:
            return [seed % self.num_classes for seed in seeds]
        if isinstance(label, str) and label not in self.class_names:
            label = label.split(",")
        choices = [self._class(one) for one in (label if isinstance(label, list | tuple) else [label])]
        if not choices:
            raise UserError("label=[]: no class is named\n  try: label=0")
        return [choices[seed % len(choices)] for seed in seeds]

    def _class(self, label: object) -> int:
        # `label=true` reaches us as a boolean, though a folder may well be called so.
        text = str(label).lower() if isinstance(label, bool) else str(label).strip()
        if text in self.class_names:
            return self.class_names.index(text)
        if text.isdecimal() and int(text) < self.num_classes:
            return int(text)
        hint = did_you_mean(text, self.class_names)
        raise UserError(f"label={text}: no such class{hint}\n  try: a number from 0 to {self.num_classes - 1}")

    def _batches(self, seeds: Sequence[int] | Tensor, labels: Sequence[int] | None) -> Iterator[Tensor]:
        labels = self._checked(seeds, labels)
        starts = range(0, len(seeds), self.batch_size)
        for start in with_bar(starts, "drawing"):
            some = slice(start, start + self.batch_size)
            yield self._batch(seeds[some], None if labels is None else labels[some])

    def _batch(self, seeds: Sequence[int] | Tensor, labels: Sequence[int] | None) -> Tensor:
        z = seeds if isinstance(seeds, Tensor) else self.latents(seeds)
        label = None if labels is None else torch.tensor(labels, device=self.device)
        drawn = self.system.draw(z.to(self.device), label=label).cpu()
        if not drawn.isfinite().all():
            raise UserError(
                f"{self.run} draws numbers that are not finite: its weights are damaged\n"
                f"  try: an earlier checkpoint, ganctl sample run={self.run} checkpoint=best"
            )
        return drawn

    def _checked(self, seeds: Sequence[int] | Tensor, labels: Sequence[int] | None) -> Sequence[int] | None:
        if len(seeds) == 0:
            raise UserError("there is nothing to draw: no seeds\n  try: seeds=0-15")
        if labels is None and not isinstance(seeds, Tensor):
            return self.labels_for(seeds)
        if labels is None and not self.conditional:
            return None
        self.require_classes()
        if labels is None or len(labels) != len(seeds) or not 0 <= min(labels) <= max(labels) < self.num_classes:
            raise UserError(
                f"labels do not fit {len(seeds)} pictures of {self.num_classes} classes\n"
                f"  try: a list of {len(seeds)} numbers from 0 to {self.num_classes - 1}"
            )
        return labels


class Artifact(Protocol):
    """Something made from a generator's pictures."""

    def __call__(self, sampler: Sampler, seeds: list[int], labels: list[int] | None, out: Path) -> list[Path]:
        """Make it in the folder `out` and return the files written; `labels` holds a class number a seed."""


def parse_seeds(seeds: int | str | Sequence[int | str]) -> list[int]:
    """Seeds as a person writes them: `7`, `"0,4-6"` and `[0, "4-6"]`; a range includes both ends, order is kept."""
    parts = str(seeds).split(",") if isinstance(seeds, int | str) else seeds
    numbers: list[int] = []
    for part in parts:
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", str(part))
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise UserError(f"seeds={part}: not a seed from 0 up, nor a range of them\n  try: seeds=0,4-6")
        numbers.extend(range(first, last + 1))
    if not numbers:
        raise UserError("seeds is empty\n  try: seeds=0,4-6")
    return numbers
