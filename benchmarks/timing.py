"""Timing contestants against each other: in turn, many short rounds, so that noise of the machine meets all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


class Timing:
    """Seconds per call of one contestant, a number per round."""

    def __init__(self) -> None:
        self.rounds: list[float] = []

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """Half of the range of the middle half of the rounds, relative to the median."""
        low, _, high = statistics.quantiles(self.rounds, n=4)
        return (high - low) / 2 / self.median


def interleave(
    contestants: dict[str, Callable[[], object]],
    seconds: float,
    before: Callable[[], object] | None = None,
    rounds: int = 15,
) -> dict[str, Timing]:
    """Time all contestants for about `seconds` together; `before` runs, untimed, ahead of each call."""
    calls = {}
    for name, run in contestants.items():
        run()  # compiles, warms up
        start = time.perf_counter()
        run()
        once = max(time.perf_counter() - start, 1e-7)
        calls[name] = 1 if before else max(1, int(seconds / rounds / len(contestants) / once))
    timings = {name: Timing() for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            if before:
                before()
            start = time.perf_counter()
            for _ in range(calls[name]):
                run()
            timings[name].rounds.append((time.perf_counter() - start) / calls[name])
    return timings
