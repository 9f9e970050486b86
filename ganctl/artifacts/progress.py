"""How the run learned to draw."""

from pathlib import Path

import numpy as np
from PIL import Image

from ganctl.artifacts.picture import save_film
from ganctl.artifacts.sampler import Sampler
from ganctl.errors import UserError, printable, require_positive
from ganctl.pictures import Unreadable, opened, quietly


class Progress:
    """`progress.gif`: the grids that training drew from one fixed noise, in order. Seeds and labels have no part in it.

    Of more than `frames` grids an even choice is shown, the last always with it.
    """

    def __init__(self, *, milliseconds: int = 200, hold: int = 2000, frames: int = 100) -> None:
        require_positive(milliseconds=milliseconds, hold=hold, frames=frames)
        self.milliseconds, self.hold, self.frames = milliseconds, hold, frames

    def __call__(self, sampler: Sampler, seeds: list[int], labels: list[int] | None, out: Path) -> list[Path]:
        grids = sorted((sampler.run / "samples").glob("step_*.png"))
        if not grids:
            raise UserError(
                f"{sampler.run}/samples holds no grids of training\n"
                f"  try: train with every.sample=100, then artifact=progress"
            )
        chosen = np.linspace(len(grids) - 1, 0, min(self.frames, len(grids))).round().astype(int)[::-1]
        film = [self._read(grids[i]) for i in chosen]
        # A run continued with another number of samples has grids of two sizes, and a film has one.
        film = [frame.resize(film[-1].size) for frame in film]
        return [save_film(film, out / "progress.gif", self.milliseconds, self.hold)]

    def _read(self, path: Path) -> Image.Image:
        try:
            with quietly(), opened(path) as image:
                image.load()
                return image
        except Unreadable as error:
            raise UserError(
                f"{printable(path)} is not a readable picture: {printable(error)}\n  try: delete it"
            ) from error
