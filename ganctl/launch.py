"""What a launcher such as torchrun, or what is left of one, says in the environment. Free of heavy imports."""

import os

from ganctl.errors import UserError

TOGETHER = ("WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT")
ALONE = "unset WORLD_SIZE, and this process trains alone"
PATIENCE = "GANCTL_WAIT"
"""The variable that sets how many seconds processes wait for one another at the start."""


def number(name: str, default: int) -> int:
    """A whole number from the environment; an empty variable is as good as none."""
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()):
        raise UserError(f"the environment says {name}={text}, which is no whole number\n  try: unset {name}")
    return int(text)


def processes() -> int:
    """How many processes train as one. Several need all that tells them who and where they are."""
    size = number("WORLD_SIZE", 1)
    if size <= 1:
        return 1
    if lacking := [name for name in TOGETHER if not os.environ.get(name, "").strip()]:
        raise UserError(
            f"the environment says WORLD_SIZE={size}, but not {', '.join(lacking)}: no launcher started this process\n"
            f"  try: {ALONE}, or torchrun --nproc-per-node {size} -m ganctl train"
        )
    if number("RANK", 0) >= size:
        raise UserError(f"the environment says RANK={number('RANK', 0)} of WORLD_SIZE={size}\n  try: {ALONE}")
    if not 0 < number("MASTER_PORT", 0) < 65536:
        raise UserError(f"MASTER_PORT={os.environ['MASTER_PORT']} is no port\n  try: MASTER_PORT=29500")
    return size


def by_torchrun() -> bool:
    """Whether torchrun started this process: then all processes are there, and it ends them when one fails."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def patience() -> float:
    """Seconds to wait for the other processes."""
    return max(1, number(PATIENCE, 40))
