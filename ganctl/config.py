"""From a composed configuration to objects: check it against the signatures it names, then build.

With cli.py and sweep.py the only files that know Hydra; the only caller of `instantiate`.
"""

import inspect
import logging
import re
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganctl.confdir import Config, conf_dir
from ganctl.errors import UserError, did_you_mean, require_positive
from ganctl.schema import conform, is_node

log = logging.getLogger("ganctl")
logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # find_target says in a sentence what it would log
ONE_OF = ("system", "model", "loss", "augment", "optimizer", "schedule", "dataset", "device")
"""Groups of which a run has one option."""
TRUSTED = ("ganctl.", "torch.optim.")
SPECIAL = {"_target_", "_partial_", "_recursive_", "_convert_"}
KNOWN_BY_DATA = ("shape", "num_classes", "class_names", "scale", "centres")
"""Null in the configuration of a data set that has to look at its data first."""


def plain(cfg: DictConfig) -> Config:
    """The configuration as plain containers, interpolations resolved; a missing value is named."""
    try:
        for path, value in _leaves(OmegaConf.to_container(cfg)):
            if value == "???":
                raise UserError(f"{path} has no default and must be given\n  try: {path}=VALUE")
        return typing.cast(Config, OmegaConf.to_container(cfg, resolve=True))
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key or 'configuration'}: {str(error).splitlines()[0]}") from error


def choice(group: str) -> str:
    """The option a person chose in a group: `loss` -> `wgan_gp`."""
    return str(HydraConfig.get().runtime.choices.get(group))


def overrides() -> list[str]:
    """What the person typed after the command."""
    return list(HydraConfig.get().overrides.task)


def sweeping() -> bool:
    return HydraConfig.get().mode is RunMode.MULTIRUN


def options(group: str) -> Config:
    """All built-in options of a group whose files nest under their own names."""
    files = sorted((conf_dir() / group).glob("*.yaml"))
    return {name: node for file in files for name, node in plain(typing.cast(DictConfig, OmegaConf.load(file))).items()}


def own_folders() -> list[Path]:
    """The folders of options that the person named with --config-dir."""
    return [Path(s.path) for s in HydraConfig.get().runtime.config_sources if s.provider == "command-line"]


def build(node: Config | None, **extra: Any) -> Any:
    """Instantiate a checked node with everything below it."""
    try:
        return instantiate(node, **extra, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        told = " ".join(line for line in str(error).splitlines() if not line.startswith("full_key"))
        raise UserError(f"{told}\n  try: HYDRA_FULL_ERROR=1 before the command, which shows where") from error


# -- checking ------------------------------------------------------------------------------------------------------


def learn_from_data(cfg: DictConfig, dataset: Any) -> None:
    """Write what only the built data set knows into the configuration, where the networks read it."""
    for key in KNOWN_BY_DATA:
        if key in cfg.dataset and cfg.dataset[key] is None:
            OmegaConf.update(cfg, f"dataset.{key}", getattr(dataset, key))


def check(config: Config, *consumers: Callable[..., Any], trusted: bool = True) -> None:
    """Hold every node against the signature its `_target_` names, and top-level scalars against the consumers'.

    Values are brought to the declared type where nothing is lost: `steps=1e5` becomes the integer 100000.
    trusted=False admits only classes of ganctl and torch.optim: what a run folder from elsewhere may build.
    """
    if not trusted:
        _require_resolved(config)
    # A system holds copies of the nodes above it: mistakes are reported where a person wrote them.
    for path, node in sorted(targets(config), key=lambda found: found[0].startswith("system")):
        target = find_target(path, node["_target_"], trusted)
        _check_node(path, node, target)
    for consumer in consumers:
        for name, hint in _hints(consumer).items():
            if name in config and not is_node(config[name]):
                config[name] = conform(name, config[name], hint)


def require_read(cfg: DictConfig, *consumers: Callable[..., Any]) -> None:
    """Refuse a key that no signature and no `${...}` reads: Hydra lets a misspelt one in a user's own file pass."""
    read = {name for consumer in consumers for name in _hints(consumer)}
    read |= set(re.findall(r"\$\{(?:oc\.select:)?\.*([\w.]+)", OmegaConf.to_yaml(cfg)))
    for path, _ in _leaves(OmegaConf.to_container(cfg), below_targets=False):
        used = any(f".{path}".endswith(f".{name}") or path.startswith(f"{name}.") for name in read)
        if not used and not _is_built_in(path):
            raise UserError(f"{path} is read by nothing{did_you_mean(path, read)}\n  try: without it")


def _is_built_in(path: str) -> bool:
    """Whether a built-in option has this key: `optimizer.lr` is read by nothing once both players have their own."""
    group, _, key = path.partition(".")
    files = (conf_dir() / group).glob("*.yaml") if key else ()
    return any(OmegaConf.select(OmegaConf.load(file), key) is not None for file in files)


def _leaves(node: Any, path: str = "", below_targets: bool = True) -> Iterator[tuple[str, Any]]:
    """Each value that is no mapping, with its dotted path."""
    for key, value in node.items():
        if not isinstance(value, dict) or not value:
            yield f"{path}{key}", value
        elif below_targets or not is_node(value):
            yield from _leaves(value, f"{path}{key}.", below_targets)


def targets(node: Any, path: str = "") -> Iterator[tuple[str, Config]]:
    """Every node that names a target, with its dotted path."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from targets(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from targets(value, f"{path}[{index}]")


def _require_resolved(node: Any, path: str = "") -> None:
    """Refuse interpolations in what a run folder stored: `${oc.create:...}` would become a node that nobody checked."""
    if isinstance(node, str) and "${" in node:
        raise UserError(
            f"{path}={node}: a run's stored configuration holds no interpolations, so this one was changed\n"
            "  try: trust=true if you know where the run comes from"
        )
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        _require_resolved(value, f"{path}.{key}" if path else str(key))


def find_target(path: str, name: Any, trusted: bool) -> Callable[..., Any]:
    """The class or function a `_target_` names; of an untrusted configuration only a class of ganctl or torch.optim.

    The name is looked at before anything is imported, and the class found must live there itself: a path such as
    `torch.optim.optimizer.torch.load` only passes through.
    """
    refused = UserError(
        f"{path}: _target_ {name} is not part of ganctl, and this configuration was read from a run folder\n"
        "  try: trust=true if you know where the run comes from"
    )
    if not trusted and not str(name).startswith(TRUSTED):
        raise refused
    try:
        target: Callable[..., Any] = get_object(str(name))
    except Exception as error:  # importing a user's module may raise anything
        reason = error.__cause__ or error
        raise UserError(f"{path}: _target_ {name} cannot be imported: {reason}\n  try: check its spelling") from error
    if not trusted and not (inspect.isclass(target) and f"{target.__module__}.".startswith(TRUSTED)):
        raise refused
    return target


def _check_node(path: str, node: Config, target: Callable[..., Any]) -> None:
    name = getattr(target, "__name__", str(target))
    parameters = inspect.signature(target).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    hints = _hints(target)
    for key in node.keys() - SPECIAL:
        if key not in parameters and not open_ended:
            raise UserError(f"{path}.{key}: {name} takes no '{key}'{did_you_mean(key, parameters)}")
        unknown_yet = node[key] is None and key in KNOWN_BY_DATA
        if key in hints and not unknown_yet:
            node[key] = conform(f"{path}.{key}", node[key], hints[key])
    needed = {key for key, p in parameters.items() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD}
    lacking = sorted(needed - node.keys())
    if lacking and not node.get("_partial_"):
        raise UserError(f"{path}: {name} needs '{lacking[0]}'\n  try: {path}.{lacking[0]}=VALUE")


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Parameter types; none where a user's annotations cannot be resolved."""
    function = target.__init__ if inspect.isclass(target) else target
    try:
        hints = typing.get_type_hints(function)
    except NameError:
        return {}
    hints.pop("return", None)
    return hints


# -- what goes together --------------------------------------------------------------------------------------------


def require_no_hidden_files() -> None:
    """Refuse a user's option that bears a built-in's name: Hydra would silently ignore the user's."""
    builtin = conf_dir()
    for folder in own_folders():
        for file in folder.rglob("*.yaml"):
            relative = file.relative_to(folder)
            if (builtin / relative).exists():
                raise UserError(
                    f"{file} bears the name of a built-in option and would be ignored\n  try: rename the file"
                )


def require_one_choice() -> None:
    """Refuse several options where there is room for one: Hydra would silently take the last."""
    for item in overrides():
        group, _, value = item.partition("=")
        if group in ONE_OF and value.startswith("["):
            first = value.strip("[] ").split(",")[0]
            raise UserError(
                f"{item}: {group} takes one option\n  try: {group}={first}, or a sweep: -m {group}={value[1:-1]}"
            )


def companions(loss: str) -> set[str]:
    """The regularizers a built-in loss brings along."""
    path = conf_dir() / "loss" / f"{loss}.yaml"
    if not path.exists():
        return set()
    defaults = typing.cast(Config, OmegaConf.to_container(OmegaConf.load(path))).get("defaults", [])
    return {
        name for item in defaults for key, names in item.items() if key == "override /regularizer" for name in names
    }


def warn_of_lost_companions(config: Config) -> None:
    lost = sorted(companions(choice("loss")) - set(config.get("regularizer") or {}))
    if lost:
        log.warning(f"loss={choice('loss')} is trained without its customary {', '.join(lost)}")


def drop_orphans(config: Config) -> None:
    """Forget the settings of replaced regularizers: `loss=r3gan regularizer=[r1]` leaves of r2 but a weight."""
    for nodes in (config.get("regularizer") or {}, config["system"].get("regularizers") or {}):
        for name in [name for name, node in nodes.items() if not is_node(node)]:
            typed = [item for item in overrides() if item.lstrip("+").startswith(f"regularizer.{name}.")]
            if typed:
                kept = [name for name, node in nodes.items() if is_node(node)]
                raise UserError(
                    f"{typed[0]}: no regularizer {name} is part of this run\n"
                    f"  try: regularizer=[{','.join([*kept, name])}]"
                )
            del nodes[name]


def wrap_players(config: Config, pack: int = 1, mixture: int = 1) -> None:
    """model.pack and model.mixture for whatever model there is: wrap the players' nodes within the system."""
    pack, mixture = conform("model.pack", pack, int), conform("model.mixture", mixture, int)
    require_positive(**{"model.pack": pack, "model.mixture": mixture})
    system = config["system"]
    if mixture > 1:
        generators = [dict(_player(system, "generator", "mixture")) for _ in range(mixture)]
        system["generator"] = {"_target_": "ganctl.networks.mixture.Mixture", "generators": generators}
    if pack > 1:
        node = dict(_player(system, "discriminator", "pack"))
        classes = node.get("num_classes") or 0
        if "shape" not in node:
            raise UserError(
                "model.pack: this discriminator is not told the shape of what it judges\n  try: model.pack=1"
            )
        if node["shape"]:  # null until the data have been looked at
            node |= {"shape": [pack * node["shape"][0], *node["shape"][1:]], "num_classes": pack * classes}
        target = "ganctl.networks.packing.Pack"
        system["discriminator"] = {"_target_": target, "discriminator": node, "pack": pack, "num_classes": classes}


def _player(system: Config, name: str, key: str) -> Config:
    if not is_node(system.get(name)):
        raise UserError(f"model.{key}: system={choice('system')} has no one {name} to wrap\n  try: model.{key}=1")
    return typing.cast(Config, system[name])


def require_labels(config: Config) -> None:
    """Refuse a conditional model on unlabelled data before anything is built."""
    wanted = config["model"].get("conditioning", "none")
    if wanted not in ("auto", "none") and not config["dataset"]["num_classes"]:
        raise UserError(
            f"model.conditioning={wanted} needs labels, and dataset={choice('dataset')} has none\n"
            "  try: model.conditioning=none, or a labelled data set"
        )
    g, d = (config["model"].get(player, {}).get("conditioning") for player in ("generator", "discriminator"))
    if not config["dataset"]["num_classes"] or None in (g, d) or (g == "none") == (d == "none"):
        return
    if g == "none":
        raise UserError(
            "model.generator.conditioning=none: the discriminator asks for labels that the generator is not told\n"
            "  try: model.conditioning=none, which holds for both"
        )
    if config["system"].get("mismatch"):
        raise UserError(
            "system.mismatch=true: with model.discriminator.conditioning=none wrong labels look like right ones\n"
            "  try: model.discriminator.conditioning=concat"
        )
    log.warning("model.discriminator.conditioning=none: nothing teaches the generator what a label means")
