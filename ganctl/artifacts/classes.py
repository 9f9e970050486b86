"""What the class decides, and what the latent does."""

from pathlib import Path

import numpy as np

from ganctl.artifacts.picture import save, scatter, tile
from ganctl.artifacts.sampler import Sampler
from ganctl.errors import require_positive


class Classes:
    """`classes.png`: a row a class in the order of their numbers, a column a latent (the first `columns` seeds).

    Every class is shown, whatever `labels` were asked. Points become one scatter plot with a colour a class.
    """

    def __init__(self, *, columns: int = 10) -> None:
        require_positive(columns=columns)
        self.columns = columns

    def __call__(self, sampler: Sampler, seeds: list[int], labels: list[int] | None, out: Path) -> list[Path]:
        sampler.require_classes()
        columns, classes = seeds[: self.columns], range(sampler.num_classes)
        rows = [number for number in classes for _ in columns]
        drawn = np.concatenate(list(sampler.render(columns * sampler.num_classes, rows)))
        picture = scatter(drawn, sampler.centres, labels=rows) if drawn.ndim == 2 else tile(drawn, len(columns))
        return [save(picture, out / "classes.png")]
