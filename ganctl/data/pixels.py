"""One image file of any kind to 8-bit pixels, grey or RGB."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Pixels = npt.NDArray[np.uint8]
ORIENTATION = 0x0112
"""The EXIF tag; values from 5 to 8 stand for a quarter turn."""


class Look(NamedTuple):
    """What a file's header says of its image."""

    size: tuple[int, int]
    """(H, W), as it is to be seen."""
    grey: bool


@dataclass(frozen=True)
class Decoding:
    """What is made of a file: `size` (H, W), or None to keep its own; `channels` 1 or 3.

    `fit` crop resizes the short side and takes the centre; resize stretches.
    """

    size: tuple[int, int] | None
    fit: Literal["crop", "resize"]
    channels: int | None


def look(path: Path) -> Look:
    """Read the header only."""
    with Image.open(path) as image:
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))
        width, height = image.size
        turned = exif.get(ORIENTATION, 1) in (5, 6, 7, 8)
        return Look((width, height) if turned else (height, width), image.mode in ("1", "L", "LA") or sixteen(image))


def decode(path: Path, how: Decoding) -> Pixels:
    """The pixels (H,W,C), uint8."""
    with Image.open(path) as opened:
        image = eight_bit(ImageOps.exif_transpose(opened))
    if how.size is not None and image.size != how.size[::-1]:
        size, filter_ = how.size[::-1], Image.Resampling.LANCZOS
        image = ImageOps.fit(image, size, filter_) if how.fit == "crop" else image.resize(size, filter_)
    pixels = np.asarray(image.convert("L" if how.channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)


def eight_bit(image: Image.Image) -> Image.Image:
    """To mode L or RGB: 16-bit grey is scaled (Pillow would clip it), transparency is laid on white."""
    if sixteen(image):
        values: npt.NDArray[Any] = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def sixteen(image: Image.Image) -> bool:
    """Whether this is 16-bit grey: mode I;16 and its kin, I in older versions of Pillow."""
    return image.mode.startswith("I")
