"""DeepSeek-V4's gates, in eager mode on the CPU and on the NPU, and compiled: the three agree.

ASCEND_MOE_GATING_SOC=Ascend950PR_9579 python -m ascend_moe_gating.simulator examples/deepseek_v4.py

The first layers of the model route by a table of the token's id, the others by sqrt(softplus) of the router's logits
and a bias. Only the 950 takes this norm_type, from CANN 9.1 on, and a table from CANN 9.2 on: the refusal of
others is shown. As in gate.py, all values are such that the router's sums are exact.
"""

import sys

import torch
import torch_npu  # noqa: F401  torchair comes with it
import torchair

from ascend_moe_gating import npu_moe_gating_top_k, status

HIDDEN, EXPERTS, K, VOCABULARY, TOKENS = 1024, 256, 6, 1000, 512


class Gate(torch.nn.Module):
    """A gate with a bias, or a hash layer with a table of the experts of each id."""

    def __init__(self, hash_layer: bool) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.round(torch.randn(EXPERTS, HIDDEN) * 2**7) / 2**12)
        bias = torch.round(torch.rand(EXPERTS) * 2**8) / 2**10
        self.register_buffer("bias", None if hash_layer else bias)
        table = torch.rand(VOCABULARY, EXPERTS).topk(K).indices
        self.register_buffer("tid2eid", table if hash_layer else None)

    def forward(self, hidden_states: torch.Tensor, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = torch.nn.functional.linear(hidden_states, self.weight)
        ids = None if self.tid2eid is None else input_ids
        weights, experts, _ = npu_moe_gating_top_k(
            logits, K, bias=self.bias, input_ids=ids, tid2eid=self.tid2eid, norm_type=2, routed_scaling_factor=1.5
        )
        return weights, experts


def show(name: str, gate: Gate, hidden_states: torch.Tensor, input_ids: torch.Tensor) -> bool:
    """Run a gate in all three ways and say whether they agree."""
    print(f"\n{name}\n")
    try:
        weights, experts = gate(hidden_states, input_ids)
    except NotImplementedError as error:  # torch_npu's definition of the operator may have no place for a table
        print(f"  refused: {error}")
        return True
    for token in range(3):
        shown = " ".join(f"{expert:3}" for expert in experts[token].tolist())
        print(f"token {input_ids[token]:3}  experts {shown}  weights sum to {weights[token].sum():.3f}")
    gate, hidden_states, input_ids = gate.npu(), hidden_states.npu(), input_ids.npu()
    backend = torchair.get_npu_backend(compiler_config=torchair.CompilerConfig())
    agree = True
    for way, call in {"NPU, eager": gate, "NPU, compiled": torch.compile(gate, backend=backend)}.items():
        try:
            other_weights, other_experts = (result.cpu() for result in call(hidden_states, input_ids))
        except (RuntimeError, NotImplementedError) as error:
            print(f"  {way:14} refused: {str(error).splitlines()[-1]}")
            continue
        equal = (other_experts == experts).all(dim=1).sum().item()
        difference = (other_weights - weights).abs().max().item()
        agree = agree and equal == TOKENS and difference < 1e-6
        print(f"  {way:14} {equal} of {TOKENS} tokens have the CPU's experts, largest difference {difference:.1e}")
    return agree


@torch.no_grad()
def main() -> None:
    torch.manual_seed(0)
    print(f"\n4. DeepSeek-V4's gates, on {status().cann.split(':')[0].split(',')[0]}")
    hidden_states = (torch.randint(0, 2, (TOKENS, HIDDEN)) * 2 - 1).float()
    input_ids = torch.randint(0, VOCABULARY, (TOKENS,))
    agree = [
        show("A gate: 256 experts, k 6, sqrt(softplus), bias", Gate(False), hidden_states, input_ids),
        show("A hash layer: the experts of a token by its id", Gate(True), hidden_states, input_ids),
    ]
    sys.exit(not all(agree))


main()
