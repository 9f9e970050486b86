"""From tensors to pictures on disk: pure conversions, and one way to write a file. Training's grids use it too."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from ganctl.errors import UserError
from ganctl.pictures import MAKER, opened, signed

Pixels = NDArray[np.uint8]
"""(N,H,W,C), 0 to 255."""

WIDEST = 4096
"""Small images are enlarged only while a row of them stays within this many pixels."""


def to_uint8(images: Tensor) -> Pixels:
    """(N,C,H,W) in [-1,1] to uint8 (N,H,W,C): -1 is 0, 1 is 255, what lies outside is clipped, nothing is rescaled."""
    levels = (images.detach().float().clamp(-1, 1) + 1).mul(127.5).round()
    return levels.byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()


def image_of(pixels: Pixels) -> Image.Image:
    """uint8 (H,W,C) as a picture: 1 channel is grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha."""
    channels = pixels.shape[-1]
    if channels > 4:
        raise UserError(f"{channels} channels have no picture (1 to 4 have)\n  try: artifact=npz")
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def tile(images: Pixels, columns: int | None = None, padding: int = 2, min_size: int = 64) -> Image.Image:
    """uint8 (N,H,W,C) in reading order on white, `padding` pixels apart; near-square unless `columns` is given.

    Images whose longer side is under `min_size` pixels are enlarged by a whole factor, so that every pixel stays one.
    """
    count, height, width, channels = images.shape
    columns = min(count, columns or math.ceil(math.sqrt(count)))
    factor = max(1, min(math.ceil(min_size / max(height, width)), WIDEST // (columns * width)))
    height, width = height * factor, width * factor
    down, across = height + padding, width + padding
    shape = (math.ceil(count / columns) * down + padding, columns * across + padding, channels)
    canvas = np.full(shape, 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * down + padding, i % columns * across + padding
        canvas[top : top + height, left : left + width] = image.repeat(factor, 0).repeat(factor, 1)
    return image_of(canvas)


def limits_of(points: ArrayLike) -> tuple[float, float]:
    """The range, common to both axes, that shows all of `points` (N,2) with a fifth to spare on either side."""
    points = np.asarray(points)
    low, high = float(points.min()), float(points.max())
    margin = (high - low) / 5 or 1.0
    return low - margin, high + margin


def scatter(
    points: ArrayLike,
    centres: ArrayLike | None = None,
    limits: tuple[float, float] | None = None,
    labels: Sequence[int] | None = None,
) -> Image.Image:
    """`points` (N,2) over the true modes `centres` (M,2), one colour a label.

    `limits` of both axes come from the centres, so that the pictures of one data set can be compared; without centres,
    from the points. Points that fall outside are counted below the plot.
    """
    # Imported here: it costs a third of a second, which a run on images need not pay. No pyplot: it keeps global state.
    from matplotlib.figure import Figure

    points = np.asarray(points)
    low, high = limits or limits_of(points if centres is None else centres)
    figure = Figure(figsize=(6, 6), dpi=100, layout="constrained")
    axes = figure.add_subplot(xlim=(low, high), ylim=(low, high), aspect="equal")
    if centres is not None:
        x, y = np.asarray(centres).T
        axes.scatter(x, y, s=140, facecolors="none", edgecolors="0.4", zorder=3, label="true modes")
    # Many points are small and faint, so that density shows; few are large enough to find.
    size, ink = (24, 0.9) if len(points) < 200 else (8, 0.45)
    colours = "tab:blue" if labels is None else [f"C{label % 10}" for label in labels]
    axes.scatter(points[:, 0], points[:, 1], s=size, c=colours, alpha=ink, linewidths=0, label="generated")
    outside = int(((points < low) | (points > high)).any(axis=1).sum())
    axes.set_xlabel(f"{outside} of {len(points)} points lie outside" if outside else "")
    axes.legend(loc="upper right", framealpha=0.9)
    with BytesIO() as png:
        figure.savefig(png, format="png")
        with opened(png) as picture:
            return picture.convert("RGB")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it when the block succeeds: nobody ever sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise UserError(
                f"cannot write {path}: {reason}\n  try: a folder you may write to, or free space"
            ) from error
        raise


def save(image: Image.Image, path: Path) -> Path:
    """Write a PNG, whole or not at all."""
    with replacing(path) as temporary:
        image.save(temporary, format="PNG", pnginfo=signed())
    return path


def save_film(frames: Iterable[Image.Image], path: Path, milliseconds: int, last: int | None = None) -> Path:
    """Write a GIF that loops for ever, `milliseconds` a frame and `last` milliseconds for the last one."""
    opaque = [_on_white(frame) for frame in frames]
    durations = [*[milliseconds] * (len(opaque) - 1), last or milliseconds]
    with replacing(path) as temporary:
        opaque[0].save(
            temporary, format="GIF", save_all=True, append_images=opaque[1:], duration=durations, loop=0, comment=MAKER
        )
    return path


def _on_white(frame: Image.Image) -> Image.Image:
    """A GIF knows no half-transparent pixel: show them as a white page would."""
    if "A" not in frame.mode:
        return frame
    frame = frame.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", frame.size, "white"), frame).convert("RGB")
