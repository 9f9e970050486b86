"""ganctl eval."""

from omegaconf import DictConfig

from ganctl.errors import UserError


def run(cfg: DictConfig) -> None:
    """Say that judging is not there yet."""
    raise UserError("ganctl eval is not part of this version yet\n  try: ganctl sample, and look at the pictures")
