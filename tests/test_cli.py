"""What a person meets before anything is trained: help, version, completion, flags anywhere, errors of the program."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from ganctl import load
from ganctl.help import GROUPS, options_of
from ganctl.systems.standard import Standard


def test_a_bare_command_shows_the_commands_and_three_examples(ganctl):
    for words in ([], ["--help"], ["help"]):
        told = ganctl(*words)
        assert told.status == 0
        for command in GROUPS:
            assert f"\n  {command}" in told.out
        assert told.out.count("\n  ganctl ") == 3


def test_the_version(ganctl):
    assert ganctl("--version").out == f"ganctl {version('ganctl')}\n"


@pytest.mark.parametrize("command", GROUPS)
def test_help_lists_every_option_with_its_line(ganctl, command):
    lines = ganctl(command, "--help").out.splitlines()
    for group in GROUPS[command]:
        assert group in lines
        for option, words in options_of(group).items():
            assert any(line.split()[:1] == [option] and line.endswith(words) for line in lines), option


def test_help_lists_options_of_ones_own(ganctl, workplace):
    (workplace / "mine/loss").mkdir(parents=True)
    (workplace / "mine/loss/special.yaml").write_text("# A loss of my own.\n_target_: mine.Special\n")
    for words in (["--config-dir", "mine"], ["--config-dir=mine"]):
        assert "A loss of my own." in ganctl("train", *words, "--help").out


def test_flags_stand_anywhere(ganctl):
    for words in (["--cfg", "job", "loss=wgan"], ["loss=wgan", "--cfg", "job"], ["seed=3", "-c", "job", "loss=wgan"]):
        told = ganctl("train", *words)
        assert told.status == 0
        assert "Wasserstein" in told.out
    assert "1.0e-04" not in ganctl("train", "--cfg", "job", "--package", "dataset").out
    assert "provider" in ganctl("train", "loss=wgan", "--info", "searchpath").out.lower()


def complete(line):
    """What a shell would be told for a line."""
    environment = {**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9"}
    words = [sys.executable, "-m", "ganctl", "-sc", "query=bash"]
    told = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return told.stdout.split()


@pytest.mark.slow
def test_completion_of_commands_groups_options_and_keys():
    assert complete("ganctl tr") == ["train"]
    assert set(complete("ganctl ")) == set(GROUPS)
    assert "loss=" in complete("ganctl train lo")
    assert {"loss=wgan", "loss=wgan_gp", "loss=wgan_lp"} == set(complete("ganctl train loss=wgan"))
    assert complete("ganctl train loss=wgan_gp dataset.li") == ["dataset.limit="]
    assert complete("ganctl sample artifact=gr") == ["artifact=grid"]


def test_a_bug_is_shown_whole_and_kept_in_the_log(train, the_run, monkeypatch):
    def begin(self, step):
        raise AssertionError("a bug of ours")

    monkeypatch.setattr(Standard, "begin", begin)
    with pytest.raises(AssertionError, match="a bug of ours"):
        train()
    log = (the_run() / "train.log").read_text()
    assert "Traceback" in log
    assert "a bug of ours" in log


def test_an_expected_error_is_kept_in_the_log_without_a_traceback(train, the_run):
    train("optimizer.lr=1e20", status=1)
    log = (the_run() / "train.log").read_text()
    assert "no longer a finite number" in log
    assert "Traceback" not in log


def test_the_full_traceback_on_request(ganctl, tiny, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(Exception, match="stepss"):
        ganctl("train", *tiny("stepss=1"))
    assert os.environ["HYDRA_FULL_ERROR"] == "1"


@pytest.mark.slow
def test_a_second_process_in_the_same_folder_is_refused(train, the_run):
    filelock = pytest.importorskip("filelock")
    train()
    with filelock.FileLock(the_run() / ".lock"):
        told = train("steps=8", status=1)
    assert "another process is training" in told.err
    assert "try: wait for it" in told.err


def test_the_generator_in_ones_own_code(train, the_run):
    train("model.conditioning=concat")
    generator = load(the_run())
    images = generator.draw([0, 1, 2], labels=[3, 3, 3])
    assert images.shape == (3, 1, 28, 28)
    assert images.abs().max() <= 1
    alone = load(the_run(), weights="raw", batch_size=1)
    assert alone.draw([0, 1]).shape == (2, 1, 28, 28)


def test_off_a_terminal_lines_are_plain_and_go_to_stderr(train):
    told = train()
    assert told.out == ""
    assert "\x1b" not in told.err
