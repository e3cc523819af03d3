"""One or more broken calls per constraint of the two operators of a softmax; here labels begin with S, those of the
first operator with T.
"""

from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Violation:
    label: str
    error: type[Exception]
    message: str
    shape: tuple[int, ...] = (4, 16)
    dtype: torch.dtype = torch.float32
    options: dict[str, Any] = field(default_factory=dict)

    def arguments(self, device: str = "cpu") -> tuple[torch.Tensor, dict[str, Any]]:
        options = {n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in self.options.items()}
        return torch.zeros(self.shape, dtype=self.dtype).to(device), options


def _finished(*shape: int, dtype: torch.dtype = torch.bool) -> dict[str, Any]:
    return {"finished": torch.zeros(shape, dtype=dtype)}


VIOLATIONS = (
    Violation("S1", ValueError, "x must have 2 or 3 dimensions (tokens, experts), got shape [16]", (16,)),
    Violation("S1", ValueError, "x must have 2 or 3 dimensions (tokens, experts), got shape [1, 1, 1, 1]", (1,) * 4),
    Violation("S2", TypeError, "x must be float32, bfloat16 or float16, got float64", dtype=torch.float64),
    Violation("S3", ValueError, "x must have at least 1 expert (its last dimension), got 0", (4, 0)),
    Violation(
        "S4",
        ValueError,
        "finished must have the shape of x without experts, [4], got shape [3]",
        options=_finished(3),
    ),
    Violation(
        "S4",
        ValueError,
        "finished must have the shape of x without experts, [2, 3], got shape [6]",
        (2, 3, 16),
        options=_finished(6),
    ),
    Violation("S4", TypeError, "finished must be bool, got uint8", options=_finished(4, dtype=torch.uint8)),
    Violation("S5", ValueError, "k must be between 1 and 16 (= experts, at most 1024), got 17", options={"k": 17}),
    Violation("S5", ValueError, "k must be between 1 and 16 (= experts, at most 1024), got 0", options={"k": 0}),
    Violation(
        "S5",
        ValueError,
        "k must be between 1 and 1024 (= experts, at most 1024), got 1025",
        (1, 2000),
        options={"k": 1025},
    ),
    Violation(
        "S6",
        ValueError,
        "renorm must be 0 (softmax, then choice) or 1 (choice, then softmax), got 2",
        options={"renorm": 2},
    ),
)
