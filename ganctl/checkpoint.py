"""Checkpoints: written atomically, read without running anything they hold."""

import errno
import io
import os
import pickle
import warnings
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ganctl.errors import UserError

FORMAT = 1
PARTS = frozenset({"step", "images", "system", "ema", "optimizers", "best"})
State = dict[str, Any]


def save(state: State, path: Path) -> None:
    """Write through a temporary file: at any moment `path` is the whole old checkpoint or the whole new one."""
    buffer = io.BytesIO()  # a file object: saving by name would put the name into the bytes
    torch.save({"format": FORMAT, **state}, buffer)
    write_atomically(path, buffer.getbuffer())


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Temporary file, flush, fsync, rename, fsync of the folder."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(
            f"cannot write {path}: {error.strerror}\n  try: free some space or start from a writable folder; "
            "what was written before is intact, and the same command continues from there"
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename outlast a power cut, where the system lets folders be opened and synced: Windows does not."""
    try:
        opened = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM):
            raise
    finally:
        os.close(opened)


def load(path: Path, parts: Set[str] = PARTS) -> State:
    """Everything on the CPU, tensors and plain containers only: a hostile pickle is refused, not run."""
    if not path.is_file():
        raise UserError(f"no checkpoint {path}\n  try: ganctl train first, or another run=PATH or checkpoint=NAME")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's words on foreign pickles; ours follow
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is not a checkpoint of ganctl: it holds more than tensors and was not opened\n"
            "  try: a checkpoint that ganctl wrote, from a source you trust"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} is truncated or damaged\n  try: another of the run's checkpoints (checkpoint=step_... to sample, "
            "or copy it to last.pt to go on), or fresh=true to train anew"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else None
        raise UserError(
            f"{path} has format {found}, this ganctl reads format {FORMAT}\n  try: the ganctl version that wrote it"
        )
    if lacking := parts - state.keys():
        raise UserError(
            f"{path} lacks {', '.join(sorted(lacking))}: it is no checkpoint of a run\n  try: another checkpoint"
        )
    return state


@contextmanager
def misfit_explained(what: str) -> Iterator[None]:
    """Turn what loading a state of other shapes raises into a sentence."""
    try:
        yield
    except (RuntimeError, KeyError, ValueError) as error:
        raise UserError(
            f"the checkpoint's {what} do not fit this configuration: {str(error).splitlines()[-1].strip()}\n"
            "  try: another checkpoint, or the settings of the run that this one comes from"
        ) from error


def keep_newest(folder: Path, keep: int) -> None:
    """Of the checkpoints step_N.pt in this folder only the newest `keep`."""
    for old in sorted(folder.glob("step_*.pt"))[:-keep]:
        old.unlink()
