"""Kinds of logits and biases, each of which another mistake shows in. Everything is seeded."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy
import torch

Array = numpy.ndarray
Generator = numpy.random.Generator
_INF = float("inf")
_NAN = float("nan")


def seeded(*words: object) -> Generator:
    return numpy.random.default_rng(zlib.crc32(repr(words).encode()))


def _sprinkled(values: Array, rng: Generator, share: float, others: list[float]) -> Array:
    return numpy.where(rng.random(values.shape) < share, rng.choice(others, values.shape), values)


def _apart(rng: Generator, shape: tuple[int, int]) -> Array:
    """Logits so far apart that the rounding of no exponential decides."""
    return rng.permuted(numpy.tile(numpy.linspace(-5, 6, shape[1]), (shape[0], 1)), axis=1)


_Kind = Callable[[Generator, tuple[int, int]], Array]
LOGITS: dict[str, _Kind] = {
    "normal": lambda rng, shape: rng.normal(0, 2, shape),
    "apart": _apart,
    "ties": lambda rng, shape: rng.integers(-2, 3, shape) / 2,
    "equal": lambda rng, shape: numpy.repeat(rng.integers(-3, 4, (shape[0], 1)), shape[1], 1),
    "one of each sign": lambda rng, shape: rng.choice([0.0, -0.0, 3.0, -3.0], shape),
    "far": lambda rng, shape: rng.normal(0, 30, shape),
    "very negative": lambda rng, shape: rng.normal(-45, 12, shape),
    "large": lambda rng, shape: rng.normal(0, 2e4, shape),
    "largest": lambda rng, shape: rng.choice([3e38, -3e38, 6e4, 0.0, 1.0], shape),
    "denormal": lambda rng, shape: rng.choice([-1, 1], shape) * 10.0 ** rng.uniform(-44, -4, shape),
    "-inf": lambda rng, shape: _sprinkled(rng.normal(0, 2, shape), rng, 0.4, [-_INF]),
    "+inf": lambda rng, shape: _sprinkled(rng.normal(0, 2, shape), rng, 0.05, [_INF]),
    "all -inf": lambda rng, shape: numpy.full(shape, -_INF),
    "NaN": lambda rng, shape: _sprinkled(rng.normal(0, 2, shape), rng, 0.1, [_NAN]),
    "all NaN": lambda rng, shape: numpy.full(shape, _NAN),
    "NaN and inf": lambda rng, shape: _sprinkled(rng.normal(0, 2, shape), rng, 0.2, [_NAN, _INF, -_INF]),
}
BIASES: dict[str, _Kind] = {
    "normal": lambda rng, shape: rng.normal(0, 0.3, shape),
    "negative": lambda rng, shape: rng.normal(-5, 1, shape),
    "ties": lambda rng, shape: rng.integers(-1, 2, shape) / 2,
    "large": lambda rng, shape: rng.normal(0, 50, shape),
    "-inf": lambda rng, shape: _sprinkled(rng.normal(0, 0.3, shape), rng, 0.3, [-_INF]),
    "NaN": lambda rng, shape: _sprinkled(rng.normal(0, 0.3, shape), rng, 0.1, [_NAN]),
}
_FINITE = tuple(LOGITS)[:10]


def logits(kind: str, tokens: int, experts: int, rng: Generator) -> Array:
    """float32 [tokens, experts]: of one kind, or each row of the next one, of all kinds or of the finite ones."""
    if kind in LOGITS:
        return LOGITS[kind](rng, (tokens, experts)).astype(numpy.float32)
    kinds = {"rows of every kind": tuple(LOGITS), "rows of every finite kind": _FINITE}[kind]
    rows = numpy.empty((tokens, experts), numpy.float32)
    for number, one in enumerate(kinds):
        rows[number :: len(kinds)] = LOGITS[one](rng, (len(rows[number :: len(kinds)]), experts))
    return rows


def bias_of(kind: str, experts: int, rng: Generator) -> Array:
    """float32 [experts]."""
    return BIASES[kind](rng, (1, experts)).astype(numpy.float32)[0]


def _between(x: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """The same values, with others between the rows and columns: whoever reads those is wrong."""
    larger = torch.full((x.shape[0] * rows, x.shape[1] * columns), 9.0, dtype=x.dtype)
    larger[::rows, ::columns] = x
    return larger[::rows, ::columns]


def _behind_others(x: torch.Tensor) -> torch.Tensor:
    storage = torch.full((x.numel() + 3,), 9.0, dtype=x.dtype)
    storage[3:] = x.flatten()
    return storage[3:].view(x.shape)


LAYOUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "contiguous": lambda x: x,
    "every second row": lambda x: _between(x, 2, 1),
    "every second column": lambda x: _between(x, 1, 2),
    "every third row and second column": lambda x: _between(x, 3, 2),
    "transposed": lambda x: x.T.contiguous().T,
    "behind other values": _behind_others,
    "one row for all": lambda x: x[:1].expand(x.shape) if len(x) else x,
}
