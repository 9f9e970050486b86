"""Memorisation by the discriminator: does it tell the images trained on from images never seen?"""

from typing import ClassVar, Literal

from ganctl.metrics.metric import Metric
from ganctl.types import Evidence


class CriticGap(Metric):
    """Mean logit on training samples less the mean on unseen ones, in standard deviations of the latter.

    0 for a critic that learned the distribution. An overfitting one calls what it has seen real and the rest fake
    (Brock et al. 2019, section 4.2; Karras et al. 2020, section 2): its advice no longer helps the generator.
    """

    name = "critic_gap"
    sees: ClassVar[Literal["samples"]] = "samples"
    needs = frozenset({"critic_train", "critic_test"})

    def __call__(self, evidence: Evidence) -> dict[str, float]:
        train, test = (part.double() for part in self.take(evidence, "critic_train", "critic_test", least=2))
        return {"critic_gap": ((train.mean() - test.mean()) / test.std().clamp(min=1e-12)).item()}
