"""npu_moe_gating_top_k_softmax_v2: every case on every backend, and its constraints."""

import functools
import re

import numpy as np
import pytest
import torch
import torch_npu
from torch._subclasses.fake_tensor import FakeTensorMode

from ascend_moe_gating import npu_moe_gating_top_k_softmax_v2
from ascend_moe_gating.plugin import reference
from ascend_moe_gating.plugin.aclnn import npu_moe_gating_top_k_softmax_v2 as aclnn
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k_softmax_v2 import CONSTRAINTS
from ascend_moe_gating.plugin.verify.cases import DTYPES
from ascend_moe_gating.plugin.verify.softmax_cases import CASES, RENORM, SOFTMAX
from ascend_moe_gating.plugin.verify.softmax_violations import VIOLATIONS
from tests.backends import compiled, on_npu
from tests.errors import raises_within

operator = torch.ops.npu.npu_moe_gating_top_k_softmax_v2.default


def call(x, finished, k, options):
    return npu_moe_gating_top_k_softmax_v2(x, k=k, finished=finished, **options)


def direct_aclnn(x, finished, k, options):
    return aclnn.npu_moe_gating_top_k_softmax_v2(x, k=k, finished=finished, **options)


def on_device(function, x, finished, k, options):
    return [result.cpu() for result in function(on_npu(x), on_npu(finished), k, options)]


BACKENDS = {
    "cpu": call,
    "npu": functools.partial(on_device, call),
    "direct_aclnn": functools.partial(on_device, direct_aclnn),
    "graph_static": lambda *arguments: on_device(compiled(call), *arguments),
    "graph_dynamic": lambda *arguments: on_device(compiled(call, dynamic=True), *arguments),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_results_are_those_of_the_reference(case, backend, dtype):
    x, finished = case.inputs(dtype)
    results = BACKENDS[backend](x, finished, case.k, case.options)
    if x.numel() == 0:
        writes = case.options == SOFTMAX
        shapes = [(*x.shape[:-1], case.k)] * 2 + [tuple(x.shape) if writes else (0,)]
        expected = [np.zeros(shape, np.float32) for shape in shapes]
    else:
        mask = None if finished is None else finished.numpy()
        expected = reference.moe_gating_top_k_softmax_v2(x.float().numpy(), k=case.k, finished=mask, **case.options)
    for result, value, result_dtype in zip(results, expected, (dtype, torch.int32, torch.float32), strict=True):
        assert result.is_contiguous()
        torch.testing.assert_close(result, torch.from_numpy(np.ascontiguousarray(value)).to(result_dtype))


def test_known_values():
    x = torch.tensor([[1.0, 2, 3, 4]])
    y, expert_idx, softmax_result = npu_moe_gating_top_k_softmax_v2(x, k=2)
    torch.testing.assert_close(y, torch.tensor([[0.6439143, 0.2368828]]))
    assert expert_idx.tolist() == [[3, 2]]
    assert softmax_result.shape == (0,)
    torch.testing.assert_close(
        npu_moe_gating_top_k_softmax_v2(x, k=2, renorm=1)[0], torch.tensor([[0.7310586, 0.2689414]])
    )


@pytest.mark.parametrize("device", ["cpu", "npu"])
def test_equal_logits_choose_the_lowest_experts(device):
    for options in ({}, RENORM):
        x = torch.zeros(3, 40).to(device)
        assert npu_moe_gating_top_k_softmax_v2(x, k=5, **options)[1].tolist() == [[0, 1, 2, 3, 4]] * 3


# Constraints.


each_violation = pytest.mark.parametrize("violation", VIOLATIONS, ids=lambda v: f"{v.label}: {v.message}")


def expected_text(violation):
    return re.escape(f"{violation.message} ({violation.label})")


def test_every_constraint_is_violated_here():
    assert {c.label for c in CONSTRAINTS} == {v.label for v in VIOLATIONS}


@each_violation
@pytest.mark.parametrize("device", ["cpu", "npu", "meta"])
@pytest.mark.parametrize("name", ["public", "torch_npu"])
def test_in_eager_mode(violation, device, name):
    function = {"public": npu_moe_gating_top_k_softmax_v2, "torch_npu": torch_npu.npu_moe_gating_top_k_softmax_v2}[name]
    x, options = violation.arguments(device)
    with pytest.raises(violation.error, match=expected_text(violation)):
        function(x, **options)


@each_violation
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_in_the_operator_itself(violation, device):
    x, options = violation.arguments(device)
    with pytest.raises(violation.error, match=expected_text(violation)):
        operator(x, **options)


@each_violation
def test_under_fake_tensors(violation):
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        x, options = violation.arguments()
        with pytest.raises(violation.error, match=expected_text(violation)):
            operator(x if isinstance(x, torch._subclasses.FakeTensor) else mode.from_tensor(x), **options)


@each_violation
@pytest.mark.parametrize("fullgraph", [False, True], ids=["compiled", "whole graph"])
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_while_compiling(violation, dynamic, fullgraph):
    x, options = violation.arguments("npu")
    model = compiled(lambda x: npu_moe_gating_top_k_softmax_v2(x, **options), dynamic, fullgraph)
    with raises_within(violation.error, match=expected_text(violation)):
        model(x)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((2,), {}, "k and all later parameters must be given by keyword, got 1 more by position (S7)"),
        ((), {"k": 2.0}, "k must be an int, got 2.0 of type float (S5)"),
        ((), {"renorm": "1"}, "renorm must be an int or None, got '1' of type str (S6)"),
        ((), {"output_softmax": "1"}, "output_softmax must be a bool or None, got '1' of type str"),
        ((), {"finished": [True]}, "finished must be a Tensor or None, got [True] of type list (S4)"),
    ],
)
@pytest.mark.parametrize("fullgraph", [None, False, True], ids=["eager", "compiled", "whole graph"])
def test_python_types(arguments, options, message, fullgraph):
    def call(x):
        return npu_moe_gating_top_k_softmax_v2(x, *arguments, **options)

    with raises_within(TypeError, match=re.escape(message)):
        (call if fullgraph is None else compiled(call, fullgraph=fullgraph))(torch.zeros(4, 16).npu())


def test_finished_on_another_device_is_S4():
    with pytest.raises(ValueError, match=r"finished must be on the device of x, npu:0, got cpu \(S4\)"):
        npu_moe_gating_top_k_softmax_v2(torch.zeros(4, 16).npu(), finished=torch.zeros(4, dtype=torch.bool))
