"""Random calls. A call follows from the seed of the soak and its number alone, so that it can be repeated by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests.kernels.kernel_calls import DTYPES

ELEMENTS = 250_000  # logits of a call at most: with few experts tens of thousands of tokens
TOKENS = 40_000
# The ways, and how many of a thousand calls go each. The kernel is run in every version that the processor has.
WAYS = {
    "kernel": 620,
    "kernel, hash routing": 40,
    "kernel, gradient": 80,
    "cpu": 80,
    "cpu, softmax": 50,
    "cpu, softmax_v2": 50,
    "npu": 40,
    "npu, softmax_v2": 20,
    "graph": 20,
}
GRAPHS = 8  # sets of options that are compiled, each for any number of tokens


class Call(NamedTuple):
    """Values are float32, before they are rounded to the dtype; options are those of npu_moe_gating_top_k."""

    way: str
    dtype: str
    x: np.ndarray
    bias: np.ndarray | None
    k: int
    options: dict[str, Any]
    values: str
    layout: str
    threads: int
    rng: np.random.Generator  # for what else the way needs

    def describe(self) -> str:
        bias = "" if self.bias is None else ", bias"
        shape = f"{self.dtype} {list(self.x.shape)}{bias}"
        return f"{self.way}: {shape}, k={self.k}, {self.options}, {self.values}, {self.layout}, {self.threads} threads"


def _rounded(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.round(rng.normal(0, 2, shape))


def _sprinkled(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    odd = np.array([-np.inf, np.inf, -0.0, 1e-40, -1e-40, 3e38, -3e38])
    x = rng.normal(0, 5, shape)
    return np.where(rng.random(shape) < rng.choice([0.001, 0.2]), rng.choice(odd, shape), x)


def _with_nan(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.where(rng.random(shape) < rng.choice([0.001, 0.3]), np.nan, rng.normal(0, 1, shape))


VALUES: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.normal(0, rng.choice([0.01, 1, 2, 5, 30, 100]), shape),
    "rounded": _rounded,
    "equal": lambda rng, shape: np.full(shape, rng.choice([0.0, -0.0, 3.0, -50.0, 1e-40])),
    "equal in a row": lambda rng, shape: np.broadcast_to(rng.normal(0, 3, (shape[0], 1)), shape),
    "ascending": lambda rng, shape: np.sort(rng.normal(0, 3, shape), axis=1),
    "descending": lambda rng, shape: -np.sort(rng.normal(0, 3, shape), axis=1),
    "two values": lambda rng, shape: rng.choice(np.array([-1.0, 1e37, 0.0, -np.inf])[rng.permutation(4)[:2]], shape),
    "neighbouring": lambda rng, shape: -1 - 2.0**-22 * rng.integers(0, 5, shape),
    "tying": lambda rng, shape: -(2.0**-25) * rng.integers(0, 40, shape),  # of which scores are equal, or nearly
    "far apart": lambda rng, shape: rng.uniform(-1e4, 1e4, shape),
    "denormal": lambda rng, shape: rng.normal(0, 1e-39, shape),
    "odd values": _sprinkled,
    "NaN": _with_nan,
}
LIKELY = (0.36, 0.12, 0.03, 0.03, 0.05, 0.05, 0.05, 0.05, 0.04, 0.04, 0.03, 0.1, 0.05)


def _with_gaps(a: np.ndarray, rows: int, columns: int) -> np.ndarray:
    wide = np.zeros((a.shape[0] * rows, a.shape[1] * columns), a.dtype)
    wide[::rows, ::columns] = a
    return wide[::rows, ::columns]


# The same array in another order in memory; torch has no reversed ones.
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "contiguous": lambda a: a,
    "every second row": lambda a: _with_gaps(a, 2, 1),
    "every third column": lambda a: _with_gaps(a, 1, 3),
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "gaps": lambda a: _with_gaps(a, 3, 2),
    "rows reversed": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "columns reversed": lambda a: np.ascontiguousarray(a[:, ::-1])[:, ::-1],
}


def _groups(rng: np.random.Generator, most: int) -> tuple[int, int, int]:
    """Experts, groups and groups that are kept, at most as many experts as wanted."""
    if rng.random() < 0.45 or most < 4:
        return int(rng.integers(1, most + 1)), 1, 1
    if rng.random() < 0.1:  # each expert is a group
        experts = int(rng.integers(2, most + 1))
        return experts, experts, int(rng.integers(1, experts + 1))
    count = int(rng.choice([c for c in (2, 3, 4, 7, 8, 16, 20, 32, 64) if c <= max(2, most // 2)]))
    size = int(rng.integers(1, most // count + 1))
    kept = int(rng.integers(1, count + 1))
    if kept < count and (size + 31) // 32 * 32 * count > 2048:  # C7
        kept = count
    return count * size, count, kept


def draw(seed: int, number: int) -> Call:
    """Call `number` of a soak."""
    rng = np.random.default_rng((seed, number))
    way = str(rng.choice(list(WAYS), p=np.array(list(WAYS.values())) / sum(WAYS.values())))
    if way == "graph":
        return _of_graph(rng)
    most = int(rng.choice([16, 64, 256, 512, 2048], p=[0.3, 0.25, 0.27, 0.12, 0.06]))
    experts, group_count, k_group = _groups(rng, most)
    largest = k_group * experts // group_count
    mode = int(rng.integers(2)) if experts > 1 else 0
    options = {
        "k_group": k_group,
        "group_count": group_count,
        "group_select_mode": mode,
        "renorm": int(rng.integers(2)),
        "norm_type": int(rng.integers(3)),
        "routed_scaling_factor": float(rng.choice([1.0, 2.5, -0.7, 0.0, 1e-30, 16.0])),
        "eps": float(rng.choice([1e-20, 0.0, 0.25])),
    }
    k = int(rng.integers(1, (largest if rng.random() < 0.3 else min(largest, 16)) + 1))
    return _with_values(rng, way, experts, k, options, bias=rng.random() < 0.5)


def _of_graph(rng: np.random.Generator) -> Call:
    """One of a few sets of options, the same in every soak, as each takes a second to compile; 2 or more tokens."""
    number = int(rng.integers(GRAPHS))
    of_graph = np.random.default_rng(number)
    experts, group_count, k_group = _groups(of_graph, int(of_graph.choice([16, 64, 256, 512])))
    options = {
        "k_group": k_group, "group_count": group_count, "group_select_mode": number // 2 % 2, "renorm": number % 2,
        "norm_type": number % 3,
        "routed_scaling_factor": 2.5, "eps": 1e-20,
    }  # fmt: skip
    k = min(k_group * experts // group_count, 1 + number)
    return _with_values(rng, "graph", experts, k, options, bias=number % 4 > 1)


def _with_values(rng: np.random.Generator, way: str, experts: int, k: int, options: dict[str, Any], bias: bool) -> Call:
    tokens = int(min(TOKENS, ELEMENTS // experts, np.exp(rng.uniform(0, np.log(TOKENS)))))
    tokens = max(tokens, 2) if way == "graph" else tokens
    values = str(rng.choice(list(VALUES), p=LIKELY))
    x = VALUES[values](rng, (tokens, experts)).astype(np.float32)
    if way.endswith("gradient"):  # as the tests of gradients have them: near saturation float32 has little to compare
        values, x = "normal", np.clip(rng.normal(0, 2, (tokens, experts)), -8, 8).astype(np.float32)
    of_bias = rng.choice([0.3, 2.0]) * rng.normal(0, 1, experts)
    if rng.random() < 0.3:
        of_bias = np.round(of_bias, int(rng.integers(3)))
    if rng.random() < 0.1:
        of_bias[rng.random(experts) < 0.3] = -np.inf
    dtype = str(rng.choice(list(DTYPES)))
    layout = str(rng.choice(list(LAYOUTS))) if rng.random() < 0.25 else "contiguous"
    if way == "graph":  # of which another dtype or layout makes another graph
        dtype, layout = list(DTYPES)[k % 3], "contiguous"
    return Call(
        way, dtype, x, of_bias.astype(np.float32) if bias else None, k, options, values, layout,
        int(rng.integers(1, 4)), rng,
    )  # fmt: skip
