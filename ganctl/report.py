"""Everything a run says: the live line, plain lines, TensorBoard, metrics.jsonl and train.log. Rank 0 alone speaks."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from ganctl.artifacts.picture import save
from ganctl.errors import UserError
from ganctl.monitors import Monitors

console = Console(stderr=True, soft_wrap=True)
log = logging.getLogger("ganctl")


def program() -> str:
    """The command a person typed: the set-up script names itself."""
    return os.environ.get("GANCTL_COMMAND", "ganctl")


def listen(rank: int = 0) -> None:
    """Send the log of ganctl to the console; ranks other than 0 keep quiet. Replaces what was there before."""
    for handler in log.handlers[:]:
        log.removeHandler(handler)
    log.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a train.log on a full disk must not bury the sentence that says so
    log.propagate = False
    if rank:
        log.addHandler(logging.NullHandler())
    elif console.is_terminal:
        log.addHandler(RichHandler(console=console, show_time=False, show_path=False, show_level=False))
    else:
        log.addHandler(logging.StreamHandler())


@contextmanager
def file_log(folder: Path) -> Iterator[None]:
    """Inside, the log goes to the run's train.log as well, and so does the error that ends the run."""
    to_file = logging.FileHandler(folder / "train.log", encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(to_file)
    try:
        yield
    except Exception as error:
        expected = isinstance(error, UserError)
        record = logging.LogRecord(
            "ganctl", logging.ERROR, "", 0, str(error), None, None if expected else sys.exc_info()
        )
        to_file.handle(record)
        raise
    finally:
        log.removeHandler(to_file)
        to_file.close()


class Report:
    """One run's log, from `start` steps on. As a context manager it closes what it opened."""

    def __init__(self, folder: Path, steps: int, start: int = 0) -> None:
        self.folder, self.steps, self.start = folder, steps, start
        self.began = time.monotonic()
        self.aside = 0.0
        self.board = SummaryWriter(str(folder), purge_step=start + 1 if start else None)
        self.monitors = Monitors()
        self.lines = folder / "metrics.jsonl"
        self.last = _forget_after(self.lines, start)
        """The latest log event."""
        self.earlier = self.last.get("seconds", 0.0)
        self.progress = Progress(
            TextColumn("step {task.completed}/{task.total}"),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task: TaskID = self.progress.add_task("train", total=steps, completed=start, facts="")

    def __enter__(self) -> "Report":
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.progress.stop()
        self.board.close()

    @property
    def seconds(self) -> float:
        """Time spent on training, in all sittings; evaluations and pictures do not count."""
        return self.earlier + time.monotonic() - self.began - self.aside

    @contextmanager
    def off_the_clock(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.aside += time.monotonic() - began

    def moved(self, step: int) -> None:
        """Move the live bar; costs nothing off a terminal."""
        if not self.progress.disable:
            self.progress.update(self.task, completed=step)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One log event: TensorBoard, a line of metrics.jsonl, and a line for the person watching."""
        self.last |= values
        self._record(step, values)
        self.monitors.look(step, values)
        speed = values.get("speed/images_per_second", 0.0)
        losses = "  ".join(f"{_short(name)} {value:.3g}" for name, value in values.items() if name.startswith("loss/"))
        facts = f"{speed:.0f} images/s  {losses}"
        self.progress.update(self.task, completed=step, facts=facts)
        if not console.is_terminal:
            log.info(f"step {step}/{self.steps} {100 * step // self.steps}%  {facts}  {self._left(step)}")

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """One evaluation, under metric/ in TensorBoard and metrics.jsonl."""
        self._record(step, {f"metric/{name}": value for name, value in values.items()})
        log.info(f"step {step}  " + "  ".join(f"{name} {value:.4g}" for name, value in values.items()))

    def _record(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.board.add_scalar(name, value, step)
        with self.lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "seconds": round(self.seconds, 3), **values}) + "\n")

    def pictures(self, step: int, image: Image.Image) -> None:
        """The fixed-noise samples at this step, as a file and in TensorBoard."""
        save(image, self.folder / "samples" / f"step_{step:08d}.png")
        pixels = np.asarray(image)
        self.board.add_image("samples", pixels, step, dataformats="HWC" if pixels.ndim == 3 else "HW")

    def settings(self, settings: Mapping[str, str | int | float | bool], metrics: Mapping[str, float]) -> None:
        """The run's settings beside its final numbers, for TensorBoard's HPARAMS page."""
        self.board.add_hparams(
            dict(settings), {f"final/{name}": value for name, value in metrics.items()}, run_name="."
        )

    def _left(self, step: int) -> str:
        done = step - self.start
        seconds = (time.monotonic() - self.began) / max(done, 1) * (self.steps - step)
        return f"{int(seconds // 60)}:{int(seconds % 60):02d} left"


def _short(name: str) -> str:
    """loss/d/adversarial -> d, loss/d/r1 -> d r1."""
    _, player, term = name.split("/")
    return player if term == "adversarial" else f"{player} {term}"


def _forget_after(lines: Path, step: int) -> dict[str, float]:
    """Drop what an interrupted run logged beyond its last checkpoint; the latest value of each name that is left."""
    if not lines.exists():
        return {}
    events = [event for event in map(_event, lines.read_text(encoding="utf-8").splitlines()) if event["step"] <= step]
    kept = events if step else []
    lines.write_text("".join(json.dumps(event) + "\n" for event in kept), encoding="utf-8")
    return {name: value for event in kept for name, value in event.items()}


def _event(line: str) -> dict[str, float]:
    """A line cut short by a crash counts as beyond any step."""
    try:
        event: dict[str, float] = json.loads(line)
    except ValueError:
        event = {}
    return {"step": float("inf"), **event}
