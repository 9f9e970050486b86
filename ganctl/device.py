"""Where the work runs and in which number format."""

import os
from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import nn

from ganctl.errors import UserError


class Device:
    """One device and its settings.

    kind "auto" takes CUDA, then Apple's MPS, then the CPU. precision "bf16" runs the terms under autocast; weights,
    penalties and updates stay float32. channels_last null means on: convolutions on a CPU gain a factor from it.
    deterministic asks for bit-equal results of repeated runs on CUDA, at some speed.
    """

    def __init__(
        self,
        kind: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        precision: Literal["fp32", "bf16"] = "fp32",
        compile: bool = False,
        channels_last: bool | None = None,
        threads: int | None = None,
        tf32: bool = True,
        deterministic: bool = False,
    ) -> None:
        if precision not in ("fp32", "bf16"):
            raise UserError(f"device.precision={precision} is unknown\n  try: device.precision=fp32 or bf16")
        if threads is not None and threads < 1:
            raise UserError(f"device.threads={threads}: must be 1 or more")
        self.precision, self.compile, self.threads = precision, compile, threads
        self.tf32, self.deterministic = tf32, deterministic
        self.torch = torch.device(_find(kind))
        self.channels_last = self.torch.type != "mps" if channels_last is None else channels_last

    def setup(self, local_rank: int = 0) -> None:
        """Apply the process-wide settings; `local_rank` picks the GPU under torchrun."""
        if self.threads:
            torch.set_num_threads(self.threads)
        if self.torch.type == "cuda":
            self.torch = torch.device("cuda", local_rank)
            torch.cuda.set_device(self.torch)
            torch.backends.cuda.matmul.allow_tf32 = self.tf32
            torch.backends.cudnn.allow_tf32 = self.tf32
            torch.backends.cudnn.benchmark = not self.deterministic
        if self.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(self.deterministic)
        if self.compile:
            self._try_to_compile()

    def _try_to_compile(self) -> None:
        """Refuse to compile where that cannot work: without a compiler for C++, or a place to keep what it makes."""
        never_seen = int.from_bytes(os.urandom(6)) / 7  # what was compiled before would be taken from a cache
        try:
            torch.compile(lambda x: x.sin() + never_seen)(torch.ones(8, device=self.torch))
        except Exception as error:  # whatever compiling meets: a missing program, headers, a home folder
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__).strip()
            raise UserError(
                f"device.compile=true: nothing can be compiled here\n  {reason}\n"
                "  try: device.compile=false, or install a C++ compiler such as g++"
            ) from error

    def autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self.torch.type, torch.bfloat16, enabled=self.precision == "bf16")

    def place(self, module: nn.Module) -> nn.Module:
        module = module.to(self.torch)
        return module.to(memory_format=torch.channels_last) if self.channels_last else module


def _find(kind: str) -> str:
    """The kind of device to use, or a sentence why it is not there."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if kind == "auto":
        return next(name for name, here in found.items() if here)
    if kind not in found:
        raise UserError(f"device.kind={kind} is unknown\n  try: device=auto, cpu, cuda or mps")
    if not found[kind]:
        here = ", ".join(name for name, is_here in found.items() if is_here)
        raise UserError(f"device={kind}: no such device on this machine (found: {here})\n  try: device=auto")
    return kind
