"""Several processes started by torchrun. In a process alone every function here does nothing."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from ganctl.types import is_running_statistic

T = TypeVar("T")


def under_torchrun() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def session(device_type: str) -> Iterator[None]:
    """Join torchrun's process group (NCCL on CUDA, else gloo) and leave it at the end."""
    if not under_torchrun() or dist.is_initialized():
        yield
        return
    dist.init_process_group("nccl" if device_type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


@torch.no_grad()
def average_gradients(parameters: Sequence[Tensor]) -> None:
    """One flat all-reduce; a missing gradient counts as zero, and the mean is given to every rank."""
    if world() == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    average([parameter.grad for parameter in parameters if parameter.grad is not None])


@torch.no_grad()
def average(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its mean over the ranks, in one flat all-reduce."""
    if world() == 1 or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    flat /= world()
    for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def average_running_statistics(module: nn.Module) -> None:
    """Batch norm's running mean and variance saw another part of the batch on each rank.

    A graph that is still to be walked back (reused fakes) holds the buffers without reading them: its gradients come
    from the batch's statistics. So their data change, unseen by it.
    """
    if world() > 1:
        average([buffer.data for name, buffer in module.named_buffers() if is_running_statistic(name, buffer)])


def agree(value: int, device: torch.device) -> int:
    """The largest value any rank gives: 0 only if all say 0."""
    if world() == 1:
        return value
    flag = torch.tensor(value, device=device)
    dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return int(flag)


def from_rank_0(value: T) -> T:
    """What rank 0 gave."""
    if world() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]
