"""One image file of any kind to 8-bit pixels, grey or RGB."""

import threading
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from ganctl.pictures import Unreadable, is_ours, opened

Pixels = npt.NDArray[np.uint8]
ORIENTATION = 0x0112
"""The EXIF tag."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture of that orientation upright; from 5 on height and width change places."""
LARGE = 2**24
"""Pixels above which one picture at a time is decoded: eight at once would need gigabytes."""
one_at_a_time = threading.Lock()


class Look(NamedTuple):
    """What a file says of its image before it is decoded."""

    size: tuple[int, int]
    """(H, W), as it is to be seen."""
    grey: bool
    peak: int | None = None
    """The brightest value of 16-bit grey; it is known only once all are decoded."""
    coarse: int | None = None
    """The same of 16-bit colour, of which only the upper 8 bits are read."""
    several: bool = False
    """Whether more pictures follow the first in the file."""
    ours: bool = False
    """Whether ganctl drew it."""


@dataclass(frozen=True)
class Decoding:
    """What is made of a file: `size` (H, W), or None to keep its own; `channels` 1 or 3.

    `fit` crop resizes the short side and takes the centre; resize stretches. `white` is the value of 16-bit grey that
    becomes 255.
    """

    size: tuple[int, int] | None
    fit: Literal["crop", "resize"]
    channels: int | None
    white: int = 65535


def look(source: Path | BinaryIO) -> Look:
    """Read the header, and of 16-bit pictures the values too."""
    with opened(source) as image:
        (width, height), turned = image.size, orientation(image) > 4
        deep = any(";16" in str(tile) for tile in getattr(image, "tile", ()))
        several = image.format != "MPO" and bool(getattr(image, "is_animated", False))
        peak = coarse = None
        if image.mode[0] in "IF":
            peak = int(values(image).max())
        elif deep:
            coarse = int(np.asarray(loaded(image).convert("RGB")).max())
        grey = image.mode in ("1", "L", "LA") or peak is not None
        return Look((width, height) if turned else (height, width), grey, peak, coarse, several, is_ours(image))


def decode(source: Path | BinaryIO, how: Decoding) -> Pixels:
    """The pixels (H,W,C), uint8."""
    with opened(source) as image, one_at_a_time if image.width * image.height > LARGE else nullcontext():
        turn = TURNS.get(orientation(image))
        image = eight_bit(loaded(image), how.white)
        if turn is not None:
            image = image.transpose(turn)
        if how.size is not None and image.size != how.size[::-1]:
            size, filter_ = how.size[::-1], Image.Resampling.LANCZOS
            image = ImageOps.fit(image, size, filter_) if how.fit == "crop" else image.resize(size, filter_)
        pixels = np.asarray(image.convert("L" if how.channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)


def orientation(image: Image.Image) -> int:
    """How the camera was held, from 1 to 8: 1, upright, where the picture does not say, or says it in garbage."""
    if image.format == "TIFF":
        return 1  # Pillow turns these itself
    try:
        # The base class's method: that of PNG would decode the whole picture to look for the tag behind it.
        return int(Image.Image.getexif(image).get(ORIENTATION, 1))
    except Exception:
        return 1


def loaded(image: Image.Image) -> Image.Image:
    """Its pixels decoded."""
    turned = image.format == "TIFF" and Image.Image.getexif(image).get(ORIENTATION, 1) not in (0, 1)
    if turned and any(tile[0] == "raw" for tile in getattr(image, "tile", ())):
        raise Unreadable("a TIFF without compression that is to be turned, which Pillow misreads: save it upright")
    image.load()
    return image


def eight_bit(image: Image.Image, white: int = 65535) -> Image.Image:
    """To mode L or RGB: deeper grey is scaled (Pillow would clip it), transparency is laid on white."""
    if image.mode[0] in "IF":
        return Image.fromarray(((values(image) * 255 + white // 2) // white).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def values(image: Image.Image) -> npt.NDArray[Any]:
    """The values of grey deeper than 8 bits: mode I;16 and its kin, I where there may be 32."""
    found: npt.NDArray[Any] = np.asarray(loaded(image))
    if found.dtype.kind == "f":
        raise Unreadable("holds fractions, not levels: save it with 8 or 16 bits")
    if found.min() < 0 or found.max() > 65535:
        raise Unreadable(f"holds values from {found.min()} to {found.max()}: save it with 8 or 16 bits")
    return found.astype(np.uint32)
