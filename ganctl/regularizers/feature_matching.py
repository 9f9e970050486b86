"""Feature matching."""

from collections.abc import Sequence

from torch import Tensor

from ganctl.errors import UserError
from ganctl.regularizers.regularizer import Regularizer
from ganctl.types import Play, Schedule


class FeatureMatching(Regularizer):
    """Salimans et al. 2016, eq. 2: ||E f(x) - E f(G(z))||^2 for the generator, f the discriminator's features.

    The means are over the batch: a generator that matches them need not match any image. layers: which of the
    discriminator's features, counted from the input from 0 or from the head from -1, summed over all that are named.
    """

    def __init__(self, weight: float | Schedule = 1.0, every: int = 1, layers: Sequence[int] = (-1,)) -> None:
        super().__init__(weight, every)
        if not layers:
            raise UserError("regularizer.feature_matching.layers=[]: names none\n  try: layers=[-1]")
        self.layers = list(layers)

    def g_term(self, play: Play) -> Tensor:
        gaps = [self._mean(play.on_real.features, i) - self._mean(play.on_fake.features, i) for i in self.layers]
        return sum((gap.square().sum() for gap in gaps[1:]), gaps[0].square().sum())

    def _mean(self, features: tuple[Tensor, ...], layer: int) -> Tensor:
        """The batch's mean of one layer, in float32: a mean of many bfloat16 numbers is coarse."""
        if not -len(features) <= layer < len(features):
            raise UserError(
                f"regularizer.feature_matching.layers={self.layers}: this discriminator has {len(features)} to match\n"
                "  try: regularizer.feature_matching.layers=[-1]"
            )
        return features[layer].float().mean(0)
