"""The table of calls with hash routing that every backend must answer alike."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

INT32, INT64 = torch.int32, torch.int64


@dataclass(frozen=True)
class Case:
    """One call; `strided` gives ids and table every second element."""

    name: str
    tokens: int
    experts: int
    k: int
    vocabulary: int
    integers: tuple[torch.dtype, torch.dtype] = (INT64, INT32)  # of input_ids and of tid2eid
    options: dict[str, Any] = field(default_factory=dict)
    bias: bool = False
    strided: bool = False

    def inputs(self, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor | None]:
        rng = np.random.default_rng(self.tokens)
        x = torch.from_numpy(rng.normal(0, 2, (self.tokens, self.experts)).astype(np.float32)).to(dtype)
        return x, torch.linspace(9, -9, self.experts).to(dtype) if self.bias else None

    def routing(self) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng(self.vocabulary)
        ids = torch.from_numpy(rng.integers(0, max(self.vocabulary, 1), 2 * self.tokens)).to(self.integers[0])
        rows = [rng.permutation(self.experts)[: self.k] for _ in range(2 * self.vocabulary)]
        table = torch.from_numpy(np.reshape(rows, (-1, self.k)).repeat(2, axis=1)).to(self.integers[1])
        ids, table = ids[::2], table[::2, ::2]
        return (ids, table) if self.strided else (ids.contiguous(), table.contiguous())


CASES = (
    Case("softmax", 9, 64, 6, 100),
    Case("sigmoid", 33, 256, 8, 1000, options={"norm_type": 1, "routed_scaling_factor": 1.5}),
    Case("int32 ids, int64 table", 5, 16, 4, 7, (INT32, INT64), {"norm_type": 1, "eps": 0.25}),
    Case("int32", 5, 16, 4, 7, (INT32, INT32)),
    Case("int64, strided", 700, 72, 3, 50, (INT64, INT64), {"norm_type": 1}, strided=True),
    Case("the bias has no effect", 8, 64, 6, 10, options={"norm_type": 1}, bias=True),
    Case("all groups, with scores", 8, 64, 6, 10, options={"k_group": 8, "group_count": 8, "out_flag": True}),
    Case("one expert", 3, 3, 1, 1),
    Case("most experts of a token", 4, 2048, 64, 5),
    Case("no tokens", 0, 64, 6, 10),
    Case("no tokens and no ids", 0, 64, 6, 0),
)

# Ids, table and message of C19: what does not exist.
STRAYS: list[tuple[list[int], list[list[int]], str]] = [
    ([0, 4, 1], [[0, 1], [2, 3]] * 2, "input_ids must name one of the 4 rows of tid2eid, got 4 for token 1"),
    ([0, 1, -1], [[0, 1], [2, 3]], "input_ids must name one of the 2 rows of tid2eid, got -1 for token 2"),
    ([0, 1, 1], [[0, 1], [2, 8]], "tid2eid must hold experts between 0 and 7, got 8 in row 1"),
    ([1, 1, 1], [[99, 99], [2, -3]], "tid2eid must hold experts between 0 and 7, got -3 in row 1"),
]
