"""Calls with known results, small enough for a table; nothing of torch or NumPy is needed to read it.

x[token][expert] is ((3 token + 5 expert) mod 8 - 4) * (token + 1) / 8: in each row the values are different.
"""

from __future__ import annotations

from typing import Any, NamedTuple

TOKENS, EXPERTS, K = 4, 8, 2
X = [[((3 * token + 5 * e) % 8 - 4) * (token + 1) / 8 for e in range(EXPERTS)] for token in range(TOKENS)]
INPUT_IDS = [0, 1, 2, 0]
TID2EID = [[7, 0], [3, 4], [1, 6]]
FACTORS = [[1.0, 2.0]] * TOKENS  # of the weights, in the loss of GRADIENT


class Known(NamedTuple):
    """A call of npu_moe_gating_top_k on X with K, and what it gives."""

    options: dict[str, Any]
    experts: list[list[int]]
    weights: list[list[float]]


_BEST = [[3, 6], [4, 7], [5, 0], [6, 1]]
SOFTMAX = Known(
    {}, _BEST, [[0.185887, 0.164045], [0.255821, 0.199233], [0.329095, 0.226184], [0.400810, 0.243104]]
)  # fmt: skip
RENORM = Known(
    {"renorm": 1}, _BEST, [[0.531209, 0.468791], [0.562177, 0.437823], [0.592667, 0.407333], [0.622459, 0.377541]]
)  # fmt: skip
SQRT_SOFTPLUS = Known(
    {"norm_type": 2}, _BEST, [[0.510472, 0.489528], [0.519308, 0.480691], [0.526547, 0.473453], [0.532323, 0.467677]]
)  # fmt: skip
ROUTED = Known(  # with input_ids and tid2eid
    {"norm_type": 1},
    [TID2EID[token] for token in INPUT_IDS],
    [[0.553909, 0.446091], [0.357276, 0.642724], [0.448935, 0.551065], [0.732681, 0.267319]],
)
GRADIENT = [  # by X, of the sum of FACTORS times SOFTMAX's weights
    [-0.039828, -0.074408, -0.051140, 0.090345, -0.065665, -0.045131, 0.243774, -0.057949],
    [-0.061576, -0.029086, -0.101521, -0.047955, 0.088440, -0.079065, -0.037348, 0.268111],
    [0.275613, -0.057384, -0.018630, -0.121481, -0.039439, 0.071920, -0.083493, -0.027106],
    [-0.017701, 0.270570, -0.048115, -0.010736, -0.130791, -0.029183, 0.045284, -0.079329],
]
