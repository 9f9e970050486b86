"""What scripts/bench holds ganctl against: a good plain loop, and the loop that tutorials show."""

import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import VisionDataset

from ganctl.networks.dcgan import DcganDiscriminator, DcganGenerator
from ganctl.networks.mlp import MlpDiscriminator, MlpGenerator
from ganctl.types import Discriminator, Generator

BATCH, LATENT, IMAGES, N_CRITIC, DECAY = 64, 100, 4096, 5, 0.999


class Case(NamedTuple):
    """What both sides of a ratio train. Each call of a method that draws gives the same weights and images again."""

    model: str
    loss: str
    reuse: bool = False
    """Whether ganctl and the bare loop let the generator's turn judge the fakes of the discriminator's."""

    precision: str = "fp32"

    @property
    def penalised(self) -> bool:
        return self.loss == "wgan_gp"

    def networks(self) -> tuple[Generator, Discriminator]:
        torch.manual_seed(0)
        norm: Literal["layer"] | None = "layer" if self.penalised else None
        if self.model == "mlp":
            return MlpGenerator((1, 28, 28), LATENT), MlpDiscriminator((1, 28, 28), norm=norm)
        return DcganGenerator((3, 32, 32), LATENT, width=32), DcganDiscriminator((3, 32, 32), width=32, norm=norm)

    def images(self) -> Tensor:
        """uint8 (N,C,H,W): noise, for the time of a step does not depend on what the images show."""
        shape = (1, 28, 28) if self.model == "mlp" else (3, 32, 32)
        source = torch.Generator().manual_seed(0)
        return torch.randint(256, (IMAGES, *shape), dtype=torch.uint8, generator=source)

    def adam(self) -> partial[torch.optim.Adam]:
        if self.penalised:
            return partial(torch.optim.Adam, lr=1e-4, betas=(0.0, 0.9))
        return partial(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999))


class Bare:
    """The same game by hand: fused Adam, channels last, no gradient that nobody steps on, one pass for both sides where
    no batch norm forbids it, images resident in memory."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.g, self.d = (network.to(memory_format=torch.channels_last) for network in case.networks())
        self.g_adam = case.adam()(self.g.parameters(), fused=True)
        self.d_adam = case.adam()(self.d.parameters(), fused=True)
        images = case.images()
        self.shape, self.rows = images.shape[1:], images.permute(0, 2, 3, 1).flatten(1)
        self.reals, self.steps = self.batches(), 0
        self.average = Average(self.g)

    def batches(self) -> Iterator[Tensor]:
        channels, height, width = self.shape
        while True:
            for index in torch.randperm(len(self.rows)).view(-1, BATCH):
                images = self.rows[index].view(-1, height, width, channels).permute(0, 3, 1, 2)
                yield images.float().mul_(1 / 127.5).sub_(1)

    def step(self) -> None:
        for _ in range(N_CRITIC if self.case.penalised else 1):
            self.d_step(next(self.reals))
        self.g_step()
        self.average.update(self.steps)
        self.steps += 1

    def d_step(self, real: Tensor) -> None:
        with torch.set_grad_enabled(self.case.reuse):
            self.fake = self.g(torch.randn(BATCH, LATENT))
        fake = self.fake.detach()
        if self.d.couples_batch:
            on_real, on_fake = self.d(real).logits, self.d(fake).logits
        else:
            on_real, on_fake = self.d(torch.cat([real, fake])).logits.chunk(2)
        if self.case.penalised:
            loss = on_fake.mean() - on_real.mean() + 10 * self.penalty(real, fake)
        else:
            loss = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
        self.d_adam.zero_grad(set_to_none=True)
        loss.backward()
        self.d_adam.step()

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        between = torch.lerp(fake, real, torch.rand(BATCH, 1, 1, 1)).requires_grad_()
        (slope,) = torch.autograd.grad(self.d(between).logits.sum(), between, create_graph=True)
        return (slope.flatten(1).square().sum(1).add(1e-12).sqrt() - 1).square().mean()

    def g_step(self) -> None:
        self.d.requires_grad_(False)
        fake = self.fake if self.case.reuse else self.g(torch.randn(BATCH, LATENT))
        on_fake = self.d(fake).logits
        loss = -on_fake.mean() if self.case.penalised else F.softplus(-on_fake).mean()
        self.g_adam.zero_grad(set_to_none=True)
        loss.backward()
        self.g_adam.step()
        self.d.requires_grad_(True)


class Average:
    """The moving average of a network: weights and running statistics; the decay warms up as ganctl's does."""

    def __init__(self, network: nn.Module) -> None:
        values = network.state_dict(keep_vars=True).values()
        self.live = [value.detach() for value in values if value.is_floating_point()]
        self.shadow = [value.clone() for value in self.live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        torch._foreach_lerp_(self.shadow, self.live, 1 - min(DECAY, (1 + step) / (10 + step)))


class Pictures(VisionDataset):
    """Images as torchvision's MNIST and CIFAR10 hand them out: each made a PIL image, then transformed."""

    def __init__(self, images: Tensor, transform: Callable[[Image.Image], Tensor]) -> None:
        super().__init__("", transform=transform)
        self.arrays = images.permute(0, 2, 3, 1).squeeze(3).numpy()

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        assert self.transform is not None
        return self.transform(Image.fromarray(self.arrays[index])), 0


class Tutorial:
    """A plain loop: PIL images, one pass and one backward a side, a line of losses printed each step."""

    def __init__(self, case: Case) -> None:
        self.g, self.d = case.networks()
        self.g_adam, self.d_adam = case.adam()(self.g.parameters()), case.adam()(self.d.parameters())
        images = case.images()
        half = [0.5] * images.shape[1]
        transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(half, half)])
        self.loader = DataLoader(Pictures(images, transform), batch_size=BATCH, shuffle=True)
        self.screen = io.StringIO()
        steps = self.wgan_gp() if case.penalised else self.dense() if case.model == "mlp" else self.nsgan()
        self.step: Callable[[], None] = steps.__next__

    def dense(self) -> Iterator[None]:
        """As tutorials of dense GANs have it: new noise for each turn, as ganctl draws it, and fakes not detached."""
        criterion = nn.BCEWithLogitsLoss()
        while True:
            for i, (real, _) in enumerate(self.loader):
                ones, zeros = torch.ones(real.size(0)), torch.zeros(real.size(0))
                self.d.zero_grad()
                loss_real = criterion(self.d(real).logits, ones)
                loss_fake = criterion(self.d(self.g(torch.randn(real.size(0), LATENT))).logits, zeros)
                loss_d = loss_real + loss_fake
                loss_d.backward()
                self.d_adam.step()

                self.g.zero_grad()
                loss_g = criterion(self.d(self.g(torch.randn(real.size(0), LATENT))).logits, ones)
                loss_g.backward()
                self.g_adam.step()
                self.say(i, loss_d, loss_g)
                yield

    def nsgan(self) -> Iterator[None]:
        """As PyTorch's DCGAN tutorial has it: the fakes of the discriminator's turn serve the generator's too."""
        criterion = nn.BCEWithLogitsLoss()
        while True:
            for i, (real, _) in enumerate(self.loader):
                self.d.zero_grad()
                label = torch.full((real.size(0),), 1.0)
                loss_real = criterion(self.d(real).logits, label)
                loss_real.backward()
                fake = self.g(torch.randn(real.size(0), LATENT))
                label.fill_(0.0)
                loss_fake = criterion(self.d(fake.detach()).logits, label)
                loss_fake.backward()
                self.d_adam.step()

                self.g.zero_grad()
                label.fill_(1.0)
                loss_g = criterion(self.d(fake).logits, label)
                loss_g.backward()
                self.g_adam.step()
                self.say(i, loss_real + loss_fake, loss_g)
                yield

    def wgan_gp(self) -> Iterator[None]:
        """As the WGAN-GP of PyTorch-GAN has it: a backward for each of the three terms, fakes that are not detached."""
        while True:
            for i, (real, _) in enumerate(self.loader):
                self.d_adam.zero_grad()
                fake = self.g(torch.randn(real.size(0), LATENT))
                on_real, on_fake = self.d(real).logits.mean(), self.d(fake).logits.mean()
                (-on_real).backward()
                on_fake.backward()
                self.penalty(real.data, fake.data).backward()
                self.d_adam.step()
                if (i + 1) % N_CRITIC:
                    continue

                self.g_adam.zero_grad()
                loss_g = -self.d(self.g(torch.randn(real.size(0), LATENT))).logits.mean()
                loss_g.backward()
                self.g_adam.step()
                self.say(i, on_fake - on_real, loss_g)
                yield

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        alpha = torch.rand(real.size(0), 1, 1, 1)
        between = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
        logits = self.d(between).logits
        slope = torch.autograd.grad(logits, between, torch.ones_like(logits), create_graph=True, retain_graph=True)[0]
        return 10 * ((slope.view(slope.size(0), -1).norm(2, dim=1) - 1) ** 2).mean()

    def say(self, i: int, loss_d: Tensor, loss_g: Tensor) -> None:
        print(f"[Batch {i}/{len(self.loader)}] [D loss: {loss_d.item()}] [G loss: {loss_g.item()}]", file=self.screen)
