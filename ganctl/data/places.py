"""Where pictures lie: a folder with those below it, or a zip. Both are only read, never written to or unpacked."""

import os
import zipfile
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, Protocol

from ganctl.errors import UserError, printable
from ganctl.pictures import SUFFIXES, Unreadable, regular

MEMBER = 2**27
"""Bytes that one file of a zip may unpack to: a picture is far smaller, a bomb is not."""
PACKED = (".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")


class Found(NamedTuple):
    names: list[str]
    """Pictures, by their paths within the place."""
    bad: dict[str, str]
    """Folders that cannot be read, and why."""
    passed: Counter[str]
    """What else lies there, by kind."""


class Place(Protocol):
    path: Path

    def find(self) -> Found:
        """Everything there, without what is hidden and what ganctl wrote."""

    def facts(self, name: str) -> Hashable:
        """What changes when the file does."""

    def open(self, name: str) -> BinaryIO:
        """One file; what is none is Unreadable, or an OSError."""


class Directory:
    """A folder. Links are followed, but each folder is read once, so that no circle of links has no end."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self) -> Found:
        found = Found([], {}, Counter())
        seen, doors = {self._identity("")}, [""]
        while doors:
            links: list[str] = []
            rooms = doors[::-1]
            while rooms:
                here = rooms.pop()
                for folder, linked in self._list(here, found):
                    if linked:
                        links.append(folder)
                    elif (own := self._identity(folder)) not in seen:
                        seen.add(own)
                        rooms.append(folder)
            # Links only after all that is reached without them: a folder goes by its own name.
            new = {own: link for link in reversed(links) if (own := self._identity(link)) not in seen}
            found.passed["links to folders already read"] += len(links) - len(new)
            seen |= new.keys()
            doors = list(new.values())
        return found

    def _list(self, here: str, found: Found) -> Iterator[tuple[str, bool]]:
        """Sort out what lies in a folder; yields the folders, and whether they are links."""
        try:
            with os.scandir(self.path / here) as listing:
                entries = sorted((entry for entry in listing if entry.name[0] != "."), key=lambda entry: entry.name)
        except OSError as error:
            found.bad[f"{here}/"] = error.strerror or str(error)
            return
        if here and any(entry.name == "config.yaml" for entry in entries):
            found.passed["folders of a run of ganctl's (they hold a config.yaml)"] += 1
            return
        for entry in entries:
            name = f"{here}/{entry.name}" if here else entry.name
            if directory(entry):
                yield name, entry.is_symlink()
            else:
                sort_out(name, found)

    def _identity(self, name: str) -> tuple[int, int] | str:
        try:
            facts = os.stat(self.path / name)
        except OSError:
            return name  # it is named as bad when it is listed
        return (facts.st_dev, facts.st_ino)

    def facts(self, name: str) -> Hashable:
        try:
            stat = (self.path / name).stat()
        except OSError as error:
            return error.strerror
        return (stat.st_size, stat.st_mtime_ns)

    def open(self, name: str) -> BinaryIO:
        try:
            return regular(self.path / name)
        except OSError as error:
            dead = (self.path / name).is_symlink() and isinstance(error, FileNotFoundError)
            raise Unreadable("a link to nowhere" if dead else error.strerror or str(error)) from error


class Archive:
    """A zip. Its files are unpacked one by one in memory, so that no name in it leads anywhere on the disk."""

    def __init__(self, path: Path, packed: zipfile.ZipFile) -> None:
        self.path, self.packed = path, packed
        self.members = {info.filename: info for info in packed.infolist() if not info.is_dir()}

    def find(self) -> Found:
        found = Found([], {}, Counter())
        runs = {str(PurePosixPath(name).parent) for name in self.members if name.endswith("/config.yaml")}
        for name in self.members:
            parts = PurePosixPath(name).parts
            if name.startswith("/") or ".." in parts or "\\" in name:
                found.passed["files whose names lead out of the zip"] += 1
            elif any(str(folder) in runs for folder in PurePosixPath(name).parents):
                found.passed["files of a run of ganctl's"] += 1
            elif not any(part.startswith((".", "__MACOSX")) for part in parts):
                sort_out(name, found)
        return found

    def facts(self, name: str) -> Hashable:
        info = self.members[name]
        return (info.file_size, info.CRC, info.date_time)

    def open(self, name: str) -> BinaryIO:
        try:
            with self.packed.open(self.members[name]) as file:
                content = file.read(MEMBER + 1)
        except Exception as error:  # encrypted, damaged, packed in a way that is not known
            raise Unreadable(str(error) or type(error).__name__) from error
        if len(content) > MEMBER:
            raise Unreadable(f"unpacks to more than {MEMBER // 2**20} MB")
        return BytesIO(content)


def directory(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle with itself
        return False


def sort_out(name: str, found: Found) -> None:
    """A picture by its suffix, or something that is passed over."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in SUFFIXES:
        found.names.append(name)
    else:
        found.passed[suffix or "files without a suffix"] += 1


@contextmanager
def place_at(root: str | None) -> Iterator[Place]:
    """The folder or the zip that dataset.root names."""
    if root is None:
        raise UserError("dataset=folder: which folder?\n  try: dataset.root=PATH")
    shown = printable(root)
    try:
        path = Path(root).expanduser()
        there, file, folder = path.exists(), path.is_file(), path.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # ~nobody, a name too long, a zero byte
        raise UserError(f"dataset.root={shown}: {printable(error)}\n  try: dataset.root=PATH") from error
    if folder:
        yield Directory(path)
    elif file and zipfile.is_zipfile(path):
        with unzipped(path, shown) as packed:
            yield Archive(path, packed)
    elif file:
        raise UserError(f"dataset.root={shown}: {no_folder(path)}")
    else:
        why = "neither a folder nor a zip" if there else f"no such folder (seen from {printable(Path.cwd())})"
        raise UserError(f"dataset.root={shown}: {why}\n  try: dataset.root=PATH")


@contextmanager
def unzipped(path: Path, shown: str) -> Iterator[zipfile.ZipFile]:
    try:
        packed = zipfile.ZipFile(path)
    except Exception as error:  # whatever a damaged table of contents leads to
        raise UserError(
            f"dataset.root={shown}: this zip cannot be read ({printable(error)})\n"
            f"  try: unpack it, and dataset.root=PATH of the folder"
        ) from error
    with packed:
        yield packed


def no_folder(path: Path) -> str:
    """Why a file is not what dataset.root can name, and what to do."""
    if path.suffix.lower() in PACKED:
        return "an archive that is not read\n  try: unpack it, and dataset.root=PATH of the folder, or pack it as a zip"
    if path.suffix.lower() == ".zip":
        return "a damaged zip\n  try: dataset.root=PATH of a folder or a whole zip"
    if path.suffix.lower() in SUFFIXES:
        return f"is a file\n  try: dataset.root={printable(path.parent)}, the folder it lies in"
    return "is a file, neither a folder nor a zip\n  try: dataset.root=PATH of a folder or a zip"
