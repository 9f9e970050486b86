"""The run folder: its name, what it holds, and how it is found again."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from ganctl import checkpoint
from ganctl.confdir import Config
from ganctl.errors import UserError

RUNS = Path("runs")
UNDECIDING = ("steps", "epochs", "max_minutes", "every", "keep", "name", "fresh", "eval", "metric", "best")
"""Keys that do not change what a step computes: a run continues when they differ."""
PLACES = ("root", "download")
PARTS = ("system", "model", "dataset", "device")
"""Without these no run can be compared or drawn from."""


def deciding(config: Config, data_hash: str) -> Config:
    """The part of a resolved configuration that decides the result, the data by a hash of its content."""
    part = {key: value for key, value in config.items() if key not in UNDECIDING}
    part["device"] = {"precision": config["device"]["precision"]}
    part["dataset"] = {key: value for key, value in config["dataset"].items() if key not in PLACES}
    part["dataset"]["content"] = data_hash
    # A system's copies of the nodes beside it would only say everything twice.
    beside = [*config.values(), *config["model"].values()]
    part["system"] = {k: v for k, v in config["system"].items() if not (isinstance(v, dict) and v in beside)}
    if part.get("init_from"):
        part["init_from"] = Path(part["init_from"]).name
    return part


def fingerprint(decides: Config) -> str:
    return hashlib.blake2b(json.dumps(decides, sort_keys=True).encode(), digest_size=4).hexdigest()


class Run:
    """A run folder: config.yaml, checkpoints/, samples/, metrics.jsonl, train.log and TensorBoard events."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def last(self) -> Path:
        return self.folder / "checkpoints" / "last.pt"

    def save(self, state: checkpoint.State, name: str) -> Path:
        """Write checkpoints/NAME.pt, `last` or `best`."""
        path = self.last.with_name(f"{name}.pt")
        checkpoint.save(state, path)
        return path

    def write_config(self, config: Config, data_hash: str) -> None:
        """The resolved configuration, and the content of the data, so that a run can be compared without them."""
        data = dict(config["dataset"])
        if data.get("root"):
            data["root"] = str(Path(data["root"]).expanduser().absolute())
        config = {**config, "dataset": data, "content": data_hash}
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        checkpoint.write_atomically(self.folder / "config.yaml", text.encode())

    def read_config(self) -> Config:
        path = self.folder / "config.yaml"
        if not path.is_file():
            raise UserError(
                f"{self.folder} holds no run: config.yaml is missing\n  try: run=PATH of a folder below runs/"
            )
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is damaged and cannot be read\n  try: another run, or restore the file") from error
        if (
            not isinstance(config, dict)
            or not all(isinstance(config.get(part), dict) for part in PARTS)
            or not config["dataset"].get("shape")
        ):
            raise UserError(
                f"{path} is empty or not the configuration of a run\n  try: another run, or restore the file"
            )
        return config

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Refuse a second process in the same folder; the lock goes with the process, however it ends."""
        try:
            held = FileLock(self.folder / ".lock").acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                f"another process is training {self.folder}\n  try: wait for it, or fresh=true for a second run"
            ) from error
        with held:
            yield


def open_run(config: Config, label: str, data_hash: str, root: Path = RUNS) -> Run:
    """The folder of this configuration: the newest one of the same fingerprint or name, or a new one."""
    decides = deciding(config, data_hash)
    name = config.get("name")
    base = name or f"{label}-s{config['seed']}-{fingerprint(decides)}"
    number = max((n for n in range(1, 1000) if (root / numbered(base, n) / "config.yaml").exists()), default=0)
    if config.get("fresh") or number == 0:
        number += 1
    run = Run(root / numbered(base, number))
    if (run.folder / "config.yaml").exists():
        if name and run.last.exists():  # without a checkpoint there is nothing to mix
            _require_same(run, decides)
    else:
        try:
            run.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make {run.folder}: {error.strerror}\n  try: a folder you may write to") from error
    return run


def numbered(base: str, number: int) -> str:
    return base if number == 1 else f"{base}-{number}"


def find_run(run: str | None, root: Path = RUNS, key: str = "run") -> Run:
    """A run by path or by its name below runs/; the newest one when none is named. `key` is what named it."""
    if run is not None:
        for folder in (Path(run), root / run):
            if folder.is_dir():
                return Run(folder)
        raise UserError(f"{key}={run}: no such folder\n  try: {key}=PATH of a folder below {root}/")
    found = list(root.glob("*/checkpoints/last.pt"))
    if not found:
        raise UserError(f"no trained run below {root}/ here\n  try: ganctl train, or run=PATH")
    return Run(max(found, key=lambda path: path.stat().st_mtime).parent.parent)


def _require_same(run: Run, decides: Config) -> None:
    stored = run.read_config()
    before = _flat(deciding(stored, stored.pop("content", "")))
    now = _flat(decides)
    keys = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if keys:
        lines = "".join(f"  {key}: {before.get(key)} there, {now.get(key)} now\n" for key in keys[:12])
        raise UserError(
            f"name={run.folder.name} is a run with other settings:\n{lines}  try: another name, or fresh=true"
        )


def _flat(node: Any, path: str = "") -> dict[str, Any]:
    if isinstance(node, dict):
        return {k: v for key, value in node.items() for k, v in _flat(value, f"{path}.{key}" if path else key).items()}
    return {path: node}
