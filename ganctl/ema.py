"""Exponential moving average of weights."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganctl.errors import UserError
from ganctl.types import is_running_statistic

State = list[dict[str, Tensor]]


class EMA:
    """Follows modules: parameters and float running statistics are averaged, all else is copied.

    The decay warms up as min(decay, (1 + t) / (10 + t)), so early averages forget the initial weights. decay=0 follows
    exactly.
    """

    def __init__(self, modules: Sequence[nn.Module], decay: float) -> None:
        if not 0 <= decay < 1:
            raise UserError(f"ema={decay}: must be at least 0 (off) and below 1\n  try: ema=0.999")
        self.live, self.decay = list(modules), decay
        self.shadow = [copy.deepcopy(module).requires_grad_(False) for module in modules]
        live_averaged, live_copied = _sort(self.live)
        averaged, copied = _sort(self.shadow)
        self.averaged, self.live_averaged = averaged, live_averaged
        self.copied, self.live_copied = copied, live_copied

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After `step` steps, counted from 0; before that the modules have not moved yet."""
        decay = min(self.decay, (1 + step) / (10 + step)) if step >= 0 else 0.0
        torch._foreach_lerp_(self.averaged, self.live_averaged, 1 - decay)
        self.copy()

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
