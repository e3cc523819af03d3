"""The table of calls of the two operators of a softmax that every backend must answer alike."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

SOFTMAX, RENORM = {"output_softmax": True}, {"renorm": 1}


@dataclass(frozen=True)
class Case:
    """One call; logits lie apart, so that no rounding decides between experts. `view` makes them strided."""

    name: str
    shape: tuple[int, ...]
    k: int
    options: dict[str, Any] = field(default_factory=dict)
    finished: bool = False
    view: Callable[[torch.Tensor], torch.Tensor] | None = None

    def inputs(self, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor | None]:
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        rows, experts = int(np.prod(self.shape[:-1])), self.shape[-1]
        logits = [rng.permutation(experts) * (8 / experts) - 4 for _ in range(rows)]
        x = torch.tensor(np.reshape(logits, self.shape), dtype=torch.float32).to(dtype)
        finished = torch.from_numpy(rng.random(self.shape[:-1]) < 0.4) if self.finished else None
        return (x if self.view is None else self.view(x)), finished


CASES = (
    Case("softmax", (7, 64), 6),
    Case("softmax with scores", (7, 64), 6, SOFTMAX),
    Case("renorm", (7, 64), 6, RENORM),
    Case("renorm has no scores", (7, 64), 6, RENORM | SOFTMAX),
    Case("finished", (33, 16), 4, finished=True),
    Case("finished, renorm", (33, 16), 4, RENORM, finished=True),
    Case("finished, with scores", (5, 16), 4, SOFTMAX, finished=True),
    Case("batch", (2, 3, 32), 5, finished=True),
    Case("batch with scores", (2, 3, 32), 5, SOFTMAX),
    Case("None is 0", (4, 8), 2, {"renorm": None, "output_softmax": None}),
    Case("all experts", (4, 8), 8, RENORM),
    Case("one expert", (3, 1), 1, SOFTMAX),
    Case("the largest k", (2, 1100), 1024),
    Case("more experts than the first operator takes", (3, 5000), 8, SOFTMAX),
    Case("no tokens", (0, 16), 4, SOFTMAX, finished=True),
    Case("no batch", (0, 3, 16), 4, RENORM, finished=True),
    Case("strided", (24, 32), 4, SOFTMAX, finished=True, view=lambda x: x.T.contiguous().T),
    Case("strided batch", (4, 6, 32), 4, RENORM, view=lambda x: x.permute(2, 0, 1).contiguous().permute(1, 2, 0)),
)
