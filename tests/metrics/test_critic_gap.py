import pytest
import torch

from ganctl.errors import UserError
from ganctl.metrics.critic_gap import CriticGap
from ganctl.types import Evidence


def test_by_hand():
    # Means 5 and 2; the standard deviation of 1, 2, 3 is 1.
    evidence = Evidence(critic_train=torch.tensor([4.0, 6.0]), critic_test=torch.tensor([1.0, 2.0, 3.0]))
    assert CriticGap()(evidence) == {"critic_gap": pytest.approx(3.0)}


def test_scale_and_shift_of_the_logits_do_not_matter():
    train, test = torch.randn(50), torch.randn(60)
    found = CriticGap()(Evidence(critic_train=train, critic_test=test))["critic_gap"]
    assert CriticGap()(Evidence(critic_train=7 * train - 3, critic_test=7 * test - 3))["critic_gap"] == pytest.approx(
        found, abs=1e-6
    )


def test_a_critic_without_an_opinion_has_none():
    same = torch.ones(4)
    assert CriticGap()(Evidence(critic_train=same, critic_test=same)) == {"critic_gap": 0.0}


def test_without_a_critic_it_says_so():
    with pytest.raises(UserError, match="needs critic_train, which are not there"):
        CriticGap()(Evidence(fake=torch.ones(4, 2)))
