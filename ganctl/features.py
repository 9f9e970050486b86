"""What images are compared by: pixels, the features of a classifier of their data set, or those of Inception."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from filelock import FileLock
from torch import Tensor, nn

from ganctl import checkpoint
from ganctl.data.cache import cache_dir
from ganctl.data.dataset import Dataset
from ganctl.data.stacked import Stacked
from ganctl.device import Device
from ganctl.errors import UserError
from ganctl.networks import inception
from ganctl.networks.classifier import ClassifierNetwork
from ganctl.progress import with_bar
from ganctl.seeding import derive, seed_default
from ganctl.systems.classifier import Classifier
from ganctl.trainer import Trainer
from ganctl.types import Schedule

BATCH = 250
T = TypeVar("T")
log = logging.getLogger("ganctl")


class Reading(NamedTuple):
    """What a source reads on N images."""

    features: Tensor
    """(N,F)"""
    probabilities: Tensor | None = None
    """(N,K) of the source's classes."""
    codes: Tensor | None = None
    """(N,) int64, the mode of each image of a stacked data set."""


class Source(ABC):
    """Reads features on images, the same way every time."""

    name: str
    """What a metric's name carries: `fid/digits-cnn-1a2b`; empty for Inception, whose FID is plain FID."""
    version: str
    """Tells apart whatever would read other features."""
    accuracy: float | None = None
    """The share of held-out images whose class it names."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @abstractmethod
    def look(self, x: Tensor) -> Reading:
        """One batch (B,C,H,W) in [-1,1] on the source's device."""

    @torch.no_grad()
    def read(self, x: Tensor) -> Reading:
        """All of (N,C,H,W), on the CPU, under a progress bar."""
        found = [self.look(some.to(self.device)) for some in with_bar(torch.split(x, BATCH), f"reading {self.version}")]
        return Reading._make(None if part[0] is None else torch.cat(part).cpu() for part in zip(*found, strict=True))

    def read_once(self, samples: Callable[[], Tensor], *facts: object) -> Reading:
        """As `read`, of samples that these facts determine: what was read is kept on disk for the next time."""
        key = blake2b(repr((self.version, *facts)).encode(), digest_size=8).hexdigest()
        return cached(
            cache_dir() / "features" / f"{key}.pt",
            frozenset(Reading._fields),
            lambda: dict(self.read(samples())._asdict()),
            read_back,
        )


def read_back(state: checkpoint.State) -> Reading:
    """A reading from the cache, if it is one."""
    found = Reading(*(state[part] for part in Reading._fields))
    there = [part for part in found if part is not None]
    if not there or any(len(part) != len(found.features) or not part.isfinite().all() for part in there):
        raise UserError("these are no features")
    return found


class Pixels(Source):
    """The values themselves."""

    name = version = "pixels"

    def look(self, x: Tensor) -> Reading:
        return Reading(x.flatten(1))

    def read_once(self, samples: Callable[[], Tensor], *facts: object) -> Reading:
        return self.read(samples())


class Network(Source):
    """A network that returns (features, logits)."""

    def __init__(self, network: nn.Module, name: str, version: str, device: torch.device) -> None:
        super().__init__(device)
        self.network, self.name, self.version = network.to(device).eval(), name, version

    def look(self, x: Tensor) -> Reading:
        features, logits = self.network(x)
        return Reading(features, logits.softmax(1))


class ColourwiseNetwork(Network):
    """A classifier of digits that reads each colour of a stacked image: three digits are one of 1,000 codes."""

    def look(self, x: Tensor) -> Reading:
        features, logits = self.network(x.flatten(0, 1)[:, None])
        digits = logits.argmax(1).view(len(x), -1)
        return Reading(features.reshape(len(x), -1), codes=digits @ torch.tensor([100, 10, 1], device=digits.device))


def inception_source(weights: str | None, device: torch.device) -> Source:
    """The network that published numbers are read with; `weights` names its file."""
    return Network(inception.Inception(weights), "", Path(inception.FILE).stem, device)


# -- the classifier ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """How every classifier is trained, on one thread of a CPU, so that it comes out the same on any machine's cores."""

    epochs: int = 6
    least: int = 1500
    most: int = 6000
    batch_size: int = 64
    lr: float = 3e-3
    jitter: float = 0.1

    def steps(self, images: int) -> int:
        """`epochs` passes over the data, within bounds."""
        return min(max(self.least, self.epochs * images // self.batch_size), self.most)


RECIPE = Recipe()


def classifier_source(train: Dataset, test: Dataset, device: torch.device, *, may_train: bool = True) -> Source:
    """A classifier of the data set's own labels: trained the first time, then read from the cache.

    train and test are the whole parts. may_train=False refuses to spend the time where none is there yet.
    """
    kind: type[Network] = Network
    if isinstance(train, Stacked) and isinstance(test, Stacked):
        kind, train, test = ColourwiseNetwork, train.base, test.base
    if train.labels is None or test.labels is None:
        raise UserError("the data have no labels that a classifier could learn\n  try: source=pixels or inception")
    name = f"{type(train).__name__.lower()}-cnn"
    key = blake2b(repr((train.fingerprint, RECIPE)).encode(), digest_size=8).hexdigest()
    path = cache_dir() / "classifiers" / f"{name}-{key}.pt"
    if not may_train and not path.exists():
        raise UserError(f"there is no classifier {name} yet\n  try: ganctl eval first, which trains it once")
    network = ClassifierNetwork(train.shape, train.num_classes)
    parts = frozenset({"network", "hash", "accuracy"})
    state = cached(path, parts, partial(learn, train, test), partial(whole, network))
    source = kind(network, f"{name}-{state['hash'][:4]}", f"{name}-{state['hash']}", device)
    source.accuracy = state["accuracy"]
    return source


def learn(train: Dataset, test: Dataset) -> checkpoint.State:
    """Train a classifier and say how well it does on images it has not seen."""
    device, steps = Device(kind="cpu"), RECIPE.steps(len(train))
    log.info("training a classifier of %s, once", type(train).__name__.lower())
    seed_default(derive("classifier"), device.torch)
    system = Classifier(ClassifierNetwork(train.shape, train.num_classes), RECIPE.jitter)
    trainer = Trainer(
        system,
        train,
        {"c": partial(torch.optim.Adam, lr=RECIPE.lr)},
        device,
        steps=steps,
        schedule=Schedule(1.0, 0.0, steps, "cosine"),
        batch_size=min(RECIPE.batch_size, len(train)),
        ema=0.0,
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for upto in with_bar(range(25, steps + 25, 25), "training the classifier"):
            trainer.steps = min(upto, steps)
            if ended := trainer.fit():
                raise SystemExit(128 + ended)
    finally:
        torch.set_num_threads(threads)
    network = system.network.eval()
    source = Network(network, "", "", device.torch)
    seen = source.read(test.take(torch.arange(len(test)))["image"]).probabilities
    assert seen is not None
    assert test.labels is not None
    accuracy = (seen.argmax(1) == test.labels).double().mean().item()
    log.info("it names %.1f %% of %d held-out images right", 100 * accuracy, len(test))
    return {"network": dict(network.state_dict()), "hash": digest(network), "accuracy": accuracy}


def whole(network: nn.Module, state: checkpoint.State) -> checkpoint.State:
    """Load the state's weights; refuse any but those that were saved."""
    with checkpoint.misfit_explained("weights"):
        network.load_state_dict(state["network"])
    if state["hash"] != digest(network):
        raise UserError("the weights are not those that were saved")
    return state


def digest(network: nn.Module) -> str:
    """A hash of every weight."""
    found = blake2b(digest_size=8)
    for name, value in network.state_dict().items():
        found.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


# -- the cache -----------------------------------------------------------------------------------------------------


def cached(
    path: Path, parts: Set[str], make: Callable[[], checkpoint.State], use: Callable[[checkpoint.State], T]
) -> T:
    """What `use` takes from the file; a file that is missing, damaged or hostile is made anew, by one process."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock")
        lock.acquire()
    except OSError as error:
        raise UserError(
            f"{path.parent} cannot be written to ({error.strerror or error})\n"
            "  try: GANCTL_CACHE=FOLDER, in front of the command"
        ) from error
    with lock:
        if path.exists():
            try:
                return use(checkpoint.load(path, parts))
            except (UserError, TypeError, AttributeError) as error:  # a whole file may still hold anything
                log.warning("%s is made anew: %s", path, str(error).splitlines()[0])
        state = make()
        checkpoint.save(state, path)
        return use(state)
