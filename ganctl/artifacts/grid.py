"""All seeds in one picture."""

from pathlib import Path

import numpy as np

from ganctl.artifacts.picture import save, scatter, tile
from ganctl.artifacts.sampler import Sampler
from ganctl.errors import require_positive


class Grid:
    """One PNG: images in rows in the order of their seeds, or points as a scatter plot over the true modes."""

    def __init__(self, *, columns: int | None = None, padding: int = 2, min_size: int = 64) -> None:
        require_positive(columns=columns, padding=padding + 1, min_size=min_size)
        self.columns, self.padding, self.min_size = columns, padding, min_size

    def __call__(self, sampler: Sampler, seeds: list[int], labels: list[int] | None, out: Path) -> list[Path]:
        drawn = np.concatenate(list(sampler.render(seeds, labels)))
        if drawn.ndim == 2:
            picture = scatter(drawn, sampler.centres, labels=labels)
        else:
            picture = tile(drawn, self.columns, self.padding, self.min_size)
        return [save(picture, out / "grid.png")]
