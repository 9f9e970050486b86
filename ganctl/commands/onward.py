"""How a run ended, and the command that goes on with it: printed to be pasted."""

import copy
import logging
import re
import shlex
import signal
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganctl import config, distributed, report
from ganctl.confdir import Config
from ganctl.errors import Diverged
from ganctl.run import Run, differing
from ganctl.trainer import Trainer
from ganctl.watch import BY_SIGNAL, NO_BETTER, OUT_OF_TIME

MISSING = object()
log = logging.getLogger("ganctl")


@dataclass
class Onward:
    """What the commands are made of: the configuration as composed and as plain values, the run, and its trainer."""

    cfg: DictConfig
    plain: Config
    run: Run
    trainer: Trainer

    def again(self, **changes: object) -> str:
        """The command that continues this run, with some values changed."""
        changes = {**self._name(), **changes}
        folders = [word for folder in config.own_folders() for word in ("--config-dir", str(folder))]
        typed = [item for item in config.overrides() if item.lstrip("+").split("=")[0] not in {"fresh", *changes}]
        own = {item.lstrip("+").split("=")[0] for item in config.overrides() if item.startswith("+")}
        new = {key for key in changes if key in own or OmegaConf.select(self.cfg, key, default=MISSING) is MISSING}
        now = [f"{'++' if key in new else ''}{key}={written(value)}" for key, value in changes.items()]
        return " ".join([started_by(), "train", *map(shlex.quote, [*folders, *typed, *now])])

    def further(self) -> str:
        """The command that trains a finished run on: with more patience where that ended it, and with more steps."""
        trainer, best, changes = self.trainer, self.trainer.best, dict[str, Any]()
        if best.enough:
            changes["best.patience"] = 2 * max(best.patience or 1, best.waited)
        if trainer.step >= trainer.steps:
            changes |= self._longer()
        return self.again(**changes)

    def _longer(self) -> dict[str, Any]:
        """Twice the steps; what was told to end with them keeps its length, else the result would be another run's."""
        changed = copy.deepcopy(self.cfg)
        steps = 2 * self.trainer.step
        OmegaConf.update(changed, "steps", steps)
        kept = differing(config.plain(self.cfg), config.plain(changed))
        schedule = self.trainer.schedule
        if schedule and schedule(steps) == 0 and self.trainer.step <= schedule.over:
            kept["schedule.again"] = True  # it has fallen to 0, where nothing would be learned
        if self.plain["epochs"] is None:
            return {"steps": steps, **kept}
        epoch = len(self.trainer.dataset) // self.trainer.batch_size / self.plain["n_critic"]
        return {"epochs": f"{max(2 * self.plain['epochs'], steps / epoch):.12g}", **kept}

    def _name(self) -> dict[str, str]:
        """The folder's name, where the command as it was typed would find another one."""
        folder = self.run.folder.name
        named = self.plain["name"]
        return {"name": folder} if named != folder and (named or self.run.has_numbers()) else {}

    def farewell(self, ended: int) -> None:
        """Where the run is, and what to type next."""
        trainer, run = self.trainer, self.run
        if ended:
            reasons = {OUT_OF_TIME: "the time is up", NO_BETTER: f"{trainer.best.metric} gets no better"}
            why = reasons.get(ended) or f"stopped by {signal.Signals(ended - BY_SIGNAL).name}"
            log.info(f"{why} after step {trainer.step} of {trainer.steps}; saved in {run.folder}")
            log.info(f"  continue with: {self.further() if ended == NO_BETTER else self.again()}")
            return
        log.info(f"finished {trainer.steps} steps: {run.folder}")
        log.info(f"  pictures   {run.folder / 'samples' / f'step_{trainer.step:08d}.png'}")
        log.info(f"  draw more  {report.program()} sample {shlex.quote(f'run={written(str(run.folder))}')}")
        log.info(f"  train on   {self.further()}")

    def nothing_left(self) -> None:
        trainer = self.trainer
        log.info(f"{self.run.folder} is finished: it has {trainer.step} steps, {trainer.steps} were asked for")
        log.info(f"  try: {self.further()} to go on, or {self.again(fresh=True)} for a second run")

    def diverged(self, error: Diverged) -> Diverged:
        """The same with a remedy: a tenth of the learning rates, at most 1e-4."""
        nodes = {player: node for player, node in self.plain["optimizer"].items() if isinstance(node, dict)}
        rates = {f"optimizer.{player}.lr": node["lr"] for player, node in nodes.items() if node.get("lr")}
        shared = self.plain["optimizer"].get("lr")
        if shared and set(rates.values()) == {shared}:
            rates = {"optimizer.lr": shared}
        changes: dict[str, Any] = {key: f"{min(rate / 10, 1e-4):.3g}" for key, rate in rates.items()}
        if self.plain["name"]:
            changes |= {"name": self.plain["name"]} | ({"fresh": True} if self.run.last.exists() else {})
        return Diverged(f"{error}\n  try: {self.again(**changes)}")


def started_by() -> str:
    """The program that a person typed, or torchrun with the processes it started here."""
    if distributed.world() == 1:
        return report.program()
    return f"torchrun --nproc-per-node {distributed.local_world()} -m ganctl"


def written(value: object) -> str:
    """A value as Hydra reads it back."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not isinstance(value, str):
        return str(value).replace("None", "null")
    if re.fullmatch(r"[\w./:+-]+", value, re.ASCII):
        return value
    return "'" + re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), value) + "'"


def leave(ended: int) -> None:
    """End the process as a signal's default action would, after all was saved."""
    if ended > BY_SIGNAL:
        raise SystemExit(ended)
