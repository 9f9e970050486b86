"""Evaluation during training: the best checkpoint, patience, and a training that does not notice."""

import csv
import json

import pytest
import torch

from ganctl import checkpoint
from ganctl.best import Best
from ganctl.errors import UserError

RING = ("dataset=ring", "model=mlp", "dataset.limit=null", "every.eval=2")


def test_the_best_is_the_smallest_or_the_largest():
    small, large = Best("fid"), Best("fid", mode="max")
    assert [small.note({"fid": value}) for value in (3.0, 2.0, 2.5, 1.0)] == [True, True, False, True]
    assert [large.note({"fid": value}) for value in (3.0, 2.0, 2.5, 4.0)] == [True, False, False, True]
    assert (small.value, large.value) == (1.0, 4.0)


def test_patience_counts_evaluations_without_a_better_one_and_survives_a_resume():
    best = Best("fid", patience=2)
    for value, enough in ((2.0, False), (3.0, False), (1.0, False), (1.0, False), (5.0, True)):
        best.note({"fid": value})
        assert best.enough == enough
    again = Best("fid", patience=2)
    again.load_state_dict(best.state_dict())
    assert again.enough
    assert again.value == 1.0


def test_a_metric_is_found_whatever_read_it():
    best = Best("fid")
    assert best.note({"kid/digits-cnn-1a2b": 1.0, "fid/digits-cnn-1a2b": 2.0})
    assert best.value == 2.0
    with pytest.raises(UserError, match=r"best.metric=fid was not measured"):
        best.note({"fidelity": 1.0})
    assert not Best().note({"fid": 1.0})


@pytest.mark.parametrize("settings", [{"mode": "up"}, {"patience": 2}, {"metric": "fid", "patience": 0}])
def test_silly_settings_are_refused(settings):
    with pytest.raises(UserError):
        Best(**settings)


@pytest.mark.slow
def test_evaluating_does_not_change_the_training(train, workplace):
    train("dataset=ring", "model=mlp", "dataset.limit=null", "name=plain")
    train(*RING, "best.metric=high_quality", "best.mode=max", "name=judged")
    plain, judged = (checkpoint.load(workplace / "runs" / name / "checkpoints/last.pt") for name in ("plain", "judged"))
    for part in ("system", "ema"):
        one, other = (torch.nn.ParameterList(values_of(state[part])) for state in (plain, judged))
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def values_of(state):
    return [value.float() for part in (state if isinstance(state, list) else [state]) for value in part.values()]


def test_the_values_are_logged_and_the_best_checkpoint_is_kept_and_sampled(train, ganctl, the_run):
    train(*RING, "best.metric=reverse_kl")
    lines = [json.loads(line) for line in (the_run() / "metrics.jsonl").read_text().splitlines()]
    judged = [line for line in lines if "metric/reverse_kl" in line]
    assert [line["step"] for line in judged] == [2, 4]
    values = [line["metric/reverse_kl"] for line in judged]
    best = checkpoint.load(the_run() / "checkpoints" / "best.pt")
    assert best["step"] == (2 if values[0] <= values[1] else 4)
    assert best["best"]["value"] == min(values)
    assert ganctl("sample", "checkpoint=best").status == 0


def test_patience_ends_a_run_and_the_same_command_finds_it_finished(train, the_run):
    command = (*RING, "steps=40", "best.metric=modes", "best.mode=max", "best.patience=2", "optimizer.lr=1e-30")
    ended, again = train(*command).err, train(*command).err
    assert "modes gets no better after step 6 of 40" in ended
    assert "is finished" in again
    assert "best.patience=4" in ended  # more steps would not help
    assert "best.patience=4" in again
    assert checkpoint.load(the_run() / "checkpoints" / "last.pt")["step"] == 6


def test_a_classifier_is_never_trained_unasked(train):
    assert "ganctl eval" in train("every.eval=2", status=1).err


@pytest.mark.slow
def test_a_trial_that_diverges_is_marked_and_the_sweep_goes_on(ganctl, tiny, workplace):
    outcome = ganctl("train", "-m", *tiny("optimizer.lr=1e30,1e-3"))
    assert outcome.status == 0, outcome.err
    (table,) = workplace.glob("runs/sweeps/*/results.csv")
    with table.open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["diverged", "done"]


def test_a_run_that_was_finished_before_has_the_value_that_is_asked_for(train, workplace):
    train("model.conditioning=none")
    asked = ["every.eval=4", "eval.n=20", "eval.source=pixels", "metric=[nearest]", "best.metric=nearest_test"]
    train("-m", "model.conditioning=none", "seed=0,1", *asked)
    (table,) = workplace.glob("runs/sweeps/*/results.csv")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    logs = [path.read_text().splitlines() for path in workplace.glob("runs/*/metrics.jsonl")]
    lines = [json.loads(line) for log in logs for line in log]
    measured = {f"{line['metric/nearest_test']:.6g}" for line in lines if "metric/nearest_test" in line}
    assert len(rows) == 2
    assert {row["value"] for row in rows} == measured
