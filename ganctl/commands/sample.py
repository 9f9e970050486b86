"""ganctl sample: draw from a trained generator."""

import logging
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig

from ganctl import config, report
from ganctl.artifacts.sampler import Artifact, Sampler, parse_seeds
from ganctl.confdir import Config
from ganctl.device import Device
from ganctl.errors import require_positive
from ganctl.restore import load

log = logging.getLogger("ganctl")


def settings(
    run: str | None,
    checkpoint: str,
    weights: Literal["ema", "raw"],
    n: int | None,
    seed: int,
    seeds: int | str | list[int | str] | None,
    label: int | str | list[int | str] | None,
    truncation: float | None,
    batch_size: int,
    out: str | None,
    trust: bool,
) -> None:
    """Types and ranges of the command's own keys."""
    require_positive(n=n, batch_size=batch_size, truncation=truncation)


def run(cfg: DictConfig) -> None:
    """Make one artifact and say where it is."""
    report.listen()
    plain = config.plain(cfg)
    config.require_read(cfg, settings)
    config.check(plain, settings)
    settings(**{key: value for key, value in plain.items() if key not in ("artifact", "device")})
    device: Device = config.build(plain["device"])
    device.setup()
    artifact: Artifact = config.build(plain["artifact"])
    sampler: Sampler = load(
        plain["run"],
        checkpoint_name=plain["checkpoint"],
        weights=plain["weights"],
        device=device.torch,
        truncation=plain["truncation"],
        batch_size=plain["batch_size"],
        trust=plain["trust"],
    )
    seeds = chosen_seeds(plain, points=len(sampler.shape) == 1)
    out = Path(plain["out"]) if plain["out"] else sampler.run / "artifacts"
    written = artifact(sampler, seeds, sampler.labels_for(seeds, plain["label"]), out)
    log.info(f"drawn from {sampler.run}")
    for path in written[:10]:
        log.info(f"  {path}")
    if len(written) > 10:
        log.info(f"  and {len(written) - 10} more in {out}")


def chosen_seeds(plain: Config, points: bool) -> list[int]:
    """The seeds that were named, or `n` from `seed` on."""
    if plain["seeds"] is not None:
        return parse_seeds(plain["seeds"])
    count = plain["n"] or (2500 if points else 64)
    return list(range(plain["seed"], plain["seed"] + count))
