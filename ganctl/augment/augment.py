"""What every augmentation is: a change of what the discriminator is shown, alike for reals and fakes."""

from torch import Tensor, nn

from ganctl.types import Critique


class Augment(nn.Module):
    """Applied inside `Play.critic`, a fresh draw each call; differentiable. State lives in buffers."""

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def begin(self, step: int) -> None:
        """Called before each step: anneal here."""

    def observe(self, on_real: Critique, on_fake: Critique) -> None:
        """Called after each of the discriminator's updates with what it said: adapt here."""
