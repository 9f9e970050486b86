"""The command that an ending prints continues what it says, whatever the run was made of."""

import re
import shlex
import signal
from pathlib import Path

import pytest

from ganctl import checkpoint
from ganctl.commands.onward import written
from ganctl.systems.standard import Standard

CONFIGURATIONS = [
    ["schedule=linear"],
    ["schedule=cosine", "schedule.warmup=1"],
    ["augment=instance_noise"],
    ["epochs=0.1"],
    ["epochs=1", "schedule=linear", "n_critic=2"],
    ["name=cats"],
    ["name=cats 2"],
    ["schedule.shape=linear", "+schedule.over=${steps}", "name=mine"],
    ["schedule=linear", "schedule.end=0.1", "augment=instance_noise", "augment.until=null"],
    ["fresh=true"],
    ["name=cats", "fresh=true"],
]
TABLE = [
    pytest.param(row, marks=[pytest.mark.slow] if n % 3 else [], id=" ".join(row))
    for n, row in enumerate(CONFIGURATIONS)
]


def command(said: str, words: str) -> list[str]:
    """The command after these words."""
    (found,) = re.findall(rf"{words}\s+ganctl train (.*?)(?: to go on, or .*)?$", said, re.MULTILINE)
    return shlex.split(found)


def quoted(row: list[str]) -> list[str]:
    return [f"name={written(word[5:])}" if word.startswith("name=") else word for word in row]


@pytest.fixture
def begun(tiny, ganctl, workplace):
    """Start a run of this row; where it asks for a second one, the first stands beside it."""

    def start(row: list[str], *more: str):
        words = tiny("model=mlp", "steps=2", *quoted(row), *more)
        if "fresh=true" in words and not Path("runs").exists():
            assert ganctl("train", *[word for word in words if word != "fresh=true"]).status == 0
        return ganctl("train", *words)

    return start


def folder_of(said: str) -> tuple[str, str]:
    """The run that was trained, and what was said of it."""
    (found,) = re.findall(r"^run      (.*?) (takes|continues at step \d+) ", said, re.MULTILINE)
    return found


@pytest.mark.parametrize("row", TABLE)
def test_a_finished_run(begun, ganctl, row):
    first = begun(row)
    assert first.status == 0, first.err
    folder, _ = folder_of(first.err)
    step = checkpoint.load(Path(folder, "checkpoints/last.pt"))["step"]
    onward = command(first.err, "train on")
    steady = [word for word in onward if not re.match(r"(steps|epochs)=", word)]
    done = re.search(r"(steps|epochs)=(\S+)", " ".join(onward))
    again = ganctl("train", *onward)
    assert folder_of(again.err) == (folder, f"continues at step {step}"), again.err
    assert checkpoint.load(Path(folder, "checkpoints/last.pt"))["step"] > step
    assert done
    assert steady
    more = command(again.err, "train on")
    assert folder_of(ganctl("train", *more).err)[0] == folder
    finished = ganctl("train", *more)
    assert "is finished" in finished.err
    assert folder_of(ganctl("train", *command(finished.err, "try:")).err)[0] == folder


@pytest.mark.parametrize("row", TABLE)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP], ids=["TERM", "USR1", "HUP"])
def test_an_interrupted_run(begun, ganctl, monkeypatch, row, number):
    def begin(self, step, inner=Standard.begin):
        if step == 2:
            signal.raise_signal(number)
            signal.raise_signal(signal.SIGTERM)  # a launcher passes it on once more
        inner(self, step)

    long = ["epochs=1"] if any(word.startswith("epochs=") for word in row) else ["steps=6"]
    if "fresh=true" in row:
        begun([word for word in row if word != "fresh=true"], *long)
    with monkeypatch.context() as patch:
        patch.setattr(Standard, "begin", begin)
        stopped = begun([*row, "every.checkpoint=100"], *long)
    assert stopped.status == 128 + number, stopped.err
    folder, _ = folder_of(stopped.err)
    again = ganctl("train", *command(stopped.err, "continue with:"))
    assert again.status == 0
    assert folder_of(again.err) == (folder, "continues at step 3")


@pytest.mark.slow
@pytest.mark.parametrize("row", CONFIGURATIONS[:4], ids=" ".join)
def test_a_run_out_of_time_or_patience(begun, ganctl, row):
    timed = begun(row, "max_minutes=1e-9", "steps=6", "every.log=1", "epochs=1")
    assert "the time is up" in timed.err
    folder, _ = folder_of(timed.err)
    assert folder_of(ganctl("train", *command(timed.err, "continue with:")).err)[0] == folder
    judged = ["every.eval=1", "eval.n=20", "eval.source=pixels", "metric=[nearest]", "best.metric=nearest_test"]
    out = begun(row, *judged, "best.patience=1", "steps=50", "epochs=null", "optimizer.lr=1e-30", "ema=0")
    assert "gets no better" in out.err, out.err
    folder, _ = folder_of(out.err)
    assert folder_of(ganctl("train", *command(out.err, "continue with:")).err)[0] == folder


@pytest.mark.parametrize("row", [[], ["name=cats"]], ids=["unnamed", "named"])
def test_a_run_that_diverged(begun, ganctl, row):
    broken = begun(row, "optimizer=sgd", "optimizer.lr=1e30", "steps=8")
    assert "no longer a finite number" in broken.err
    assert "nothing was saved yet" in broken.err
    healed = ganctl("train", *command(broken.err, "try:"))
    assert healed.status == 0, healed.err


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0.5, "0.5"),
        ("a/b-c", "a/b-c"),
        ("a b", "'a b'"),
        ("it's", r"'it\'s'"),
        ([1], "[1]"),
    ],
)
def test_a_value_is_written_as_it_is_read(value, text):
    assert written(value) == text
