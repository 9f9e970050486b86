"""ganctl eval: judge trained generators, beside real data judged the same way."""

import csv
import json
import logging
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig

from ganctl import checkpoint, config, report
from ganctl.artifacts.picture import save, tile, to_uint8
from ganctl.confdir import Config
from ganctl.data.source import Split
from ganctl.device import Device
from ganctl.errors import UserError, require_positive
from ganctl.evaluate import Judge, SourceName
from ganctl.leaderboard import Entry, Values, show
from ganctl.restore import load
from ganctl.run import PLACES, RUNS, Run, deciding, find_run

log = logging.getLogger("ganctl")


def settings(
    run: str | list[str] | None,
    checkpoint: str,
    weights: Literal["ema", "raw"],
    n: int | None,
    seed: int,
    split: Split,
    source: SourceName | None,
    inception: str | None,
    root: str | None,
    batch_size: int,
    trust: bool,
) -> None:
    """Types and ranges of the command's own keys."""
    require_positive(n=n, batch_size=batch_size)


def run(cfg: DictConfig) -> None:
    """Judge the runs, write metrics.json into their folders, print the table."""
    report.listen()
    plain = config.plain(cfg)
    config.require_read(cfg, settings)
    config.check(plain, settings)
    settings(**{key: value for key, value in plain.items() if key not in ("metric", "device")})
    device: Device = config.build(plain["device"])
    device.setup()
    runs = find_runs(plain["run"])
    stored = [found.read_config() for found in runs]
    require_same_data(runs, stored)
    config.check(stored[0], trusted=plain["trust"])
    judge = judge_of(plain, runs[0], stored[0], device)
    control = judge.control()
    entries = []
    for number, (found, own) in enumerate(zip(runs, stored, strict=True), 1):
        log.info("%sjudging %s", f"{number}/{len(runs)} " if len(runs) > 1 else "", found.folder)
        entries.append(judged(judge, control, found, own, plain, device))
    words = f"{judge.n:,} samples, {len(judge.rows):,} real ones of {judge.split}"
    show(entries, control, words)
    log.info("the numbers and all that they depend on are in each run's metrics.json")


def judge_of(plain: Config, run: Run, stored: Config, device: Device) -> Judge:
    """The judge of this run's data, which must be those that it learned from."""
    node = dict(stored["dataset"])
    if plain["root"] and "root" in node:
        node["root"] = plain["root"]
    elif node.get("root") and "download" in node and not plain["trust"]:
        node["download"] = False  # a run from elsewhere may name any folder: nothing is written there
    judge = Judge(
        node,
        {name: config.build(metric) for name, metric in (plain.get("metric") or {}).items()},
        customary=not any(item.startswith("metric=") for item in config.overrides()),
        device=device.torch,
        **{key: plain[key] for key in ("split", "n", "seed", "source", "inception")},
    )
    if judge.learned.fingerprint != stored.get("content", judge.learned.fingerprint):
        raise UserError(
            f"the data have changed since {run.folder} learned from them\n  try: root=FOLDER with those of that time"
        )
    return judge


def judged(judge: Judge, control: Values, run: Run, stored: Config, plain: Config, device: Device) -> Entry:
    """Judge one run, and keep in its folder the numbers with all that they depend on: metrics.json."""
    sampler = load(
        str(run.folder),
        checkpoint_name=plain["checkpoint"],
        weights=plain["weights"],
        device=device.torch,
        batch_size=plain["batch_size"],
        trust=plain["trust"],
    )
    file = run.folder / "checkpoints" / f"{plain['checkpoint'].removesuffix('.pt')}.pt"
    values = judge(sampler)
    protocol = {
        "checkpoint": plain["checkpoint"],
        "step": checkpoint.load(file)["step"],
        "weights": plain["weights"],
        "labels": "those of the real samples" if sampler.conditional else None,
        **judge.protocol,
    }
    if "nearest" in judge.metrics and len(sampler.shape) == 3:
        beside = judge.neighbours(sampler)
        save(tile(to_uint8(beside.flatten(0, 1)), columns=beside.shape[1]), run.folder / "neighbours.png")
        log.info("samples, and right of each the nearest training images: %s", run.folder / "neighbours.png")
    text = json.dumps({"metrics": values, "control": control, "protocol": protocol}, indent=2)
    checkpoint.write_atomically(run.folder / "metrics.json", text.encode())
    return Entry(run.folder.name, stored["seed"], but_for_the_seed(stored), values)


def but_for_the_seed(stored: Config) -> str:
    """All that decides a run's result, but its seed."""
    decides = deciding({key: value for key, value in stored.items() if key != "content"}, stored.get("content", ""))
    return json.dumps({**decides, "seed": None, "steps": stored.get("steps")}, sort_keys=True)


# -- which runs ----------------------------------------------------------------------------------------------------


def find_runs(run: str | Sequence[str] | None) -> list[Run]:
    """One run or several: paths, names, globs, and folders of sweeps; each once, in the order found."""
    if run is None:
        return [find_run(None)]
    found = [one for text in ([run] if isinstance(run, str) else run) for one in matches(text)]
    if not found:
        raise UserError("run=[]: there is nothing to judge\n  try: run=PATH of a folder below runs/")
    return list({one.folder.resolve(): one for one in found}.values())


def matches(text: str) -> list[Run]:
    for folder in (Path(text), RUNS / text):
        if (folder / "results.csv").is_file():
            return of_sweep(folder)
    if not any(sign in text for sign in "*?["):
        return [find_run(text)]
    for pattern in (text, str(RUNS / text)):
        if found := sorted(glob(f"{pattern}/checkpoints/last.pt")):
            return [Run(Path(file).parent.parent) for file in found]
    raise UserError(f"run={text}: no trained run matches\n  try: run='runs/*'")


def of_sweep(folder: Path) -> list[Run]:
    """The runs that a sweep finished."""
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        found = [row["run"] for row in csv.DictReader(file) if row.get("status") == "done" and row.get("run")]
    if not found:
        raise UserError(f"{folder} finished no run\n  try: another sweep, or run=PATH")
    return [find_run(path) for path in found]


def require_same_data(runs: Sequence[Run], stored: Sequence[Config]) -> None:
    """Numbers on different data are not to be ranked."""
    for run, own in zip(runs, stored, strict=True):
        if own.get("content") != stored[0].get("content"):
            raise UserError(
                f"{runs[0].folder} and {run.folder} learned from different data and cannot be ranked together: "
                f"{difference(stored[0]['dataset'], own['dataset'])}\n  try: ganctl eval run=PATH, one at a time"
            )


def difference(one: Config, other: Config) -> str:
    """What sets two data sets' settings apart."""
    if one["_target_"] != other["_target_"]:
        return " and ".join(node["_target_"].rpartition(".")[2] for node in (one, other))
    keys = [key for key in one if one[key] != other.get(key) and key not in (*PLACES, "class_names")]
    return ", ".join(f"{key} is {one[key]} and {other.get(key)}" for key in keys) or "the files have changed"
