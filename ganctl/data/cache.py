"""Where downloads and decoded images are kept between runs."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """`$GANCTL_CACHE`, else `$XDG_CACHE_HOME/ganctl`, else `~/.cache/ganctl`. It need not exist yet."""
    if own := os.environ.get("GANCTL_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ganctl"
