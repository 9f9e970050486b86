"""Several processes started by torchrun. In a process alone every function here does nothing."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from ganctl import launch
from ganctl.errors import UserError
from ganctl.types import is_running_statistic

log = logging.getLogger("ganctl")
T = TypeVar("T")


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    return launch.number("LOCAL_RANK", 0)


def local_world() -> int:
    return launch.number("LOCAL_WORLD_SIZE", world())


@contextmanager
def session(device_type: str) -> Iterator[None]:
    """Join torchrun's process group (NCCL on CUDA, else gloo) and leave it at the end."""
    if launch.processes() == 1 or dist.is_initialized():
        yield
        return
    backend = "nccl" if device_type == "cuda" else "gloo"
    if launch.by_torchrun():
        dist.init_process_group(backend)
    else:
        rank, size = launch.number("RANK", 0), launch.processes()
        dist.init_process_group(backend, store=_meeting(rank, size), rank=rank, world_size=size)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _meeting(rank: int, size: int) -> Any:
    """The store where processes meet that no torchrun has brought together; those that never come are named."""
    host, port, seconds = os.environ["MASTER_ADDR"], launch.number("MASTER_PORT", 0), launch.patience()
    log.info(f"waits up to {seconds:g} s for the {size} processes of WORLD_SIZE at {host}:{port}; this is rank {rank}")
    try:
        return dist.TCPStore(host, port, size, is_master=rank == 0, timeout=timedelta(seconds=seconds))  # type: ignore[attr-defined]  # torch leaves it out of its list
    except (RuntimeError, ValueError) as error:  # a time that is up, a name that is no machine, a port in use
        raise UserError(
            f"WORLD_SIZE={size}, but the other processes did not come to {host}:{port} within {seconds:g} s\n"
            f"  try: {launch.ALONE}; or export {launch.PATIENCE}=600, seconds to wait where they start later"
        ) from error


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
