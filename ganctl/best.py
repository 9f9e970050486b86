"""Which evaluation was the best so far, and whether it still makes sense to wait for a better one."""

from collections.abc import Mapping
from typing import Any, Literal

from ganctl.errors import UserError, did_you_mean, require_positive


class Best:
    """Follows one metric over the evaluations of a run.

    metric: its name, with or without what read it: `fid` finds `fid/digits-cnn-df42`. None keeps no best checkpoint.
    patience: how many evaluations in a row may bring nothing better before the run stops.
    """

    def __init__(
        self, metric: str | None = None, mode: Literal["min", "max"] = "min", patience: int | None = None
    ) -> None:
        if mode not in ("min", "max"):
            raise UserError(f"best.mode={mode} is unknown\n  try: best.mode=min or best.mode=max")
        if patience is not None and metric is None:
            raise UserError("best.patience needs a metric to wait for\n  try: best.metric=fid")
        require_positive(**{"best.patience": patience})
        self.metric, self.mode, self.patience = metric, mode, patience
        self.value: float | None = None
        self.waited = 0

    def note(self, values: Mapping[str, float]) -> bool:
        """Take in one evaluation; whether it is the best so far."""
        if self.metric is None:
            return False
        name = next((name for name in values if name == self.metric or name.startswith(f"{self.metric}/")), None)
        if name is None:
            raise UserError(f"best.metric={self.metric} was not measured{did_you_mean(self.metric, values)}")
        value = values[name]
        better = self.value is None or (value < self.value if self.mode == "min" else value > self.value)
        self.value, self.waited = (value, 0) if better else (self.value, self.waited + 1)
        return better

    @property
    def enough(self) -> bool:
        """Whether the patience has run out."""
        return self.patience is not None and self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.value, self.waited = state["value"], state["waited"]
