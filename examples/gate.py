"""A DeepSeek-V3 gate on real text, in eager mode on the CPU and on the NPU, and compiled: the three agree.

python -m ascend_moe_gating.simulator examples/gate.py [file]

The tokens are the bytes of a text (without a file: the README), embedded by a seeded table. All values are multiples of
2**-12 and small, so that the router's sums are exact in float32 whatever their order: what is compared is the routing.
"""

import sys
from pathlib import Path

import torch
import torch_npu  # noqa: F401  torchair comes with it
import torchair

from ascend_moe_gating import MoEGate

HIDDEN, EXPERTS, K, GROUPS, TOKENS = 7168, 256, 8, 8, 1024


def deepseek_v3_gate() -> MoEGate:
    gate = MoEGate(
        HIDDEN, EXPERTS, K, k_group=4, group_count=GROUPS, group_select_mode=1, norm_type=1, routed_scaling_factor=2.5
    )
    with torch.no_grad():
        gate.weight.copy_(torch.round(gate.weight * 2**12) / 2**12)
        gate.e_score_correction_bias.copy_(torch.round(torch.rand(EXPERTS) * 2**8) / 2**12)
    return gate


def embed(text: bytes) -> torch.Tensor:
    table = torch.randint(0, 2, (256, HIDDEN)).to(torch.bfloat16) * 2 - 1
    return table[torch.frombuffer(bytearray(text), dtype=torch.uint8).long()]


def show_load(expert_idx: torch.Tensor) -> None:
    load = torch.bincount(expert_idx.flatten().long(), minlength=EXPERTS)
    shades = " .:-=+*#%@"
    print(f"\ntokens per expert, a row for each group; the fullest has {load.max()}, {(load == 0).sum()} have none")
    for group, row in enumerate(load.view(GROUPS, -1)):
        cells = "".join(shades[(9 * count + load.max() - 1) // load.max()] for count in row)
        print(f"  group {group}  {cells}  {row.sum():5}")


def main() -> None:
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "README.md"
    text = source.read_bytes()[:TOKENS]
    if not text:
        sys.exit(f"{source} is empty: there is nothing to route")
    torch.manual_seed(0)
    gate, hidden_states = deepseek_v3_gate(), embed(text)

    with torch.no_grad():
        results = {"CPU, eager": gate(hidden_states)}
        on_npu, gate_npu = hidden_states.npu(), gate.npu()
        results["NPU, eager"] = gate_npu(on_npu)
        backend = torchair.get_npu_backend(compiler_config=torchair.CompilerConfig())
        results["NPU, compiled"] = torch.compile(gate_npu, backend=backend, fullgraph=True)(on_npu)
    results = {name: (weights.cpu(), experts.cpu()) for name, (weights, experts) in results.items()}

    print("\n3. A DeepSeek-V3 gate\n")
    print(f"{gate}\non the first {len(text)} bytes of {source.name}\n")
    weights, expert_idx = results["CPU, eager"]
    print("token  experts, best first                      weights")
    for token in range(5):
        experts = " ".join(f"{expert:3}" for expert in expert_idx[token].tolist())
        print(f"{chr(text[token])!r:6} {experts:40} {' '.join(f'{weight:.3f}' for weight in weights[token].tolist())}")
    show_load(expert_idx)

    print("\nagreement with the CPU: experts of tokens, largest difference of a weight")
    agree = True
    for name, (other_weights, other_idx) in results.items():
        equal = (other_idx == expert_idx).all(dim=1).sum().item()
        difference = (other_weights - weights).abs().max().item()
        agree = agree and equal == len(text) and difference < 1e-6
        print(f"  {name:14} {equal} of {len(text)}, {difference:.1e}")
    sys.exit(not agree)


main()
