"""Sweeps: a table that grows with every job, failed ones too, under each launcher."""

import csv
from pathlib import Path

import pytest

from ganctl import sweep


def table(workplace: Path) -> Path:
    (found,) = workplace.glob("runs/sweeps/*/results.csv")
    return found


def rows(workplace: Path) -> list[dict[str, str]]:
    with table(workplace).open() as file:
        return sorted(csv.DictReader(file), key=lambda row: int(row["job"]))


def test_every_job_has_a_row_and_the_table_is_shown(ganctl, tiny, workplace):
    outcome = ganctl("train", "-m", *tiny("loss=nsgan,lsgan", "seed=0,1"))
    assert outcome.status == 0
    found = rows(workplace)
    assert [(row["loss"], row["seed"], row["status"]) for row in found] == [
        ("nsgan", "0", "done"),
        ("nsgan", "1", "done"),
        ("lsgan", "0", "done"),
        ("lsgan", "1", "done"),
    ]
    assert all(Path(row["run"]).is_dir() and float(row["value"]) and row["step"] == "4" for row in found)
    assert "lsgan" in outcome.out
    assert f"eval run={Path(*table(workplace).parts[-4:-1])}" in outcome.out
    assert "debug" not in outcome.out  # what all jobs share says nothing


def test_a_failed_job_is_marked_and_the_others_run(ganctl, tiny, workplace):
    outcome = ganctl("train", "-m", *tiny("steps=0,4"))
    assert outcome.status == 1
    assert [(row["steps"], row["status"]) for row in rows(workplace)] == [("0", "failed"), ("4", "done")]
    assert "steps=0: must be greater than 0" in outcome.err
    assert "job 0 failed" in outcome.out
    assert "Traceback" not in outcome.err


def test_rows_of_jobs_side_by_side_do_not_mix(tmp_path):
    table = tmp_path / "sweep" / "results.csv"
    for job in (1, 0):
        sweep.append(table, {"seed": job, "job": job, "status": "done", "value": "a, b"})
    with table.open() as file:
        found = list(csv.DictReader(file))
    assert [(row["seed"], row["value"]) for row in found] == [("1", "a, b"), ("0", "a, b")]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_parallel_launchers(ganctl, tiny, workplace, launcher):
    pytest.importorskip("hydra_plugins.hydra_" + launcher.split("_")[0] + "_launcher")
    outcome = ganctl("train", "-m", *tiny("seed=0,1", f"hydra/launcher={launcher}"))
    assert outcome.status == 0, outcome.err
    assert [(row["seed"], row["status"]) for row in rows(workplace)] == [("0", "done"), ("1", "done")]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the libraries below the sweeper warn
def test_a_search_finds_better_and_survives_trials_that_diverge(ganctl, workplace):
    """Of a range in which most learning rates end in overflow the search has to find those that learn."""
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    search = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=10", "hydra.sweeper.n_jobs=1"]
    search += ["hydra.sweeper.sampler.seed=1", "hydra.sweeper.sampler.n_startup_trials=4"]
    search += ["optimizer.lr=tag(log,interval(1e-4,1e30))"]
    game = ["dataset=ring", "model=mlp", "model.generator.widths=[32,32]", "steps=100", "every.log=10"]
    judged = ["every.eval=100", "metric=[nearest]", "eval.n=200", "best.metric=nearest_test"]
    outcome = ganctl("train", "-m", *search, *game, *judged)
    assert outcome.status == 0, outcome.err
    found = rows(workplace)
    assert len(found) == 10
    first, later = found[:4], found[4:]
    assert {row["value"] for row in found if row["status"] == "diverged"} == {"1e+09"}
    assert min(float(row["value"]) for row in later) < 0.5 * min(float(row["value"]) for row in first)
