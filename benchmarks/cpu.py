"""The operator on the CPU, or on an NPU where there is one, against its peers and against the limit of the machine."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.peers import MODELS, Model, operator, transformers_gate, vllm_gate
from benchmarks.timing import interleave

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Limit:
    """benchmarks/limit.cpp, compiled for this processor."""

    def __init__(self) -> None:
        here, library = Path(__file__).parent, Path("build/liblimit.so")
        library.parent.mkdir(exist_ok=True)
        flags = ["-std=c++17", "-O3", "-march=native", "-shared", "-fPIC", "-w"]
        subprocess.run(["g++", *flags, str(here / "limit.cpp"), "-o", str(library)], check=True)
        self.function = ctypes.CDLL(str(library.resolve())).limit
        self.function.restype = ctypes.c_float
        self.function.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64]

    def __call__(self, x: torch.Tensor, norm_type: int) -> float:
        return self.function(x.data_ptr(), x.numel(), norm_type, list(DTYPES.values()).index(x.dtype))


def inputs(model: Model, tokens: int, dtype: str, device: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Logits and bias as models have them: the experts of a token differ, no two tokens are alike."""
    generator = torch.Generator().manual_seed(tokens)
    logits = torch.randn(tokens, model.experts, generator=generator).mul_(2).to(DTYPES[dtype]).to(device)
    bias = torch.randn(model.experts, generator=generator).mul_(0.1).to(DTYPES[dtype]).to(device)
    return logits, bias if model.bias else None


def assert_equal_choice(gates: dict, logits: torch.Tensor, bias: torch.Tensor | None) -> None:
    """A peer that does something else is no peer: the same experts for nearly all tokens (ties may differ)."""
    ours = gates["op"](logits[:256], bias)[1].sort(dim=-1).values
    for name, gate in gates.items():
        theirs = gate(logits[:256], bias)[1].sort(dim=-1).values
        same = (ours == theirs.to(ours.dtype)).all(dim=-1).float().mean().item()
        if same < 0.9:
            raise AssertionError(f"{name} chooses other experts than the operator for {1 - same:.0%} of the tokens")


def measure(cases: Iterator[tuple[str, int, str, int, bool]], seconds: float, device: str = "cpu") -> Iterator[dict]:
    """One result per case of (model, tokens, dtype, threads, hot): seconds per call of each contestant, and spreads."""
    limit = Limit() if device == "cpu" else None
    cold = torch.ones(64 << 20, dtype=torch.uint8)  # writing it leaves nothing of the inputs in the caches
    for name, tokens, dtype, threads, hot in cases:
        model = MODELS[name]
        torch.set_num_threads(threads)
        torch._dynamo.reset()
        logits, bias = inputs(model, tokens, dtype, device)
        gates = {"op": operator(model), "transformers": transformers_gate(model), "vllm": vllm_gate(model)}
        if device == "cpu":
            gates["inductor static"] = torch.compile(transformers_gate(model), dynamic=False)
            gates["inductor dynamic"] = torch.compile(transformers_gate(model), dynamic=True)
        assert_equal_choice(gates, logits, bias)

        def finished(gate, logits=logits, bias=bias):
            def run():
                gate(logits, bias)
                if device == "npu":
                    torch.npu.synchronize()

            return run

        contestants = {label: finished(gate) for label, gate in gates.items()}
        if limit is not None:
            norm_type = model.all_options()["norm_type"]
            contestants["read"] = lambda logits=logits: limit(logits, -1)
            contestants["limit"] = lambda logits=logits, norm_type=norm_type: limit(logits, norm_type)
        timings = interleave(contestants, seconds, None if hot else lambda: cold.add_(1))
        yield {
            "model": name,
            "tokens": tokens,
            "dtype": dtype,
            "threads": threads,
            "hot": hot,
            "device": device,
            "seconds": {label: timing.median for label, timing in timings.items()},
            "spread": {label: timing.spread for label, timing in timings.items()},
        }
