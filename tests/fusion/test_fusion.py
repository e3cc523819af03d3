"""Thousands of gates: those of the family become one node and compute the same, near misses stay as they are."""

import copy
import os
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from ascend_moe_gating import fuse_gates, simulator
from tests.fusion.generated_gates import (
    BIASES,
    CHOSEN,
    MASKS,
    MISSES,
    NORMS_OF_SOFTMAX,
    PARTS,
    TAKEN,
    family,
    near_miss,
    partly,
)
from tests.fusion.mutated_graphs import Ties, mutate
from tests.fusion.written_gates import write

TOKENS = 6  # two make three pairs
OPERATOR = torch.ops.npu.npu_moe_gating_top_k.default
CHOICE_FIRST = torch.ops.npu.npu_moe_gating_top_k_softmax_v2.default
EACH = int(os.environ.get("GENERATED_GATES", "360"))  # of each kind; set it to thousands for a long run


@pytest.fixture(autouse=True)
def a_cann_that_takes_everything():
    """What another takes is in test_fusion_by_cann.py."""
    with simulator.release(soc="Ascend950PR_9579"):
        yield


def inputs(spelling, tokens=TOKENS):
    """Logits and biases that lie apart, so that how an exp is rounded does not decide between experts."""
    generator = torch.Generator().manual_seed(spelling.experts + spelling.k)
    steps = 2 if spelling.dtype == torch.float32 else spelling.experts / 64
    rows = [torch.randperm(spelling.experts, generator=generator) for _ in range(tokens)]
    bias = torch.randint(-8, 9, (spelling.experts,), generator=generator) / 64 + 1 / 1024
    return (torch.stack(rows) / 16 / max(steps, 1)).to(spelling.dtype), bias


def traced(function, arguments, seed):
    """The functional graph of ATen operators that a compiler is given, every seventh one for any number of tokens."""
    tracing_mode = "symbolic" if seed % 7 == 0 else "fake"
    graph_module = make_fx(torch.func.functionalize(function, remove="mutations"), tracing_mode=tracing_mode)(
        *arguments
    )
    graph_module.graph.eliminate_dead_code()
    return graph_module


def calls(graph_module):
    return Counter(node.target for node in graph_module.graph.nodes if node.op == "call_function")


def assert_same(actual, expected):
    """The same experts in whatever order, and each with its weight."""
    (weights, idx), (expected_weights, expected_idx) = actual, expected
    assert idx.dtype == expected_idx.dtype
    order, expected_order = idx.argsort(1), expected_idx.argsort(1)
    assert torch.equal(idx.gather(1, order), expected_idx.gather(1, expected_order))
    torch.testing.assert_close(
        weights.gather(1, order), expected_weights.gather(1, expected_order), rtol=2e-6, atol=1e-30
    )


def with_its_gate_fused(spelling, seed):
    """The gate's inputs, its graph, and the graph in which it has become one node."""
    arguments = inputs(spelling)
    graph = traced(write(spelling), arguments, seed)
    fused = copy.deepcopy(graph)
    (report,) = fuse_gates(fused)
    assert report.fused, f"{seed}: {report}\n{spelling}"
    return arguments, graph, fused


def hundreds(number):
    return pytest.mark.parametrize(
        "seeds", [range(start, start + 100) for start in range(0, number, 100)], ids=lambda seeds: seeds[0]
    )


@hundreds(EACH)
def test_the_family_is_fused_and_computes_the_same(seeds):
    for seed in seeds:
        spelling = family(seed)
        arguments, graph, fused = with_its_gate_fused(spelling, seed)
        operator = CHOICE_FIRST if spelling.first else OPERATOR
        assert calls(fused)[operator] == 1
        unfused = {target for target in calls(fused) if target is not operator and hasattr(target, "_schema")}
        left = {torch.ops.aten._to_copy.default}
        left |= {torch.ops.aten.neg.default, torch.ops.aten.rsub.Scalar} if spelling.bias == "subtracted" else set()
        assert unfused <= left, f"{seed}: {spelling}"
        try:
            assert_same(fused(*arguments), graph(*arguments))
        except AssertionError as error:
            raise AssertionError(f"{seed}: {spelling}") from error


@hundreds(EACH // 3)
def test_what_no_operator_does_stays_outside(seeds):
    """Further results, and a scale or an eps that is a tensor."""
    for seed in seeds:
        spelling = partly(seed)
        arguments, graph, fused = with_its_gate_fused(spelling, seed)
        assert calls(fused)[OPERATOR] == 1
        assert not {torch.ops.aten.topk.default, torch.ops.aten.sort.stable}.intersection(calls(fused))
        actual, expected = fused(*arguments), graph(*arguments)
        assert_same(actual[:2], expected[:2])
        for further, of_gate in zip(actual[2:], expected[2:], strict=True):
            torch.testing.assert_close(further, of_gate, rtol=2e-6, atol=1e-30)


@hundreds(EACH)
def test_near_misses_are_left_alone(seeds):
    for seed in seeds:
        spelling = near_miss(seed)
        graph = traced(write(spelling), inputs(spelling), seed)
        before = str(graph.graph)
        reports = fuse_gates(graph)
        assert not any(report.fused for report in reports), f"{seed}: {spelling}"
        assert str(graph.graph) == before


@hundreds(EACH // 2)
def test_what_a_changed_graph_computes_is_not_changed(seeds):
    """Inputs swapped, other numbers and sizes, nodes more or less: most are no gates any more, some still are."""
    outcomes = Counter()
    for seed in seeds:
        spelling = family(seed)
        spelling = replace(spelling, chosen="topk" if spelling.chosen == "unsorted" else spelling.chosen)
        arguments = inputs(spelling)
        graph = traced(write(spelling), arguments, 1)
        done = mutate(graph, arguments, seed)
        fused = copy.deepcopy(graph)
        reports = fuse_gates(fused)
        outcomes["fused" if any(report.fused for report in reports) else "left alone"] += 1
        ties = Ties(graph)
        try:
            expected = ties.run(*arguments)
        except (RuntimeError, IndexError):  # an index that does not exist
            continue
        if ties.found:  # torch's choice among equals is not defined
            continue
        actual = fused(*arguments)
        for one, other in zip(actual, expected, strict=True):
            tolerance = 1e-2 if one.dtype in (torch.bfloat16, torch.float16) else 1e-5
            close = one.shape == other.shape and torch.allclose(one, other, rtol=tolerance, atol=1e-30, equal_nan=True)
            assert close, f"{seed}: {done}\n{spelling}"
    assert min(outcomes["fused"], outcomes["left alone"]) >= 5, outcomes


def test_casts_that_change_nothing_go_with_the_gate():
    """Torch 2.5 writes one for softmax(dtype=torch.float32) of float32."""
    cast = torch.ops.aten._to_copy.default

    def gate(logits):
        scores = cast(logits, dtype=torch.float32).softmax(1)
        return torch.topk(cast(scores, dtype=torch.float32), 4)

    graph_module = traced(gate, (torch.randn(TOKENS, 16),), seed=1)
    assert calls(graph_module)[cast] == 2
    (report,) = fuse_gates(graph_module)
    assert report.fused
    assert calls(graph_module)[cast] == 1  # of the experts to int64


def test_the_generator_writes_in_every_way():
    """So that none of the above is about nothing."""
    spellings = [family(seed) for seed in range(EACH)]
    written = {"mask": MASKS, "chosen": CHOSEN, "taken": TAKEN, "bias": (None, *BIASES)}
    for field, values in {**written, "norm": (None, *NORMS_OF_SOFTMAX)}.items():
        assert {getattr(spelling, field) for spelling in spellings} == set(values)
    assert {near_miss(seed).miss for seed in range(EACH)} == set(MISSES)
    assert {partly(seed).miss for seed in range(EACH)} == set(PARTS)
