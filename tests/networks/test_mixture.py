"""A mixture draws each sample with the generator that its latent names."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.errors import UserError
from ganctl.losses.minimax import NonSaturating
from ganctl.metrics.modes import Modes
from ganctl.networks.mixture import Mixture
from ganctl.networks.mlp import MlpDiscriminator, MlpGenerator
from ganctl.systems.prior import prior_of
from ganctl.systems.standard import Standard
from ganctl.types import Evidence


class At(nn.Module):
    """A generator that draws near one centre."""

    latent, num_classes = 2, 0

    def __init__(self, centre):
        super().__init__()
        self.centre = nn.Parameter(torch.tensor(centre))

    def forward(self, z, y=None):
        return self.centre + 0.01 * z


CENTRES = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]


def a_system(k=3):
    return Standard(Mixture([At(centre) for centre in CENTRES[:k]]), MlpDiscriminator([2]), NonSaturating())


def test_k_separated_generators_cover_k_modes():
    system = a_system()
    drawn = system.draw(system.prior(range(3000)))
    found = Modes(radius=3.0)(Evidence(fake=drawn, centres=torch.tensor(CENTRES), sigma=0.02))
    assert found["modes"] == 3
    share = torch.bincount(torch.cdist(drawn, torch.tensor(CENTRES)).argmin(1)) / 3000
    assert_close(share, torch.full((3,), 1 / 3), atol=0.03, rtol=0.0)


def test_the_last_entry_of_z_names_the_generator():
    mixture = Mixture([MlpGenerator([2], latent=3, widths=[4]) for _ in range(4)])
    z = torch.randn(8, 3)
    index = torch.tensor([3, 0, 1, 2, 2, 3, 1, 0])
    drawn = mixture(torch.cat([z, index[:, None]], dim=1))
    for i in range(8):
        assert_close(drawn[i], mixture.generators[index[i]](z)[i])


def test_each_starts_with_weights_of_its_own_and_learns_from_its_own_samples():
    mixture = a_system().generator
    z = torch.cat([torch.randn(4, 2), torch.tensor([[0.0], [2.0], [2.0], [0.0]])], dim=1)
    mixture(z).sum().backward(inputs=list(mixture.parameters()))
    gradients = torch.stack([generator.centre.grad for generator in mixture.generators])
    assert_close(gradients, torch.tensor([[2.0, 2.0], [0.0, 0.0], [2.0, 2.0]]))  # an unused one's is zero, not missing


def test_a_seed_decides_the_generator_and_truncation_does_not():
    seeds = range(400)
    prior = prior_of("normal", 5, mixture=4)
    z = prior.at(seeds)
    assert z.dtype == torch.float32
    assert torch.equal(prior.at([7])[0], z[7])
    assert torch.equal(z[:, :5], prior_of("normal", 5).at(seeds))  # the same latents as without
    for near in (z, prior.at(seeds, 0.1)):
        counts = torch.bincount(near[:, 5].long(), minlength=4)
        assert_close(counts / 400, torch.full((4,), 0.25), atol=0.07, rtol=0.0)


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_training_draws_all_alike(prior):
    torch.manual_seed(0)
    z = prior_of(prior, 3, mixture=4).draw(4000, torch.device("cpu"))
    assert z.shape == (4000, 4)
    assert_close(torch.bincount(z[:, 3].long(), minlength=4) / 4000, torch.full((4,), 0.25), atol=0.03, rtol=0.0)


def test_nothing_is_no_mixture():
    with pytest.raises(UserError, match=r"try: model\.mixture=2"):
        Mixture([])


# -- by configuration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes", [["model.mixture=2"], ["model.mixture=3", "model=mlp", "dataset=ring", "model.pack=2"]], ids=" ".join
)
def test_any_model_is_mixed_by_one_key(recipe, changes):
    trainer = recipe(*changes).trainer()
    first, second = (generator.state_dict() for generator in trainer.system.generator.generators[:2])
    assert any(not torch.equal(first[name], second[name]) for name in first)
    trainer.steps = 2
    assert trainer.fit() == 0
    moved = trainer.ema.state_dict()[0]
    assert all(
        any(name.startswith(f"generators.{k}.") for name in moved) for k in range(trainer.system.generator.mixture)
    )


def test_a_picture_is_its_seeds_own(train, ganctl, the_run):
    from ganctl import load

    train("model=mlp", "model.mixture=3", "model.conditioning=concat")
    sampler = load(the_run())
    alone = torch.cat([sampler.draw([seed], [1]) for seed in range(6)])
    assert_close(sampler.draw(range(6), [1] * 6), alone)
    assert ganctl("sample", "artifact=interpolation", "device=cpu").status == 0


def test_a_mixture_of_nothing_is_refused(train, refused):
    refused(train("model.mixture=0", status=1), "model.mixture=0: must be greater than 0")
    refused(train("model.mixtures=2", status=1), "model.mixtures")
