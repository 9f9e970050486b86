"""What the folders of a data set mean: its parts for training and tests, and its classes."""

import functools
import itertools
import logging
import os
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import torch
from torch import Tensor

from ganctl.errors import UserError, printable

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")
log = logging.getLogger("ganctl")


class Layout(NamedTuple):
    """`top` is the folder that all pictures lie in, "" or ending in a slash; `tests` the folders in it that hold the
    test part, empty where a tenth of all is taken."""

    top: str
    tests: tuple[str, ...]
    trains: tuple[str, ...]

    def is_test(self, name: str) -> bool:
        return self.first(name) in self.tests

    def inside(self, name: str) -> str:
        """The path below the part's folder."""
        rest = name[len(self.top) :]
        return rest.partition("/")[2] if self.first(name) in (*self.tests, *self.trains) else rest

    def first(self, name: str) -> str:
        head, slash, _ = name[len(self.top) :].partition("/")
        return head if slash else ""


@functools.cache
def say(line: str) -> None:
    """Tell a fact about a folder once in a process: evaluations read it again and again."""
    log.info(line)


def shared(names: Sequence[str]) -> str:
    """The folders that all files lie in, with a slash at the end."""
    low, high = (one((name.split("/")[:-1] for name in names), default=[]) for one in (min, max))
    alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False))
    return "".join(f"{folder}/" for folder, _ in alike)


def firsts(names: Sequence[str]) -> list[str]:
    """The folders that the first step of these paths names, sorted."""
    return sorted({name.split("/")[0] for name in names if "/" in name})


def arrange(root: str, names: list[str]) -> tuple[Layout, list[str]]:
    """What the folders mean, and the names in their order: the test part first where folders decide, each part by hash.

    So the order is the same on every machine, any first n are a fair choice over the classes, and a new file moves no
    other.
    """
    top = shared(names)
    folders = firsts([name[len(top) :] for name in names])
    trains = tuple(name for name in folders if name.lower() in TRAIN)
    tests = tuple(name for name in folders if name.lower() in TEST)
    layout = Layout(top, (), ())
    if trains and tests and len(trains) + len(tests) == len(folders):
        layout = Layout(top, tests, trains)
        names = parted(root, layout, names)
        if not any(map(layout.is_test, names)):
            layout = Layout(top, (), trains)
    elif trains and tests:
        say(
            f"dataset.root={root}: {listed([*trains, *tests])} are read as classes, because other folders lie beside "
            f"them\n  try: dataset.root={root}/{printable(top + trains[0])}, if they are the parts of a data set"
        )
    return layout, sorted(names, key=lambda name: (not layout.is_test(name), in_hash_order(name), name))


def in_hash_order(name: str) -> bytes:
    return blake2b(os.fsencode(name), digest_size=8).digest()


def parted(root: str, layout: Layout, names: list[str]) -> list[str]:
    """The names in the folders for training and tests; tells what is left out, and which folder is which."""
    kept = [name for name in names if layout.first(name)]
    train = [name for name in kept if not layout.is_test(name)]
    test = [name for name in kept if layout.is_test(name)]
    where, trained, tested = f"dataset.root={root}", listed(layout.trains), listed(layout.tests)
    if len(kept) < len(names):
        say(f"{where}: {len(names) - len(kept)} pictures beside {trained} and {tested} are left out")
    if classes_in(layout, train) and not classes_in(layout, test):
        say(
            f"{where}: {trained} is for training; {tested} is left out, because it lacks the class folders of {trained}"
        )
        return train
    say(f"{where}: {trained} ({len(train)} pictures) is for training, {tested} ({len(test)}) is the test split")
    return kept


def classes_in(layout: Layout, names: list[str]) -> dict[str, str]:
    """The class folder of each name; empty where there are fewer than two, or pictures beside them."""
    inside = {name: layout.inside(name) for name in names}
    top = shared(list(inside.values()))
    classes = {name: path[len(top) :].partition("/") for name, path in inside.items()}
    found = {name: head if slash else "" for name, (head, slash, _) in classes.items()}
    distinct = set(found.values())
    return found if "" not in distinct and len(distinct) > 1 else {}


def classes_of(root: str, layout: Layout, names: list[str]) -> tuple[Tensor | None, list[str] | None]:
    """Labels (N,) and class names, sorted; None where images lie beside the folders, or in a single one."""
    parts = [[name for name in names if layout.is_test(name) is tests] for tests in (False, True)]
    found = [classes_in(layout, part) for part in parts]
    if any(part and not classes for part, classes in zip(parts, found, strict=True)):
        explain(root, layout, parts[0])
        return None, None
    folder = {**found[0], **found[1]}
    classes = sorted(set(folder.values()))
    above = layout.top + shared([layout.inside(name) for name in parts[0]])
    where = f" in {printable(above.rstrip('/'))}" if above else ""
    say(f"dataset.root={root}: the {len(classes)} classes are the folders{where}: {listed(classes)}")
    number = {name: label for label, name in enumerate(classes)}
    return torch.tensor([number[folder[name]] for name in names]), [printable(name) for name in classes]


def explain(root: str, layout: Layout, names: list[str]) -> None:
    """Say why there are no classes, where the folders look like some."""
    inside = [layout.inside(name) for name in names]
    top = shared(inside)
    rest = [name[len(top) :] for name in inside]
    folders, beside = firsts(rest), sorted(name for name in rest if "/" not in name)
    if len(folders) > 1 and beside:
        count = "1 picture lies" if len(beside) == 1 else f"{len(beside)} pictures lie"
        say(
            f"dataset.root={root}: no classes, because {count} beside the class folders {listed(folders)}, such as "
            f"{printable(beside[0])}\n  try: move it into one of them, or dataset.num_classes=0 to do without classes"
        )


def rows_of_part(layout: Layout, names: list[str], part: str) -> slice:
    """The rows of a part: its folders', or else the first tenth for tests, at least one image, unless there is but
    one."""
    total = len(names)
    tests = sum(map(layout.is_test, names)) if layout.tests else min(max(1, total // 10), total - 1)
    if layout.tests and tests in (0, total):
        lacking = listed(layout.trains if tests else layout.tests)
        raise UserError(
            f"dataset=folder: no picture in {lacking} can be read\n  try: mend them, or another dataset.root"
        )
    if part == "test" and tests == 0:
        raise UserError("dataset.split=test: a single image has no test part\n  try: dataset.split=train")
    return slice(0, tests) if part == "test" else slice(tests, total)


def listed(names: Sequence[str], most: int = 10) -> str:
    """Names in a sentence, not too many."""
    shown = [printable(name) for name in names[:most]]
    more = [f"{len(names) - most} more"] if len(names) > most else []
    *first, last = [*shown, *more]
    return f"{', '.join(first)} and {last}" if first else last
