"""npu_moe_gating_top_k_softmax_v2: one schema, one node."""

import inspect

import pytest
import torch
import torch_npu
from torchair._ge_concrete_graph import ge_apis
from torchair.ge._ge_graph import Data, GeGraph

import ascend_moe_gating
from ascend_moe_gating import npu_moe_gating_top_k_softmax_v2, simulator
from ascend_moe_gating.converters import npu_moe_gating_top_k_softmax_v2 as converter
from ascend_moe_gating.meta import npu_moe_gating_top_k_softmax_v2 as meta
from ascend_moe_gating.plugin import reference
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k_softmax_v2 import SIGNATURE
from ascend_moe_gating.plugin.cpu import npu_moe_gating_top_k_softmax_v2 as cpu
from tests.backends import compiled

operator = torch.ops.npu.npu_moe_gating_top_k_softmax_v2.default


def schema_parameters(schema):
    arguments = schema.arguments
    return {
        a.name: (a.default_value if a.has_default_value() else inspect.Parameter.empty, a.kwarg_only) for a in arguments
    }


def copied_parameters(function):
    """Those of a copy of the signature, without what only a converter has."""
    parameters = inspect.signature(function).parameters
    return {n: (p.default, p.kind is p.KEYWORD_ONLY) for n, p in parameters.items() if n != "meta_outputs"}


@pytest.mark.parametrize(
    "function",
    [
        npu_moe_gating_top_k_softmax_v2,
        meta.npu_moe_gating_top_k_softmax_v2,
        converter.npu_moe_gating_top_k_softmax_v2,
        cpu.npu_moe_gating_top_k_softmax_v2,
        reference.moe_gating_top_k_softmax_v2,
    ],
    ids=["public", "meta", "converter", "cpu", "reference"],
)
def test_every_copy_of_the_signature_equals_the_schema(function):
    assert copied_parameters(function) == schema_parameters(torch._C.parse_schema(f"npu::{SIGNATURE.schema}"))


def test_the_schema_is_the_one_of_torch_npu():
    assert schema_parameters(operator._schema) == schema_parameters(torch._C.parse_schema(f"npu::{SIGNATURE.schema}"))
    assert list(SIGNATURE.Call._fields) == list(schema_parameters(operator._schema))
    assert torch_npu.npu_moe_gating_top_k_softmax_v2.default is operator


def test_the_status_names_what_it_knows():
    assert "composed of torch's operations" in ascend_moe_gating.status(SIGNATURE.name).cpu
    names = f"npu_moe_gating_top_k or npu_moe_gating_top_k_softmax or {SIGNATURE.name}"
    with pytest.raises(ValueError, match=f"operator must be {names}, got other"):
        ascend_moe_gating.status("other")


def test_opcheck():
    options = {"k": 3, "finished": torch.tensor([True, False, True]), "output_softmax": True}
    tests = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    torch.library.opcheck(operator, (torch.randn(3, 8),), options, test_utils=tests)


@pytest.mark.stand_in
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_the_call_becomes_one_node(dynamic):
    x, finished = torch.zeros(5, 16).npu(), torch.zeros(5, dtype=torch.bool).npu()
    model = compiled(lambda x, f: npu_moe_gating_top_k_softmax_v2(x, k=3, finished=f, output_softmax=True), dynamic)
    model(x, finished)
    with simulator.record() as launches:
        model(x, finished)
    (node,) = (launch for launch in launches if launch.kind == "graph node")
    assert node.name == "MoeGatingTopKSoftmaxV2"
    assert node.attributes == {"k": 3, "output_softmax_result_flag": True}
    assert [(n, v.shape, v.dtype) for n, v in node.inputs.items()] == [
        ("x", (5, 16), "float32"),
        ("finished", (5,), "bool"),
    ]
    assert [(n, v.shape) for n, v in node.outputs.items()] == [
        ("y", (5, 3)), ("expert_idx", (5, 3)), ("softmax_result", (5, 16)),
    ]  # fmt: skip


@pytest.mark.needs("torchair's MoeGatingTopKSoftmaxV2")
def test_torchairs_own_functions_do_not_make_the_node():
    """The reasons for a converter of ours, and for a function of its own. When this fails, torchair has mended it."""
    with GeGraph():
        x = Data(index=0, dtype=0, shape=[4, 16], placement="NPU")
        with pytest.raises(TypeError, match="unexpected keyword argument 'renorm'"):
            ge_apis.MoeGatingTopKSoftmax(x=x, k=2, finished=None, renorm=0, output_softmax=False)
        with pytest.raises(AssertionError, match="The length of args can not be less than inputs_dynamic"):
            ge_apis.MoeGatingTopKSoftmaxV2(x, k=2, finished=None, renorm=0, output_softmax=False)
