"""ganctl's steady training step against loops written by hand, on a CPU: one JSON line a case.

bare: a good plain PyTorch loop, ganctl's equal in mathematics; `ratio` is ganctl's time over its time, 1.0 is free.
tutorial: the loop that tutorials show; `ratio` is its time over ganctl's, more is better.

Each side runs in a process of its own, in alternating turns, A B A B; the median over the pairs of turns counts, of
wall time and of CPU time. On a busy machine the second is the one to read. Both sides are built anew every few turns:
where a network happens to lie in memory decides up to 8 percent of its time.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import torch
from loops import BATCH, DECAY, N_CRITIC, Average, Bare, Case, Tutorial

from ganctl.data.dataset import Dataset
from ganctl.device import Device
from ganctl.losses.adversarial import AdversarialLoss
from ganctl.losses.minimax import NonSaturating
from ganctl.losses.wasserstein import Wasserstein
from ganctl.regularizers.gradient import GradientPenalty
from ganctl.seeding import derive
from ganctl.systems.standard import Standard
from ganctl.trainer import Trainer


class Ganctl:
    """The trainer's own step over its own stream."""

    def __init__(self, case: Case) -> None:
        loss: AdversarialLoss = Wasserstein() if case.penalised else NonSaturating()
        penalties = {"gradient_penalty": GradientPenalty()} if case.penalised else {}
        n_critic = N_CRITIC if case.penalised else 1
        system = Standard(*case.networks(), loss, penalties, n_critic=n_critic, reuse_fakes=case.reuse)
        adam, device = case.adam(), Device("cpu", precision=case.precision)
        dataset = Dataset(case.images())
        self.trainer = Trainer(system, dataset, {"d": adam, "g": adam}, device, sys.maxsize, 0, None, BATCH, ema=DECAY)
        self.batches = self.trainer._stream(0)

    def step(self) -> None:
        self.trainer._one_step(self.batches)


def require_same_game(case: Case) -> None:
    """Stop unless one step of ganctl and of the bare loop, from the same weights and draws, gives the same weights."""
    ours, bare = Ganctl(case), Bare(case)
    batches = list(zip(range(N_CRITIC), ours.trainer._stream(0), strict=False))
    ours.step()
    moves = N_CRITIC if case.penalised else 1
    for move, batch in batches[:moves]:
        torch.manual_seed(derive(0, 0, move, 0))
        bare.d_step(batch["image"])
    torch.manual_seed(derive(0, 0, moves, 0))
    bare.g_step()
    bare.average.update(0)
    system = ours.trainer.system
    pairs = {"g": (system.generator, bare.g), "d": (system.discriminator, bare.d)}
    for name, (mine, theirs) in pairs.items():
        message = partial("{}: {}".format, name)
        torch.testing.assert_close(dict(mine.state_dict()), dict(theirs.state_dict()), msg=message)
    torch.testing.assert_close(Average(ours.trainer.ema.shadow[0]).live, bare.average.shadow)


class Time(NamedTuple):
    """Milliseconds a step."""

    wall: float
    cpu: float


class Player:
    """One side in a process of its own, so that neither lives in the memory that the other left behind."""

    def __init__(self, side: Callable[[Case], Any], case: Case, threads: int) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        fork = multiprocessing.get_context("fork")
        fork.Process(target=self.play, args=(side, case, threads, theirs), daemon=True).start()

    def steps(self, count: int) -> Time:
        """0 ends the process."""
        self.pipe.send(count)
        return Time(*self.pipe.recv())

    @staticmethod
    def play(side: Callable[[Case], Any], case: Case, threads: int, pipe: Connection) -> None:
        torch.set_num_threads(threads)
        step = side(case).step
        while True:
            count = pipe.recv()
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(count):
                step()
            spent = time.perf_counter() - wall, time.process_time() - cpu
            pipe.send([seconds * 1e3 / max(1, count) for seconds in spent])
            if not count:
                return


def compare(case: Case, against: str, options: argparse.Namespace) -> dict[str, Any]:
    """One line of the result: medians over all pairs of turns."""
    if against == "bare":
        require_same_game(case)
    pairs = []
    for _ in range(options.rounds):
        sides = [
            Player(side, case, options.threads) for side in (Ganctl, {"bare": Bare, "tutorial": Tutorial}[against])
        ]
        for side in sides:
            side.steps(2)  # the first steps allocate
        count = max(1, round(options.seconds * 1e3 / sides[0].steps(2).wall))
        pairs += [[side.steps(count) for side in sides] for _ in range(options.turns)]
        for side in sides:
            side.steps(0)
    line: dict[str, Any] = {"case": f"{case.model}-{case.loss}-{against}"}
    for clock in Time._fields:
        mine, theirs = ([getattr(turn, clock) for turn in turns] for turns in zip(*pairs, strict=True))
        over, under = (mine, theirs) if against == "bare" else (theirs, mine)
        line[f"{clock}_ratio"] = round(statistics.median(a / b for a, b in zip(over, under, strict=True)), 3)
        medians = {"ganctl": statistics.median(mine), against: statistics.median(theirs)}
        line[f"{clock}_ms"] = {side: round(median, 2) for side, median in medians.items()}
    return line | {"pairs": len(pairs), "threads": options.threads, "torch": torch.__version__}


def main() -> None:
    parser = argparse.ArgumentParser("scripts/bench", None, __doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("words", nargs="*", help="run the cases whose names hold all of these: mlp bare")
    parser.add_argument("--rounds", type=int, default=7, help="how often both sides are built anew")
    parser.add_argument("--turns", type=int, default=3, help="pairs of turns in a round")
    parser.add_argument("--seconds", type=float, default=0.3, help="about how long one turn lasts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--reuse-fakes", action="store_true", help="with system.reuse_fakes=true")
    parser.add_argument("--precision", default="fp32", help="ganctl's device.precision")
    options = parser.parse_args()
    torch.set_num_threads(1)  # no thread may exist where processes are forked; each sets its own number
    for against, model, loss in product(("bare", "tutorial"), ("mlp", "dcgan"), ("nsgan", "wgan_gp")):
        if all(word in f"{model}-{loss}-{against}" for word in options.words):
            case = Case(model, loss, options.reuse_fakes, options.precision)
            print(json.dumps(compare(case, against, options)), flush=True)


if __name__ == "__main__":
    main()
