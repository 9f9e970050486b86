"""A generator before the judge: real samples, metrics, and the protocol without which their numbers mean nothing."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal

import torch
from torch import Tensor

from ganctl import config
from ganctl.artifacts.sampler import Sampler
from ganctl.confdir import Config
from ganctl.data.dataset import Dataset
from ganctl.data.points import Mixture
from ganctl.data.source import Split
from ganctl.data.stacked import Stacked
from ganctl.errors import UserError, require_positive
from ganctl.features import Pixels, Reading, Source, classifier_source, inception_source
from ganctl.metrics.metric import Metric
from ganctl.progress import with_bar
from ganctl.seeding import generator
from ganctl.types import Evidence

SourceName = Literal["classifier", "inception", "pixels"]
COUNTS = {"points": 2500, "stacked": 26_000}
"""Samples of the published protocols; for images 2,000, or as many as the split has."""
log = logging.getLogger("ganctl")


@dataclass
class Samples:
    """Images (N,C,H,W) in [-1,1] or points in true units, and what was read on them so far."""

    take: Callable[[], Tensor]
    facts: tuple[object, ...] = ()
    """What determines the samples, where that is worth a place in the cache."""
    classes: Tensor | None = None
    """(N,) of the samples, or those that were asked for."""
    critic: Callable[[Tensor, Tensor | None], Tensor | None] | None = None
    """What the discriminator that these samples were made against says of others, with their classes."""
    readings: dict[str, Reading] = field(default_factory=dict)

    @cached_property
    def values(self) -> Tensor:
        return self.take()

    def read(self, source: Source) -> Reading:
        if source.version not in self.readings:
            read = partial(source.read_once, lambda: self.values, *self.facts) if self.facts else None
            self.readings[source.version] = read() if read else source.read(self.values)
        return self.readings[source.version]


class Judge:
    """Everything that one evaluation shares between generators: the real samples, the sources, the metrics.

    data: the data set's node as a run stores it. metrics: by name; customary=True keeps those that suit the data and
    passes over those that the samples are too few for. n: samples drawn, from seed on; as many real ones of `split`
    are compared where there are so many. source: what features are read by; None takes the classifier, and pixels
    where there are no labels. may_train=False refuses to train a classifier.
    """

    def __init__(
        self,
        data: Config,
        metrics: Mapping[str, Metric],
        *,
        customary: bool = False,
        split: Split = "test",
        n: int | None = None,
        seed: int = 0,
        source: SourceName | None = None,
        inception: str | None = None,
        device: torch.device | str = "cpu",
        may_train: bool = True,
    ) -> None:
        require_positive(n=n)
        if split == "valid" and not data.get("holdout"):
            raise UserError("split=valid: the run held nothing out of its training data\n  try: split=test")
        self.node, self.split, self.seed, self.device = data, split, seed, torch.device(device)
        self.inception, self.may_train, self.customary = inception, may_train, customary
        self.told: set[str] = set()
        self.learned = dataset(data)
        self.judged = dataset(data, split=split, limit=None, num_classes=None)
        self.kind = kind_of(self.judged)
        self.source_name: SourceName = source or ("pixels" if self.kind in ("points", "unlabelled") else "classifier")
        wanted = suited(self.kind, self.source_name) if customary else set(metrics)
        self.metrics = {name: metric for name, metric in metrics.items() if name in wanted}
        if not self.metrics:
            raise UserError(f"no metric is left to judge {self.kind} data by\n  try: metric=[kid]")
        self.n = n or COUNTS.get(self.kind) or min(2000, len(self.judged))
        self._choose()

    def __call__(self, sampler: Sampler) -> dict[str, float]:
        """All metrics of one generator. The sampler's system is in evaluation mode, with the weights to be judged."""
        drawn, asked = self._draw(sampler, self.n)
        if drawn.shape[1:] != self.test.values.shape[1:]:
            made, real = ("x".join(map(str, samples.shape[1:])) for samples in (drawn, self.test.values))
            raise UserError(
                f"the run draws {made}, its data are {real}\n  try: root=FOLDER with the data it learned from"
            )
        if drawn.dim() == 4:  # what is judged is the picture that would be saved
            drawn = ((drawn.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
        fake = Samples(lambda: drawn, classes=asked, critic=sampler.opinion)
        return self._measure(lambda metric: fake, strict=not self.customary)

    def control(self) -> dict[str, float]:
        """The same of real samples in the place of fakes: a generator does better only by blur, copies or chance.

        They are training samples; but what is read off a classifier's confidence is read on images new to it.
        """
        return self._measure(lambda metric: self.test if "probabilities" in metric.needs else self.real, strict=False)

    def neighbours(self, sampler: Sampler, count: int = 8, k: int = 5) -> Tensor:
        """(count,1+k,C,H,W): samples, and beside each the k images of all it learned from with the nearest pixels."""
        drawn = self._draw(sampler, count)[0]
        height = max(k, 2**24 // drawn[0].numel())
        distances, rows = [], []
        for start in with_bar(range(0, len(self.learned), height), "neighbours"):
            indices = torch.arange(start, min(start + height, len(self.learned)))
            near = torch.cdist(drawn.flatten(1), self.learned.take(indices)["image"].flatten(1))
            found = near.topk(min(k, len(indices)), largest=False)
            distances.append(found.values)
            rows.append(indices[found.indices])
        nearest = torch.cat(rows, 1).gather(1, torch.cat(distances, 1).topk(k, largest=False).indices)
        beside = self.learned.take(nearest.flatten())["image"].view(*nearest.shape, *drawn.shape[1:])
        return torch.cat([drawn[:, None], beside], 1)

    @property
    def protocol(self) -> dict[str, object]:
        """What has to be equal before two numbers may be compared."""
        sources = {source.version: source.accuracy for source in self._used()}
        settings = {
            f"{name}.{key}": value for name, metric in self.metrics.items() for key, value in metric.protocol.items()
        }
        return {
            "data": type(self.judged).__name__.lower(),
            "trained_on": self.learned.fingerprint,
            "split": self.split,
            "compared_with": self.judged.fingerprint,
            "n": self.n,
            "real": {"train": self.count, "test": len(self.rows), "valid": self.valid_count},
            "seeds": f"{self.seed} to {self.seed + self.n - 1}",
            "source": self.source_name,
            "read_by": sorted(sources),
            "classifier_accuracy": next(filter(None, sources.values()), None),
            **settings,
        }

    def _draw(self, sampler: Sampler, count: int) -> tuple[Tensor, Tensor | None]:
        """The samples of `count` seeds, and the classes that were asked for: those of the real samples, in turn."""
        asked = None
        if sampler.conditional:
            assert self.test.classes is not None
            asked = self.test.classes[torch.arange(count) % len(self.test.classes)]
        seeds = range(self.seed, self.seed + count)
        return sampler.draw(seeds, None if asked is None else asked.tolist()), asked

    # -- real samples -----------------------------------------------------------------------------------------------

    def _choose(self) -> None:
        """Real samples, as many as fakes where there are: to compare with, to stand in for fakes, to have learned."""
        parts = 3 if self.split == "train" else 2
        self.count = min(self.n, len(self.learned) // parts)
        order = torch.randperm(len(self.learned), generator=generator("real", "train"))
        shares = [order[part * self.count : (part + 1) * self.count] for part in range(parts)]
        self.real, self.train = (self._samples(self.learned, rows) for rows in shares[:2])
        order = torch.randperm(len(self.judged), generator=generator("real", self.split))
        self.rows = shares[2] if self.split == "train" else order[: self.n]
        self.test = self._samples(self.learned if self.split == "train" else self.judged, self.rows)
        self.valid, self.valid_count = None, 0
        if self.node.get("holdout"):
            held_out = dataset(self.node, split="valid", limit=None)
            self.valid_count = min(self.n, len(held_out))
            self.valid = self._samples(held_out, torch.arange(self.valid_count))  # in order: Parzen takes the first

    def _samples(self, data: Dataset, rows: Tensor) -> Samples:
        classes = None if data.labels is None else data.labels[rows]
        return Samples(lambda: data.take(rows)[data.key] * data.scale, (data.fingerprint, rows.tolist()), classes)

    # -- what reads them --------------------------------------------------------------------------------------------

    @cached_property
    def classifier(self) -> Source:
        train, test = (
            dataset(self.node, split=part, limit=None, holdout=0, num_classes=None) for part in ("train", "test")
        )
        return classifier_source(train, test, self.device, may_train=self.may_train)

    @cached_property
    def source(self) -> Source:
        """What features are read by."""
        if self.kind == "points" and self.source_name != "pixels":
            raise UserError(f"source={self.source_name} reads images, and these are points\n  try: source=pixels")
        if self.source_name == "classifier":
            return self.classifier
        return Pixels(self.device) if self.source_name == "pixels" else inception_source(self.inception, self.device)

    def _source_of(self, metric: Metric) -> Source | None:
        """Features are read by the chosen source; classes by it too if it knows any, those of the data by their own."""
        if metric.needs & {"asked", "codes"} or ("probabilities" in metric.needs and self.source_name == "pixels"):
            return self.classifier
        return self.source if metric.sees == "features" or "probabilities" in metric.needs else None

    def _used(self) -> set[Source]:
        return {source for source in map(self._source_of, self.metrics.values()) if source}

    # -- measuring --------------------------------------------------------------------------------------------------

    def _measure(self, fakes: Callable[[Metric], Samples], strict: bool) -> dict[str, float]:
        """All metrics of these samples; unless strict, without those that there are too few samples for."""
        found: dict[str, float] = {}
        for name, metric in self.metrics.items():
            fake, source = fakes(metric), self._source_of(metric)
            missing = {"asked"} if fake.classes is None else set()
            missing |= {"critic_train"} if fake.critic is None else set()
            if not strict and metric.needs & missing:
                continue  # nothing was asked of this generator, or nobody made it
            evidence = self._evidence(metric, fake, source)
            try:
                values = metric(evidence)
            except UserError as error:
                if strict:
                    raise
                self._tell(f"{name} is left out: {error}")
                continue
            suffix = f"/{source.name}" if source and source.name else ""
            found |= {f"{key}{suffix}": value for key, value in values.items()}
        return found

    def _tell(self, sentence: str) -> None:
        if sentence not in self.told:
            log.warning(sentence)
            self.told.add(sentence)

    def _evidence(self, metric: Metric, fake: Samples, source: Source | None) -> Evidence:
        """The fields that the metric needs, of samples or of their features."""

        def seen(samples: Samples) -> Tensor:
            return samples.read(source).features if source and metric.sees == "features" else samples.values

        sides = {"fake": fake, "train": self.train, "test": self.test, "valid": self.valid}
        fields = {name: seen(side) for name, side in sides.items() if side and name in metric.needs}
        if fake.critic:
            learned = {f"critic_{name}": sides[name] for name in ("train", "test")}
            fields |= {
                name: said
                for name, side in learned.items()
                if side and name in metric.needs and (said := fake.critic(side.values, side.classes)) is not None
            }
        reading = fake.read(source) if source else None
        if isinstance(self.judged, Mixture):
            fields["centres"] = torch.tensor(self.judged.centres)
        return Evidence(
            **fields,
            probabilities=reading.probabilities if reading else None,
            codes=reading.codes if reading else None,
            asked=fake.classes,
            sigma=self.judged.sigma if isinstance(self.judged, Mixture) else None,
        )


def dataset(node: Config, **changes: object) -> Dataset:
    """The data of a stored node, with some keys changed that it has."""
    try:
        built: Dataset = config.build({**node, **{key: value for key, value in changes.items() if key in node}})
    except UserError as error:
        told = str(error).splitlines()[0]
        raise UserError(
            f"the data are needed, and are not there: {told}\n  try: root=FOLDER, where they lie now"
        ) from error
    return built


def kind_of(data: Dataset) -> str:
    """Points, stacked, labelled or unlabelled: what decides which metrics are customary."""
    if data.key == "points":
        return "points"
    if isinstance(data, Stacked):
        return "stacked"
    return "unlabelled" if data.labels is None else "labelled"


def suited(kind: str, source: SourceName) -> set[str]:
    """The customary metrics of a kind of data."""
    if kind in ("points", "stacked"):
        return {"modes" if kind == "points" else "stacked_modes"}
    names = {"kid", "precision_recall", "density_coverage", "nearest", "critic_gap"}
    if source != "pixels":  # there are more of them than samples, and they have no classes
        names |= {"inception_score", "fid"}
    return names | {"class_accuracy"} if kind == "labelled" else names
