"""Where mistakes are made: a folder with pictures and with the runs that a mistake speaks of."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from mistakes.mistake import TINY, Command, Mistake

STAGE = {
    "labelled": ["name=labelled"],
    "plain": ["name=plain", "model.conditioning=none"],
    "points": ["name=points", "dataset=ring"],
}
"""The runs that there are, by the words that train them."""


class Stage:
    """Trains each run once, and lays out a folder for one mistake after another."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def lay_out(self, mistake: Mistake, folder: Path, command: Command) -> None:
        """Fill the folder, which is the one that `command` works in, with what the mistake needs."""
        for name in mistake.runs:
            kept = self.store / name
            if not kept.exists():
                answer = command(["train", *TINY["train"], *STAGE[name]])
                assert answer.status == 0, answer.said
                shutil.move(folder / "runs" / name, kept)
            shutil.copytree(kept, folder / "runs" / name)
        for path, content in mistake.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        photographs(folder / "photos")
        (folder / "mine").mkdir(exist_ok=True)


def photographs(folder: Path, count: int = 10) -> None:
    """A folder of noise, 16 pixels square."""
    random = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for number in range(count):
        Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(folder / f"{number}.png")
