import math

import pytest
import torch
from torch.testing import assert_close

from ganctl.metrics.class_accuracy import ClassAccuracy
from ganctl.metrics.inception_score import InceptionScore
from ganctl.types import Evidence


def inception_score(probabilities, splits=1):
    return InceptionScore(splits=splits)(Evidence(probabilities=probabilities))


def test_undecided_scores_one():
    assert_close(inception_score(torch.full((20, 4), 0.25)), {"inception_score": 1.0, "inception_score_std": 0.0})


def test_sure_and_balanced_scores_the_number_of_classes():
    sure = torch.eye(5).repeat(4, 1)
    assert_close(inception_score(sure), {"inception_score": 5.0, "inception_score_std": 0.0})


def test_sure_of_one_class_scores_one():
    assert inception_score(torch.eye(5)[[2] * 8])["inception_score"] == pytest.approx(1)


def test_by_hand():
    """H(y) = log 2; H(y|x) of (3/4, 1/4) is log 4 - 3/4 log 3."""
    found = inception_score(torch.tensor([[0.75, 0.25], [0.25, 0.75]]))
    assert found["inception_score"] == pytest.approx(math.exp(math.log(2) - math.log(4) + 0.75 * math.log(3)))


def test_splits_are_consecutive_parts():
    """Two parts: one sure of two classes scores 2, one of three scores 3."""
    probabilities = torch.eye(3)[[0, 1, 0, 1, 0, 1, 0, 1, 2, 0, 1, 2]]
    found = inception_score(probabilities, splits=2)
    assert_close(found, {"inception_score": 2.5, "inception_score_std": 0.5})


def test_torch_fidelity_agrees():
    theirs = pytest.importorskip("torch_fidelity.metric_isc")
    logits = torch.randn(103, 7, dtype=torch.float64)
    expected = theirs.isc_features_to_metric(logits, splits=4, shuffle=False)
    found = inception_score(logits.softmax(1), splits=4)
    assert_close(list(found.values()), list(expected.values()), rtol=0, atol=1e-9)


def test_the_class_asked_for():
    seen = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3]])
    found = ClassAccuracy()(Evidence(probabilities=seen, asked=torch.tensor([0, 2, 0, 0])))
    assert found == {"class_accuracy": 0.75}
