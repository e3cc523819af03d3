"""Distances in units in the last place (ULP) of a dtype, and the histograms that are made of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy
import torch

from ascend_moe_gating.plugin.verify.outcome import EDGES

Array = numpy.ndarray

_FORMATS = {  # bits behind the leading one, smallest normal exponent
    torch.float32: (23, -126),
    torch.float16: (10, -14),
    torch.bfloat16: (7, -126),
}
SMALLEST_NORMAL = 2.0**-126  # of float32; below it a device may answer 0


def ulp(values: Array, dtype: torch.dtype = torch.float32) -> Array:
    """The distance of neighbours of this dtype where the values, of float64, are; 0 where they are not finite."""
    bits, smallest = _FORMATS[dtype]
    finite = numpy.isfinite(values)
    _, exponent = numpy.frexp(numpy.where(finite & (values != 0), values, SMALLEST_NORMAL))
    return numpy.where(finite, numpy.ldexp(1.0, numpy.maximum(exponent - 1, smallest) - bits), 0.0)


def rounded(values: Array, dtype: torch.dtype) -> Array:
    """float64 values as this dtype would have them, to nearest even, again as float64."""
    return torch.from_numpy(numpy.ascontiguousarray(values)).to(torch.float32).to(dtype).double().numpy()


@dataclass
class Distances:
    """How many values lie in each of the intervals of EDGES, the largest distance, and the sum of all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(EDGES) - 1))
    largest: float = 0.0
    total: float = 0.0

    @property
    def number(self) -> int:
        return sum(self.counts)

    @property
    def mean(self) -> float:
        return self.total / max(self.number, 1)

    def add(self, distances: Array) -> None:
        if distances.size:
            self.counts = [a + int(b) for a, b in zip(self.counts, numpy.histogram(distances, EDGES)[0], strict=True)]
            self.largest = max(self.largest, float(distances.max()))
            self.total += float(distances.sum())
