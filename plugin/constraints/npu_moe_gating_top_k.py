"""What `npu_moe_gating_top_k` is given and accepts: its signature, and the one table from which every check and every
message comes.

The labels C1 to C19 are cited by the messages, the tests and the documentation. A constraint holds for every published
CANN, on Atlas A2, A3 and 950; a need is met by some. Two are not in the table: C13, that all parameters behind k are
keywords, is the public function's; C19, that input_ids and tid2eid name rows and experts that exist, needs their
values, so it holds where these can be read: on the CPU, and on the stand-in when it runs.

Source: the tilings of MoeGatingTopK in CANN's open-source operators, releases 8.5.0 to 9.2; for 8.3 its documentation.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NoReturn

import torch
from torch import Tensor

from ascend_moe_gating.plugin.constraints import rules
from ascend_moe_gating.plugin.constraints.needs import A2_A3, A5, Need
from ascend_moe_gating.plugin.constraints.rules import Constraint, name_of, names_of
from ascend_moe_gating.plugin.constraints.signature import Signature

SIGNATURE = Signature(
    "npu_moe_gating_top_k(Tensor x, int k, *, Tensor? bias=None, Tensor? input_ids=None, Tensor? tid2eid=None, "
    "int k_group=1, int group_count=1, int group_select_mode=0, int renorm=0, int norm_type=0, bool out_flag=False, "
    "float routed_scaling_factor=1.0, float eps=1e-20) -> (Tensor y, Tensor expert_idx, Tensor norm_out)",
    labels={
        "x": "C1",
        "k": "C9",
        "bias": "C4",
        "input_ids": "C15",
        "tid2eid": "C16",
        "k_group": "C8",
        "group_count": "C5",
        "group_select_mode": "C10",
        "renorm": "C11",
        "norm_type": "C12",
    },
)
Call = SIGNATURE.Call

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
ID_DTYPES = (torch.int64, torch.int32)
MAX_EXPERTS = 2048
MAX_ROUTED = 64
VALUES_LABEL = "C19"


def experts(call: Any) -> int:
    return call.x.shape[1]


def group_size(call: Any) -> int:
    return experts(call) // call.group_count


def drops_groups(call: Any) -> bool:
    """Whether groups matter: not where all are kept, nor where each expert is one, as then k decides."""
    return call.k_group < call.group_count < experts(call)


def aligned(call: Any) -> int:
    """The experts, where those of each group fill a multiple of 32 places."""
    return (group_size(call) + 31) // 32 * 32 * call.group_count


# In this order: a rule may rely on those above it.
CONSTRAINTS = (
    Constraint(
        "C1",
        ValueError,
        lambda c: c.x.dim() != 2,
        lambda c: f"x must have 2 dimensions (tokens, experts), got shape {list(c.x.shape)}",
    ),
    Constraint(
        "C2",
        TypeError,
        lambda c: c.x.dtype not in DTYPES,
        lambda c: f"x must be {names_of(DTYPES)}, got {name_of(c.x.dtype)}",
    ),
    Constraint(
        "C3",
        ValueError,
        lambda c: not 1 <= experts(c) <= MAX_EXPERTS,
        lambda c: f"x must have between 1 and {MAX_EXPERTS} experts (its last dimension), got {experts(c)}",
    ),
    Constraint(
        "C4",
        ValueError,
        lambda c: c.bias is not None and (c.bias.dim() != 1 or c.bias.shape[0] != experts(c)),
        lambda c: f"bias must have one dimension of {experts(c)} experts as x has, got shape {list(c.bias.shape)}",
    ),
    Constraint(
        "C4",
        TypeError,
        lambda c: c.bias is not None and c.bias.dtype != c.x.dtype,
        lambda c: f"bias must have the dtype of x, {name_of(c.x.dtype)}, got {name_of(c.bias.dtype)}",
    ),
    Constraint(
        "C4",
        ValueError,
        lambda c: c.bias is not None and c.bias.device != c.x.device,
        lambda c: f"bias must be on the device of x, {c.x.device}, got {c.bias.device}",
    ),
    Constraint(
        "C5",
        ValueError,
        lambda c: c.group_count < 1 or experts(c) % c.group_count != 0,
        lambda c: f"group_count must be at least 1 and divide the {experts(c)} experts, got {c.group_count}",
    ),
    Constraint(
        "C6",
        ValueError,
        lambda c: c.group_select_mode == 1 and experts(c) < 2,
        lambda c: f"x must have at least 2 experts for group_select_mode 1 (sum of the two largest), got {experts(c)}",
    ),
    Constraint(
        "C7",
        ValueError,
        lambda c: drops_groups(c) and aligned(c) > MAX_EXPERTS,
        lambda c: (
            f"group_count times the experts of a group rounded up to a multiple of 32 must be at most {MAX_EXPERTS} "
            f"where groups are dropped, got {c.group_count} * {aligned(c) // c.group_count} = {aligned(c)}"
        ),
    ),
    Constraint(
        "C8",
        ValueError,
        lambda c: not 1 <= c.k_group <= c.group_count,
        lambda c: f"k_group must be between 1 and {c.group_count} (= group_count), got {c.k_group}",
    ),
    Constraint(
        "C9",
        ValueError,
        lambda c: not 1 <= c.k <= c.k_group * (experts(c) // c.group_count),
        lambda c: (
            f"k must be between 1 and {c.k_group * (experts(c) // c.group_count)} "
            f"(= k_group * experts / group_count), got {c.k}"
        ),
    ),
    Constraint(
        "C10",
        ValueError,
        lambda c: c.group_select_mode not in (0, 1),
        lambda c: f"group_select_mode must be 0 (maximum) or 1 (sum of the two largest), got {c.group_select_mode}",
    ),
    Constraint(
        "C11",
        ValueError,
        lambda c: c.renorm not in (0, 1),
        lambda c: f"renorm must be 0 or 1 (a softmax's weights are divided by their sum too), got {c.renorm}",
    ),
    Constraint(
        "C12",
        ValueError,
        lambda c: c.norm_type not in (0, 1, 2),
        lambda c: f"norm_type must be 0 (softmax), 1 (sigmoid) or 2 (sqrt of softplus), got {c.norm_type}",
    ),
    Constraint(
        "C14",
        ValueError,
        lambda c: (c.input_ids is None) != (c.tid2eid is None),
        lambda c: (
            "input_ids and tid2eid must be given together, got only "
            f"{'tid2eid' if c.input_ids is None else 'input_ids'}"
        ),
    ),
    Constraint(
        "C15",
        ValueError,
        lambda c: c.input_ids is not None and (c.input_ids.dim() != 1 or c.input_ids.shape[0] != c.x.shape[0]),
        lambda c: (
            f"input_ids must have one dimension of {c.x.shape[0]} tokens as x has, got shape {list(c.input_ids.shape)}"
        ),
    ),
    Constraint(
        "C15",
        TypeError,
        lambda c: c.input_ids is not None and c.input_ids.dtype not in ID_DTYPES,
        lambda c: f"input_ids must be {names_of(ID_DTYPES)}, got {name_of(c.input_ids.dtype)}",
    ),
    Constraint(
        "C15",
        ValueError,
        lambda c: c.input_ids is not None and c.input_ids.device != c.x.device,
        lambda c: f"input_ids must be on the device of x, {c.x.device}, got {c.input_ids.device}",
    ),
    Constraint(
        "C16",
        ValueError,
        lambda c: c.tid2eid is not None and (c.tid2eid.dim() != 2 or c.tid2eid.shape[1] != c.k),
        lambda c: f"tid2eid must have 2 dimensions (ids, {c.k} = k), got shape {list(c.tid2eid.shape)}",
    ),
    Constraint(
        "C16",
        TypeError,
        lambda c: c.tid2eid is not None and c.tid2eid.dtype not in ID_DTYPES,
        lambda c: f"tid2eid must be {names_of(ID_DTYPES)}, got {name_of(c.tid2eid.dtype)}",
    ),
    Constraint(
        "C16",
        ValueError,
        lambda c: c.tid2eid is not None and c.tid2eid.device != c.x.device,
        lambda c: f"tid2eid must be on the device of x, {c.x.device}, got {c.tid2eid.device}",
    ),
    Constraint(
        "C18",
        ValueError,
        lambda c: c.tid2eid is not None and drops_groups(c),
        lambda c: f"k_group must be {c.group_count} (= group_count) with input_ids and tid2eid, got {c.k_group}",
    ),
)
NEEDS = (
    Need("C1", "npu_moe_gating_top_k", lambda c: True, {A2_A3: (8, 0), A5: (8, 5)}),
    Need("C6", "a group of 1 or 2 experts", lambda c: group_size(c) <= 2, {A2_A3: (8, 5), A5: (8, 5)}),
    Need(
        "C6", "group_select_mode=1 with groups of 1 expert", lambda c: c.group_select_mode == 1 and group_size(c) < 2,
        {A5: (8, 5)},
    ),
    Need(
        "C7", f"group_count times the experts of a group, rounded up to a multiple of 32, above {MAX_EXPERTS}",
        lambda c: aligned(c) > MAX_EXPERTS, {A2_A3: (8, 5), A5: (8, 5)},
    ),
    Need("C11", "renorm=1", lambda c: c.renorm == 1, {A2_A3: (9, 0), A5: (9, 1)}),
    Need("C12", "norm_type=2", lambda c: c.norm_type == 2, {A5: (9, 1)}),
    Need("C14", "input_ids and tid2eid", lambda c: c.tid2eid is not None, {A2_A3: (9, 2), A5: (9, 2)}),
    Need(
        "C17", f"k above {MAX_ROUTED} with input_ids and tid2eid",
        lambda c: c.tid2eid is not None and c.k > MAX_ROUTED, {A2_A3: (9, 2)},
    ),
)  # fmt: skip


def check(call: tuple[Any, ...]) -> None:
    """Raise the error of the first constraint that a call breaks, a Call or its values in the same order; sizes may be
    symbolic.

    Raises:
        TypeError: a wrong Python type or dtype.
        ValueError: a wrong shape, device or number.
    """
    x, k, bias, input_ids, tid2eid, k_group, group_count, mode, renorm, norm_type, out_flag, scale, eps = call
    facts: tuple[object, ...] = ()
    if (
        type(x) is Tensor
        and type(k) is type(k_group) is type(group_count) is type(mode) is int  # 8.0 and 8 are equal
        and type(renorm) is type(norm_type) is int
        and type(out_flag) is bool
        and type(scale) is type(eps) is float
    ):
        try:
            _, experts_of_x = x.shape
            facts = (
                experts_of_x,
                x.dtype,
                None if bias is None else (bias.shape, bias.dtype, bias.get_device() == x.get_device()),
                None if input_ids is tid2eid is None else _facts(x, input_ids, tid2eid),
                k, k_group, group_count, mode, renorm, norm_type, out_flag, scale, eps,
            )  # fmt: skip  # a slice of the call would be slower
            if facts in _passed:
                return
        except (AttributeError, TypeError, ValueError):
            facts = ()  # what should be a tensor is none, or has other dimensions: the check below says it
    rules.check_types(call, _PARAMETERS)
    check_rules(SIGNATURE.in_numbers(call))
    if facts:
        _passed.append(facts)


_PARAMETERS = SIGNATURE.parameters

# Of the calls that passed last, all that the constraints read, which is not the number of tokens.
_passed: deque[tuple[object, ...]] = deque(maxlen=32)


def _facts(x: torch.Tensor, input_ids: Any, tid2eid: Any) -> tuple[object, ...]:
    """What the constraints read of the tensors of hash routing."""
    device = x.device
    ids = (input_ids.dtype, input_ids.shape == x.shape[:1], input_ids.device == device)
    table = (tid2eid.dtype, tid2eid.dim(), tid2eid.shape[1:], tid2eid.device == device)
    return ids, table


def check_rules(call: Any) -> None:
    """Raise the error of the first constraint that a Call breaks whose arguments have the right Python types."""
    rules.check_constraints(call, CONSTRAINTS)


def refuse_hash_routing() -> NoReturn:
    """Raise the error of a call with it where torch_npu's definition has no place for it."""
    raise NotImplementedError(
        "the installed torch_npu defines npu_moe_gating_top_k without input_ids and tid2eid (hash routing)"
    )


# For make_known_to_dynamo.
CHECKS = (check, check_rules, aligned, drops_groups, experts, group_size)
REFUSALS = (refuse_hash_routing,)
