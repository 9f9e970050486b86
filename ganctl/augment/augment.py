"""What every augmentation is: a change of what the discriminator is shown, alike for reals and fakes."""

from torch import Tensor, nn

from ganctl.types import Boundary


class Augment(nn.Module):
    """Applied inside `Play.critic`, a fresh draw each call; differentiable. State lives in buffers."""

    def attach(self, boundary: Boundary) -> None:
        """Called once, before any weights are loaded, with what the loss takes for real: refuse what cannot work."""

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def begin(self, step: int) -> None:
        """Called before each step: anneal here."""

    def observe(self, real: Tensor, fake: Tensor) -> None:
        """Called after each of the discriminator's updates with all logits it gave in it, (B,...) a side: adapt."""

    def facts(self) -> dict[str, Tensor]:
        """Detached numbers for the log."""
        return {}
