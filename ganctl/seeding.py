"""Every random draw of a run comes from one 32-bit integer derived from (seed, step, phase, repeat, shard).

Nothing random is stored in a checkpoint: the state at any step is a function of the seed and the step, so a resumed run
draws what the uninterrupted run would have drawn.
"""

from hashlib import blake2b

import torch


def derive(*facts: int | str) -> int:
    """A 32-bit integer from facts, the same on every machine (torch's CPU generator keeps only the low 32 bits)."""
    return int.from_bytes(blake2b(repr(facts).encode(), digest_size=4).digest(), "little")


def seed_default(number: int, device: torch.device) -> None:
    """Seed the generators that `torch.randn` and its kin use on the CPU and on `device`.

    The generators themselves are addressed: `torch.manual_seed` visits every backend and costs 200 times as much.
    """
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)


def generator(*facts: int | str) -> torch.Generator:
    """A CPU generator of its own for these facts: data order, flips, latents of a sample's seed."""
    return torch.Generator().manual_seed(derive(*facts))
