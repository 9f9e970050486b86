"""Every command, class and file that the README shows works as shown, in the order of the page."""

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from ganctl.cli import main

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
NEEDS_MORE_THAN_THIS_MACHINE = (
    "dataset=mnist",
    "experiment=parzen_mnist",
    "experiment=stacked_mnist",
    "device=cuda",
    "torchrun",
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def commands() -> list[list[str]]:
    """The words of each command line, comments left out."""
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def test_commands_are_ganctl_or_known_scripts():
    for words in commands():
        assert words[0] in ("ganctl", "scripts/ganctl", "scripts/test", "torchrun"), words
        if words[0].startswith("scripts/"):
            assert (ROOT / words[0]).exists()


def test_the_table_names_every_option():
    for group in (folder for folder in (ROOT / "conf").iterdir() if folder.is_dir()):
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{group.name}`"))
        for option in group.glob("*.yaml"):
            assert f"`{option.stem}`" in row, f"the README's row of {group.name} lacks {option.stem}"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the libraries below the optuna sweeper warn
def test_every_command_runs(workplace):
    photos(workplace / "photos")
    for block in [*blocks("python"), *blocks("yaml")]:
        name = re.match(r"# (\S+\.(?:py|yaml))\n", block)
        if name:
            (workplace / name[1]).parent.mkdir(parents=True, exist_ok=True)
            (workplace / name[1]).write_text(block, encoding="utf-8")
    for words in commands():
        if words[0] == "scripts/test":
            continue
        args = words[words.index("ganctl") + 1 :] if words[0] == "torchrun" else words[1:]
        if args[0] == "train" and "--help" not in args:
            asks_too_much = any(word in NEEDS_MORE_THAN_THIS_MACHINE for word in words)
            optuna = any("optuna" in word for word in args)
            args += ["--cfg", "job"] if asks_too_much else ["debug=fast", "device.threads=1"]
            args += ["steps=6"] if any(word.startswith("steps=") for word in args) else []
            args += ["hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=1"] if optuna else []
        if any(word.startswith("hydra/") for word in args):
            pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
            pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
        main(args)
    assert list(workplace.glob("runs/*/artifacts/grid.png"))
    run_python(blocks("python"))


def run_python(shown: list[str]) -> None:
    """The example that loads a generator into a person's own code."""
    scope: dict[str, object] = {}
    exec(next(block for block in shown if "import load" in block), scope)
    assert scope["pictures"].shape[0] == 16


def photos(folder: Path) -> None:
    for index in range(80):
        place = folder / ("cats" if index % 2 else "dogs")
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (70, 90), (index * 3, 255 - index * 3, 90)).save(place / f"{index}.jpg")
