"""The loop. The only file that calls backward and an optimizer's step."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim import Optimizer

from ganctl import checkpoint, distributed
from ganctl.artifacts.picture import scatter, tile, to_uint8
from ganctl.best import Best
from ganctl.data.dataset import Dataset
from ganctl.device import Device
from ganctl.ema import EMA
from ganctl.errors import UserError, require_positive
from ganctl.monitors import DIVERSITY, diversity
from ganctl.players import OptimizerFactory, optimizer_of, parameters_of, require_one_player_each
from ganctl.report import Report
from ganctl.seeding import derive, seed_default
from ganctl.systems.system import ROWS, System
from ganctl.types import Batch, Phase, Schedule, Terms
from ganctl.watch import NO_BETTER, Stop, Watch, out_of_memory_explained

Save = Callable[[checkpoint.State, str], Path]
Evaluate = Callable[[System, int], dict[str, float]]


@dataclass(frozen=True)
class Every:
    """How many steps lie between two log lines, two sample grids, two checkpoints, two evaluations (None: none)."""

    log: int = 50
    sample: int = 500
    checkpoint: int = 500
    eval: int | None = None

    def __post_init__(self) -> None:
        require_positive(**{f"every.{name}": number for name, number in vars(self).items()})


class Trainer:
    """Trains a system: phases, updates, averaging, and the housekeeping between them.

    optimizers: a factory a player, as in `partial(Adam, lr=...)`; a player `d0` without one takes `d`'s, any other
    `g`'s. batch_size counts the whole batch over all ranks; each rank's share is worked off in `accumulate` parts.
    `step` counts finished steps, `images` the reals seen: with the seed they determine everything that follows.
    """

    def __init__(
        self,
        system: System,
        dataset: Dataset,
        optimizers: Mapping[str, OptimizerFactory],
        device: Device,
        steps: int,
        seed: int = 0,
        schedule: Schedule | None = None,
        batch_size: int = 64,
        accumulate: int = 1,
        ema: float = 0.999,
        clip_grad: float | None = None,
        max_minutes: float | None = None,
        every: Every | None = None,
        keep: int = 0,
        best: Best | None = None,
    ) -> None:
        require_positive(
            steps=steps, batch_size=batch_size, accumulate=accumulate, clip_grad=clip_grad, max_minutes=max_minutes
        )
        if steps <= system.moves_from:
            raise UserError(
                f"steps={steps}: the generator first moves at step {system.moves_from + 1}\n"
                f"  try: steps={2 * system.moves_from}"
            )
        if keep < 0:
            raise UserError(f"keep={keep}: must be at least 0, which keeps only the last checkpoint\n  try: keep=3")
        _require_batch(system, batch_size, distributed.world() * accumulate)
        self.system, self.dataset, self.device = system, dataset, device
        self.steps, self.seed, self.schedule, self.max_minutes = steps, seed, schedule, max_minutes
        self.batch_size, self.accumulate, self.clip_grad = batch_size, accumulate, clip_grad
        self.every, self.keep, self.best = every or Every(), keep, best or Best()
        if self.best.metric and self.every.eval is None:
            raise UserError(f"best.metric={self.best.metric} is never measured\n  try: every.eval=500")
        self._stream(0)  # refuses a batch that the data cannot fill, before there is a run folder
        device.place(system)
        self.modules = {player: list(modules) for player, modules in system.players().items()}
        self.params = {player: parameters_of(modules) for player, modules in self.modules.items()}
        require_one_player_each(system, self.params)
        self.optimizers = {player: optimizer_of(optimizers, player, params) for player, params in self.params.items()}
        self.ema = EMA(system.averaged(), ema, self.modules)
        if device.compile:
            for module in system.compilable():
                module.compile()
        self.watch = Watch(device.torch)
        self.step = self.images = self.moves = 0
        self.saved: int | None = None
        """The step of the last checkpoint."""
        self.first_moves: dict[str, int] = {}
        """The step at which each player first moved."""

    def fit(self, save: Save | None = None, report: Report | None = None, evaluate: Evaluate | None = None) -> int:
        """Train up to `steps`. Returns 0, or why it ended early: BY_SIGNAL + a signal, OUT_OF_TIME or NO_BETTER.

        All three are None on every rank but 0. `evaluate` sees the averaged weights in evaluation mode.
        """
        began = time.monotonic()
        batches = self._stream(self.images)
        first = next(self._stream(0, whole=True))
        self._shown = self._examples(ROWS) if self.system.takes else first
        self._reals = first[self.dataset.key] * self.dataset.scale
        if self.step == 0:
            self.system.prepare(first)
            self.ema.copy()
            self._sample(report)
        elif report and DIVERSITY in report.last:  # an event repeats what the latest grid showed
            self.watch.latest[DIVERSITY] = torch.tensor(report.last[DIVERSITY], device=self.device.torch)
        self._since = (report.seconds if report else 0.0, self.images)
        with out_of_memory_explained(), Stop(self.device.torch) as stopping:
            while self.step < self.steps:
                self._one_step(batches)
                done = self.step == self.steps
                log_due = done or self.step % self.every.log == 0
                if done or self.step % self.every.sample == 0:
                    self._sample(report)
                if log_due:
                    self._log(report)
                elif report:
                    report.moved(self.step)
                over = bool(self.max_minutes) and time.monotonic() - began > 60 * (self.max_minutes or 0)
                stop = stopping.agreed(over, log_due)
                if self.every.eval and (done or self.step % self.every.eval == 0):
                    stop = self._evaluate(save, report, evaluate) or stop
                if done or stop or self.step % self.every.checkpoint == 0:
                    self._save(save)
                if stop and not done:
                    return stop
        return 0

    def _one_step(self, batches: Iterator[Batch]) -> None:
        """Every phase moves `repeat` times: the first phase draws a new batch each time, the others reuse the last."""
        self.system.begin(self.step)
        self.moves = 0
        batch: Batch | None = None
        for phase in self.system.phases():
            for repeat in range(phase.repeat):
                if batch is None or repeat:
                    batch = next(batches)
                    self.images += self.batch_size
                self.update(phase, batch)
        self.ema.update(self.step, self.first_moves)
        self.step += 1

    def update(self, phase: Phase, batch: Batch) -> Terms:
        """One move of one player on this rank's batch: gradients, averaging over ranks, clipping, step."""
        optimizer, params = self.optimizers[phase.player], self.params[phase.player]
        optimizer.zero_grad(set_to_none=True)
        found: Terms = {}
        for k, shard in enumerate(_shards(batch, self.accumulate)):
            seed = derive(self.seed, self.step, self.moves, distributed.rank() * self.accumulate + k)
            seed_default(seed, self.device.torch)
            with self.device.autocast():
                terms = phase.terms(shard)
            if self.accumulate > 1:
                terms = {name: term.float() / self.accumulate for name, term in terms.items()}
            if terms:
                reduce(torch.add, terms.values()).backward(inputs=params)  # type: ignore[no-untyped-call]
            for name, term in terms.items():
                found[name] = found[name] + term.detach() if name in found else term.detach()
        self.moves += 1
        if found:
            distributed.average_gradients(params)
            self.watch.note(self.step, phase.player, found)
            if (self.step + 1) % self.every.log == 0:
                self.watch.note_gradients(phase.player, params)
            if self.clip_grad:
                nn.utils.clip_grad_norm_(params, self.clip_grad)
            self._set_rate(optimizer, phase.rate)
            optimizer.step()
            self.first_moves.setdefault(phase.player, self.step)
            phase.after()
        distributed.average_running_statistics(self.system)
        return found

    def _set_rate(self, optimizer: Optimizer, rate: float) -> None:
        """The learning rate of this move: the optimizer's own times the schedule's value times the phase's factor."""
        factor = rate * (self.schedule(self.step) if self.schedule else 1.0)
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    def _stream(self, start: int, whole: bool = False) -> Iterator[Batch]:
        """This rank's batches after `start` images, or the whole batches that every rank sees alike."""
        rank, world = (0, 1) if whole else (distributed.rank(), distributed.world())
        return self.dataset.stream(
            start,
            self.batch_size,
            seed=self.seed,
            rank=rank,
            world=world,
            device=self.device.torch,
            channels_last=self.device.channels_last,
        )

    def require_finite(self) -> None:
        """Stop the run at the first term or weight that is not finite; what was saved before stays."""
        found = distributed.agree(self.watch.first_bad(), self.device.torch)
        self.watch.require_finite(found, self.system, self.step, self.saved)

    def _log(self, report: Report | None) -> None:
        self.require_finite()
        if report is None:
            return
        facts = {name: fact.float().mean() for name, fact in self.system.facts.items()}
        tensors = {**self.watch.latest, **facts}
        values = dict(zip(tensors, torch.stack([t.float() for t in tensors.values()]).tolist(), strict=True))
        for player, optimizer in self.optimizers.items():
            values[f"learning_rate/{player}"] = float(optimizer.param_groups[0]["lr"])
        now, (then, images) = report.seconds, self._since
        values["speed/images_per_second"] = (self.images - images) / max(now - then, 1e-9)
        self._since = (now, self.images)
        report.scalars(self.step, values)

    def _sample(self, report: Report | None) -> None:
        """What the averaged weights draw, of the same seeds or from the same given rows each time."""
        self.require_finite()
        if report is None:
            return
        with report.off_the_clock(), self.averaged_weights():
            columns = self.system.preview(self._shown)
        if self.step and not self.system.takes:
            (samples,) = columns
            self.watch.latest[DIVERSITY] = diversity(samples[: len(self._reals)], self._reals[: len(samples)])
        report.pictures(self.step, self._picture(columns))

    def _picture(self, columns: Sequence[Tensor]) -> Image.Image:
        """Columns of images side by side, a row an example; one column alone is a near-square grid, or a plot."""
        if columns[0].dim() == 2:
            return scatter(columns[0].cpu(), self.dataset.centres)
        beside = torch.stack(list(columns), 1).flatten(0, 1)
        return tile(to_uint8(beside.cpu()), columns=len(columns) if len(columns) > 1 else None)

    def _examples(self, count: int) -> Batch:
        """The first rows that training sees, in whole batches, alike on every rank."""
        stream = self._stream(0, whole=True)
        batches = [next(stream) for _ in range(math.ceil(count / self.batch_size))]
        return {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}

    def _evaluate(self, save: Save | None, report: Report | None, evaluate: Evaluate | None) -> int:
        """Judge the averaged weights on rank 0 and keep the best; NO_BETTER on every rank when patience has run out."""
        if save and report and evaluate and self.judge(report, evaluate):
            save(self.state_dict(), "best")
        return NO_BETTER if distributed.agree(int(self.best.enough), self.device.torch) else 0

    def judge(self, report: Report, evaluate: Evaluate) -> bool:
        """Evaluate the averaged weights and log it; whether they are the best so far."""
        with report.off_the_clock(), self.averaged_weights():
            values = evaluate(self.system, self.step)
        report.metrics(self.step, values)
        return self.best.note(values)

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Evaluation mode with the averaged weights; training goes on afterwards as if nothing had happened."""
        self.system.eval()
        try:
            with self.ema.applied():
                yield
        finally:
            self.system.train()

    def state_dict(self) -> checkpoint.State:
        return {
            "step": self.step,
            "images": self.images,
            "system": dict(self.system.state_dict()),
            "ema": self.ema.state_dict(),
            "optimizers": {player: optimizer.state_dict() for player, optimizer in self.optimizers.items()},
            "best": self.best.state_dict(),
            "first_moves": dict(self.first_moves),
        }

    def load_state_dict(self, state: checkpoint.State) -> None:
        self.step, self.images = state["step"], state["images"]
        self.saved = self.step
        # Checkpoints of earlier versions do not say it; their generators moved from a step on that the system names.
        moved = dict.fromkeys(self.params, self.system.moves_from) if self.step > self.system.moves_from else {}
        self.first_moves = dict(state.get("first_moves", moved))
        self.best.load_state_dict(state["best"])
        with checkpoint.misfit_explained("networks"):
            self.system.load_state_dict(state["system"])
            self.ema.load_state_dict(state["ema"])
        with checkpoint.misfit_explained("optimizers"):
            for player, optimizer in self.optimizers.items():
                optimizer.load_state_dict(state["optimizers"][player])

    def load_weights(self, state: checkpoint.State) -> None:
        """The players and their average alone: the start of a new run from another's weights."""
        owned = {id(module) for modules in self.modules.values() for module in modules}
        with checkpoint.misfit_explained("networks"):
            for path, module in self.system.named_modules():
                if id(module) in owned:
                    prefix = f"{path}."
                    stored = {k.removeprefix(prefix): v for k, v in state["system"].items() if k.startswith(prefix)}
                    module.load_state_dict(stored)
            self.ema.load_state_dict(state["ema"])

    def _save(self, save: Save | None) -> None:
        self.require_finite()
        if save:
            state = self.state_dict()
            if self.keep:  # before `last`, so that a run killed in between comes here once more
                checkpoint.keep_newest(save(state, f"step_{self.step:08d}").parent, self.keep)
            save(state, "last")
            self.saved = self.step


def _require_batch(system: System, batch_size: int, shards: int) -> None:
    """Refuse a batch without equal parts, or with parts too small for the batch norm of dense layers."""
    parts = shards * system.pack
    if batch_size % parts:
        raise UserError(
            f"batch_size={batch_size} does not divide into {parts} equal parts (processes x accumulate x pack)\n"
            f"  try: batch_size={(batch_size // parts + 1) * parts}"
        )
    for module in system.modules():
        together = 1 if module is system else getattr(module, "pack", 1)
        dense = any(isinstance(part, nn.BatchNorm1d) for part in module.modules())
        if dense and batch_size // shards // together < 2:
            raise UserError(
                "batch norm of dense layers has nothing to average over in a batch, or its part, of one sample\n"
                "  try: a larger batch_size, or model.generator.norm=none critic_norm=none"
            )


def _shards(batch: Batch, count: int) -> Iterator[Batch]:
    if count == 1:
        yield batch
        return
    parts = {key: value.chunk(count) for key, value in batch.items()}
    for k in range(count):
        yield {key: part[k] for key, part in parts.items()}
