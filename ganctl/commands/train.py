"""ganctl train: compose, check, build, train, say what came out."""

import copy
import logging
import math
import typing
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ganctl import checkpoint, config, distributed, report, sweep
from ganctl.commands.onward import Onward, leave
from ganctl.confdir import Config
from ganctl.data.dataset import Dataset
from ganctl.data.folder import decoding
from ganctl.device import Device
from ganctl.errors import Diverged, UserError, require_positive
from ganctl.evaluate import Judge
from ganctl.restore import sampler_of
from ganctl.run import Run, find_run, open_run
from ganctl.seeding import derive, seed_default
from ganctl.systems.system import System
from ganctl.trainer import Evaluate, Trainer

log = logging.getLogger("ganctl")


DIVERGED = 1e9
"""What a diverged trial returns to a search: worse than any other, and a number still."""


def settings(
    epochs: float | None,
    name: str | None,
    fresh: bool,
    init_from: str | None,
    n_critic: int,
    critic_norm: str | None,
    eval: dict[str, Any],
) -> None:
    """Types of the top-level keys that the trainer does not take itself."""
    require_positive(epochs=epochs, n_critic=n_critic)
    if name is not None and (not name or name == ".." or Path(name).name != name):
        raise UserError(f"name={name}: must be a single folder name, without slashes\n  try: name=mine")


def run(cfg: DictConfig) -> float:
    """Train one configuration. Returns the generator's last loss, for sweepers."""
    report.listen()
    config.require_no_hidden_files()
    config.require_one_choice()
    plain = checked(cfg)
    device: Device = config.build(plain["device"])
    with distributed.session(device.torch.type):
        report.listen(distributed.rank())
        device.setup(distributed.local_rank())
        require_makeable(cfg)
        dataset: Dataset = config.build(plain["dataset"])
        complete(cfg, dataset)
        plain = checked(cfg)
        config.require_labels(plain)
        trainer = build_trainer(plain, dataset, device)
        config.warn_of_lost_companions(plain)
        try:
            return train(trainer, cfg, plain)
        except Diverged as error:
            if not config.sweeping():
                raise
            log.error(str(error))
            value = DIVERGED if trainer.best.mode == "min" else -DIVERGED
            sweep.outcome.update(status="diverged", value=f"{value:g}", error=str(error).splitlines()[0])
            return value


def checked(cfg: DictConfig) -> Config:
    plain = config.plain(cfg)
    config.drop_orphans(plain)
    config.require_read(cfg, Trainer.__init__, settings, config.wrap_players)
    config.check(plain, Trainer.__init__, settings)
    own = ("epochs", "name", "fresh", "init_from", "n_critic", "critic_norm", "eval")
    settings(**{key: plain[key] for key in own})
    config.wrap_players(plain, **{key: plain["model"][key] for key in ("pack", "mixture")})
    return plain


def require_makeable(cfg: DictConfig) -> None:
    """Refuse a size that the networks cannot make before a folder is decoded to it: they are built without memory."""
    data = cfg.dataset
    if data._target_ != "ganctl.data.folder.Folder" or data.size is None or data.shape is not None:
        return
    size = decoding(config.plain(cfg)["dataset"]["size"], data.fit, data.channels).size
    assert size is not None
    trial = copy.deepcopy(cfg)
    OmegaConf.update(trial, "dataset.shape", [data.channels or 3, *size])
    if data.num_classes is None:
        OmegaConf.update(trial, "dataset.num_classes", 2)  # networks with and without classes make the same sizes
    system = checked(trial)["system"]
    with torch.device("meta"):
        for player in ("generator", "discriminator"):
            config.build(system.get(player))


def complete(cfg: DictConfig, dataset: Dataset) -> None:
    """Fill in what the data decides: its shape, and the steps that `epochs` means."""
    config.learn_from_data(cfg, dataset)
    if cfg.epochs is not None:
        per_epoch = len(dataset) // cfg.batch_size
        OmegaConf.update(cfg, "steps", max(1, math.ceil(cfg.epochs * per_epoch / cfg.n_critic)))


def build_trainer(plain: Config, dataset: Dataset, device: Device) -> Trainer:
    """The system from the seed alone, so that every rank starts equal, and the trainer round it."""
    seed_default(derive(plain["seed"], "build"), device.torch)
    system = config.build(plain["system"])
    players = {name: config.build(node) for name, node in plain["optimizer"].items() if isinstance(node, dict)}
    return Trainer(
        system,
        dataset,
        players,
        device,
        schedule=config.build(plain["schedule"]),
        every=config.build(plain["every"]),
        best=config.build(plain["best"]),
        **{key: plain[key] for key in ("steps", "seed", "batch_size", "accumulate", "ema", "clip_grad")},
        **{key: plain[key] for key in ("max_minutes", "keep")},
    )


def train(trainer: Trainer, cfg: DictConfig, plain: Config) -> float:
    """Rank 0 opens the run folder, saves and reports; every rank restores the same state and trains."""
    if distributed.rank():
        if not finished(trainer, distributed.from_rank_0(None)):
            leave(trainer.fit())
        return 0.0
    weights = None
    if plain["init_from"]:
        weights = checkpoint.load(find_run(plain["init_from"], key="init_from").last)
        trainer.load_weights(weights)  # what does not fit is refused before there is a folder
    network = "model" if config.choice("experiment") == "None" else "experiment"
    names = dict.fromkeys(config.choice(group).replace("/", "_") for group in ("dataset", network, "loss"))
    label = "-".join(names)  # experiment=wgan is named once
    content = trainer.dataset.fingerprint
    run = open_run(plain, label, content)
    onward = Onward(cfg, plain, run, trainer)
    with run.locked(), report.file_log(run.folder):
        run.write_config(plain, content)
        state = distributed.from_rank_0(starting_state(run, weights))
        done = finished(trainer, state)
        with report.Report(run.folder, trainer.steps, trainer.step) as told:
            unjudged = done and trainer.best.metric and trainer.best.value is None
            if unjudged and (evaluate := evaluator(plain, run, device=trainer.device)):
                trainer.judge(told, evaluate)  # it was trained before anyone asked for a value
            value = worth(trainer, told)
            sweep.outcome.update(run=str(run.folder), step=trainer.step, value=f"{value:.6g}")
            if done:
                onward.nothing_left()
                return value
            announce(trainer, plain, run)
            evaluate = evaluator(plain, run, device=trainer.device)
            try:
                ended = trainer.fit(lambda state, name: run.save({**state, "config": plain}, name), told, evaluate)
            except Diverged as error:
                raise onward.diverged(error) from error
            value = worth(trainer, told)
            if not ended:
                told.settings(flat(plain), {"loss": value})
        sweep.outcome.update(step=trainer.step, value=f"{value:.6g}")
        onward.farewell(ended)
    leave(ended)
    return value


def worth(trainer: Trainer, told: report.Report) -> float:
    """What a search steers by: the best value of best.metric, or without one the generator's last loss."""
    if trainer.best.value is not None:
        return trainer.best.value
    terms = {name: value for name, value in told.last.items() if name.startswith("loss/g/")}
    return terms.get("loss/g/adversarial", sum(terms.values()))


def evaluator(plain: Config, run: Run, device: Device) -> Evaluate | None:
    """The evaluation during training, which never trains a classifier: that is asked for with ganctl eval."""
    if plain["every"]["eval"] is None:
        return None
    metrics = {name: config.build(node) for name, node in plain.get("metric", {}).items()}
    customary = metrics or {name: config.build(node) for name, node in config.options("metric").items()}
    judge = Judge(
        plain["dataset"], customary, customary=not metrics, device=device.torch, may_train=False, **plain["eval"]
    )
    readers = ", ".join(map(str, typing.cast(list[str], judge.protocol["read_by"])))  # refuses what is not there yet
    log.info(f"evaluates {', '.join(judge.metrics)} on {judge.n} samples" + (f", read by {readers}" if readers else ""))

    def evaluate(system: System, step: int) -> dict[str, float]:
        return judge(sampler_of(system, plain["dataset"], run.folder, device.torch))

    return evaluate


def starting_state(run: Run, weights: checkpoint.State | None) -> checkpoint.State | None:
    """The run's last checkpoint; for a new run that of `init_from`, marked as weights only; else none."""
    if run.last.exists():
        return checkpoint.load(run.last)
    return {**weights, "step": None} if weights else None


def finished(trainer: Trainer, state: checkpoint.State | None) -> bool:
    """Restore the state on this rank; whether nothing is left to do."""
    if state is None:
        return False
    if state["step"] is None:
        trainer.load_weights(state)
        return False
    trainer.load_state_dict(state)
    return trainer.step >= trainer.steps or trainer.best.enough


def announce(trainer: Trainer, plain: Config, run: Run) -> None:
    """The plan: what is trained, on what, and where it goes."""
    data, device = trainer.dataset, trainer.device
    classes = f", {data.num_classes} classes" if data.num_classes else ""
    size = "x".join(map(str, data.shape))
    log.info(f"data     {config.choice('dataset')}: {len(data):,} of {size}{classes}")
    for player, aims in trainer.system.describe().items():
        names = " + ".join(type(module).__name__ for module in trainer.modules[player])
        count = sum(parameter.numel() for parameter in trainer.params[player])
        optimizer = trainer.optimizers[player]
        rate = optimizer.param_groups[0]["lr"]
        moves = sum(phase.repeat for phase in trainer.system.phases() if phase.player == player)
        log.info(f"{player:<8} {names}, {count:,} parameters; minimises {aims}")
        updates = {0: "moves later", 1: "1 update a step"}.get(moves, f"{moves} updates a step")
        log.info(f"{'':<8} {type(optimizer).__name__}, learning rate {rate:g}, {updates}")
    ranks = f" x {distributed.world()}" if distributed.world() > 1 else ""
    log.info(f"device   {device.torch}{ranks}, {device.precision}, batch {trainer.batch_size}, seed {trainer.seed}")
    where = f"continues at step {trainer.step} of" if trainer.step else "takes"
    log.info(f"run      {run.folder} {where} {trainer.steps} steps")


def flat(node: Any, path: str = "") -> dict[str, str | int | float | bool]:
    """A nested configuration as dotted scalars, without the system's copies: TensorBoard's settings."""
    if isinstance(node, dict):
        below = [flat(value, f"{path}.{key}" if path else str(key)) for key, value in node.items() if key != "system"]
        return {key: value for part in below for key, value in part.items()}
    return {path: node if isinstance(node, (str, int, float, bool)) else str(node)}
