"""What whole-program tests share: the command line in a folder and with a cache of its own."""

import functools
import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from ganctl import cli
from ganctl.data import digits


@dataclass
class Outcome:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str


def tiny(*changes: str) -> list[str]:
    """Four steps with networks of a few hundred weights, then the changes."""
    width = "widths=[8]" if "model=mlp" in changes else "width=4"
    small = [f"model.{player}.{width}" for player in ("generator", "discriminator")]
    return ["debug=fast", "device.threads=1", "model.latent=8", *small, *changes]


read_once = functools.cache(digits.read_digits)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder to work in; what a command changes in the process is put back afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(digits, "read_digits", read_once)
    threads, log = torch.get_num_threads(), logging.getLogger("ganctl")
    handlers, propagate = log.handlers, log.propagate
    log.handlers = []
    yield tmp_path
    log.handlers, log.propagate = handlers, propagate
    torch.set_num_threads(threads)


@pytest.fixture
def ganctl(workplace, capsys):
    """Run a command in this process: `ganctl("train", "loss=wgan")`."""

    def run(*args: str) -> Outcome:
        capsys.readouterr()
        status = 0
        try:
            cli.main(list(args))
        except SystemExit as end:
            status = end.code
        return Outcome(status, *capsys.readouterr())

    return run


@pytest.fixture
def train(ganctl):
    """Train a tiny run with changes; an end other than the expected one shows what was said."""

    def run(*changes: str, status: int = 0) -> Outcome:
        outcome = ganctl("train", *tiny(*changes))
        assert outcome.status == status, outcome.err
        return outcome

    return run


@pytest.fixture
def the_run(workplace):
    """The one run folder there is."""

    def find() -> Path:
        (folder,) = (path for path in (workplace / "runs").iterdir() if path.name != "sweeps")
        return folder

    return find
