"""ganctl trains, samples and judges generative adversarial networks from configuration alone."""

from typing import Any

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """`from ganctl import load`, without importing torch for people who only want the version."""
    if name == "load":
        from ganctl.restore import load

        return load
    raise AttributeError(name)
