"""Several generators in the place of one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganctl.errors import UserError
from ganctl.types import Generator


class Mixture(Generator):
    """k generators against one discriminator; one is drawn for each sample, each as likely (cf. Hoang et al. 2018).

    `forward(z: (B,Z+1), y) -> (B,...)`: the last entry of z is the number of the sample's generator. All k see the
    whole batch, so that batch norm has its statistics and no pass waits for the device; each is paid for. A generator
    that no sample of a batch chose has a gradient of zero.
    """

    def __init__(self, generators: Sequence[Generator]) -> None:
        super().__init__()
        if not generators:
            raise UserError("a mixture needs generators\n  try: model.mixture=2")
        self.generators = nn.ModuleList(generators)
        self.latent, self.num_classes = generators[0].latent, generators[0].num_classes
        self.mixture = len(generators)

    def prepare(self, z: Tensor, y: Tensor | None = None) -> None:
        for generator in self.generators:
            generator.prepare(z[:, :-1], y)  # type: ignore[operator]  # ModuleList forgets what it holds

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        latent, index = z[:, :-1], z[:, -1].round().long().clamp(0, self.mixture - 1)
        drawn = torch.stack([generator(latent, y) for generator in self.generators])
        return drawn[index, torch.arange(len(z), device=z.device)]
