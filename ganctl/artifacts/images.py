"""One file a picture."""

from pathlib import Path

from ganctl.artifacts.picture import image_of, save
from ganctl.artifacts.sampler import Sampler
from ganctl.errors import UserError


class Images:
    """One PNG a seed in the data's own size: `seed_000007.png`, with classes `seed_000007_class_3.png`. Any number."""

    def __call__(self, sampler: Sampler, seeds: list[int], labels: list[int] | None, out: Path) -> list[Path]:
        names = [f"seed_{seed:06d}" for seed in seeds]
        if labels is not None:
            names = [f"{name}_class_{label}" for name, label in zip(names, labels, strict=True)]
        written: list[Path] = []
        for batch in sampler.render(seeds, labels):
            if batch.ndim == 2:
                raise UserError("a point has no picture of its own\n  try: artifact=grid or artifact=npz")
            for pixels in batch:
                written.append(save(image_of(pixels), out / f"{names[len(written)]}.png"))
        return written
