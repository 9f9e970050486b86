"""The moving average: its warm-up by hand, what is averaged and what is copied, and that nothing is lost."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.testing import assert_close

from ganctl.ema import EMA
from ganctl.errors import UserError


def held(value):
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def shadow_weight(ema):
    return ema.shadow[0].weight.item()


def snapshot(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_what_does_not_move_yet_spends_no_warm_up():
    layer = held(0.0)
    ema = EMA([layer], 0.999)
    for step in (-2, -1):
        ema.update(step)
    nn.init.constant_(layer.weight, 1.0)
    ema.update(0)
    assert shadow_weight(ema) == pytest.approx(0.9)


def test_the_warm_up_forgets_the_start_quickly():
    """Decays 1/10, 2/11, 3/12 on a weight that jumps from 0 to 1 and stays: 1 - what is left of the start."""
    layer = held(0.0)
    ema = EMA([layer], 0.999)
    nn.init.constant_(layer.weight, 1.0)
    for step, left in enumerate([1 / 10, 1 / 55, 1 / 220]):
        ema.update(step)
        assert shadow_weight(ema) == pytest.approx(1 - left, abs=1e-6)


def test_after_the_warm_up_the_decay_is_the_one_asked_for():
    """(1 + t) / (10 + t) passes 0.9 at t = 80."""
    for step, decay in {79: 80 / 89, 80: 0.9, 81: 0.9, 10**6: 0.9}.items():
        layer = held(0.0)
        ema = EMA([layer], 0.9)
        nn.init.constant_(layer.weight, 1.0)
        ema.update(step)
        assert shadow_weight(ema) == pytest.approx(1 - decay, abs=1e-6)


def test_without_decay_the_average_is_the_network():
    torch.manual_seed(0)
    layer = nn.Linear(5, 5)
    ema = EMA([layer], 0.0)
    for step in range(3):
        nn.init.normal_(layer.weight, std=10.0**step)
        ema.update(step)
        assert equal(ema.state_dict()[0], snapshot(layer))


@pytest.mark.parametrize("decay", [1.0, -0.1, 1.5, float("nan")])
def test_a_silly_decay_is_refused(decay):
    with pytest.raises(UserError, match=r"at least 0 \(off\) and below 1\n  try: ema=0.999"):
        EMA([nn.Linear(1, 1)], decay)


def test_running_statistics_are_averaged_and_all_else_is_copied():
    norm = nn.BatchNorm1d(1)
    norm.register_buffer("reference", torch.tensor([0.0]))
    ema = EMA([norm], 0.999)
    norm.running_mean.fill_(1.0)
    norm.running_var.fill_(3.0)
    norm.num_batches_tracked.fill_(7)
    norm.reference.fill_(5.0)
    ema.update(0)  # a tenth of the start stays: mean 0, variance 1
    (shadow,) = ema.shadow
    assert_close(torch.cat([shadow.running_mean, shadow.running_var]), torch.tensor([0.9, 2.8]))
    assert shadow.num_batches_tracked == 7
    assert shadow.reference == 5


def test_within_applied_the_networks_are_averages_and_then_themselves_again():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), spectral_norm(nn.Linear(4, 2)))
    ema = EMA([network], 0.999)
    for step in range(3):
        for weight in network.parameters():
            nn.init.normal_(weight)
        network(torch.randn(8, 3))
        ema.update(step)
    before, averages = snapshot(network), ema.state_dict()[0]
    averages = {name: value.clone() for name, value in averages.items()}
    weights = [weight.data_ptr() for weight in network.parameters()]
    with ema.applied():
        assert not torch.equal(network[0].weight, before["0.weight"])
        for name in ("0.weight", "0.bias", "1.running_mean", "2.parametrizations.weight.original"):
            assert torch.equal(network.state_dict()[name], averages[name])
    assert equal(snapshot(network), before)
    assert [weight.data_ptr() for weight in network.parameters()] == weights  # the optimizers' tensors are back


def test_an_error_within_applied_loses_nothing():
    layer = held(0.0)
    ema = EMA([layer], 0.9)
    nn.init.constant_(layer.weight, 1.0)

    def fail():
        with ema.applied():
            assert layer.weight == 0
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert layer.weight == 1


def test_averaging_is_no_part_of_the_graph():
    layer = held(1.0)
    ema = EMA([layer], 0.5)
    layer(torch.ones(1, 1)).sum().backward()
    ema.update(0)
    assert not any(weight.requires_grad for weight in ema.shadow[0].parameters())
    assert layer.weight.requires_grad


@pytest.mark.parametrize("read", ["applied", "state_dict"])
def test_under_spectral_norm_the_averaged_weight_has_norm_1(read):
    """A weight that moves as in training, its u and v one power iteration a step behind."""
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(40, 60))
    ema = EMA([layer], 0.99)
    for step in range(100):
        with torch.no_grad():
            layer.parametrizations.weight.original += 0.02 * torch.randn(60, 40)
        layer(torch.randn(4, 40))
        ema.update(step)
    layer.eval()
    if read == "applied":
        with ema.applied():
            weight = layer.weight.detach().clone()
    else:
        layer.load_state_dict(ema.state_dict()[0])
        weight = layer.weight.detach()
    assert_close(torch.linalg.matrix_norm(weight, 2), torch.tensor(1.0), atol=1e-3, rtol=0.0)


def test_a_saved_average_goes_on_as_if_never_interrupted():
    def trained(network, ema, steps):
        for step in steps:
            torch.manual_seed(step)
            for weight in network.parameters():
                weight.data += torch.randn_like(weight)
            network(torch.randn(8, 3))
            ema.update(step)

    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), spectral_norm(nn.Linear(4, 2)))
    ema = EMA([network], 0.99)
    trained(network, ema, range(5))
    saved, average = snapshot(network), [{k: v.clone() for k, v in state.items()} for state in ema.state_dict()]
    trained(network, ema, range(5, 10))
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), spectral_norm(nn.Linear(4, 2)))
    resumed = EMA([other], 0.99)
    other.load_state_dict(saved)
    resumed.load_state_dict(average)
    trained(other, resumed, range(5, 10))
    assert equal(resumed.state_dict()[0], ema.state_dict()[0])
