"""The classifier's network for any image, its one player, and the images it is shown."""

import pytest
import torch
from torch.testing import assert_close

from ganctl.networks.classifier import FEATURES, ClassifierNetwork
from ganctl.systems.classifier import Classifier, warped


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 28, 28), (3, 32, 32), (4, 37, 53), (3, 64, 96), (1, 16, 128)])
def test_the_network_takes_any_image(shape):
    features, logits = ClassifierNetwork(shape, 7)(torch.randn(2, *shape))
    assert features.shape == (2, FEATURES)
    assert logits.shape == (2, 7)


def test_the_only_term_is_the_cross_entropy_of_the_logits():
    class Sure(torch.nn.Module):
        def forward(self, x):
            return x, torch.tensor([[2.0, 0.0]]).expand(len(x), 2)

    system = Classifier(Sure(), jitter=0.0)
    (phase,) = system.phases()
    batch = {"image": torch.zeros(4, 1, 8, 8), "label": torch.tensor([0, 0, 0, 1])}
    terms = phase.terms(batch)
    # log(1 + e^-2) where it is right, 2 more where it is wrong
    assert_close(terms, {"cross_entropy": torch.tensor(2.0).neg().exp().log1p() + 0.5})


def test_every_parameter_is_the_players():
    system = Classifier(ClassifierNetwork((1, 16, 16), 3))
    (modules,) = system.players().values()
    owned = {id(parameter) for module in modules for parameter in module.parameters()}
    assert owned == {id(parameter) for parameter in system.parameters()}


def test_without_jitter_an_image_is_shown_as_it_is():
    x = torch.rand(3, 2, 9, 7)
    assert_close(warped(x, 0.0), x)


def test_each_image_is_warped_in_its_own_way():
    x = torch.rand(1, 1, 12, 12).expand(2, -1, -1, -1)
    one, other = warped(x, 0.1)
    assert not torch.equal(one, other)
    assert x.min() <= one.min() <= one.max() <= x.max()
