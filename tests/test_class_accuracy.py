"""Labels matter: a conditional generator makes what it is asked for, and one that learned shuffled labels does not."""

import pytest
import torch

from ganctl import features
from ganctl.evaluate import Judge
from ganctl.metrics.class_accuracy import ClassAccuracy
from ganctl.restore import sampler_of

DATA = ["batch_size=32", "dataset.limit=null", "ema=0.98"]
MODEL = ["model.latent=100", "model.generator.width=8", "model.discriminator.width=8"]


def accuracy_of(trainer, judge, node):
    """The share of 500 samples in which the classifier of `ganctl eval` sees the class that was asked for."""
    trainer.steps = 600
    assert trainer.fit() == 0
    with trainer.averaged_weights():
        (value,) = judge(sampler_of(trainer.system, node, None)).values()
    return value


@pytest.mark.slow
def test_shuffled_labels_cost_the_class_accuracy(recipe, monkeypatch):
    monkeypatch.setattr(features, "RECIPE", features.Recipe(least=300, most=300))
    built = recipe(*MODEL, *DATA, "model.conditioning=concat")
    node = built.plain["dataset"]
    judge = Judge(node, {"class_accuracy": ClassAccuracy()}, n=500)
    learned = accuracy_of(built.trainer(), judge, node)
    order = torch.randperm(len(built.dataset), generator=torch.Generator().manual_seed(0))
    built.dataset.labels[:] = built.dataset.labels[order]
    shuffled = accuracy_of(built.trainer(), judge, node)
    assert learned > 0.4
    assert shuffled < 0.2
