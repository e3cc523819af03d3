"""The table of calls that every backend must answer alike. Invalid combinations never enter it."""

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
SIGMOID = {"norm_type": 1}
V3: dict[str, Any] = {
    "k_group": 4,
    "group_count": 8,
    "group_select_mode": 1,
    "norm_type": 1,
    "routed_scaling_factor": 2.5,
}


@dataclass(frozen=True)
class Case:
    """One call: `strided` gives x every second row and column of a larger tensor, and bias every third value."""

    name: str
    tokens: int
    experts: int
    k: int
    options: dict[str, Any] = field(default_factory=dict)
    bias: bool = False
    strided: bool = False

    def inputs(self, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor | None]:
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        x = torch.from_numpy(rng.normal(0, 2, (2 * self.tokens, 2 * self.experts)).astype(np.float32)).to(dtype)
        bias = torch.from_numpy(rng.normal(0, 0.3, 3 * self.experts).astype(np.float32)).to(dtype)
        x, bias = x[::2, 1::2], bias[::3]
        if not self.strided:
            x, bias = x.contiguous(), bias.contiguous()
        return x, bias if self.bias else None


CASES = (
    Case("no tokens", 0, 64, 4),
    Case("one token", 1, 256, 8, V3, bias=True),
    Case("fewest experts", 5, 3, 2),
    Case("all of few experts", 7, 8, 8, SIGMOID, bias=True),
    Case("softmax with bias", 33, 64, 6, bias=True),
    Case("softmax with scores", 9, 64, 6, {"out_flag": True}),
    Case("24 groups of 3, by maximum", 17, 72, 12, {"k_group": 5, "group_count": 24}),
    Case("deepseek-v2", 63, 160, 6, {"k_group": 3, "group_count": 8, "routed_scaling_factor": 16.0}),
    Case("deepseek-v3", 1000, 256, 8, V3, bias=True),
    Case("deepseek-v3 with scores", 31, 256, 8, {**V3, "out_flag": True}, bias=True),
    Case("deepseek-v3 without bias", 31, 256, 8, V3),
    Case("kimi-k2", 127, 384, 8, {**SIGMOID, "routed_scaling_factor": 2.827}, bias=True),
    Case("most experts", 11, 2048, 32, SIGMOID),
    Case("all of most experts", 2, 2048, 2048),
    Case("every expert of the kept groups", 5, 256, 128, V3, bias=True),
    Case("large eps", 13, 64, 1, {**SIGMOID, "eps": 0.25}),
    Case("qwen3-moe, renormalized", 65, 128, 8, {"renorm": 1}),
    Case("mixtral, renormalized with scores", 9, 8, 2, {"renorm": 1, "out_flag": True, "eps": 1e-3}),
    Case("renormalized of groups", 40, 160, 6, {"k_group": 3, "group_count": 8, "renorm": 1}, bias=True),
    Case("renorm of a sigmoid changes nothing", 7, 64, 6, {**SIGMOID, "renorm": 1}, bias=True),
    Case("one expert", 3, 1, 1),
    Case("two experts", 3, 2, 2, SIGMOID, bias=True),
    Case("groups of two", 19, 64, 6, {"k_group": 8, "group_count": 32, "group_select_mode": 1}),
    Case("groups of one", 19, 72, 6, {"k_group": 8, "group_count": 72}),
    Case("all of many groups", 5, 258, 6, {"k_group": 86, "group_count": 86}),
    Case("deepseek-v4", 65, 256, 6, {"norm_type": 2, "routed_scaling_factor": 1.5}, bias=True),
    Case("deepseek-v4 with scores", 9, 256, 6, {"norm_type": 2, "out_flag": True, "renorm": 1}),
    Case("sqrt(softplus) of groups", 31, 72, 6, {"norm_type": 2, "k_group": 4, "group_count": 12}, bias=True),
    Case("sums of groups of one", 9, 16, 3, {"k_group": 4, "group_count": 16, "group_select_mode": 1}),
    Case("strided", 29, 256, 8, V3, bias=True, strided=True),
    Case("strided with scores", 1000, 64, 6, {"out_flag": True}, strided=True),
)
