"""What the table does not show: the kernel or the operator against itself. Each study is interleaved in its own rounds.

A study yields results as the table has them: seconds per call and spreads of contestants, and what they have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from ascend_moe_gating import replace_gates
from benchmarks import kernel, shapes
from benchmarks.inputs import at_the_end_of_memory, followed_by_memory, inputs
from benchmarks.peers import MODELS, Model, operator, transformers_gate, vllm_gate
from benchmarks.plan import MANY, PROMISED_DTYPES
from benchmarks.timing import interleave, summary

TOKENS = MANY[0]  # of studies of the kernel alone
FEW_TOKENS = 16
TRAINED_TOKENS = 4096
ROUTED_TOKENS = 1024
ROUNDS = 41


def call(model: Model, tokens: int, dtype: str, library=None, strided: bool = False) -> Callable:
    logits, bias = inputs(model, tokens, dtype)
    return kernel.prepared(shapes.strided(logits) if strided else logits, bias, model.k, model.options, library)


def timed(contestants: dict[str, Callable], seconds: float) -> dict[str, dict[str, float]]:
    return summary(interleave(contestants, seconds, rounds=ROUNDS))


def versions(seconds: float) -> Iterator[dict]:
    """The vector versions of the kernel, each in a copy of the library; nothing without AVX-512."""
    libraries = {name: kernel.version(name) for name in ("avx512", "avx2")}
    if None in libraries.values():
        return
    for dtype in PROMISED_DTYPES:
        for name, model in MODELS.items():
            contestants = {version: call(model, TOKENS, dtype, library) for version, library in libraries.items()}
            yield {"model": name, "dtype": dtype, "tokens": TOKENS, **timed(contestants, seconds)}


def special_logits(seconds: float) -> Iterator[dict]:
    """The kernel on logits by which it can hardly choose, with no bias to tell experts apart, and on random ones."""
    for dtype in PROMISED_DTYPES:
        for name, model in MODELS.items():
            logits, bias = inputs(model, TOKENS, dtype)
            equal = torch.zeros_like(logits)
            saturated = equal.clone()
            saturated[:, model.experts // 2] = 1e4  # of a softmax it takes all, the others are 0
            special = {"equal": equal, "saturated": saturated, "nan": torch.full_like(logits, torch.nan)}
            same = None if bias is None else torch.zeros_like(bias)
            contestants = {"random": kernel.prepared(logits, bias, model.k, model.options)} | {
                kind: kernel.prepared(values, same, model.k, model.options) for kind, values in special.items()
            }
            yield {"model": name, "dtype": dtype, "tokens": TOKENS, **timed(contestants, seconds)}


def ways_to_score(seconds: float) -> Iterator[dict]:
    """The kernel by sqrt(softplus) as by a sigmoid, of DeepSeek-V4's gate and of Kimi's; and a softmax with renorm."""
    gates = {"V4": Model(256, 6, True, {"norm_type": 1}), "Kimi": MODELS["Kimi"], "Qwen3": MODELS["Qwen3"]}
    for dtype in PROMISED_DTYPES:
        for name, model in gates.items():
            logits, bias = inputs(model, TOKENS, dtype)
            other = {"renorm": 1} if name == "Qwen3" else {"norm_type": 2}
            ways = {"plain": model.options, next(iter(other)): model.options | other}
            contestants = {way: kernel.prepared(logits, bias, model.k, options) for way, options in ways.items()}
            yield {"model": name, "dtype": dtype, "tokens": TOKENS, **timed(contestants, seconds)}


def both_passes(seconds: float) -> Iterator[dict]:
    """Forward and backward pass: the operator, and autograd through the written-out gates."""
    for dtype in PROMISED_DTYPES:
        for name, model in MODELS.items():
            gates = {"op": operator(model), "transformers": transformers_gate(model), "vllm": vllm_gate(model)}
            contestants = {contestant: trained(gate, model, dtype) for contestant, gate in gates.items()}
            yield {"model": name, "dtype": dtype, "tokens": TRAINED_TOKENS, **timed(contestants, seconds)}


def trained(gate: Callable, model: Model, dtype: str) -> Callable:
    logits, bias = inputs(model, TRAINED_TOKENS, dtype)
    logits = logits.detach().requires_grad_()
    gradient = torch.linspace(-1, 1, TRAINED_TOKENS * model.k).reshape(TRAINED_TOKENS, model.k)

    def run():
        weights = gate(logits, bias)[0]
        logits.grad = None
        weights.backward(gradient.to(weights.dtype))

    return run


def replaced_gates(seconds: float) -> Iterator[dict]:
    """What a router does behind its linear layer, in eager mode: as it is written out, and after replace_gates."""
    for dtype in PROMISED_DTYPES:
        for name, model in MODELS.items():
            logits, bias = inputs(model, ROUTED_TOKENS, dtype)
            written, replaced = (router(transformers_gate(model), bias) for _ in range(2))
            with torch.no_grad(), replace_gates(replaced) as gates:
                contestants = {"transformers": lambda: written(logits), "replaced": lambda: replaced(logits)}  # noqa: B023
                contestants["replaced"]()
                assert gates.fused == 1, gates
                measured = timed(contestants, seconds)
            yield {"model": name, "dtype": dtype, "tokens": ROUTED_TOKENS, **measured}


def router(gate: Callable, bias: torch.Tensor | None) -> torch.nn.Module:
    """A router whose linear layer was before."""

    class Router(torch.nn.Module):
        def forward(self, logits: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return gate(logits, bias)

    return Router()


def end_of_memory(seconds: float) -> Iterator[dict]:
    """The kernel on few tokens behind which memory ends, and on others: nothing may be fetched from there."""
    for dtype in PROMISED_DTYPES:
        for name, model in MODELS.items():
            logits, bias = inputs(model, FEW_TOKENS, dtype)
            places = {"elsewhere": followed_by_memory(logits), "end": at_the_end_of_memory(logits)}
            contestants = {
                place: kernel.prepared(values, bias, model.k, model.options) for place, values in places.items()
            }
            yield {"model": name, "dtype": dtype, "tokens": FEW_TOKENS, **timed(contestants, seconds)}


def threads(seconds: float) -> Iterator[dict]:
    """The operator on one thread and on two."""
    for dtype in PROMISED_DTYPES:
        for name, model in MODELS.items():
            for tokens in MANY:
                contestants = {str(count): on_threads(count, model, tokens, dtype) for count in (1, 2)}
                yield {"model": name, "dtype": dtype, "tokens": tokens, **timed(contestants, seconds)}
    torch.set_num_threads(1)


def on_threads(count: int, model: Model, tokens: int, dtype: str) -> Callable:
    gate, (logits, bias) = operator(model), inputs(model, tokens, dtype)

    def run():
        torch.set_num_threads(count)
        gate(logits, bias)

    return run


def linearity(seconds: float) -> Iterator[dict]:
    """The operator on one thread with more and more tokens; the contestants are numbers of tokens."""
    for dtype in PROMISED_DTYPES:
        for name, model in MODELS.items():
            contestants = {str(tokens): on_threads(1, model, tokens, dtype) for tokens in MANY}
            yield {"model": name, "dtype": dtype, **timed(contestants, seconds)}


def awkward_shapes(seconds: float) -> Iterator[dict]:
    """The kernel on the four models' shapes and on awkward ones, all in the same rounds."""
    for dtype in PROMISED_DTYPES:
        every = {name: shapes.Shape(model) for name, model in MODELS.items()} | shapes.SHAPES
        contestants = {name: call(shape.model, TOKENS, dtype, None, shape.strided) for name, shape in every.items()}
        yield {"dtype": dtype, "tokens": TOKENS, **timed(contestants, seconds * len(every) / 4)}


ALL = (
    *(versions, threads, linearity, special_logits, ways_to_score, both_passes, replaced_gates),
    *(end_of_memory, awkward_shapes),
)
STUDIES = {study.__name__: study for study in ALL}


def measure(seconds: float) -> dict[str, list[dict]]:
    torch.set_num_threads(1)
    return {name: list(study(seconds)) for name, study in STUDIES.items()}
