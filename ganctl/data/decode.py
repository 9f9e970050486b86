"""A list of image files to one memory-mapped array, decoded once and kept in the cache."""

import json
import logging
import os
import shutil
import stat
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
from rich.console import Console
from rich.progress import Progress

from ganctl.data.cache import cache_dir, hold, limit, make_room, remove
from ganctl.data.pixels import Decoding, Look, Pixels, decode, look
from ganctl.data.places import Place
from ganctl.errors import UserError, printable
from ganctl.pictures import Unreadable, quietly

FORMAT = 2
"""Raised when the same files would decode to other pixels: old arrays are then left alone."""
WHITES = (255, 1023, 4095, 65535)
"""What 8, 10, 12 and 16 bits hold."""
SHOWN = 20
"""Names of files in one line."""
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
    held: int
    """A descriptor: until it is closed, the cache keeps the pixels."""


def decoded(place: Place, names: list[str], bad: dict[str, str], how: Decoding, skip_bad: bool) -> Decoded:
    """The files `names` of a place as one array, from the cache where they were decoded before.

    `bad` are the folders in it that cannot be read.
    """
    kept = cache_dir() / "folders" / key(place, names, bad, how, skip_bad)
    limit()  # what is wrong with it is said before the work
    found = recall(kept, names, how)
    if found is not None:
        return found
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        lock = Path(f"{kept}.lock")
        if lock.is_symlink() or (lock.exists() and not lock.is_file()):
            remove(lock)
        with FileLock(lock):  # of several processes one decodes
            found = recall(kept, names, how, quiet=True)
            if found is None:
                build(kept, place, names, bad, how, skip_bad)
                found = recall(kept, names, how)
        make_room(kept)
    except OSError as error:
        raise UserError(
            f"dataset=folder: the decoded images cannot be kept in {printable(kept.parent)} "
            f"({error.strerror or error})\n"
            f"  try: GANCTL_CACHE=FOLDER, in front of the command, with a folder that has room and may be written to"
        ) from error
    if found is None:
        raise UserError(
            f"dataset=folder: {printable(kept)} was written and cannot be read\n  try: GANCTL_CACHE=ANOTHER_FOLDER"
        )
    return found


def key(place: Place, names: list[str], bad: dict[str, str], how: Decoding, skip_bad: bool) -> str:
    """Changes with any file's name, size or time of change, and with what is made of it."""
    stats = [(name, place.facts(name)) for name in names]
    facts = (FORMAT, str(place.path.resolve()), how, skip_bad, stats, sorted(bad))
    return blake2b(repr(facts).encode(errors="surrogateescape"), digest_size=10).hexdigest()


def recall(kept: Path, names: list[str], how: Decoding, quiet: bool = False) -> Decoded | None:
    """What an earlier run left, if it is whole. Nothing in it is trusted: the cache may be shared with others."""
    if not os.path.lexists(kept):
        return None
    try:
        for path, right in (
            (kept, stat.S_ISDIR),
            (kept / "facts.json", stat.S_ISREG),
            (kept / "pixels.npy", stat.S_ISREG),
        ):
            if not right(path.lstat().st_mode):
                raise ValueError(f"{path.name} is a link, a pipe or the like")
        facts = json.loads((kept / "facts.json").read_text(encoding="utf-8"))
        left_out, content = set(facts["left_out"]), facts["content"]
        # "c", copy on write: nothing is ever written, but torch warns of an array that it could not write to.
        pixels = np.lib.format.open_memmap(kept / "pixels.npy", mode="c")
        rows = [name for name in names if name not in left_out]
        if not isinstance(content, str) or len(content) != 32:
            raise ValueError("no hash of the pixels")
        require_fit(pixels, len(rows), how)
        return Decoded(pixels, rows, content, hold(kept))
    except Exception as error:  # whatever a file that someone else made leads the parsers to
        if not quiet:
            told = printable(error) or type(error).__name__
            log.warning("the decoded images in %s are damaged (%s): decoding again", printable(kept), told)
        return None


def require_fit(pixels: Pixels, count: int, how: Decoding) -> None:
    """Refuse an array that is not what these files decode to."""
    shape = pixels.shape
    fits = pixels.dtype == np.uint8 and pixels.ndim == 4 and pixels.flags.c_contiguous and shape[0] == count > 0
    if not (fits and shape[3] in (1, 3) and how.channels in (None, shape[3]) and how.size in (None, shape[1:3])):
        raise ValueError(f"{pixels.dtype} {shape} for {count} files")


def build(kept: Path, place: Place, names: list[str], unread: dict[str, str], how: Decoding, skip_bad: bool) -> None:
    """Decode all files into a folder beside `kept`, then rename it: what bears the name is whole."""
    draft = Path(f"{kept}.partial")
    remove(draft)  # of a run that was killed
    draft.mkdir()
    try:
        bad, total = dict(unread), len(names) + len(unread)
        looks = dict(readable(look, place, names, bad, "Looking at images"))
        ours = [name for name in looks if looks[name].ours]
        for name in ours:
            del looks[name]
        if looks:
            how = settle(how, looks, place.path)
            images = readable(partial(decode, how=how), place, list(looks), bad, "Decoding images")
            content = write(draft / "pixels.npy", (pixels for _, pixels in images), len(looks), how)
        if bad and (not skip_bad or len(bad) + len(ours) == total):
            raise UserError(bad_files(place.path, bad, total))
        tell_of_ours(ours, place.path, alone=not looks)
        (draft / "facts.json").write_text(json.dumps({"content": content, "left_out": sorted([*bad, *ours])}))
        remove(kept)
        os.replace(draft, kept)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    log.info("dataset=folder: decoded %d images into %s", total - len(bad) - len(ours), printable(kept))
    if bad:
        left = ", ".join(printable(name) for name in sorted(bad)[:SHOWN])
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        log.warning("dataset.skip_bad: left out %d of %d images: %s%s", len(bad), total, left, more)


def tell_of_ours(ours: list[str], root: Path, alone: bool) -> None:
    """Say that ganctl drew some of the pictures; refuse a place that holds no others."""
    if ours and alone:
        raise UserError(
            f"dataset=folder: the {len(ours)} pictures under {printable(root)} were drawn by ganctl, and are no data\n"
            f"  try: dataset.root=PATH of a folder with pictures of your own"
        )
    if ours:
        log.info("dataset=folder: left out %d pictures that ganctl drew, such as %s", len(ours), printable(ours[0]))


def readable(
    task: Callable[[BinaryIO], Result], place: Place, names: list[str], bad: dict[str, str], title: str
) -> Iterator[tuple[str, Result]]:
    """What `task` makes of each file, in order, in a few threads and under a progress bar; failures go into `bad`."""

    def attempt(name: str) -> Result | Unreadable:
        try:
            return task(place.open(name))
        except Unreadable as error:
            return error

    console = Console(stderr=True)
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    with quietly(), bar, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        line = bar.add_task(title, total=len(names))
        for first in range(0, len(names), WINDOW):
            some = names[first : first + WINDOW]
            for name, result in zip(some, pool.map(attempt, some), strict=True):
                bar.advance(line)
                if isinstance(result, Unreadable):
                    bad[name] = printable(result)
                else:
                    yield name, result


def settle(how: Decoding, looks: dict[str, Look], root: Path) -> Decoding:
    """Fill in what the images themselves decide: one size for all, and grey if all of them are."""
    sizes = Counter(seen.size for seen in looks.values())
    if how.size is None and len(sizes) > 1:
        raise UserError(mixed_sizes(root, sizes, looks))
    channels = how.channels or (1 if all(seen.grey for seen in looks.values()) else 3)
    several = [name for name, seen in looks.items() if seen.several]
    if several:
        log.info(
            "dataset=folder: the first picture of each file is read; %d have more, such as %s",
            len(several),
            printable(several[0]),
        )
    return replace(how, size=how.size or next(iter(sizes)), channels=channels, white=white_of(looks, root))


def white_of(looks: dict[str, Look], root: Path) -> int:
    """The value that becomes 255 in 16-bit pictures: the largest that as many bits hold as all of them use."""
    coarse = [seen.coarse for seen in looks.values() if seen.coarse is not None]
    if coarse and max(coarse) < 16:
        raise UserError(
            f"dataset=folder: the 16-bit colour pictures under {printable(root)} use 12 bits or fewer, of which the "
            f"upper {max(coarse).bit_length()} would be read: nearly black\n  try: save them with 8 bits a colour"
        )
    peaks = [seen.peak for seen in looks.values() if seen.peak is not None]
    white = next(white for white in WHITES if white >= max(peaks, default=0))
    if peaks:
        log.info(
            "dataset=folder: %d pictures of 16 bits hold values up to %d: 0 to %d become 0 to 255",
            len(peaks),
            max(peaks),
            white,
        )
        return white
    return WHITES[-1]


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


def bad_files(root: Path, bad: dict[str, str], total: int) -> str:
    lines = "".join(f"\n    {printable(name)}: {why}" for name, why in sorted(bad.items()))
    remedy = "mend or delete them" + (", or dataset.skip_bad=true to leave them out" if len(bad) < total else "")
    return (
        f"dataset=folder: {len(bad)} of {total} images under {printable(root)} cannot be read:{lines}\n  try: {remedy}"
    )


def mixed_sizes(root: Path, sizes: Counter[tuple[int, int]], looks: dict[str, Look]) -> str:
    def example(size: tuple[int, int]) -> str:
        return printable(next(name for name, seen in looks.items() if seen.size == size))

    most = sizes.most_common(5)
    lines = "".join(f"\n    {h}x{w}: {count} images, such as {example((h, w))}" for (h, w), count in most)
    more = f"\n    and {len(sizes) - len(most)} sizes more" if len(sizes) > len(most) else ""
    (height, width), _ = most[0]
    return (
        f"dataset=folder: the images under {printable(root)} differ in size (height x width):{lines}{more}\n"
        f"  try: dataset.size=[{height},{width}] or dataset.size=64, which crop the centre; "
        f"with dataset.fit=resize they stretch"
    )
