"""The limit of the machine: reading the logits, and taking their scores with the vectors that the kernel has."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import torch

from benchmarks.kernel import CODES

READ_ONLY = -1  # in place of a norm_type


class Limit:
    """benchmarks/limit.cpp, compiled for this processor."""

    def __init__(self) -> None:
        here, library = Path(__file__).parent, Path("build/liblimit.so")
        library.parent.mkdir(exist_ok=True)
        flags = ["-std=c++17", "-O3", "-march=native", "-shared", "-fPIC", "-w"]
        subprocess.run(["g++", *flags, str(here / "limit.cpp"), "-o", str(library)], check=True)
        self.function = ctypes.CDLL(str(library.resolve())).limit
        self.function.restype = ctypes.c_float
        self.function.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64]

    def __call__(self, x: torch.Tensor, norm_type: int) -> float:
        return self.function(x.data_ptr(), x.numel(), norm_type, CODES[x.dtype])
