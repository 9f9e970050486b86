"""What whole-program tests share: the command line in a folder and with a cache of its own."""

import functools
import logging
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from ganctl import cli, config
from ganctl.commands import train as train_command
from ganctl.confdir import Config, conf_dir
from ganctl.data import digits
from ganctl.data.dataset import Dataset
from ganctl.device import Device
from ganctl.trainer import Trainer

STAND_INS = {
    "experiment=parzen_mnist": ["dataset=digits", "dataset.holdout=500"],
    "experiment=stacked_mnist": ["dataset=stacked_digits"],
}
"""What experiments on downloaded data are tried on."""


@dataclass
class Outcome:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str


@dataclass
class Recipe:
    """A checked configuration with its data: what the training command has in hand before it builds networks."""

    plain: Config
    dataset: Dataset
    device: Device

    def trainer(self, **changes: object) -> Trainer:
        return train_command.build_trainer({**self.plain, **changes}, self.dataset, self.device)


def composed(command: str, *overrides: str) -> DictConfig:
    """The configuration that Hydra would hand to the command."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose(command, list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


def recipe_of(*overrides: str) -> Recipe:
    """Everything the training command does before it opens a run folder."""
    cfg = composed("train", *overrides)
    plain = train_command.checked(cfg)
    device = config.build(plain["device"])
    device.setup()
    dataset = config.build(plain["dataset"])
    train_command.complete(cfg, dataset)
    plain = train_command.checked(cfg)
    config.require_labels(plain)
    return Recipe(plain, dataset, device)


def small(*changes: str) -> list[str]:
    """Four steps with networks of a few hundred weights, then the changes. Experiments keep their own networks."""
    if any(change.startswith("experiment=") for change in changes):
        elsewhere = [change for name in changes for change in STAND_INS.get(name, [])]
        return ["debug=fast", "device.threads=1", *elsewhere, *changes]
    dense = any(change.startswith("model=mlp") for change in changes)
    width = "widths=[8]" if dense else "width=4"
    narrow = [f"model.{player}.{width}" for player in ("generator", "discriminator")]
    return ["debug=fast", "device.threads=1", "model.latent=8", *narrow, *changes]


read_once = functools.cache(digits.read_digits)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder to work in; what a command changes in the process is put back afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(digits, "read_digits", read_once)
    # Hydra composes everything once more to learn whether a YAML file asks for a sweep: here none does.
    monkeypatch.setattr(Hydra, "get_mode", lambda self, config_name, overrides: None)
    threads, log = torch.get_num_threads(), logging.getLogger("ganctl")
    handlers, propagate = log.handlers, log.propagate
    log.handlers = []
    yield tmp_path
    if loky := sys.modules.get("joblib.externals.loky"):
        loky.get_reusable_executor().shutdown(wait=True)  # its workers would go on working in this folder
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
def refused():
    """Asserts that a command ended in a sentence that names `words` and offers a way on."""

    def check(outcome: Outcome, *words: str) -> None:
        assert outcome.status in (1, 2), outcome.err
        assert "Traceback" not in outcome.err
        assert "Error executing job" not in outcome.err
        for word in words:
            assert word in outcome.err
        assert re.search(r"^  try: |did you mean", outcome.err, re.MULTILINE), outcome.err

    return check


@pytest.fixture
def train(ganctl):
    """Train a tiny run with changes; an end other than the expected one shows what was said."""

    def run(*changes: str, status: int = 0) -> Outcome:
        outcome = ganctl("train", *small(*changes))
        assert outcome.status == status, outcome.err
        return outcome

    return run


@pytest.fixture
def tiny():
    """The arguments of a tiny run, for a process of its own."""
    return small


@pytest.fixture
def recipe(workplace):
    """A tiny configuration, checked, with its data: `recipe("loss=wgan").trainer()`."""
    return lambda *changes: recipe_of(*small(*changes))


@pytest.fixture
def checked(workplace):
    """A configuration as it is before any data are read: `checked("model=dcgan_paper")`."""
    return lambda *overrides: train_command.checked(composed("train", *overrides))


@pytest.fixture
def the_run(workplace):
    """The one run folder there is."""

    def find() -> Path:
        (folder,) = (path for path in (workplace / "runs").iterdir() if path.name != "sweeps")
        return folder

    return find
