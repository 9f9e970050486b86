"""Exponential moving average of weights."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganctl.errors import UserError
from ganctl.types import is_running_statistic

State = list[dict[str, Tensor]]


class EMA:
    """Follows modules: parameters and float running statistics are averaged, all else is copied.

    The decay warms up as min(decay, (1 + t) / (10 + t)), so early averages forget the initial weights; t counts from
    the first move of the player that owns a weight, so that one who wakes late forgets them too. decay=0 follows
    exactly. players: the modules of each player; without them all weights moved first at step 0.
    """

    def __init__(
        self, modules: Sequence[nn.Module], decay: float, players: Mapping[str, Sequence[nn.Module]] | None = None
    ) -> None:
        if not 0 <= decay < 1:
            raise UserError(f"ema={decay}: must be at least 0 (off) and below 1\n  try: ema=0.999")
        self.live, self.decay = list(modules), decay
        self.shadow = [copy.deepcopy(module).requires_grad_(False) for module in modules]
        live_averaged, live_copied = _sort(self.live)
        averaged, copied = _sort(self.shadow)
        owner = {
            id(tensor): player
            for player, owned in (players or {}).items()
            for module in owned
            for tensor in _tensors(module)
        }
        self.groups: dict[str | None, list[tuple[Tensor, Tensor]]] = {}
        """Averages and live tensors of each player; of None where nobody owns them."""
        for shadow, live in zip(averaged, live_averaged, strict=True):
            self.groups.setdefault(owner.get(id(live)), []).append((shadow, live))
        self.copied, self.live_copied = copied, live_copied

    @torch.no_grad()
    def update(self, step: int, first_moves: Mapping[str, int] | None = None) -> None:
        """After step number `step`. first_moves: at which step each player first moved, if it has."""
        for player, pairs in self.groups.items():
            first = 0 if player is None else (first_moves or {}).get(player, step + 1)
            self._follow(pairs, step - first)
        self.copy()

    def _follow(self, pairs: Sequence[tuple[Tensor, Tensor]], age: int) -> None:
        """One step of the average, `age` steps after the first move; before it the weights are what they were."""
        decay = min(self.decay, (1 + age) / (10 + age)) if age >= 0 else 0.0
        averaged, live = (list(side) for side in zip(*pairs, strict=True))
        torch._foreach_lerp_(averaged, live, 1 - decay)

    @torch.no_grad()
    def copy(self) -> None:
        """Take over what is not averaged."""
        if self.copied:
            torch._foreach_copy_(self.copied, self.live_copied)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the live modules hold the averaged weights; afterwards their own again, bit for bit.

        Buffers that change inside, such as statistics that are taken before drawing, are put back in the average too.
        """
        buffers = [buffer for module in self.shadow for buffer in module.buffers()]
        kept = [buffer.clone() for buffer in buffers]
        self._settle()
        self._swap()
        try:
            yield
        finally:
            self._swap()
            for buffer, value in zip(buffers, kept, strict=True):
                buffer.copy_(value)

    def _swap(self) -> None:
        for live, shadow in zip(self.live, self.shadow, strict=True):
            for a, b in zip(_tensors(live), _tensors(shadow), strict=True):
                a.data, b.data = b.data, a.data

    @torch.no_grad()
    def _settle(self) -> None:
        """Under spectral norm u and v were copied from the live weights and do not fit the averaged ones.

        Five power iterations mend that; averaging u and v instead leaves a top singular value well above 1.
        """
        for module in self.shadow:
            for part in module.modules():
                if isinstance(part, parametrize.ParametrizationList):
                    for rule in part:
                        mode = rule.training
                        rule.train()
                        for _ in range(5):
                            rule(part.original)
                        rule.train(mode)

    def state_dict(self) -> State:
        self._settle()
        return [dict(module.state_dict()) for module in self.shadow]

    def load_state_dict(self, state: State) -> None:
        for module, values in zip(self.shadow, state, strict=True):
            module.load_state_dict(values)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _sort(modules: Sequence[nn.Module]) -> tuple[list[Tensor], list[Tensor]]:
    """Tensors to average (parameters, float running statistics) and tensors to copy (all other buffers)."""
    averaged: list[Tensor] = []
    copied: list[Tensor] = []
    for module in modules:
        averaged += list(module.parameters())
        for name, buffer in module.named_buffers():
            (averaged if is_running_statistic(name, buffer) else copied).append(buffer)
    return averaged, copied
