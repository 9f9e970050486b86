"""Pictures from outside, opened so that none of them hangs, starts a program or fills the memory."""

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError, features
from PIL.PngImagePlugin import PngInfo

KINDS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "AVIF": (".avif",),
}
"""Pillow's name of each format that is read, and how its files are called. No other format's parser ever runs: that of
EPS would start an interpreter of the page."""
FORMATS = tuple(kind for kind in KINDS if kind not in ("WEBP", "AVIF") or features.check(kind.lower()))
SUFFIXES = tuple(suffix for kind in FORMATS for suffix in KINDS[kind])
MAKER = "ganctl"
"""What our own pictures say of their software, so that they never become data."""


class Unreadable(Exception):
    """Why a file is no picture, in a few words."""


@contextmanager
def opened(source: Path | BinaryIO) -> Iterator[Image.Image]:
    """The picture in a file, its pixels not yet decoded. Whatever goes wrong inside is Unreadable.

    The format is found from the content, among FORMATS. In threads call it within `quietly`.
    """
    try:
        file = regular(source) if isinstance(source, Path) else source
        with file, Image.open(file, formats=FORMATS) as image:
            yield image
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable("not a picture of a kind that is read, or damaged from its first bytes on") from error
    except Exception as error:  # whatever a damaged file leads Pillow's parsers to, decompression bombs among it
        told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Unreadable(told or type(error).__name__) from error


def regular(path: Path) -> BinaryIO:
    """Open a file for reading; what has no end or no beginning (a pipe, a socket, a device) is Unreadable."""
    require_regular(path.stat().st_mode)  # before it is opened: to open a socket fails with other words
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    file = os.fdopen(descriptor, "rb")
    try:
        require_regular(os.fstat(descriptor).st_mode)  # and after it, if another took its place
    except Unreadable:
        file.close()
        raise
    return file


def require_regular(mode: int) -> None:
    kinds = {stat.S_ISFIFO: "a named pipe", stat.S_ISSOCK: "a socket", stat.S_ISDIR: "a folder"}
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in kinds.items() if test(mode)), "a device")
        raise Unreadable(f"{kind}, not a file")


@contextmanager
def quietly() -> Iterator[None]:
    """Inside, Pillow's warnings (a large picture, odd metadata) are not shown; enter it outside of threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def signed() -> PngInfo:
    """What a PNG of ours says of itself."""
    info = PngInfo()
    info.add_text("Software", MAKER)
    return info


def is_ours(image: Image.Image) -> bool:
    """Whether ganctl drew it: a PNG says so in its text, a GIF in its comment."""
    return image.info.get("Software") == MAKER or image.info.get("comment") == MAKER.encode()
