"""The curves of one run, or of several side by side, as a picture."""

import math
from collections.abc import Mapping, Sequence
from io import BytesIO

from PIL import Image

Event = Mapping[str, float]
"""One line of a run's log: `step`, `seconds` and named values."""
SPLIT = ("loss", "logits", "metric")
"""The families of values that are drawn, in this order; the others stay in the log."""


def panels(names: Sequence[str], together: bool) -> dict[str, list[str]]:
    """Which values share axes: one panel a player's losses, the logits, and one panel a metric.

    together=False, for several runs: a panel a value, since each run has a line in it.
    """
    found: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: SPLIT.index(name.split("/")[0])):
        family, *rest = name.split("/")
        shared = {"loss": f"loss of {rest[0]}", "logits": "logits"}.get(family)
        found.setdefault(shared if shared and together else name, []).append(name)
    return found


def curves(logs: Mapping[str, Sequence[Event]]) -> Image.Image | None:
    """Losses, logits and metrics over the steps; `logs` holds the events of each run under its name.

    None where no run has logged a value twice, so that no line can be drawn.
    """
    # Imported here: it costs a third of a second. No pyplot: it keeps global state.
    from matplotlib.figure import Figure

    points = {run: _points(events) for run, events in logs.items()}
    several = len(logs) > 1
    drawn = {name for run in points.values() for name, line in run.items() if len(line) > 1}
    if several:
        drawn = {name for name in drawn if not name.startswith("logits/")}
    layout = panels(sorted(drawn), together=not several)
    if not layout:
        return None
    columns = min(3, len(layout))
    rows = math.ceil(len(layout) / columns)
    figure = Figure(figsize=(4.5 * columns, 3 * rows + 0.5), dpi=100, layout="constrained")
    for number, (title, names) in enumerate(layout.items(), 1):
        axes = figure.add_subplot(rows, columns, number)
        axes.set_title(_title(title), fontsize=10)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        for index, (run, lines) in enumerate(points.items()):
            for order, name in enumerate(name for name in names if name in lines):
                label = run if several else name.split("/", 2)[-1]
                axes.plot(*zip(*lines[name], strict=True), color=f"C{(index if several else order) % 10}", label=label)
        if not several and len(names) > 1:
            axes.legend(fontsize=8)
    if several:
        shown = figure.axes[0].get_legend_handles_labels()
        figure.legend(*shown, loc="outside lower center", ncols=min(3, len(logs)), fontsize=8)
    with BytesIO() as png:
        figure.savefig(png, format="png")
        return Image.open(png).convert("RGB")


def _points(events: Sequence[Event]) -> dict[str, list[tuple[float, float]]]:
    """(step, value) of each value that is drawn."""
    found: dict[str, list[tuple[float, float]]] = {}
    for event in events:
        for name, value in event.items():
            if name.split("/")[0] in SPLIT and math.isfinite(value):
                found.setdefault(name, []).append((event["step"], value))
    return found


def _title(name: str) -> str:
    """metric/fid/digits-cnn-df42 -> fid; loss/d/adversarial -> d adversarial."""
    family, _, rest = name.partition("/")
    if family == "metric":
        return rest.split("/")[0]
    return rest.replace("/", " ") or name
