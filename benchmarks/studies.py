"""What the table does not show: the kernel or the operator against itself. Each study is interleaved in its own rounds.

A study yields results as the table has them: seconds per call and spreads of contestants, and what they have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from benchmarks import kernel, shapes
from benchmarks.inputs import inputs
from benchmarks.peers import MODELS, Model, operator
from benchmarks.plan import MANY, PROMISED_DTYPES
from benchmarks.timing import interleave, summary

TOKENS = MANY[0]  # of studies of the kernel alone
ROUNDS = 41


def call(model: Model, tokens: int, dtype: str, library=None, strided: bool = False) -> Callable:
    logits, bias = inputs(model, tokens, dtype)
    return kernel.prepared(shapes.strided(logits) if strided else logits, bias, model.k, model.options, library)


def timed(contestants: dict[str, Callable], seconds: float) -> dict[str, dict[str, float]]:
    return summary(interleave(contestants, seconds, rounds=ROUNDS))


def versions(seconds: float) -> Iterator[dict]:
    """The vector versions of the kernel, each in a copy of the library; nothing without AVX-512."""
    libraries = {name: kernel.version(name) for name in ("avx512", "avx2")}
    if None in libraries.values():
        return
    for dtype in PROMISED_DTYPES:
        for name, model in MODELS.items():
            contestants = {version: call(model, TOKENS, dtype, library) for version, library in libraries.items()}
            yield {"model": name, "dtype": dtype, "tokens": TOKENS, **timed(contestants, seconds)}


def equal_logits(seconds: float) -> Iterator[dict]:
    """The kernel on logits that are all equal, with no bias to tell experts apart, and on random ones."""
    for dtype in PROMISED_DTYPES:
        for name, model in MODELS.items():
            logits, bias = inputs(model, TOKENS, dtype)
            same = None if bias is None else torch.zeros_like(bias)
            contestants = {
                "random": kernel.prepared(logits, bias, model.k, model.options),
                "equal": kernel.prepared(torch.zeros_like(logits), same, model.k, model.options),
            }
            yield {"model": name, "dtype": dtype, "tokens": TOKENS, **timed(contestants, seconds)}


def threads(seconds: float) -> Iterator[dict]:
    """The operator on one thread and on two."""
    for dtype in PROMISED_DTYPES:
        for name, model in MODELS.items():
            for tokens in MANY:
                contestants = {str(count): on_threads(count, model, tokens, dtype) for count in (1, 2)}
                yield {"model": name, "dtype": dtype, "tokens": tokens, **timed(contestants, seconds)}
    torch.set_num_threads(1)


def on_threads(count: int, model: Model, tokens: int, dtype: str) -> Callable:
    gate, (logits, bias) = operator(model), inputs(model, tokens, dtype)

    def run():
        torch.set_num_threads(count)
        gate(logits, bias)

    return run


def linearity(seconds: float) -> Iterator[dict]:
    """The operator on one thread with more and more tokens; the contestants are numbers of tokens."""
    for dtype in PROMISED_DTYPES:
        for name, model in MODELS.items():
            contestants = {str(tokens): on_threads(1, model, tokens, dtype) for tokens in MANY}
            yield {"model": name, "dtype": dtype, **timed(contestants, seconds)}


def awkward_shapes(seconds: float) -> Iterator[dict]:
    """The kernel on the four models' shapes and on awkward ones, all in the same rounds."""
    for dtype in PROMISED_DTYPES:
        every = {name: shapes.Shape(model) for name, model in MODELS.items()} | shapes.SHAPES
        contestants = {name: call(shape.model, TOKENS, dtype, None, shape.strided) for name, shape in every.items()}
        yield {"dtype": dtype, "tokens": TOKENS, **timed(contestants, seconds * len(every) / 4)}


STUDIES = {study.__name__: study for study in (versions, threads, linearity, equal_logits, awkward_shapes)}


def measure(seconds: float) -> dict[str, list[dict]]:
    torch.set_num_threads(1)
    return {name: list(study(seconds)) for name, study in STUDIES.items()}
