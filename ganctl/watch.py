"""Keeping watch over a run without waiting for the device."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from ganctl import distributed
from ganctl.data.memory import move
from ganctl.errors import Diverged, UserError
from ganctl.types import Terms

MAX_TERMS = 1000
NEVER = torch.iinfo(torch.int64).max
OUT_OF_TIME, NO_BETTER, BY_SIGNAL = 1, 2, 128
"""Why a run stopped; a signal counts from 128 on, the status of a process that it ends."""
STOPPING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGBREAK")
"""What a person, a lost terminal or a cluster's clock says when a run must end; no system has them all."""


class Watch:
    """The latest terms for the log, and the first (step, term) that was not finite.

    Terms are set aside and looked at many at once, on the device: between large products even a tiny operation costs
    20 us. The result is read at log points and before checkpoints only, so that nothing waits in between.
    """

    def __init__(self, device: torch.device) -> None:
        self.latest: dict[str, Tensor] = {}
        self.numbers: dict[str, int] = {}
        self.unseen: list[tuple[int, Tensor]] = []
        self.bad = torch.full((), NEVER, device=device)

    def note(self, step: int, player: str, terms: Terms) -> None:
        for term, value in terms.items():
            name = f"loss/{player}/{term}"
            self.latest[name] = value
            self.unseen.append((step * MAX_TERMS + self.numbers.setdefault(name, len(self.numbers)), value))
        if len(self.unseen) >= 100:
            self._look()

    def first_bad(self) -> int:
        """step * MAX_TERMS + the term's number, or -1 while all is well. The host waits for the device."""
        self._look()
        bad = int(self.bad)
        return -1 if bad == NEVER else bad

    def _look(self) -> None:
        if self.unseen:
            codes, values = zip(*self.unseen, strict=True)
            fine = torch.isfinite(torch.stack(values))
            bad = torch.where(fine, NEVER, move(torch.tensor(codes), self.bad.device)).min()
            self.bad = torch.minimum(self.bad, bad)
            self.unseen.clear()

    def note_gradients(self, player: str, parameters: Sequence[Tensor]) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        self.latest[f"gradient_norm/{player}"] = nn.utils.get_total_norm(gradients)

    def require_finite(self, bad: int, system: nn.Module, step: int, saved: int | None) -> None:
        """Stop at the first term, or else weight, that is not finite. `bad` is what some rank has noted.

        saved: the step of the last checkpoint, if there is one.
        """
        if bad >= 0:
            step, number = divmod(bad, MAX_TERMS)
            what = next(name for name, other in self.numbers.items() if other == number)
        else:
            weights = [tensor for tensor in system.state_dict().values() if tensor.is_floating_point()]
            if all(bool(torch.isfinite(tensor).all()) for tensor in weights):
                return
            what = "a weight"
        kept = "nothing was saved yet" if saved is None else f"the last good checkpoint, of step {saved}, is kept"
        raise Diverged(f"{what} is no longer a finite number at step {step}; {kept}")


@contextmanager
def out_of_memory_explained() -> Iterator[None]:
    """Turn a full memory into a sentence; other errors pass."""
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise UserError(
            "out of memory; what was saved before is intact\n"
            "  try: a smaller batch_size, or accumulate=2 (the same batch in two parts)"
        ) from error


class Stop:
    """Inside, a signal to stop is noted, so that the step under way ends well and is saved.

    Clusters and launchers send more than one: only a second Ctrl-C, by a person, ends it at once. SIGHUP counts unless
    it was ignored before, as nohup has it.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.signal = device, 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():  # no other thread may listen
            numbers = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
            wanted = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
            self.before = {number: signal.signal(number, self._note) for number in wanted}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def agreed(self, out_of_time: bool, meeting: bool) -> int:
        """0 to go on, else BY_SIGNAL + the signal, or OUT_OF_TIME.

        Several ranks agree, and only when all are at a `meeting`.
        """
        stop = self.signal or (OUT_OF_TIME if out_of_time else 0)
        if distributed.world() == 1:
            return stop
        return distributed.agree(stop, self.device) if meeting else 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or BY_SIGNAL + number
