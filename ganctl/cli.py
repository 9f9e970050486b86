"""The command line: the only file that reads argv. Torch is imported after argv has been understood."""

import importlib
import os
import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ganctl import launch
from ganctl.errors import UserError, did_you_mean

COMMANDS = {
    "train": "train a GAN, or go on with the same settings' run",
    "sample": "draw from a trained generator",
    "eval": "judge a trained generator",
}
OVERVIEW = """ganctl trains, samples and judges generative adversarial networks from configuration alone.

{commands}

  ganctl train loss=wgan_gp dataset=mnist     one run
  ganctl train -m loss=nsgan,lsgan seed=0,1   a sweep
  ganctl sample n=64                          a grid from the newest run

`ganctl COMMAND --help` lists every group with its options; `ganctl --version` the version.
"""
FLAGS_WITH_VALUE = (
    "--config-dir",
    "-cd",
    "--config-path",
    "-cp",
    "--config-name",
    "-cn",
    "--package",
    "-p",
    "--cfg",
    "-c",
)
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


def main(argv: list[str] | None = None) -> None:
    """Run one command; ends by SystemExit where the exit status is not 0."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        _dispatch(args)
    except UserError as error:
        _fail(str(error), 2)
    except KeyboardInterrupt:
        _fail("interrupted", 130)


def _dispatch(args: list[str]) -> None:
    if not args or args[0] in ("-h", "--help", "help"):
        lines = "\n".join(f"  {name:<8} {words}" for name, words in COMMANDS.items())
        print(OVERVIEW.format(commands=lines), end="")
        return
    if args[0] == "--version":
        print(f"ganctl {version('ganctl')}")
        return
    if args[0] in ("-sc", "--shell-completion"):
        _complete(args)
        return
    command, rest = args[0], args[1:]
    if command not in COMMANDS:
        raise UserError(f"'{command}' is no command{did_you_mean(command, COMMANDS)}\n  try: ganctl --help")
    if "--help" in rest or "-h" in rest:
        from ganctl.help import command_help

        print(command_help(command, COMMANDS[command], _value_of(rest, "--config-dir", "-cd")), end="")
        return
    multirun = "-m" in rest or "--multirun" in rest
    _refuse_what_hydra_cannot(rest, multirun)
    _run_hydra(command, rest, multirun)


def _refuse_what_hydra_cannot(rest: list[str], multirun: bool) -> None:
    if multirun and launch.number("WORLD_SIZE", 1) > 1:
        raise UserError("a sweep (-m) cannot run under torchrun\n  try: one torchrun for each configuration")
    if multirun and any(flag in rest for flag in ("--cfg", "-c", "--info", "-i")):
        raise UserError("-m and --cfg or --info do not go together\n  try: without -m")


def _run_hydra(command: str, rest: list[str], multirun: bool) -> None:
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from ganctl.confdir import conf_dir

    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # a console script lacks it, and a user's own classes live there
    wants_traceback = "HYDRA_FULL_ERROR" in os.environ
    before = sys.argv
    sys.argv = [f"ganctl {command}", *_flags_first(rest if multirun else _quote_commas(rest))]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then hands us its errors instead of printing them
    started: list[Any] = []
    try:
        task = _task(command, multirun, started)
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=command)(task)()
    except Exception as error:
        # Before a job has started, whatever goes wrong lies in the arguments or in the YAML files they name.
        if wants_traceback or (started and not isinstance(error, (HydraException, OmegaConfBaseException, UserError))):
            raise
        _fail(_friendly(error, command), 1)
    finally:
        sys.argv = before
        if not wants_traceback:
            del os.environ["HYDRA_FULL_ERROR"]
        if multirun:
            from ganctl.sweep import show_tables

            show_tables()


def _task(command: str, multirun: bool, started: list[Any]) -> Callable[[Any], Any]:
    def task(cfg: Any) -> Any:
        started.append(cfg)
        run = importlib.import_module(f"ganctl.commands.{command}").run
        try:
            return run(cfg)
        except (UserError, OSError) as error:
            told = _explained(error) if isinstance(error, OSError) else error
            if multirun:
                raise told from error  # Hydra notes the failed job and goes on with the next
            _fail(_friendly(told, command), 1)

    return task


def _explained(error: OSError) -> UserError:
    return UserError(
        f"{error.filename or 'input/output'}: {error.strerror or error}\n"
        "  try: free some space, or a folder you may read and write; what was saved before is intact"
    )


def _flags_first(rest: list[str]) -> list[str]:
    """Hydra's parser refuses overrides on both sides of a flag: flags go first, with their values."""
    flags: list[str] = []
    overrides: list[str] = []
    queue = list(rest)
    while queue:
        word = queue.pop(0)
        if word in ("--info", "-i"):
            flags.append(f"--info={queue.pop(0) if queue and queue[0] in INFO else 'all'}")
        elif word in FLAGS_WITH_VALUE and queue:
            flags += [word, queue.pop(0)]
        else:
            (flags if word.startswith("-") else overrides).append(word)
    return flags + overrides


def _quote_commas(rest: list[str]) -> list[str]:
    """`seeds=0,4-6` is one value here; to Hydra a bare comma means a sweep."""
    bare = r"[^\"'\[\](){}\\]*"
    return [re.sub(rf"^(seeds|label)=({bare},{bare})$", r'\1="\2"', word) for word in rest]


def _value_of(rest: list[str], *flags: str) -> Path | None:
    for word, value in zip(rest, [*rest[1:], ""], strict=True):
        name, equals, attached = word.partition("=")
        if name in flags:
            return Path(attached if equals else value)
    return None


def _friendly(error: Exception, command: str) -> str:
    """Hydra's sentence, with a remedy of ours where Hydra's would mislead."""
    text = str(error).strip()
    no_option = re.match(r"In '[^']*': Could not (?:find|load) '(.+)/([^/']+)'", text)
    if no_option:
        group, name = no_option.groups()
        options = re.findall(r"^\t(\S+)$", text, re.MULTILINE)
        listed = f"one of {', '.join(options)}" if options else f"ganctl {command} --help, which lists them"
        return f"{group}={name}: no such option{did_you_mean(name, options)}\n  try: {listed}"
    unknown = re.search(r"Could not override '([^']+)'|Key '([^']+)' is not in struct", text)
    if unknown:
        from ganctl.help import known_keys

        key = next(group for group in unknown.groups() if group)
        return (
            f"'{key}' is no key of ganctl {command}{did_you_mean(key, known_keys(command, sys.argv[1:]))}\n"
            f"  try: ganctl {command} --cfg job, which shows every key"
        )
    return text if re.search("try:|did you mean", text) else f"{text}\n  try: ganctl {command} --help"


def _complete(args: list[str]) -> None:
    """Shell completion: the subcommand is completed here, what follows it by Hydra."""
    from ganctl.help import complete

    sys.exit(complete(args, COMMANDS))


def _fail(text: str, status: int) -> None:
    print(text, file=sys.stderr)
    sys.exit(status)
