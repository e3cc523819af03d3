"""Timing contestants against each other: in turn, many short rounds, so that noise of the machine meets all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

FEWEST_ROUNDS = 9
OVERTIME = 3  # how many times the wanted seconds calls may take that are longer than a round
LONG = 0.02  # seconds; such a call does not care for what the caches held when it began


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
    contestants: Mapping[str, Callable[[], object]],
    seconds: float,
    before: Callable[[], object] | None = None,
    rounds: int = 15,
) -> dict[str, Timing]:
    """Time all contestants for about `seconds` together; `before` runs, untimed, ahead of each call.

    Without it calls are hot: the caches hold what the contestant's last call left there.
    """
    once = {}
    for name, run in contestants.items():
        run()  # compiles, warms up
        start = time.perf_counter()
        run()
        once[name] = max(time.perf_counter() - start, 1e-7)
    rounds = min(rounds, max(FEWEST_ROUNDS, int(OVERTIME * seconds / sum(once.values()))))
    share = seconds / rounds / len(contestants)
    calls = {name: 1 if before else max(1, int(share / once[name])) for name in contestants}
    timings = {name: Timing() for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            if before:
                before()
            elif once[name] < LONG:
                run()  # what another contestant left in the caches is not its fault
            start = time.perf_counter()
            for _ in range(calls[name]):
                run()
            timings[name].rounds.append((time.perf_counter() - start) / calls[name])
    return timings


def summary(timings: dict[str, Timing]) -> dict[str, dict[str, float]]:
    """For JSON: seconds per call of each contestant, and spreads."""
    return {
        "seconds": {name: timing.median for name, timing in timings.items()},
        "spread": {name: timing.spread for name, timing in timings.items()},
    }
