"""The run folder: its name, what it holds, and how it is found again."""

import glob
import hashlib
import json
import re
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
UNDECIDING = ("steps", "epochs", "max_minutes", "every", "keep", "name", "fresh", "eval", "metric", "best", "numbers")
"""Keys that do not change what a step computes: a run continues when they differ."""
NUMBERS = UNDECIDING[-1]
"""The key by which config.yaml marks a run that fresh=true made: the name that its number was added to."""
PLACES = ("root", "download")
PARTS = ("system", "model", "dataset", "device")
"""Without these no run can be compared or drawn from."""


def deciding(config: Config, data_hash: str) -> Config:
    """The part of a resolved configuration that decides the result, the data by a hash of its content."""
    part = {key: value for key, value in config.items() if key not in UNDECIDING}
    part["device"] = {"precision": config["device"]["precision"]}
    part["dataset"] = {key: value for key, value in config["dataset"].items() if key not in PLACES}
    part["dataset"]["content"] = data_hash
    if isinstance(part.get("schedule"), dict):  # `again` changes no step up to `over`
        part["schedule"] = {key: value for key, value in part["schedule"].items() if key != "again"}
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

    def __init__(self, folder: Path, numbers: str | None = None) -> None:
        """numbers: the name of the run beside which fresh=true made this one."""
        self.folder, self.numbers = folder, numbers
        self._written = b""

    @property
    def last(self) -> Path:
        return self.folder / "checkpoints" / "last.pt"

    def has_numbers(self) -> bool:
        """Whether this run is one of several of the same settings, so that only its own name finds it."""
        return self.numbers is not None or bool(_numbered(self.folder.parent, self.folder.name))

    def save(self, state: checkpoint.State, name: str) -> Path:
        """Write checkpoints/NAME.pt: `last`, `best` or `step_N`."""
        path = self.last.with_name(f"{name}.pt")
        checkpoint.save(state, path)
        config = self.folder / "config.yaml"
        if self._written and not config.exists():  # someone deleted the folder: a checkpoint alone would be no run
            checkpoint.write_atomically(config, self._written)
        return path

    def write_config(self, config: Config, data_hash: str) -> None:
        """The resolved configuration, and the content of the data, so that a run can be compared without them."""
        data = dict(config["dataset"])
        if data.get("root"):
            data["root"] = str(Path(data["root"]).expanduser().absolute())
        config = {**config, "dataset": data, "content": data_hash}
        if self.numbers:
            config[NUMBERS] = self.numbers
        self._written = yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode()
        checkpoint.write_atomically(self.folder / "config.yaml", self._written)

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
            for folder in (self.folder, self.last.parent):
                for half in folder.glob("*.tmp"):  # of a process that was killed while it wrote: nobody else writes now
                    half.unlink()
            yield


def open_run(config: Config, label: str, data_hash: str, root: Path = RUNS) -> Run:
    """The folder of this configuration: the one of that name, the newest of the same fingerprint, or a new one."""
    decides = deciding(config, data_hash)
    name = config.get("name")
    base = name or f"{label}-s{config['seed']}-{fingerprint(decides)}"
    if config.get("fresh") and is_run(root / base):
        return _new_number(root, base)
    run = Run(root / base) if name else _newest(root, base)
    if is_run(run.folder):
        run.numbers = run.read_config().get(NUMBERS)
        if run.last.exists():  # without a checkpoint there is nothing to mix
            _require_same(run, decides)
    else:
        _make(run.folder)
    return run


def is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file()


def _make(folder: Path, exist_ok: bool = True) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError:
        if exist_ok or not folder.is_dir():
            raise UserError(f"cannot make {folder}: a file of that name is there\n  try: name=another") from None
        raise
    except OSError as error:
        raise UserError(f"cannot make {folder}: {error.strerror}\n  try: a folder you may write to") from error


def _numbered(root: Path, base: str) -> dict[int, Path]:
    """The folders that end in a number after `base`, whoever made them."""
    pattern = re.compile(re.escape(base) + r"-([1-9][0-9]{0,8})")
    found = ((pattern.fullmatch(folder.name), folder) for folder in root.glob(f"{glob.escape(base)}-*"))
    return {int(match[1]): folder for match, folder in found if match}


def _new_number(root: Path, base: str) -> Run:
    """A folder that no one had before, even where two processes ask at once."""
    number = max([1, *_numbered(root, base)]) + 1
    while True:
        folder = root / f"{base}-{number}"
        try:
            _make(folder, exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return Run(folder, numbers=base)


def _newest(root: Path, base: str) -> Run:
    """The last run that fresh=true numbered after `base`, else `base`. A name may look like a number, so it is read."""
    for _, folder in sorted(_numbered(root, base).items(), reverse=True):
        if is_run(folder) and Run(folder).read_config().get(NUMBERS) == base:
            return Run(folder)
    return Run(root / base)


def find_run(run: str | None, root: Path = RUNS, key: str = "run") -> Run:
    """A run by path or by its name below runs/; the newest one when none is named. `key` is what named it."""
    if run is not None:
        places = [folder for folder in (Path(run), root / run) if folder.is_dir()]
        for folder in [*filter(is_run, places), *places]:  # a folder of data may bear a run's name
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


def differing(one: Config, other: Config) -> Config:
    """The dotted keys in which two configurations of one run differ where it counts, with the values of `one`."""
    mine, theirs = _flat(deciding(one, "")), _flat(deciding(other, ""))
    return {key: value for key, value in mine.items() if value != theirs.get(key)}


def _flat(node: Any, path: str = "") -> dict[str, Any]:
    if isinstance(node, dict):
        return {k: v for key, value in node.items() for k, v in _flat(value, f"{path}.{key}" if path else key).items()}
    return {path: node}
