"""The results table of a sweep: a row a job, failed ones too, written as soon as the job ends."""

import csv
import os
from io import StringIO
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Column, Table

from ganctl.report import program

outcome: dict[str, Any] = {}
"""What the job under way in this process has reached; the training command fills it in."""

FIXED = ("job", "status", "step", "value", "run", "error")


class Results(Callback):
    """Hydra calls it round every job, in the process that runs it."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        tables.append(Path(config.hydra.sweep.dir) / "results.csv")

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        outcome.clear()

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        if str(config.hydra.mode).endswith("MULTIRUN"):
            failed = job_return.status is not JobStatus.COMPLETED
            error = str(job_return._return_value).splitlines()[0] if failed else ""
            settings = dict(item.split("=", 1) for item in config.hydra.overrides.task)
            row = {"job": config.hydra.job.num, "status": "failed" if failed else "done", "error": error, **outcome}
            append(Path(config.hydra.sweep.dir) / "results.csv", {**settings, **row})


tables: list[Path] = []
"""The tables of the sweeps started by this process."""


def append(path: Path, row: dict[str, Any]) -> None:
    """Add one row in one write, so that jobs running side by side never mix theirs; the first one brings the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [*(key for key in row if key not in FIXED), *FIXED]
    try:
        header = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(header, _line(columns))
        os.close(header)
    except FileExistsError:
        columns = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, _line([row.get(column, "") for column in columns]))
    finally:
        os.close(file)


def _line(values: list[Any]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def show_tables() -> None:
    """Print the table of each sweep this process ran, in the order of the jobs, without columns that say nothing."""
    for path in filter(Path.exists, tables):
        with path.open(encoding="utf-8") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: int(row["job"]))
        varied = {key for key in rows[0] if len({row[key] for row in rows}) > 1} - {"job"}
        shown = varied - {"error"} | {"status", "value", "run"}
        columns = [key for key in rows[0] if key in shown]
        table = Table(*(Column(key, overflow="fold") for key in columns), title=str(path))
        for row in rows:
            table.add_row(*(Path(row[key]).name if key == "run" else row[key] for key in columns))
        console = Console()
        console.print(table)
        for row in rows:
            if row["error"]:
                console.print(f"job {row['job']} failed: {row['error']}", markup=False)
        if any(row["status"] == "done" for row in rows):
            console.print(
                f"  judge them side by side  {program()} eval run={path.parent}", soft_wrap=True, highlight=False
            )
    tables.clear()
