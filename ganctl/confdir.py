"""Where the built-in YAML lies; free of heavy imports, so that `--help` is instant."""

from pathlib import Path
from typing import Any

Config = dict[str, Any]
"""A configuration as plain containers."""


def conf_dir() -> Path:
    """The built-in configuration, absolute: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    return next(path for path in (package / "conf", package.parent / "conf") if path.is_dir())
