"""Where downloads and decoded images are kept between runs, and how much of them."""

import logging
import math
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ganctl.errors import UserError, printable

if sys.platform != "win32":
    import fcntl

LIMIT = 20.0
"""Gigabytes of decoded images that are kept, unless GANCTL_CACHE_GB says otherwise."""
log = logging.getLogger("ganctl")


def cache_dir() -> Path:
    """`$GANCTL_CACHE`, else `$XDG_CACHE_HOME/ganctl`, else `~/.cache/ganctl`. It need not exist yet."""
    try:
        if own := os.environ.get("GANCTL_CACHE"):
            return Path(own).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ganctl"
    except RuntimeError as error:  # no HOME, and a user whom the system does not know
        raise UserError(
            f"there is no home folder to keep decoded images and downloads in ({printable(error)})\n"
            "  try: export GANCTL_CACHE=/tmp/ganctl"
        ) from error


def limit() -> float:
    """Bytes."""
    told = os.environ.get("GANCTL_CACHE_GB") or str(LIMIT)
    try:
        number = float(told)
    except ValueError:
        number = math.nan
    if not number >= 0:
        raise UserError(
            f"GANCTL_CACHE_GB={printable(told)}: not a number of gigabytes\n"
            f"  try: GANCTL_CACHE_GB={LIMIT:g} in front of the command"
        )
    return number * 1e9


def hold(folder: Path) -> int:
    """Mark a folder as used now, and as in use until the descriptor that is returned is closed or the process ends."""
    descriptor = os.open(folder / "facts.json", os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with suppress(OSError):  # a cache that belongs to someone else, or a file system without locks
        if sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.utime(folder)
    return descriptor


def held(folder: Path) -> bool:
    """Whether a process uses the folder now."""
    if sys.platform == "win32":
        return False  # there the map itself keeps its file from being deleted
    try:
        descriptor = os.open(folder / "facts.json", os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def remove(path: Path) -> None:
    """Whatever bears this name: a folder with all in it, a file, or a link but not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def make_room(newest: Path) -> None:
    """Delete what was used longest ago until all is within the limit; `newest` and what is in use stay."""
    most, gone, freed = limit(), 0, 0
    kept = [path for path in newest.parent.iterdir() if path.is_dir() and not path.is_symlink()]
    total = sum(map(weight, kept))
    for path in sorted(kept, key=lambda path: path.stat().st_mtime):
        if total <= most:
            break
        if path == newest or held(path):
            continue
        lock = FileLock(f"{str(path).removesuffix('.partial')}.lock", timeout=0)
        with suppress(Timeout, OSError), lock:  # one that is being written or cannot be deleted stays
            size = weight(path)
            shutil.rmtree(path)
            total, freed, gone = total - size, freed + size, gone + 1
    if gone:
        log.info(
            "the cache of decoded images was over %g GB (GANCTL_CACHE_GB): deleted %d used longest ago, %.3g GB",
            most / 1e9,
            gone,
            freed / 1e9,
        )


def weight(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.lstat().st_size for path in folder.iterdir())
