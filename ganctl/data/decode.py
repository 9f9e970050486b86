"""A list of image files to one memory-mapped array, decoded once and kept in the cache."""

import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
from filelock import FileLock
from PIL import UnidentifiedImageError
from rich.console import Console
from rich.progress import Progress

from ganctl.data.cache import cache_dir
from ganctl.data.pixels import Decoding, Look, Pixels, decode, look
from ganctl.errors import UserError

FORMAT = 1
"""Raised when the same files would decode to other pixels: old arrays are then left alone."""
WINDOW = 64
"""Images decoded before they are written: all that waits in memory."""
Result = TypeVar("Result")
log = logging.getLogger("ganctl")


class Decoded(NamedTuple):
    pixels: Pixels
    """(N,H,W,C), a memory map."""
    names: list[str]
    """The files that the rows come from."""
    content: str
    """A hash of the pixels."""


def decoded(root: Path, names: list[str], how: Decoding, skip_bad: bool) -> Decoded:
    """The files `names` under `root` as one array, from the cache where they were decoded before."""
    place = cache_dir() / "folders" / key(root, names, how, skip_bad)
    found = recall(place, names)
    if found is not None:
        return found
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"):  # of several processes one decodes
            found = recall(place, names)
            if found is None:
                build(place, root, names, how, skip_bad)
                found = recall(place, names)
    except OSError as error:
        raise UserError(
            f"dataset=folder: the decoded images cannot be kept in {place.parent} ({error.strerror or error})\n"
            f"  try: GANCTL_CACHE=FOLDER, in front of the command, with a folder that has room and may be written to"
        ) from error
    if found is None:
        raise UserError(f"dataset=folder: {place} was written and cannot be read\n  try: GANCTL_CACHE=ANOTHER_FOLDER")
    return found


def key(root: Path, names: list[str], how: Decoding, skip_bad: bool) -> str:
    """Changes with any file's name, size or time of change, and with what is made of it."""
    stats = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in ((name, (root / name).stat()) for name in names)]
    facts = (FORMAT, str(root.resolve()), how, skip_bad, stats)
    return blake2b(repr(facts).encode(errors="surrogateescape"), digest_size=10).hexdigest()


def recall(place: Path, names: list[str]) -> Decoded | None:
    """What an earlier run left at `place`, if it is whole."""
    if not place.is_dir():
        return None
    try:
        facts = json.loads((place / "facts.json").read_text())
        bad = set(facts["bad"])
        # "c", copy on write: nothing is ever written, but torch warns of an array that it could not write to.
        pixels = np.load(place / "pixels.npy", mmap_mode="c")
        kept = [name for name in names if name not in bad]
        if len(kept) != len(pixels):
            raise ValueError(f"{len(pixels)} rows for {len(kept)} files")
        return Decoded(pixels, kept, facts["content"])
    except (OSError, ValueError, KeyError) as error:
        log.warning("the decoded images in %s are damaged (%s): decoding again", place, error)
        return None


def build(place: Path, root: Path, names: list[str], how: Decoding, skip_bad: bool) -> None:
    """Decode all files into a folder beside `place`, then rename it: what bears the name is whole."""
    draft = Path(f"{place}.partial")
    shutil.rmtree(draft, ignore_errors=True)  # of a run that was killed
    draft.mkdir()
    try:
        bad: dict[str, str] = {}
        looks = dict(readable(look, root, names, bad, "Looking at images"))
        if looks:
            how = settle(how, looks, root)
            images = readable(partial(decode, how=how), root, list(looks), bad, "Decoding images")
            content = write(draft / "pixels.npy", (pixels for _, pixels in images), len(looks), how)
        if len(bad) == len(names) or (bad and not skip_bad):
            raise UserError(bad_files(root, bad, len(names)))
        (draft / "facts.json").write_text(json.dumps({"content": content, "bad": sorted(bad)}))
        shutil.rmtree(place, ignore_errors=True)
        os.replace(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    log.info("dataset=folder: decoded %d images into %s", len(names) - len(bad), place)
    if bad:
        log.warning("dataset.skip_bad: left out %d of %d images: %s", len(bad), len(names), ", ".join(sorted(bad)))


def readable(
    task: Callable[[Path], Result], root: Path, names: list[str], bad: dict[str, str], title: str
) -> Iterator[tuple[str, Result]]:
    """What `task` makes of each file, in order, in a few threads and under a progress bar; failures go into `bad`."""

    def attempt(name: str) -> Result | Exception:
        try:
            return task(root / name)
        except Exception as error:  # whatever a damaged file leads Pillow's parsers to
            return error

    console = Console(stderr=True)
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    with bar, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        line = bar.add_task(title, total=len(names))
        for first in range(0, len(names), WINDOW):
            some = names[first : first + WINDOW]
            for name, result in zip(some, pool.map(attempt, some), strict=True):
                bar.advance(line)
                if isinstance(result, Exception):
                    bad[name] = reason(result)
                else:
                    yield name, result


def settle(how: Decoding, looks: dict[str, Look], root: Path) -> Decoding:
    """Fill in what the images themselves decide: one size for all, and grey if all of them are."""
    sizes = Counter(seen.size for seen in looks.values())
    if how.size is None and len(sizes) > 1:
        raise UserError(mixed_sizes(root, sizes, looks))
    channels = how.channels or (1 if all(seen.grey for seen in looks.values()) else 3)
    return replace(how, size=how.size or next(iter(sizes)), channels=channels)


def write(path: Path, images: Iterator[Pixels], most: int, how: Decoding) -> str:
    """Write an .npy file row by row and return the hash of its values.

    Plain writes, not a writable map: on a full disk they raise where a map would kill the process.
    """
    digest, count = blake2b(digest_size=16), 0
    with path.open("wb") as file:
        header(file, most, how)
        for image in images:
            file.write(image.data)
            digest.update(image.data)
            count += 1
        file.seek(0)
        header(file, count, how)  # numpy leaves room for any count: as long as the first
    return digest.hexdigest()


def header(file: BinaryIO, count: int, how: Decoding) -> None:
    assert how.size is not None
    shape = (count, *how.size, how.channels)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or damaged from its first bytes on"
    return str(error) or type(error).__name__


def bad_files(root: Path, bad: dict[str, str], total: int) -> str:
    lines = "".join(f"\n    {name}: {why}" for name, why in sorted(bad.items()))
    remedy = "mend or delete them" + (", or dataset.skip_bad=true to leave them out" if len(bad) < total else "")
    return f"dataset=folder: {len(bad)} of {total} images under {root} cannot be read:{lines}\n  try: {remedy}"


def mixed_sizes(root: Path, sizes: Counter[tuple[int, int]], looks: dict[str, Look]) -> str:
    def example(size: tuple[int, int]) -> str:
        return next(name for name, seen in looks.items() if seen.size == size)

    most = sizes.most_common(5)
    lines = "".join(f"\n    {h}x{w}: {count} images, such as {example((h, w))}" for (h, w), count in most)
    more = f"\n    and {len(sizes) - len(most)} sizes more" if len(sizes) > len(most) else ""
    (height, width), _ = most[0]
    return (
        f"dataset=folder: the images under {root} differ in size (height x width):{lines}{more}\n"
        f"  try: dataset.size=[{height},{width}] or dataset.size=64, which crop the centre; "
        f"with dataset.fit=resize they stretch"
    )
