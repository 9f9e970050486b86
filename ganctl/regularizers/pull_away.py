"""The pull-away term."""

from torch import Tensor
from torch.nn.functional import normalize

from ganctl.errors import UserError
from ganctl.regularizers.regularizer import Regularizer
from ganctl.types import Play, Schedule


class PullAway(Regularizer):
    """Zhao et al. 2017, section 2.4: the mean squared cosine between D's codes of two different fakes of a batch.

    A code is what D's last features say of a sample, flattened. Orthogonal codes cost 0, parallel and opposite ones 1.
    """

    def __init__(self, weight: float | Schedule = 0.1, every: int = 1) -> None:
        super().__init__(weight, every)

    def g_term(self, play: Play) -> Tensor:
        if not play.on_fake.features:
            raise UserError(
                "regularizer=pull_away compares codes, and this discriminator returns no features\n"
                "  try: model=autoencoder, or a discriminator whose Critique has features"
            )
        codes = normalize(play.on_fake.features[-1].flatten(1).float())
        count = len(codes)
        cosines = (codes @ codes.T).square().fill_diagonal_(0.0)
        return cosines.sum() / max(1, count * (count - 1))
