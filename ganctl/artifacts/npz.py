"""All samples in one NumPy archive."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from ganctl.artifacts.picture import replacing
from ganctl.artifacts.sampler import Sampler


class Npz:
    """`samples.npz`: `images` uint8 (N,H,W,C) or `points` float32 (N,2), then `seeds` and, with classes, `labels`.

    The samples go to the file batch by batch: memory holds one batch, whatever N.
    """

    def __call__(self, sampler: Sampler, seeds: list[int], labels: list[int] | None, out: Path) -> list[Path]:
        path = out / "samples.npz"
        with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            self._stream(archive, sampler, seeds, labels)
            for name, numbers in (("seeds", seeds), ("labels", labels)):
                if numbers is not None:
                    with archive.open(f"{name}.npy", "w") as file:
                        npy.write_array(file, np.array(numbers, np.int64))
        return [path]

    def _stream(self, archive: zipfile.ZipFile, sampler: Sampler, seeds: list[int], labels: list[int] | None) -> None:
        batches = sampler.render(seeds, labels)
        first = next(batches)
        name = "points.npy" if first.ndim == 2 else "images.npy"
        with archive.open(name, "w", force_zip64=True) as file:
            header = {
                "descr": npy.dtype_to_descr(first.dtype),
                "fortran_order": False,
                "shape": (len(seeds), *first.shape[1:]),
            }
            npy.write_array_header_1_0(file, header)
            file.write(first.tobytes())
            for batch in batches:
                file.write(batch.tobytes())
