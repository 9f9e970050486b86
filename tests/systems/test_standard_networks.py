"""The standard game with networks of ganctl's own: who owns which parameter, and mixed precision."""

import pytest
import torch

from ganctl.losses.minimax import NonSaturating
from ganctl.losses.relativistic import RelativisticPaired
from ganctl.networks.dcgan import DcganDiscriminator, DcganGenerator
from ganctl.networks.mlp import MlpDiscriminator, MlpGenerator
from ganctl.regularizers.gradient import R1
from ganctl.systems.standard import Standard

BATCHES = {
    "mlp": {"points": torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]), "label": torch.tensor([2, 0, 1])},
    "dcgan": {"image": torch.linspace(-1, 1, 3 * 256).view(3, 1, 16, 16)},
}


def real_networks(kind):
    torch.manual_seed(0)
    if kind == "mlp":
        shape, sizes = (2,), {"widths": (6,), "conditioning": "concat", "num_classes": 3}
        return MlpGenerator(shape, 2, **sizes), MlpDiscriminator(shape, **sizes)
    shape, norm = (1, 16, 16), {"width": 4}
    return DcganGenerator(shape, 4, **norm), DcganDiscriminator(shape, norm="spectral", **norm)


@pytest.mark.parametrize("kind", ["mlp", "dcgan"])
def test_every_parameter_belongs_to_exactly_one_player_before_and_after_training(kind):
    system = Standard(*real_networks(kind), NonSaturating(), {"r1": R1()})

    def owned():
        return {player: [p for m in modules for p in m.parameters()] for player, modules in system.players().items()}

    before = owned()
    everyone = [id(p) for params in before.values() for p in params]
    assert sorted(everyone) == sorted({id(p) for p in system.parameters()})
    for phase in system.phases():
        sum(phase.terms(BATCHES[kind]).values()).backward(inputs=before[phase.player])
        assert all(p.grad is not None for p in before[phase.player])
    after = owned()
    assert {player: [id(p) for p in params] for player, params in before.items()} == {
        player: [id(p) for p in params] for player, params in after.items()
    }


@pytest.mark.parametrize("loss", [NonSaturating(), RelativisticPaired()])
def test_mixed_precision_reaches_the_same_players_with_nearly_the_same_gradients(loss):
    gradients = {}
    for precision in (False, True):
        system = Standard(*real_networks("mlp"), loss, {"r1": R1(1.0)})
        for phase in system.phases():
            with torch.autocast("cpu", torch.bfloat16, enabled=precision):
                terms = phase.terms(BATCHES["mlp"])
            params = [p for module in system.players()[phase.player] for p in module.parameters()]
            sum(term.float() for term in terms.values()).backward(inputs=params)
            gradients[precision, phase.player] = torch.cat([p.grad.flatten() for p in params])
    for player in ("d", "g"):
        exact, rough = gradients[False, player], gradients[True, player]
        assert (rough - exact).norm() < 0.05 * exact.norm()
