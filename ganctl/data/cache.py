"""Where downloads and decoded images are kept between runs."""

import os
from pathlib import Path

from ganctl.errors import UserError


def cache_dir() -> Path:
    """`$GANCTL_CACHE`, else `$XDG_CACHE_HOME/ganctl`, else `~/.cache/ganctl`. It need not exist yet."""
    own = os.environ.get("GANCTL_CACHE")
    try:
        if own:
            return Path(own).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ganctl"
    except RuntimeError as error:  # no HOME, and a user id without a name: a container
        raise UserError(
            "there is no home folder to keep downloads and decoded images in\n  try: export GANCTL_CACHE=/tmp/ganctl"
        ) from error
