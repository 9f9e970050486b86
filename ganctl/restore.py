"""A trained generator from a run folder alone, without its data."""

from pathlib import Path

import torch

from ganctl import checkpoint, config
from ganctl.artifacts.sampler import Sampler
from ganctl.confdir import Config
from ganctl.errors import UserError
from ganctl.run import Run, find_run
from ganctl.systems.system import System


def load(
    run: str | Path | None = None,
    *,
    checkpoint_name: str = "last",
    weights: str = "ema",
    device: torch.device | str = "cpu",
    truncation: float | None = None,
    batch_size: int = 64,
    trust: bool = False,
) -> Sampler:
    """The generator of a run folder (the newest below runs/ when None), ready to draw.

    weights: "ema" for the averaged ones, "raw" for those of the last step. trust=True builds classes from outside
    ganctl that the run's configuration names; only do so where you know the run.
    Raises UserError where the folder or the checkpoint is missing, damaged or names what it should not.
    """
    found = find_run(None if run is None else str(run))
    settings = found.read_config()
    config.check(settings, trusted=trust)
    state = checkpoint.load(_path(found, checkpoint_name))
    system = config.build(settings["system"])
    if not isinstance(system, System):
        raise UserError(f"{found.folder}/config.yaml builds no system: it was changed\n  try: another run")
    fill(system, state, weights)
    system.to(device).eval()
    return sampler_of(system, settings["dataset"], found.folder, device, truncation, batch_size)


def sampler_of(
    system: System,
    data: Config,
    run: Path,
    device: torch.device | str = "cpu",
    truncation: float | None = None,
    batch_size: int = 64,
) -> Sampler:
    """A system in evaluation mode, ready to draw; `data` is the data set's node of its configuration."""
    system.settle(truncation=truncation)
    return Sampler(
        system,
        shape=data["shape"],
        num_classes=data["num_classes"],
        conditional=system.conditional,
        class_names=data.get("class_names"),
        centres=data.get("centres"),
        run=run,
        device=device,
        truncation=truncation,
        batch_size=batch_size,
    )


def fill(system: System, state: checkpoint.State, weights: str) -> None:
    """Load the networks, and over them the averaged weights of those that are averaged."""
    if weights not in ("ema", "raw"):
        raise UserError(f"weights={weights} is unknown\n  try: weights=ema or weights=raw")
    with checkpoint.misfit_explained("networks"):
        system.load_state_dict(state["system"])
        if weights == "ema":
            for module, values in zip(system.averaged(), state["ema"], strict=True):
                module.load_state_dict(values)


def _path(run: Run, name: str) -> Path:
    return run.folder / "checkpoints" / f"{name.removesuffix('.pt')}.pt"
