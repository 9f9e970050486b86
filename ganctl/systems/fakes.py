"""Fakes for both turns of a step."""

from collections.abc import Callable

import torch
from torch import Tensor


class Fakes:
    """Drawn anew for each turn; with `reuse` the generator's turn judges the discriminator's last ones again."""

    def __init__(self, reuse: bool = False) -> None:
        self.reuse = reuse
        self.left: list[Tensor] = []

    def begin(self) -> None:
        """A step begins: what an interrupted one left behind is of no use to it."""
        self.left.clear()

    def for_d(self, make: Callable[[], Tensor], last: bool = True) -> Tensor:
        """Fakes without a gradient; `last` says whether the generator moves next."""
        keep = self.reuse and last
        with torch.set_grad_enabled(keep):
            fake = make()
        if keep:
            self.left.append(fake)
        return fake.detach()

    def for_g(self, make: Callable[[], Tensor]) -> Tensor:
        """Fakes with their gradient, in the order in which the parts of the batch come."""
        return self.left.pop(0) if self.left else make()
