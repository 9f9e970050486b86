"""The base of every metric: what it needs to see, and the sentence for evidence that will not do."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

from torch import Tensor

from ganctl.errors import UserError
from ganctl.types import Evidence

Side = Literal["train", "test"]
"""The data that the fakes are held against."""

SOURCES = {
    "probabilities": "a classifier of labelled data",
    "asked": "a conditional generator",
    "critic_train": "a system with one discriminator",
    "critic_test": "a system with one discriminator",
    "codes": "a stacked data set, as dataset=stacked_digits",
    "centres": "points from a mixture, as dataset=ring",
    "valid": "data held out of training: dataset.holdout=10000",
}
"""Where the evidence comes from that not every run has."""


class Metric(ABC):
    """A pure function of the evidence. Numbers of two runs may be ranked only where their protocols are equal."""

    name: ClassVar[str]
    sees: ClassVar[Literal["samples", "features"]]
    """Whether it judges images and points themselves, or any features of them."""
    needs: frozenset[str]
    """The fields of the evidence that it reads."""
    protocol: Mapping[str, object] = MappingProxyType({})
    """The settings that are part of the number. How many samples there were, and of what split, is for the caller."""

    @abstractmethod
    def __call__(self, evidence: Evidence) -> dict[str, float]:
        """Named numbers; the same names for the same numbers of samples."""

    def take(self, evidence: Evidence, *names: str, least: int = 1) -> list[Tensor]:
        """These fields of the evidence: each there, finite, of at least so many samples, and alike in shape."""
        parts = {name: self._part(evidence, name, least) for name in names}
        shapes = {name: list(part.shape[1:]) for name, part in parts.items() if name != "asked"}
        if len(set(map(str, shapes.values()))) > 1:
            said = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise UserError(f"{self.name}: samples differ in shape: {said}\n  try: the data that the run learned from")
        return list(parts.values())

    def _part(self, evidence: Evidence, name: str, least: int) -> Tensor:
        part: Tensor | None = getattr(evidence, name)
        if part is None:
            source = SOURCES.get(name, f"samples of {name}")
            raise UserError(f"{self.name} needs {name}, which are not there\n  try: {source}, or another metric")
        if len(part) < least:
            where, remedy = {
                "test": ("real samples", "split=train, where there are more, with an n as large"),
                "train": ("train", "a larger train split, or another metric"),
                "valid": ("valid", "a larger valid split, or another metric"),
            }.get(name, ("n", f"n={least}"))
            raise UserError(f"{where}={len(part)}: {self.name} needs at least {least} samples\n  try: {remedy}")
        if not all(extreme.isfinite() for extreme in part.aminmax()):
            raise UserError(
                f"{self.name}: {name} holds numbers that are not finite\n"
                f"  try: an earlier checkpoint, or data without NaN"
            )
        return part
