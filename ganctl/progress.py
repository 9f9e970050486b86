"""One progress bar for every loop that keeps a person waiting."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def with_bar(items: Sequence[T], title: str) -> Iterator[T]:
    """The items, under a progress bar when there are several and a person is watching."""
    console = Console(stderr=True)
    quiet = len(items) == 1 or not console.is_terminal
    yield from track(items, title, console=console, transient=True, disable=quiet)
