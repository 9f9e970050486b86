"""A sweep's results over its seeds: mean and standard error of each setting, in results.csv and as a table for TeX."""

import math
import re
import statistics
from collections.abc import Mapping, Sequence

Row = Mapping[str, str]
"""One job of results.csv."""
OWN = ("mean", "standard_error", "seeds")
"""The columns that this file adds."""


def summarized(rows: Sequence[Row], settings: Sequence[str]) -> list[dict[str, str]]:
    """The rows, each with the mean and the standard error of `value` over the seeds of its settings.

    Jobs that differ in nothing but the seed belong together; a job that did not finish counts for nothing. The standard
    error is the sample deviation over the root of the number of seeds, and empty for a single seed.
    """
    found = {key: values for key, values in _groups(rows, settings).items() if values}
    return [{**row, **_words(found.get(_key(row, settings), []))} for row in rows]


def table(rows: Sequence[Row], settings: Sequence[str]) -> str:
    """The same as a tabular of LaTeX, a line a setting, with the settings that differ between lines."""
    groups = _groups(rows, settings)
    names = [name for name in settings if name != "seed"]
    varied = [k for k in range(len(names)) if len({key[k] for key in groups}) > 1]
    head = [*(names[k] for k in varied), "seeds", "value"]
    lines = [" & ".join(map(_escaped, head))]
    for key, values in groups.items():
        words = _words(values)
        error = rf" $\pm$ {words['standard_error']}" if words["standard_error"] else ""
        shown = [*(key[k] for k in varied), words["seeds"]]
        lines.append(" & ".join([*map(_escaped, shown), (words["mean"] or "--") + error]))
    first, *rest = (rf"{line} \\" for line in lines)
    body = [rf"\begin{{tabular}}{{{'l' * len(varied)}rr}}", r"\hline", first, r"\hline", *rest, r"\hline"]
    return "\n".join([*body, r"\end{tabular}", ""])


def _key(row: Row, settings: Sequence[str]) -> tuple[str, ...]:
    return tuple(row.get(name) or "" for name in settings if name != "seed")


def _groups(rows: Sequence[Row], settings: Sequence[str]) -> dict[tuple[str, ...], list[float]]:
    """The values of the finished jobs of each setting, in the order of the jobs."""
    found: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        values = found.setdefault(_key(row, settings), [])
        if row.get("status") == "done" and row.get("value"):
            values.append(float(row["value"]))
    return found


def _words(values: Sequence[float]) -> dict[str, str]:
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    numbers = (statistics.fmean(values) if values else None, error)
    return dict(zip(OWN, [*("" if x is None else f"{x:.4g}" for x in numbers), str(len(values))], strict=True))


def _escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    named = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return re.sub(r"[\\~^&%$#_{}]", lambda found: named.get(found[0], f"\\{found[0]}"), text)
