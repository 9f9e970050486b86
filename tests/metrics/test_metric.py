import pytest
import torch

from ganctl.confdir import conf_dir
from ganctl.errors import UserError
from ganctl.metrics.class_accuracy import ClassAccuracy
from ganctl.metrics.density_coverage import DensityCoverage
from ganctl.metrics.fid import FID
from ganctl.metrics.inception_score import InceptionScore
from ganctl.metrics.kid import KID
from ganctl.metrics.modes import Modes, StackedModes
from ganctl.metrics.nearest import Nearest
from ganctl.metrics.parzen import Parzen
from ganctl.metrics.precision_recall import PrecisionRecall
from ganctl.types import Evidence

METRICS = [
    FID(),
    KID(subsets=2, subset_size=10),
    PrecisionRecall(),
    DensityCoverage(),
    Parzen(valid=10),
    InceptionScore(),
    Modes(),
    StackedModes(),
    Nearest(),
    ClassAccuracy(),
]


def evidence(n=40, **changes):
    """Something of everything, uniform in -1..1."""
    draw = torch.Generator().manual_seed(0)

    def uniform(count):
        return 2 * torch.rand(count, 2, generator=draw) - 1

    parts = {
        "fake": uniform(n),
        "train": uniform(50),
        "valid": uniform(20),
        "test": uniform(30),
        "probabilities": torch.rand(n, 3, generator=draw).softmax(1),
        "asked": torch.arange(n) % 3,
        "codes": torch.arange(n) % 7,
        "centres": torch.tensor([[0.0, 0.0], [1.0, 0.0]]),
        "sigma": 0.1,
    }
    return Evidence(**(parts | changes))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_reads_what_it_needs_and_nothing_else(metric):
    full = evidence()
    needed = Evidence(**{name: getattr(full, name) for name in metric.needs})
    found = metric(needed)
    assert found == metric(full)
    assert all(type(value) is float for value in found.values())
    assert all(type(setting) in (int, float, str, list) for setting in metric.protocol.values())
    assert (conf_dir() / "metric" / f"{metric.name}.yaml").read_text().count(f"\n{metric.name}:\n") == 1


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_evidence_that_is_missing_empty_or_not_finite_is_refused(metric):
    for name in metric.needs - {"sigma"}:
        with pytest.raises(UserError, match=rf"{metric.name} needs {name}, which are not there\n  try: "):
            metric(evidence(**{name: None}))
        part = getattr(evidence(), name)
        with pytest.raises(UserError, match=rf"=0: {metric.name} needs at least \d+ samples\n  try: "):
            metric(evidence(**{name: part[:0]}))
        if part.is_floating_point():
            part[0] = torch.nan
            with pytest.raises(UserError, match=rf"{metric.name}: {name} holds numbers that are not finite\n  try: "):
                metric(evidence(**{name: part}))


@pytest.mark.parametrize(
    ("metric", "least"),
    [(FID(), 3), (KID(subset_size=20), 20), (PrecisionRecall(k=8), 9), (DensityCoverage(k=8), 9)],
    ids=lambda value: getattr(value, "name", value),
)
def test_too_few_samples_are_counted(metric, least):
    with pytest.raises(UserError, match=rf"n={least - 1}: .* at least {least} samples\n  try: n={least}"):
        metric(evidence(n=least - 1))
    with pytest.raises(UserError, match=rf"real samples={least - 1}: .* at least {least} samples\n  try: split=train"):
        metric(evidence(test=torch.rand(least - 1, 2)))


def test_other_shapes_are_refused():
    with pytest.raises(UserError, match=r"differ in shape: fake \[2\], test \[3\]\n  try: "):
        FID()(evidence(test=torch.rand(30, 3)))


def test_against_chooses_the_side():
    on_train = FID(against="train")
    assert on_train.needs == {"fake", "train"}
    assert on_train(evidence(test=None)) == FID()(evidence(test=evidence().train))
