"""Run the program that is named on the command line, then look at the results that it leaves."""

import runpy
import sys

import numpy

left = runpy.run_path(sys.argv[1], run_name="__main__")

from ascend_moe_gating.plugin.reference import moe_gating_top_k  # noqa: E402

results = left["y_npu"], left["expert_idx_npu"], left["out_npu"]
for result in results:
    print(str(result.dtype).removeprefix("torch."), list(result.shape), result.device)
options = {name: left[name] for name in ("k_group", "group_count", "group_select_mode", "norm_type", "eps")}
x, bias = left["x"].astype(numpy.float32), left["bias"].astype(numpy.float32)
y, expert_idx, _ = moe_gating_top_k(x, left["k"], bias=bias, **options)
same = (results[1].cpu().numpy() == expert_idx).all() and (results[0].cpu().numpy() == y.astype(numpy.float16)).all()
print("agrees with the reference:", bool(same))
