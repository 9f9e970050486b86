"""The one error a user is meant to read."""

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

JOINERS = "\u200c\u200d"
"""Invisible, but part of how words and emoji are written."""


class UserError(Exception):
    """A mistake at the prompt or in the data: what is wrong, and the remedy. Shown without a traceback."""


class Diverged(UserError):
    """A run whose numbers are no longer finite: a search goes on with its next trial."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest known word, else the sorted list of what is known."""
    known = sorted(known)
    ends = [name for name in known if name.rpartition(".")[2] == word]
    near = sorted(ends, key=len) or get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known: {', '.join(known)}" if known else ""


def require_positive(**numbers: float | None) -> None:
    """Refuse a number that must be above zero; None means unset and passes."""
    for name, value in numbers.items():
        if value is not None and value <= 0:
            raise UserError(f"{name}={value}: must be greater than 0\n  try: {name}=1 or more")


def require_at_most(most: int, **numbers: int) -> None:
    """Refuse a count that no memory holds."""
    for name, value in numbers.items():
        if value > most:
            raise UserError(f"{name}={value}: must be at most {most}\n  try: {name}={most}")


def printable(text: object, keep: str = "") -> str:
    """Text from outside (names of files and classes, stored values), safe on a terminal and in a log.

    What steers a terminal, turns the direction of writing or is no text at all is shown as its escape: `\\x1b[2J`.
    A name has no line breaks; a text that may have them is given `keep="\\n"`.
    """
    return "".join(c if c in keep or _shows(c) else c.encode("unicode_escape").decode() for c in str(text))


def _shows(character: str) -> bool:
    return character.isprintable() or character in JOINERS or unicodedata.category(character) == "Zs"
