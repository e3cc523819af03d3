"""The time of a call, until its results are there."""

from __future__ import annotations

import statistics
import time

import torch

from ascend_moe_gating.plugin.verify.cases import V3
from ascend_moe_gating.plugin.verify.checks import Device
from ascend_moe_gating.plugin.verify.outcome import Outcome, Timing
from ascend_moe_gating.plugin.verify.paths import Path
from ascend_moe_gating.plugin.verify.question import GATING

TOKENS = (1, 1024)


def check_time(device: Device, path: Path, tokens: int, seconds: float) -> Outcome:
    """Call what outcome.TIMED says, and synchronise, again and again for so many seconds."""
    generator = torch.Generator().manual_seed(tokens)
    x, bias = (torch.randn(shape, generator=generator).bfloat16() for shape in ((tokens, 256), (256,)))
    given = {"x": device.move(x), "bias": device.move(bias)}
    function = path.make(GATING, {"k": 8, **V3})
    for _ in range(3):
        function(given)
    device.synchronize()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        function(given)
        device.synchronize()
        times.append((time.perf_counter() - start) * 1e6)
    return Outcome(timing=Timing(tokens, statistics.median(times), min(times), len(times)))
