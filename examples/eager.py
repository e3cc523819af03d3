"""Call the operator on its own, on CPU and on NPU tensors."""

import torch
import torch_npu

import ascend_moe_gating
from ascend_moe_gating import npu_moe_gating_top_k

torch.manual_seed(0)
logits = torch.randn(16, 256)
bias = torch.rand(256)
deepseek_v3 = {"k_group": 4, "group_count": 8, "group_select_mode": 1, "norm_type": 1, "routed_scaling_factor": 2.5}

on_cpu = npu_moe_gating_top_k(logits, 8, bias=bias, **deepseek_v3)
on_npu = npu_moe_gating_top_k(logits.npu(), 8, bias=bias.npu(), **deepseek_v3)

print("\n1. Eager mode\n")
print(f"torch     {torch.__version__}, torch_npu {torch_npu.__version__}, {torch.npu.get_device_name()}")
print(ascend_moe_gating.status(), end="\n\n")
print("token  experts, best first                      weights")
for token in range(3):
    experts = " ".join(f"{expert:3}" for expert in on_npu[1][token].tolist())
    weights = " ".join(f"{weight:.3f}" for weight in on_npu[0][token].tolist())
    print(f"{token:5}  {experts:40} {weights}")

same = torch.equal(on_cpu[1], on_npu[1].cpu()) and torch.allclose(on_cpu[0], on_npu[0].cpu())
print(f"\nCPU and NPU agree: {'yes' if same else 'NO'}")
raise SystemExit(not same)
