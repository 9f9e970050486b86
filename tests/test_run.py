"""Run folders: what makes two runs one, and how a run is found again."""

import copy
import os

import pytest
import torch
import yaml

from ganctl import checkpoint
from ganctl.errors import UserError
from ganctl.run import deciding, find_run, fingerprint


@pytest.fixture
def print_of(recipe):
    """The fingerprint of a tiny configuration with changes."""

    def make(*changes: str) -> str:
        made = recipe(*changes)
        return fingerprint(deciding(made.plain, made.dataset.fingerprint))

    return make


@pytest.mark.parametrize(
    "change",
    ["steps=9", "epochs=3", "max_minutes=1", "every.log=1", "keep=2", "device.threads=2", "device=cpu", "name=other"],
)
def test_what_does_not_decide_the_result_is_no_other_run(print_of, change):
    assert print_of(change) == print_of()


@pytest.mark.parametrize(
    "change",
    [
        "loss=lsgan",
        "optimizer.lr=0.5",
        "optimizer.g.lr=0.5",
        "seed=1",
        "batch_size=4",
        "ema=0.5",
        "device.precision=bf16",
        "dataset.limit=32",
        "regularizer=[r1]",
        "n_critic=2",
        "model.generator.width=5",
        "schedule=cosine",
        "augment=instance_noise",
    ],
)
def test_what_decides_the_result_is_another_run(print_of, change):
    assert print_of(change) != print_of()


def test_a_schedule_that_ends_with_the_steps_counts_them(print_of):
    assert print_of("schedule=cosine", "steps=8") != print_of("schedule=cosine", "steps=9")
    assert print_of("augment=instance_noise", "steps=8") != print_of("augment=instance_noise", "steps=9")


def test_the_content_of_the_data_counts_and_its_place_does_not(recipe):
    made = recipe()
    elsewhere = copy.deepcopy(made.plain)
    elsewhere["dataset"]["root"] = "/elsewhere"
    assert fingerprint(deciding(elsewhere, "a")) == fingerprint(deciding(made.plain, "a"))
    assert fingerprint(deciding(made.plain, "b")) != fingerprint(deciding(made.plain, "a"))


def test_the_same_command_continues_and_a_finished_run_says_how_to_go_on(train, the_run):
    train()
    first = checkpoint.load(the_run() / "checkpoints" / "last.pt")
    said = train().err
    assert "is finished: it has 4 steps, 4 were asked for" in said
    assert "steps=8" in said
    assert "fresh=true" in said
    assert "continues at step 4 of 6" in train("steps=6").err
    assert (first["step"], checkpoint.load(the_run() / "checkpoints" / "last.pt")["step"]) == (4, 6)


@pytest.mark.slow
def test_fresh_starts_a_numbered_run_which_the_same_command_then_continues(train, workplace):
    train("steps=2")
    train("steps=2", "fresh=true")
    folders = sorted(path.name for path in (workplace / "runs").iterdir())
    assert folders[1] == folders[0] + "-2"
    assert f"{folders[1]} continues" in train().err


def test_a_name_is_the_folder(train, workplace):
    train("name=mine")
    assert (workplace / "runs" / "mine" / "config.yaml").exists()


@pytest.mark.slow
def test_init_from_takes_the_weights_and_nothing_else(train, workplace):
    train("name=first")
    train("loss=lsgan", "name=second", "init_from=runs/first", "optimizer.lr=1e-30", "steps=1", "ema=0.0")
    first, second = (checkpoint.load(workplace / "runs" / n / "checkpoints/last.pt") for n in ("first", "second"))
    assert second["step"] == 1
    weights = [name for name in first["system"] if name.endswith("weight")]
    for name in weights:
        torch.testing.assert_close(second["system"][name], first["system"][name])


@pytest.mark.slow
def test_init_from_may_add_what_has_a_state_of_its_own(train, workplace):
    train("name=first")
    train("name=second", "init_from=runs/first", "augment=ada", "regularizer=[historical_averaging]")
    assert "augment.p" in checkpoint.load(workplace / "runs/second/checkpoints/last.pt")["system"]


def test_weights_that_do_not_fit_leave_no_folder(ganctl, refused, tiny, train, workplace):
    train("name=first")
    refused(ganctl("train", *tiny("name=wide", "init_from=runs/first", "model.latent=9")), "networks do not fit")
    assert [run.name for run in (workplace / "runs").iterdir()] == ["first"]


def test_keep_keeps_the_newest_older_checkpoints(train, the_run):
    train("steps=8", "every.checkpoint=2", "keep=2")
    names = sorted(path.name for path in (the_run() / "checkpoints").iterdir())
    assert names == ["last.pt", "step_00000006.pt", "step_00000008.pt"]


def test_the_stored_configuration_is_plain_and_complete(train, the_run):
    train("dataset=ring", "model=mlp")
    stored = yaml.safe_load((the_run() / "config.yaml").read_text())
    assert "${" not in str(stored)
    assert len(stored["dataset"]["centres"]) == 8
    assert stored["steps"] == 4


@pytest.mark.slow
def test_the_newest_run_is_the_one_trained_last(train, workplace):
    train("name=old")
    train("name=new")
    assert find_run(None).folder.name == "new"
    os.utime(workplace / "runs/new/checkpoints/last.pt", (1, 1))
    assert find_run(None).folder.name == "old"
    assert find_run("new").folder == find_run("runs/new").folder
    with pytest.raises(UserError, match="no such folder"):
        find_run("neither")
