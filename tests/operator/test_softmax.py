"""npu_moe_gating_top_k_softmax: the cases of its second version that it has too, on every backend; its constraints."""

import functools
import re

import numpy as np
import pytest
import torch
import torch_npu
from torch._subclasses.fake_tensor import FakeTensorMode

from ascend_moe_gating import npu_moe_gating_top_k_softmax, simulator
from ascend_moe_gating.converters import npu_moe_gating_top_k_softmax as converter
from ascend_moe_gating.meta import npu_moe_gating_top_k_softmax as meta
from ascend_moe_gating.plugin import reference
from ascend_moe_gating.plugin.aclnn import npu_moe_gating_top_k_softmax as aclnn
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k_softmax import CONSTRAINTS, SIGNATURE
from ascend_moe_gating.plugin.cpu import npu_moe_gating_top_k_softmax as cpu
from ascend_moe_gating.plugin.verify import softmax_cases, softmax_violations
from ascend_moe_gating.plugin.verify.cases import DTYPES
from tests.backends import compiled
from tests.errors import raises_within
from tests.operator import test_softmax_v2 as second
from tests.operator.test_softmax_v2_identity import copied_parameters, schema_parameters

operator = torch.ops.npu.npu_moe_gating_top_k_softmax.default
CASES = [case for case in softmax_cases.CASES if not case.options]
VIOLATIONS = [violation for violation in softmax_violations.VIOLATIONS if violation.label != "S6"]


def call(x, finished, k, options):
    return npu_moe_gating_top_k_softmax(x, finished, k)


BACKENDS = {
    "cpu": call,
    "npu": functools.partial(second.on_device, call),
    "direct_aclnn": functools.partial(
        second.on_device, lambda x, finished, k, options: aclnn.npu_moe_gating_top_k_softmax(x, finished, k)
    ),
    "graph_static": lambda *arguments: second.on_device(compiled(call), *arguments),
    "graph_dynamic": lambda *arguments: second.on_device(compiled(call, dynamic=True), *arguments),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_results_are_those_of_the_reference(case, backend, dtype):
    x, finished = case.inputs(dtype)
    results = BACKENDS[backend](x, finished, case.k, {})
    mask = None if finished is None else finished.numpy()
    expected = reference.moe_gating_top_k_softmax(x.float().numpy(), mask, case.k)
    for result, value, result_dtype in zip(results, expected, (dtype, torch.int32, torch.int32), strict=True):
        assert result.is_contiguous()
        torch.testing.assert_close(result, torch.from_numpy(np.ascontiguousarray(value)).to(result_dtype))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(0, 16), (2, 0, 16)])
def test_no_tokens(backend, shape):
    results = BACKENDS[backend](torch.zeros(shape), None, 4, {})
    assert [(tuple(r.shape), r.dtype) for r in results] == [
        ((*shape[:-1], 4), dtype) for dtype in (torch.float32, torch.int32, torch.int32)
    ]


@pytest.mark.parametrize("device", ["cpu", "npu"])
def test_the_rows_are_numbered_column_by_column(device):
    assert npu_moe_gating_top_k_softmax(torch.zeros(3, 8).to(device), k=2)[2].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert npu_moe_gating_top_k_softmax(torch.zeros(2, 2, 8).to(device), k=2)[2].tolist() == [
        [[0, 4], [1, 5]],
        [[2, 6], [3, 7]],
    ]


# Constraints.

each_violation = pytest.mark.parametrize("violation", VIOLATIONS, ids=lambda v: f"{v.label}: {v.message}")


def expected_text(violation):
    return re.escape(f"{violation.message} ({violation.label.replace('S', 'T')})")


def test_every_constraint_is_violated_here():
    assert {c.label for c in CONSTRAINTS} == {v.label.replace("S", "T") for v in VIOLATIONS}


@each_violation
@pytest.mark.parametrize("device", ["cpu", "npu", "meta"])
@pytest.mark.parametrize("name", ["public", "torch_npu", "direct aclnn call"])
def test_in_eager_mode(violation, device, name):
    function = {
        "public": npu_moe_gating_top_k_softmax,
        "torch_npu": torch_npu.npu_moe_gating_top_k_softmax,
        "direct aclnn call": aclnn.npu_moe_gating_top_k_softmax,
    }[name]
    x, options = violation.arguments(device)
    with pytest.raises(violation.error, match=expected_text(violation)):
        function(x, **options)


@each_violation
def test_in_the_operator_itself(violation):
    x, options = violation.arguments()
    for device in ("cpu", "meta"):
        with pytest.raises(violation.error, match=expected_text(violation)):
            operator(
                x.to(device), **{n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in options.items()}
            )
    with FakeTensorMode() as mode, pytest.raises(violation.error, match=expected_text(violation)):
        operator(*(mode.from_tensor(v) if isinstance(v, torch.Tensor) else v for v in (x, options.get("finished"))),
                 options.get("k", 1))  # fmt: skip


@each_violation
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_while_compiling(violation, dynamic):
    x, options = violation.arguments("npu")
    with raises_within(violation.error, match=expected_text(violation)):
        compiled(lambda x: npu_moe_gating_top_k_softmax(x, **options), dynamic)(x)


@pytest.mark.parametrize("fullgraph", [None, False, True], ids=["eager", "compiled", "whole graph"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 2.0}, "k must be an int, got 2.0 of type float (T5)"),
        ({"finished": [True]}, "finished must be a Tensor or None, got [True] of type list (T4)"),
    ],
)
def test_python_types(options, message, fullgraph):
    def call(x):
        return npu_moe_gating_top_k_softmax(x, **options)

    with raises_within(TypeError, match=re.escape(message)):
        (call if fullgraph is None else compiled(call, fullgraph=fullgraph))(torch.zeros(4, 16).npu())


@pytest.mark.stand_in
def test_the_950_takes_2048_experts():
    x = torch.zeros(2, 2049).npu()
    assert npu_moe_gating_top_k_softmax(x, k=2)[1].tolist() == [[0, 1]] * 2
    need = (
        "x with more than 2048 experts needs CANN 8.0 on Atlas A2 and A3 (T3); this is CANN 9.2.0 on Ascend950PR_9579"
    )
    with simulator.release(soc="Ascend950PR_9579"):
        for function in (npu_moe_gating_top_k_softmax, compiled(npu_moe_gating_top_k_softmax)):
            with pytest.raises(RuntimeError, match=re.escape(need)):
                function(x, None, 2)


# One identity.


@pytest.mark.parametrize(
    "function",
    [
        npu_moe_gating_top_k_softmax,
        meta.npu_moe_gating_top_k_softmax,
        converter.npu_moe_gating_top_k_softmax,
        cpu.npu_moe_gating_top_k_softmax,
        reference.moe_gating_top_k_softmax,
    ],
    ids=["public", "meta", "converter", "cpu", "reference"],
)
def test_every_copy_of_the_signature_equals_the_schema(function):
    schema = schema_parameters(torch._C.parse_schema(f"npu::{SIGNATURE.schema}"))
    assert list(copied_parameters(function).items()) == list(schema.items())  # which may be given by position
    assert torch_npu.npu_moe_gating_top_k_softmax.default is operator


@pytest.mark.stand_in
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_the_call_becomes_one_node(dynamic):
    model = compiled(lambda x, f: npu_moe_gating_top_k_softmax(x, f, 3), dynamic)
    inputs = torch.zeros(5, 16).npu(), torch.zeros(5, dtype=torch.bool).npu()
    model(*inputs)
    with simulator.record() as launches:
        model(*inputs)
    (node,) = (launch for launch in launches if launch.kind == "graph node")
    assert (node.name, node.attributes) == ("MoeGatingTopKSoftmax", {"k": 3})
    assert list(node.inputs) == ["x", "finished"]
    assert list(node.outputs) == ["y", "expert_idx", "row_idx"]


def test_opcheck():
    tests = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    torch.library.opcheck(operator, (torch.randn(3, 8), torch.tensor([True, False, True]), 3), test_utils=tests)
