"""Instance noise."""

import torch
from torch import Tensor

from ganctl.augment.augment import Augment
from ganctl.errors import UserError


class InstanceNoise(Augment):
    """Gaussian noise on all the discriminator sees (Arjovsky and Bottou 2017, section 3; Sønderby et al. 2017).

    Its standard deviation falls linearly from `std`, in units of the images' [-1,1], to 0 at `until` of `steps`;
    until=null keeps it.
    """

    def __init__(self, std: float = 0.1, until: float | None = 0.5, steps: int = 1) -> None:
        super().__init__()
        if std < 0 or (until is not None and until <= 0):
            raise UserError(
                f"augment.std={std} must be at least 0 and augment.until={until} greater than 0 or null\n"
                "  try: augment.std=0.1 augment.until=0.5"
            )
        self.std, self.until, self.steps = std, until, steps
        self.now = std

    def begin(self, step: int) -> None:
        self.now = self.std if self.until is None else self.std * max(0.0, 1 - step / (self.until * self.steps))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.now * torch.randn_like(x) if self.now else x
