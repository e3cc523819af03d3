"""The ways to run the operator, each as a function of (case, dtype) that gives the three results on the CPU."""

import contextlib
import functools

import pytest
import torch

import ascend_moe_gating
from ascend_moe_gating import simulator
from ascend_moe_gating.plugin.aclnn import npu_moe_gating_top_k as aclnn
from ascend_moe_gating.plugin.constraints.needs import missing
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import NEEDS, Call
from ascend_moe_gating.plugin.verify.paths import on_npu


def gate(x, bias, k, options):
    return ascend_moe_gating.npu_moe_gating_top_k(x, k, bias=bias, **options)


def torchair_backend():
    import torchair

    return torchair.get_npu_backend(compiler_config=torchair.CompilerConfig())


def compiled(function, dynamic=False, fullgraph=True):
    torch._dynamo.reset()
    return torch.compile(function, backend=torchair_backend(), dynamic=dynamic, fullgraph=fullgraph)


def where_taken(call):
    """The stand-in as an NPU that takes a call; a real one that does not take it ends the test."""
    lacking = missing(call, NEEDS)
    if lacking and not simulator.active():
        pytest.skip(lacking)
    return simulator.release(soc="Ascend950PR_9579") if lacking else contextlib.nullcontext()


def _run(call, case, dtype):
    x, bias = case.inputs(dtype)
    with where_taken(Call(x, case.k, bias, **case.options)):
        return tuple(result.cpu() for result in call(on_npu(x), on_npu(bias), case.k, case.options))


def cpu(case, dtype):
    return gate(*case.inputs(dtype), case.k, case.options)


def npu(case, dtype):
    return _run(gate, case, dtype)


def direct_aclnn(case, dtype):
    return _run(lambda x, bias, k, options: aclnn.npu_moe_gating_top_k(x, k, bias=bias, **options), case, dtype)


def graph(case, dtype, dynamic):
    return _run(compiled(gate, dynamic), case, dtype)


BACKENDS = {
    "cpu": cpu,
    "npu": npu,
    "direct_aclnn": direct_aclnn,
    "graph_static": functools.partial(graph, dynamic=False),
    "graph_dynamic": functools.partial(graph, dynamic=True),
}
