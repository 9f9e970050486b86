"""Who may import whom (right from left, never back), and who alone may do what."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ganctl"
FILES = sorted(PACKAGE.rglob("*.py"))
FLOORS = (
    {"errors", "confdir", "schema", "progress", "launch"},
    {"types", "seeding", "distributed", "device", "shift", "pictures"},
    {"losses", "regularizers", "augment", "networks", "data", "metrics"},
    {"systems"},
    {"artifacts"},
    {"trainer", "checkpoint", "ema", "report", "watch", "monitors", "best", "players"},
    {"config", "run", "sweep", "restore", "features", "evaluate", "leaderboard"},
    {"commands"},
    {"cli", "help"},
    {"__init__", "__main__"},
)
ROOMS = FLOORS[2]
"""Neighbours that do not import one another."""


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def imports(file: Path, *, top_only: bool = False) -> Iterator[str]:
    """Dotted names of everything a file imports, `from a import b` as a.b."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: absolute imports only"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(*modules: str) -> set[str]:
    """The files that import any of these modules or something in them, as paths within the package."""
    return {
        file.relative_to(PACKAGE).as_posix()
        for file in FILES
        for name in imports(file)
        if any(f"{name}.".startswith(f"{module}.") for module in modules)
    }


def calls(method: str) -> set[str]:
    """The files that call a method of this name."""
    return {
        file.relative_to(PACKAGE).as_posix()
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_imports_go_down(file):
    own = room(file)
    if own.startswith("__"):
        return
    for name in imports(file):
        if name.startswith("ganctl."):
            other = name.split(".")[1]
            assert floor(other) <= floor(own), f"{own} imports {name}, which stands above it"
            same_floor = other != own and floor(other) == floor(own)
            assert not (same_floor and own in ROOMS), f"{own} imports {name}, which stands beside it"


def test_only_the_trainer_moves_weights():
    assert calls("backward") == {"trainer.py"}
    assert calls("step") == {"trainer.py"}


def test_only_distributed_knows_torch_distributed():
    assert importers("torch.distributed") == {"distributed.py"}


def test_only_report_writes_logs():
    assert importers("torch.utils.tensorboard", "tensorboard") == {"report.py"}


def test_only_the_outermost_files_know_hydra():
    plain = {file for file in importers("hydra", "omegaconf") if not file.startswith("commands/")}
    assert plain <= {"cli.py", "config.py", "sweep.py", "help.py"}
    assert not {name for file in (PACKAGE / "commands").glob("*.py") for name in imports(file) if "hydra" in name}


def test_only_config_instantiates():
    assert importers("hydra.utils.instantiate") == {"config.py"}
    assert importers("hydra.utils") == {"config.py"}


@pytest.mark.parametrize(
    "arguments", ["['--version']", "['train', '--help']", "['train', '--cfg', 'job']", "['trian']"]
)
def test_torch_is_imported_only_to_work(arguments):
    ask = f"""
import sys
from ganctl.cli import main
try:
    main({arguments})
except SystemExit:
    pass
print("torch" in sys.modules, "hydra" in sys.modules, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    torch_there, hydra_there = done.stderr.splitlines()[-1].split()
    assert torch_there == "False"
    if "--cfg" not in arguments:
        assert hydra_there == "False"
