"""`--help` of each command and shell completion, read from the YAML files themselves."""

import contextlib
import io
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ganctl.confdir import conf_dir

GROUPS = {
    "train": [
        "system",
        "model",
        "loss",
        "regularizer",
        "augment",
        "optimizer",
        "schedule",
        "dataset",
        "device",
        "metric",
        "experiment",
        "debug",
    ],
    "sample": ["artifact", "device"],
    "eval": ["metric", "device"],
}


def command_help(command: str, purpose: str, own: Path | None = None) -> str:
    """The command's groups with each option's first line, then its keys, as they stand in the YAML."""
    lines = [f"ganctl {command}: {purpose}.", "", f"usage: ganctl {command} [GROUP=OPTION] [KEY=VALUE] [FLAGS]", ""]
    for group in GROUPS[command]:
        if options := options_of(group, own):
            lines.append(group)
            lines += [f"  {name:<18} {words}" for name, words in options.items()]
    lines += ["", "keys", *_own_keys(command), ""]
    lines += [
        "flags",
        "  -m                 a sweep: every combination of comma-separated values",
        "  --cfg job          print the whole configuration and stop; every key below a group is there",
        "  --config-dir DIR   a folder with options of your own: DIR/loss/mine.yaml is loss=mine",
        "  --hydra-help       flags of the configuration system",
        "",
    ]
    return "\n".join(lines)


def options_of(group: str, own: Path | None = None) -> dict[str, str]:
    """The options of a group, built-in ones and the user's, with what each is for."""
    folders = [folder / group for folder in (conf_dir(), *([own] if own else []))]
    files = sorted(file for folder in folders for file in folder.glob("*.yaml"))
    return {file.stem: _purpose(file) for file in files}


def _purpose(file: Path) -> str:
    """The first comment line that is not one of Hydra's headers."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and not line.startswith("# @package"):
            return line.lstrip("# ")
    return ""


def _own_keys(command: str) -> Iterable[str]:
    """The plain keys of the primary config with their comments, as written there."""
    text = (conf_dir() / f"{command}.yaml").read_text(encoding="utf-8")
    body = text.split("\n\n", 1)[1].split("\nhydra:")[0]
    return [f"  {line}" for line in body.splitlines() if line.strip() and "_target_" not in line]


def known_keys(command: str, words: Iterable[str] = ()) -> set[str]:
    """Every dotted key of the configuration with the built-in options among the words, and the groups."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        defaults = OmegaConf.to_container(compose(command, list(filter(_is_choice, words))))
    keys = set(GROUPS[command])

    def visit(node: Any, path: str) -> None:
        for key in node if isinstance(node, dict) else ():
            if key.startswith("_"):
                continue
            keys.add(f"{path}{key}")
            visit(node[key], f"{path}{key}.")

    visit(defaults, "")
    return keys


def _is_choice(word: str) -> bool:
    group, _, option = word.partition("=")
    return option in options_of(group)


def complete(args: list[str], commands: Mapping[str, str]) -> int:
    """Answer `ganctl -sc install=bash|uninstall=bash|query=bash`; 0 when answered."""
    import hydra

    query = args[1] if len(args) > 1 else ""
    if not query.startswith("query="):
        sys.argv = ["ganctl", "-sc", query]
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")(lambda cfg: None)()
        return 0
    words = os.environ.get("COMP_LINE", "").split(" ")
    if len(words) <= 2:
        print(" ".join(name for name in commands if name.startswith(words[-1])))
        return 0
    command = words[1]
    if command not in commands:
        return 1
    line = " ".join([words[0], *words[2:]])
    os.environ.update(COMP_LINE=line, COMP_POINT=str(len(line)))
    sys.argv = ["ganctl", "-sc", query]
    found = io.StringIO()
    with contextlib.redirect_stdout(found):
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=command)(lambda cfg: None)()
    print(found.getvalue(), end="")
    return 0
