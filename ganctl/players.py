"""Who owns which parameters, and the optimizer of each player."""

import inspect
from collections.abc import Callable, Iterable, Mapping

from torch import nn
from torch.optim import Optimizer

from ganctl.errors import UserError

OptimizerFactory = Callable[..., Optimizer]


def parameters_of(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters()]


def optimizer_of(factories: Mapping[str, OptimizerFactory], player: str, params: list[nn.Parameter]) -> Optimizer:
    """d0 falls back to d, an unknown player to g; fused where torch has it."""
    for name in (player, player.rstrip("0123456789"), "g"):
        if name in factories:
            make = factories[name]
            takes_fused = inspect.signature(make).parameters.get("fused")
            fused = {"fused": True} if takes_fused and takes_fused.default is None else {}
            try:
                return make(params, **fused)
            except ValueError as error:  # torch's own checks of learning rates and the like
                raise UserError(f"optimizer.{name}: {error}\n  try: optimizer.lr=1e-4, or optimizer=adam") from error
    raise UserError(f"no optimizer for player '{player}'\n  try: optimizer=adam")


def require_one_player_each(system: nn.Module, params: Mapping[str, list[nn.Parameter]]) -> None:
    owned = [id(parameter) for group in params.values() for parameter in group]
    everything = {id(parameter): name for name, parameter in system.named_parameters()}
    lost = [name for key, name in everything.items() if key not in owned]
    if lost or len(owned) != len(set(owned)):
        raise ValueError(
            f"every parameter must belong to exactly one player; not so: {', '.join(lost) or 'shared ones'}"
        )
