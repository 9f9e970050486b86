"""The energy margin."""

from torch import Tensor
from torch.nn.functional import relu

from ganctl.errors import require_positive
from ganctl.losses.adversarial import AdversarialLoss


class EnergyMargin(AdversarialLoss):
    """Zhao et al. 2017, eq. 1 and 2, with the energy E = -logit >= 0: D minimises E(x) + relu(m - E(G)), G E(G).

    Fakes above the margin m give D no gradient. In equilibrium fakes are like the data and D's loss is m (theorem 1).
    """

    needs_energy = True

    def __init__(self, margin: float = 10.0) -> None:
        require_positive(**{"loss.margin": margin})
        self.margin = margin

    def d_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return self.real_loss(real) + relu(self.margin + fake).mean()

    def g_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake.mean()

    def real_loss(self, real: Tensor) -> Tensor:
        return -real.mean()
