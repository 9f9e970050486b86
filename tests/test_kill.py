"""Killed at any moment and continued, a run ends with the bits of one that was not. This file is its program too."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MOMENTS = 14
WRITES = ["half a configuration", "half a checkpoint", 1, 3, 4, 6]
"""A number n kills at the n-th fsync: 1 and 2 belong to config.yaml, 3 and 4 stand before and after the rename of the
first checkpoint, 5 and 6 of the second."""


def train(folder: Path, arguments: list[str], moment: float | int | str | None) -> float:
    """Train in a process of its own, killed after so many seconds or at this point of a write; the seconds it took."""
    folder.mkdir(exist_ok=True)
    began = time.monotonic()
    child = os.fork()
    if not child:
        os.chdir(folder)
        log = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        status = 1
        try:
            if isinstance(moment, int | str):
                kill_in_write(moment)
            from ganctl.cli import main

            main(["train", *arguments])
            status = 0
        finally:
            os._exit(status)
    if isinstance(moment, float):
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
    _, ended = os.waitpid(child, 0)
    if moment is None:
        assert ended == 0, (folder / "said.txt").read_text()
    elif not isinstance(moment, float):
        assert os.WTERMSIG(ended) == signal.SIGKILL, (folder / "said.txt").read_text()
    return time.monotonic() - began


def kill_in_write(moment: int | str) -> None:
    """Let this process kill itself in a write: halfway through a file's content, or at its n-th fsync."""
    if isinstance(moment, int):
        calls = iter(range(1, moment + 1))

        def fsync(file, inner=os.fsync):
            if next(calls) == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            inner(file)

        os.fsync = fsync
        return
    name = {"half a configuration": "config.yaml.tmp", "half a checkpoint": "last.pt.tmp"}[moment]

    class HalfFile:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, content):
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    def opened(path, *mode, inner=Path.open, **kwargs):
        file = inner(path, *mode, **kwargs)
        return HalfFile(file) if path.name == name else file

    Path.open = opened


def result(folder: Path):
    from ganctl import checkpoint

    (run,) = (folder / "runs").iterdir()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    events = [
        {key: value for key, value in line.items() if not key.startswith(("speed/", "seconds"))} for line in lines
    ]
    return checkpoint.load(run / "checkpoints/last.pt"), events, sorted(file.name for file in run.rglob("*.pt"))


def walk() -> None:
    """Train once in peace, then kill and continue at every moment."""
    sys.path.insert(0, str(Path(__file__).parent))
    import torch
    from conftest import small
    from test_resume import assert_same

    import ganctl.commands.train  # noqa: F401  # imported once, here, and not in each child

    torch.set_num_threads(1)
    arguments = small("steps=8", "every.checkpoint=1", "every.log=1", "every.sample=100", "keep=2", "loss=wgan")
    here = Path.cwd()
    train(here / "warm", arguments, None)
    length = train(here / "whole", arguments, None)
    whole = result(here / "whole")
    draw = random.Random(0)
    moments = [*WRITES, *(draw.uniform(0.1, 0.95) * length for _ in range(MOMENTS))]
    reached = []
    for number, moment in enumerate(moments):
        folder = here / f"killed{number}"
        train(folder, arguments, moment)
        reached.append(len(list(folder.rglob("step_*.pt"))))
        train(folder, arguments, None)
        assert_same(result(folder), whole)
    assert len(set(reached)) > 1, "no kill came between two checkpoints"
    print("killed", len(moments), "times", flush=True)


@pytest.mark.slow
def test_killed_at_any_moment(workplace):
    told = subprocess.run([sys.executable, __file__], capture_output=True, text=True, timeout=600)
    assert told.returncode == 0, told.stderr
    assert f"killed {len(WRITES) + MOMENTS} times" in told.stdout


if __name__ == "__main__":
    walk()
