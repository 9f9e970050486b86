"""Where latents come from: z holds every random choice behind a sample."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ganctl.errors import UserError
from ganctl.seeding import generator

Path = Callable[[Tensor, Tensor, float], Tensor]
"""From a (Z,) at t=0 to b (Z,) at t=1, as between two normal latents."""


class Prior:
    """A distribution over latents of `size` numbers. Training draws batches, a person draws a latent for each seed."""

    size: int
    kind: str
    """What a person calls it."""
    truncates = False
    """Whether it has tails to cut off."""

    def draw(self, count: int, device: torch.device) -> Tensor:
        """(count,Z) from the device's default generator, which the trainer seeds."""
        raise NotImplementedError

    def one(self, source: torch.Generator, truncation: float | None = None) -> Tensor:
        """(Z,) on the CPU from `source` alone."""
        raise NotImplementedError

    def at(self, seeds: Sequence[int] | Tensor, truncation: float | None = None) -> Tensor:
        """(N,Z) on the CPU, row i from seed i alone; `truncation` bounds the entries of normal parts."""
        if truncation is not None and not self.truncates:
            raise UserError(
                f"truncation={truncation} needs a normal prior, this system's is {self.kind}\n  try: truncation=null"
            )
        if truncation is not None and truncation <= 0:
            raise UserError(f"truncation={truncation}: must be greater than 0\n  try: truncation=0.7")
        # a numpy integer names the same sample as the number itself
        rows = [self.one(generator("prior", int(seed)), truncation) for seed in seeds]
        return torch.stack(rows) if rows else torch.zeros(0, self.size)

    def between(self, a: Tensor, b: Tensor, t: float, path: Path) -> Tensor:
        """(Z,), what lies between two latents at t from 0 to 1; `path` is the way between normal ones."""
        raise NotImplementedError

    def held(self, z: Tensor) -> Tensor:
        """z (N,Z) with the choices of its first row throughout."""
        return z


class Normal(Prior):
    """N(0,1) in each entry."""

    kind, truncates = "normal", True

    def __init__(self, size: int) -> None:
        self.size = size

    def draw(self, count: int, device: torch.device) -> Tensor:
        return torch.randn(count, self.size, device=device)

    def one(self, source: torch.Generator, truncation: float | None = None) -> Tensor:
        """Truncation psi (Brock et al. 2019, section 3.1) keeps |z| <= psi.

        It is the distribution that resampling gives, drawn by inverting the normal's distribution function.
        """
        if truncation is None:
            return torch.randn(self.size, generator=source)
        u = torch.rand(self.size, generator=source, dtype=torch.float64) * 2 - 1
        return (math.sqrt(2) * torch.erfinv(u * math.erf(truncation / math.sqrt(2)))).float()

    def between(self, a: Tensor, b: Tensor, t: float, path: Path) -> Tensor:
        return path(a, b, t)


class Uniform(Prior):
    """U(-1,1) in each entry. Whatever the path asked for, the way is straight: an arc would leave the range."""

    kind = "uniform"

    def __init__(self, size: int) -> None:
        self.size = size

    def draw(self, count: int, device: torch.device) -> Tensor:
        return torch.rand(count, self.size, device=device) * 2 - 1

    def one(self, source: torch.Generator, truncation: float | None = None) -> Tensor:
        return torch.rand(self.size, generator=source) * 2 - 1

    def between(self, a: Tensor, b: Tensor, t: float, path: Path) -> Tensor:
        return torch.lerp(a, b, t)


class Choice(Prior):
    """The number of one of `options`, each as likely, in one entry: which generator of a mixture draws."""

    kind, size = "choice", 1

    def __init__(self, options: int) -> None:
        self.options = options

    def draw(self, count: int, device: torch.device) -> Tensor:
        return torch.randint(self.options, (count, 1), device=device).float()

    def one(self, source: torch.Generator, truncation: float | None = None) -> Tensor:
        return torch.randint(self.options, (1,), generator=source).float()

    def between(self, a: Tensor, b: Tensor, t: float, path: Path) -> Tensor:
        return a if t < 0.5 else b  # nothing lies between one choice and the next

    def held(self, z: Tensor) -> Tensor:
        return z[:1].expand_as(z)


class OneHot(Choice):
    """One of `options`, each as likely, as a vector of zeros and a single 1: a categorical code."""

    def __init__(self, options: int) -> None:
        super().__init__(options)
        self.size = options

    def draw(self, count: int, device: torch.device) -> Tensor:
        return F.one_hot(super().draw(count, device).long().squeeze(1), self.options).float()

    def one(self, source: torch.Generator, truncation: float | None = None) -> Tensor:
        return F.one_hot(super().one(source).long().squeeze(0), self.options).float()


class Joint(Prior):
    """Several priors side by side, each independent of the others. `sizes` splits z into its parts."""

    def __init__(self, *parts: Prior) -> None:
        self.parts, self.sizes = parts, [part.size for part in parts]
        self.size, self.truncates = sum(self.sizes), any(part.truncates for part in parts)
        self.kind = " and ".join(dict.fromkeys(part.kind for part in parts))

    def draw(self, count: int, device: torch.device) -> Tensor:
        return torch.cat([part.draw(count, device) for part in self.parts], dim=1)

    def one(self, source: torch.Generator, truncation: float | None = None) -> Tensor:
        return torch.cat([part.one(source, truncation) for part in self.parts])

    def between(self, a: Tensor, b: Tensor, t: float, path: Path) -> Tensor:
        ends = zip(self.parts, torch.split(a, self.sizes), torch.split(b, self.sizes), strict=True)
        return torch.cat([part.between(start, end, t, path) for part, start, end in ends])

    def held(self, z: Tensor) -> Tensor:
        return torch.cat(
            [part.held(x) for part, x in zip(self.parts, torch.split(z, self.sizes, 1), strict=True)], dim=1
        )


def prior_of(kind: str, size: int, mixture: int = 1) -> Prior:
    """The prior of a generator that takes `size` numbers, and after them its number within a mixture."""
    kinds: dict[str, type[Normal] | type[Uniform]] = {"normal": Normal, "uniform": Uniform}
    if kind not in kinds:
        raise UserError(f"system.prior={kind} is unknown\n  try: system.prior=normal or system.prior=uniform")
    noise = kinds[kind](size)
    return noise if mixture == 1 else Joint(noise, Choice(mixture))
