"""Runs side by side, the best on top, real data above them all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean, stdev

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

RANKED = {"fid": 1, "parzen": -1, "kl": 1, "reverse_kl": 1, "kid": 1}
"""The first of these that was measured orders the table; -1 where more is better."""
Values = Mapping[str, float]


@dataclass(frozen=True)
class Entry:
    """One run's numbers. Entries of equal `settings` differ only in their seed."""

    name: str
    seed: int
    settings: str
    values: Values


@dataclass(frozen=True)
class Row:
    """Mean and standard error over seeds; of a single run the error that the metric itself states, if any."""

    name: str
    values: Values
    errors: Values


def row_of(entries: Sequence[Entry]) -> Row:
    """One row of runs that differ only in their seed."""
    first, *others = entries
    if not others:
        return Row(
            first.name, first.values, {name: first.values[error] for error, name in errors(first.values).items()}
        )
    columns = {name: [entry.values[name] for entry in entries] for name in first.values}
    return Row(
        f"{first.name} and seeds {', '.join(str(entry.seed) for entry in others)}",
        {name: fmean(column) for name, column in columns.items()},
        {name: stdev(column) / len(column) ** 0.5 for name, column in columns.items()},
    )


def errors(values: Values) -> dict[str, str]:
    """Which numbers say how sure another one is: `kid_se/x` -> `kid/x`, `inception_score_std` -> `inception_score`."""
    found = {}
    for error in values:
        base, slash, reader = error.partition("/")
        name = base.removesuffix("_se").removesuffix("_std") + slash + reader
        if name != error and name in values:
            found[error] = name
    return found


def ranked(entries: Sequence[Entry]) -> list[Row]:
    """A row for each setting, the best first by the first metric of RANKED that all have."""
    by_settings = sorted(entries, key=lambda entry: (entry.settings, entry.seed))
    rows = [row_of([*group]) for _, group in groupby(by_settings, key=lambda entry: entry.settings)]
    for metric, sign in RANKED.items():
        for name in rows[0].values:
            if name.partition("/")[0] == metric and all(name in row.values for row in rows):
                return sorted(rows, key=lambda row: sign * row.values[name])
    return rows


def show(entries: Sequence[Entry], control: Values, words: str) -> None:
    """Print the rows: a table for each way of reading samples, and another where the console is too narrow."""
    rows = [row_of([Entry("real data", 0, "", control)]), *ranked(entries)]
    names = {name: 0.0 for entry in entries for name in entry.values}
    columns = [name for name in names if name not in errors({**names, **control})]
    console = Console()
    for reader in dict.fromkeys(name.partition("/")[2] for name in columns):
        console.print(f"\n{words}, read by {reader}" if reader else f"\n{words}", style="italic", highlight=False)
        for page in pages(rows, [name for name in columns if name.partition("/")[2] == reader], console.width):
            heads = (Column(head(name), justify="right", overflow="fold") for name in page)
            table = Table(Column(overflow="fold"), *heads, box=SIMPLE_HEAD, padding=0)
            for row in rows:
                table.add_row(row.name, *(cell(row, name) for name in page))
            console.print(table)


def pages(rows: Sequence[Row], names: Sequence[str], width: int) -> Iterator[list[str]]:
    """The columns, as many together as there is room for beside the rows' names; always one at least."""
    room = width - 2 - max(len(row.name) for row in rows)
    page: list[str] = []
    for name in names:
        wide = [1 + max(len(head(column)), *(len(cell(row, column)) for row in rows)) for column in (*page, name)]
        if page and sum(wide) > room:
            yield page
            page = []
        page.append(name)
    yield page


def head(name: str) -> str:
    return name.partition("/")[0]


def cell(row: Row, name: str) -> str:
    if name not in row.values:
        return ""
    error = f" ± {row.errors[name]:.2g}" if name in row.errors else ""
    return f"{row.values[name]:.4g}{error}"
