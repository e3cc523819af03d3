"""The operator on the CPU, or on an NPU where there is one, against its peers and against the limit of the machine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator

import torch

from benchmarks import kernel, listing
from benchmarks.inputs import inputs
from benchmarks.limit import READ_ONLY, Limit
from benchmarks.peers import MODELS, operator, transformers_gate, vllm_gate
from benchmarks.plan import Case
from benchmarks.timing import interleave, summary

LARGER_THAN_CACHES = 64 << 20  # bytes
LISTING_TOKENS = 8192  # with more of them one call of the listing takes seconds


def assert_equal_choice(gates: dict, logits: torch.Tensor, bias: torch.Tensor | None) -> None:
    """A peer that does something else is no peer: the same experts for nearly all tokens (ties may differ)."""
    ours = gates["op"](logits[:256], bias)[1].sort(dim=-1).values
    for name, gate in gates.items():
        theirs = gate(logits[:256], bias)[1].sort(dim=-1).values
        same = (ours == theirs.to(ours.dtype)).all(dim=-1).float().mean().item()
        if same < 0.9:
            raise AssertionError(f"{name} chooses other experts than the operator for {1 - same:.0%} of the tokens")


def gates_of(case: Case, device: str) -> dict[str, Callable]:
    """The operator and its peers, each taking logits and bias."""
    model = MODELS[case.model]
    gates = {"op": operator(model), "transformers": transformers_gate(model), "vllm": vllm_gate(model)}
    if device != "cpu":
        return gates
    if listing.runs(model) and case.tokens <= LISTING_TOKENS:
        gates["listing"] = listing.listing_gate(model)
    if case.inductor:
        gates["inductor static"] = torch.compile(transformers_gate(model), dynamic=False)
        gates["inductor dynamic"] = torch.compile(transformers_gate(model), dynamic=True)
    return gates


def finished(run: Callable[[], object]) -> Callable[[], None]:
    """Waits for the device too."""

    def run_to_the_end() -> None:
        run()
        torch.npu.synchronize()

    return run_to_the_end


def measure(cases: Iterable[Case], seconds: float, device: str = "cpu") -> Iterator[dict]:
    """One result per case: what the case is, seconds per call of each contestant, and spreads."""
    limit = Limit() if device == "cpu" else None
    cold = torch.ones(LARGER_THAN_CACHES, dtype=torch.uint8)  # writing it leaves nothing of the inputs in the caches
    for case in cases:
        model = MODELS[case.model]
        torch.set_num_threads(case.threads)
        torch._dynamo.reset()
        logits, bias = inputs(model, case.tokens, case.dtype, device)
        gates = gates_of(case, device)
        assert_equal_choice(gates, logits, bias)

        contestants = {label: functools.partial(gate, logits, bias) for label, gate in gates.items()}
        if device == "npu":
            contestants = {label: finished(run) for label, run in contestants.items()}
        if limit is not None and case.threads == 1:
            norm_type = model.all_options()["norm_type"]
            contestants["kernel"] = kernel.prepared(logits, bias, model.k, model.options)
            contestants["read"] = lambda logits=logits: limit(logits, READ_ONLY)
            contestants["limit"] = lambda logits=logits, norm_type=norm_type: limit(logits, norm_type)
        timings = interleave(contestants, seconds, None if case.hot else lambda: cold.add_(1))
        yield {**case._asdict(), "device": device, **summary(timings)}
