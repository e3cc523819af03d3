"""What a call costs the host on the stand-in's NPU, and what compiling a graph costs. Prints JSON; runs as a script,
with the seconds to measure.

The stand-in says nothing about the speed of a device: only the time of the calling thread counts here.
"""

import functools
import json
import sys
import time

from ascend_moe_gating import simulator

ON_STAND_IN = simulator.load()  # before torch

import torch  # noqa: E402
import torch_npu  # noqa: E402, F401
import torchair  # noqa: E402

import ascend_moe_gating  # noqa: E402
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import Call, check  # noqa: E402
from benchmarks.peers import MODELS  # noqa: E402
from benchmarks.timing import interleave  # noqa: E402


@torch.inference_mode()  # else torch_npu's operator would come by this package's kernel for autograd
def dispatch(seconds: float) -> dict[str, float]:
    """Seconds per call of the public function, of torch_npu's own operator, and of the public function's checks."""
    model = MODELS["V3"]
    x, bias = torch.randn(1, model.experts).npu(), torch.randn(model.experts).npu()
    options = {"bias": bias, "routed_scaling_factor": 2.5, **model.options}
    own = torch.ops.npu.npu_moe_gating_top_k
    contestants = {
        "torch_npu": lambda: own(x, model.k, **options),
        "public": lambda: ascend_moe_gating.npu_moe_gating_top_k(x, model.k, **options),
        "checks": functools.partial(check, tuple(Call(x, model.k, **options))),  # as the public function hands it over
    }
    timings = interleave(contestants, seconds, rounds=41)
    return {name: timing.median for name, timing in timings.items()}


def compile_time() -> float:
    """Seconds of the first call of a compiled gate, when torchair is already loaded."""
    model = MODELS["V3"]
    x, bias = torch.randn(4, model.experts).npu(), torch.randn(model.experts).npu()
    for _ in range(2):
        torch._dynamo.reset()
        gate = torch.compile(
            lambda x, bias: ascend_moe_gating.npu_moe_gating_top_k(x, model.k, bias=bias, **model.options)[:2],
            backend=torchair.get_npu_backend(),
            dynamic=True,
        )
        start = time.perf_counter()
        gate(x, bias)
        torch.npu.synchronize()
        seconds = time.perf_counter() - start
    return seconds


print(json.dumps({"stand_in": ON_STAND_IN, "dispatch": dispatch(float(sys.argv[1])), "compile": compile_time()}))
