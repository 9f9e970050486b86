"""How samples lie in memory, move to a device, and are read ahead of their use."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor

Given = TypeVar("Given")
Loaded = TypeVar("Loaded")


def move(tensor: Tensor, device: torch.device) -> Tensor:
    """To the device without making the host wait for it, which a copy from pageable memory would."""
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def flat(samples: Tensor, channels_last: bool) -> Tensor:
    """Samples as rows (N, values), each in the order of its memory: the form in which an index is cheapest."""
    return samples.permute(0, 2, 3, 1).flatten(1) if channels_last else samples.flatten(1)


def unflat(rows: Tensor, shape: tuple[int, ...], channels_last: bool) -> Tensor:
    """The inverse of `flat`, a view.

    The strides are set outright: with one channel both layouts are one memory, and `contiguous` would leave the
    strides from which a convolution reads the wrong one.
    """
    if not channels_last:
        return rows.view(-1, *shape)
    channels, height, width = shape
    return rows.view(-1, height, width, channels).permute(0, 3, 1, 2)


def ahead(load: Callable[[Given], Loaded], items: Iterator[Given], depth: int = 2) -> Generator[Loaded, None, None]:
    """`map(load, items)` in one thread, at most `depth` results ahead.

    An exception in the thread is raised here. Closing or dropping the generator ends the thread.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        pending = deque(pool.submit(load, item) for item in islice(items, depth))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(load, item) for item in islice(items, 1))
            yield result
