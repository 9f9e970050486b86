"""Killed at any moment and continued, a command ends with the bits of one that was not. This file is its program too.

One process imports torch, and forks a child for each command. GANCTL_KILLS=100 kills that often; the default is 20.
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

KILLS = int(os.environ.get("GANCTL_KILLS", "20"))
WATCHED = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")
NOISE = ("speed/", "seconds")


def run_in(folder: Path, words: list[str], moment: tuple[str, int] | None = None) -> int:
    """Run a command in a forked process, killed at this moment; the status as os.waitpid has it."""
    folder.mkdir(exist_ok=True)
    child = os.fork()
    if not child:
        os.chdir(folder)
        os.environ["GANCTL_CACHE"] = str(folder / "cache")
        log = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        status = 1
        try:
            count_to(moment)
            from ganctl.cli import main

            main(words)
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            sys.stdout.flush()
            os._exit(status)
    return os.waitpid(child, 0)[1]


def count_to(moment: tuple[str, int] | None) -> None:
    """Count what this process does to files below its folder, and kill it at the given number.

    "change": as it is about to open, make, rename or remove something; "write": halfway through a write that is
    synced; "synced": between the write and its rename, or just after that.
    """
    kind, last = moment or ("none", -1)
    seen = {"change": 0, "write": 0}
    here = os.getcwd()
    tally = os.open("tally.json", os.O_RDWR | os.O_CREAT | os.O_TRUNC)

    def note(what: str) -> bool:
        seen[what] += 1
        os.pwrite(tally, json.dumps(seen).encode(), 0)
        return seen[what] == last and (kind == what or (kind, what) == ("synced", "write"))

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if event not in WATCHED or not isinstance(arguments[0], str | Path):
            return
        changes = event != "open" or (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
        path = os.path.join(here, arguments[0])
        if changes and path.startswith(here) and note("change") and kind == "change":
            os.kill(os.getpid(), signal.SIGKILL)

    def fsync(file: int, inner=os.fsync) -> None:
        due = note("write")
        if due and kind == "write":
            os.ftruncate(file, os.fstat(file).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        inner(file)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)
    os.fsync = fsync


def events(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if not key.startswith(NOISE)} for line in lines]


def result(folder: Path) -> dict[str, object]:
    """Everything a person has in the end: every checkpoint, the logged numbers, what was drawn."""
    from ganctl import checkpoint

    runs = sorted(path.parent for path in (folder / "runs").rglob("config.yaml"))
    kept = {str(path.relative_to(folder)): checkpoint.load(path) for path in sorted(folder.rglob("checkpoints/*.pt"))}
    drawn = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))}
    halves = [str(path) for path in folder.rglob("checkpoints/*.tmp")]
    return {"runs": [run.name for run in runs], "kept": kept, "drawn": drawn, "halves": halves} | {
        run.name: events(run) for run in runs
    }


def folder_of_pictures(folder: Path) -> Path:
    from PIL import Image

    folder.mkdir()
    for number in range(24):
        Image.linear_gradient("L").rotate(15 * number).resize((12, 12)).save(folder / f"{number}.bmp")
    return folder


def commands(here: Path) -> dict[str, tuple[list[list[str]], int]]:
    """What is killed: the commands before it, and itself as the last; and its share of the kills."""
    from conftest import small

    tiny = small("steps=6", "every.checkpoint=1", "every.log=1", "every.sample=3", "model=mlp", "dataset.limit=64")
    named = ["train", *tiny, "name=cats", "keep=2"]
    photos = folder_of_pictures(here / "photos")
    return {
        "train": ([["train", *tiny, "keep=2", "loss=wgan"]], 5),
        "sample": ([named, ["sample", "run=cats", "n=4", "device=cpu"]], 1),
        "eval": (
            [named, ["eval", "run=cats", "n=50", "metric=[kid]", "source=pixels", "metric.kid.subset_size=40"]],
            1,
        ),
        "sweep": ([["train", "-m", *tiny, "seed=0,1"]], 2),
        "decode": ([["train", *tiny, "dataset=folder", f"dataset.root={photos}", "batch_size=4"]], 2),
    }


def moments(tally: dict[str, int], count: int, draw: random.Random) -> Iterator[tuple[str, int]]:
    """Chosen over all that a command does: half of them in or beside a synced write, where it has any."""
    for number in range(count):
        kind = ("change", "write", "change", "synced")[number % 4]
        total = tally["write" if kind == "synced" else kind]
        yield (kind, draw.randint(1, total)) if total else ("change", draw.randint(1, tally["change"]))


def walk() -> None:
    """Run each command once in peace, then kill it, run it again, and compare."""
    sys.path.insert(0, str(Path(__file__).parent))
    import torch
    from test_resume import assert_same

    import ganctl.commands.eval
    import ganctl.commands.sample
    import ganctl.commands.train  # noqa: F401  # imported once, here, and not in each child

    torch.set_num_threads(1)
    draw, here = random.Random(int(os.environ.get("GANCTL_SEED", "0"))), Path.cwd()
    table = commands(here)
    shares = sum(share for _, share in table.values())
    killed = 0
    for name, ((*before, last), share) in table.items():
        whole = here / f"{name}-whole"
        for words in [*before, last]:
            assert run_in(whole, words) == 0, (whole / "said.txt").read_text()
        expected, tally = result(whole), json.loads((whole / "tally.json").read_text())
        count = max(2, round(KILLS * share / shares))
        for number, moment in enumerate(moments(tally, count, draw)):
            folder = here / f"{name}{number}"
            for words in before:
                assert run_in(folder, words) == 0
            ended = run_in(folder, last, moment)
            # What is done in another order than before (threads) may be fewer changes than were counted.
            killed += os.WIFSIGNALED(ended)
            assert run_in(folder, last) == 0, f"{name} {moment}: {(folder / 'said.txt').read_text()}"
            assert_same(result(folder), expected, f"{name} {moment}")
        print(f"{name}: {count} moments of {tally}", flush=True)
    print("killed", killed, flush=True)


@pytest.mark.slow
def test_killed_at_any_moment(workplace):
    told = subprocess.run([sys.executable, __file__], capture_output=True, text=True, timeout=900)
    assert told.returncode == 0, told.stdout + told.stderr
    assert int(told.stdout.split()[-1]) >= 0.9 * KILLS, told.stdout


if __name__ == "__main__":
    walk()
