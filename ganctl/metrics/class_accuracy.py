"""Does a conditional generator make the class it was asked for?"""

from typing import ClassVar, Literal

from ganctl.metrics.metric import Metric
from ganctl.types import Evidence


class ClassAccuracy(Metric):
    """The share of fakes in which a classifier sees the class that was asked for."""

    name = "class_accuracy"
    sees: ClassVar[Literal["samples"]] = "samples"
    needs = frozenset({"probabilities", "asked"})

    def __call__(self, evidence: Evidence) -> dict[str, float]:
        probabilities, asked = self.take(evidence, "probabilities", "asked")
        return {"class_accuracy": (probabilities.argmax(1) == asked).double().mean().item()}
