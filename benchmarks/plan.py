"""What `make bench` measures: the lines of its table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.peers import MODELS

SWEEP = (1, 16, 256, 1024, 8192, 65536)
MANY = tuple(tokens for tokens in SWEEP if tokens >= 1024)  # where the promises about throughput hold
DTYPES = ("float32", "bfloat16", "float16")
PROMISED_DTYPES = DTYPES[:2]
TWO_THREADS = (1024, 8192)
COLD = (1, 1024, 8192)


class Case(NamedTuple):
    model: str
    tokens: int
    dtype: str
    threads: int = 1
    hot: bool = True
    inductor: bool = False  # compiles C++ for each line: only where a promise or the picture needs it


def cases() -> Iterator[Case]:
    for model in MODELS:
        for dtype in DTYPES:
            for tokens in SWEEP:
                inductor = dtype == "float32" or (dtype in PROMISED_DTYPES and tokens in MANY)
                yield Case(model, tokens, dtype, inductor=inductor)
            for tokens in TWO_THREADS:
                yield Case(model, tokens, dtype, threads=2)
            for tokens in COLD:
                yield Case(model, tokens, dtype, hot=False)


def npu_cases() -> Iterator[Case]:
    """For a real device: neither the host's threads nor its caches matter."""
    return (case for case in cases() if case.threads == 1 and case.hot)
