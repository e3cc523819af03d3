"""What npu_moe_gating_top_k_softmax_v2 is, accepts and does on CPU tensors.

The labels S1 to S7 are this operator's. S7, that all parameters behind x are keywords, is the public function's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ascend_moe_gating.plugin import rules
from ascend_moe_gating.plugin.rules import Constraint, name_of, names_of

NAME = "npu_moe_gating_top_k_softmax_v2"
SCHEMA = (
    f"{NAME}(Tensor x, *, int k=1, Tensor? finished=None, int? renorm=0, bool? output_softmax=False) "
    "-> (Tensor y, Tensor expert_idx, Tensor softmax_result)"
)
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MAX_K = 1024


class Call(NamedTuple):
    """The arguments of one call, as the constraints see them."""

    x: torch.Tensor
    k: int
    finished: Any  # a Tensor or None
    renorm: int | None
    output_softmax: bool | None

    @property
    def rows(self) -> list[int]:
        return list(self.x.shape[:-1])

    @property
    def largest_k(self) -> int:
        return min(self.x.shape[-1], MAX_K)


# In this order: a rule may rely on those above it.
CONSTRAINTS = (
    Constraint(
        "S1",
        ValueError,
        lambda c: c.x.dim() not in (2, 3),
        lambda c: f"x must have 2 or 3 dimensions (tokens, experts), got shape {list(c.x.shape)}",
    ),
    Constraint(
        "S2",
        TypeError,
        lambda c: c.x.dtype not in DTYPES,
        lambda c: f"x must be {names_of(DTYPES)}, got {name_of(c.x.dtype)}",
    ),
    Constraint(
        "S3",
        ValueError,
        lambda c: c.x.shape[-1] < 1,
        lambda c: f"x must have at least 1 expert (its last dimension), got {c.x.shape[-1]}",
    ),
    Constraint(
        "S4",
        ValueError,
        lambda c: c.finished is not None and list(c.finished.shape) != c.rows,
        lambda c: f"finished must have the shape of x without experts, {c.rows}, got shape {list(c.finished.shape)}",
    ),
    Constraint(
        "S4",
        TypeError,
        lambda c: c.finished is not None and c.finished.dtype != torch.bool,
        lambda c: f"finished must be bool, got {name_of(c.finished.dtype)}",
    ),
    Constraint(
        "S4",
        ValueError,
        lambda c: c.finished is not None and c.finished.device != c.x.device,
        lambda c: f"finished must be on the device of x, {c.x.device}, got {c.finished.device}",
    ),
    Constraint(
        "S5",
        ValueError,
        lambda c: not 1 <= c.k <= c.largest_k,
        lambda c: f"k must be between 1 and {c.largest_k} (= experts, at most {MAX_K}), got {c.k}",
    ),
    Constraint(
        "S6",
        ValueError,
        lambda c: c.renorm not in (None, 0, 1),
        lambda c: f"renorm must be 0 (softmax, then choice) or 1 (choice, then softmax), got {c.renorm}",
    ),
)

_PARAMETERS = (
    rules.tensor("x", "S1"),
    rules.integer("k", "S5"),
    rules.optional_tensor("finished", "S4"),
    rules.optional_integer("renorm", "S6"),
    rules.optional_boolean("output_softmax"),
)


def check(
    x: torch.Tensor,
    k: int = 1,
    finished: torch.Tensor | None = None,
    renorm: int | None = 0,
    output_softmax: bool | None = False,
) -> None:
    """Raise the error of the first constraint that these arguments break; sizes may be symbolic.

    Raises:
        TypeError: a wrong Python type or dtype.
        ValueError: a wrong shape, device or number.
    """
    call = Call(x, k, finished, renorm, output_softmax)
    rules.check_types(call, _PARAMETERS)
    rules.check_constraints(call, CONSTRAINTS)


_rows: Any = Call.rows
_largest_k: Any = Call.largest_k
CHECKS = (check, _rows.fget, _largest_k.fget)  # what keep_out_of_graphs_of_their_own is for


def cpu_kernel(
    x: torch.Tensor,
    *,
    k: int = 1,
    finished: torch.Tensor | None = None,
    renorm: int | None = 0,
    output_softmax: bool | None = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The CPU kernel, of torch's own operations.

    Raises:
        ValueError, TypeError: the arguments break one of the constraints S1 to S6.
    """
    check(x, k, finished, renorm, output_softmax)
    scores = x.float() if renorm else x.float().softmax(-1)
    ordered = scores.sort(dim=-1, descending=True, stable=True)
    weights, expert_idx = ordered.values[..., :k], ordered.indices[..., :k].int()
    if renorm:
        weights = weights.softmax(-1)
    if finished is not None:
        expert_idx.masked_fill_(finished.unsqueeze(-1), x.shape[-1])
    softmax_result = scores if output_softmax and not renorm else scores.new_empty(0)
    return weights.to(x.dtype).contiguous(), expert_idx.contiguous(), softmax_result.contiguous()
