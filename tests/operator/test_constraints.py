"""C1 to C19: the same error on every device, under fake tensors, and while compiling."""

import re
from pathlib import Path

import pytest
import torch
import torch_npu
from torch._subclasses.fake_tensor import FakeTensorMode

import ascend_moe_gating
from ascend_moe_gating.plugin.aclnn import npu_moe_gating_top_k as aclnn
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import CONSTRAINTS, SIGNATURE, Call, check
from ascend_moe_gating.plugin.cpu import npu_moe_gating_top_k as cpu
from ascend_moe_gating.plugin.verify.violations import VIOLATIONS
from tests.backends import compiled
from tests.capabilities import has
from tests.errors import raises_within

operator = torch.ops.npu.npu_moe_gating_top_k.default
NEEDS = pytest.mark.needs("hash routing")


def each(violations):
    return pytest.mark.parametrize("violation", violations, ids=lambda v: f"{v.label}: {v.message}")


def by_the_definition(violations):
    """Of calls that reach torch's dispatcher: its definition must have the parameters."""
    return [pytest.param(v, marks=NEEDS) if "input_ids" in v.options else v for v in violations]


each_violation = each(VIOLATIONS)
each_violation_when_compiled = each(by_the_definition(VIOLATIONS))
# torch's dispatcher looks at Python types before any kernel of this project runs.
each_violation_of_a_value = each(
    by_the_definition(v for v in VIOLATIONS if isinstance(v.k, int) and not isinstance(v.bias, (float, list, tuple)))
)


each_way_to_the_checks = pytest.mark.parametrize(
    "call", [SIGNATURE.implementation(check), pytest.param(operator, marks=NEEDS)], ids=["check", "operator"]
)


def expected(violation):
    return re.escape(violation.message) + r".*" + re.escape(f"({violation.label})")


def test_every_constraint_is_violated_here():
    assert {c.label for c in CONSTRAINTS} == {v.label for v in VIOLATIONS}


@each_violation
@pytest.mark.parametrize("device", ["cpu", "npu", "meta"])
@pytest.mark.parametrize("name", ["public", "torch_npu"])
def test_in_eager_mode(violation, device, name):
    call = {"public": ascend_moe_gating.npu_moe_gating_top_k, "torch_npu": torch_npu.npu_moe_gating_top_k}[name]
    x, k, options = violation.arguments(device)
    with pytest.raises(violation.error, match=expected(violation)):
        call(x, k, **options)


@each_violation_of_a_value
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_in_the_operator_itself(violation, device):
    x, k, options = violation.arguments(device)
    in_cpp = device == "cpu" and has("the C interface for operators")
    error = ValueError if in_cpp else violation.error  # C++ has no TypeError that torch would let through
    with pytest.raises(error, match=expected(violation)):
        operator(x, k, **options)


@each_violation
def test_in_the_cpu_kernel_for_a_torch_without_the_c_interface(violation):
    x, k, options = violation.arguments("cpu")
    with pytest.raises(violation.error, match=expected(violation)):
        cpu.npu_moe_gating_top_k(x, k, **options)


@each_violation
def test_in_the_direct_aclnn_call(violation):
    x, k, options = violation.arguments("npu")
    with pytest.raises(violation.error, match=expected(violation)):
        aclnn.npu_moe_gating_top_k(x, k, **options)


@each_violation_of_a_value
@pytest.mark.parametrize("call", [ascend_moe_gating.npu_moe_gating_top_k, operator], ids=["public", "operator"])
def test_under_fake_tensors(violation, call):
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        x, k, options = violation.arguments()
        with pytest.raises(violation.error, match=expected(violation)):
            call(mode.from_tensor(x) if not isinstance(x, torch._subclasses.FakeTensor) else x, k, **options)


@each_violation_when_compiled
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_while_compiling(violation, dynamic):
    x, k, options = violation.arguments("npu")
    model = compiled(lambda x: ascend_moe_gating.npu_moe_gating_top_k(x, k, **options), dynamic, fullgraph=False)
    with raises_within(violation.error, match=expected(violation)):
        model(x)


@each_violation_when_compiled
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_while_compiling_one_whole_graph(violation, dynamic):
    """Dynamo wraps what it meets in an error of its own; the text is the same."""
    x, k, options = violation.arguments("npu")
    with raises_within(violation.error, match=expected(violation)):
        compiled(lambda x: ascend_moe_gating.npu_moe_gating_top_k(x, k, **options), dynamic)(x)


@each_violation_of_a_value
def test_the_operator_itself_while_compiling_one_whole_graph(violation):
    x, k, options = violation.arguments("npu")
    with raises_within(violation.error, match=expected(violation)):
        compiled(lambda x: operator(x, k, **options))(x)


@pytest.mark.parametrize(
    ("name", "label", "tensors"),
    [
        ("bias", "C4", {"bias": torch.zeros(256)}),
        ("input_ids", "C15", {"input_ids": torch.zeros(4).int(), "tid2eid": torch.zeros(9, 8).int().npu()}),
        ("tid2eid", "C16", {"input_ids": torch.zeros(4).int().npu(), "tid2eid": torch.zeros(9, 8).int()}),
    ],
)
def test_a_tensor_on_another_device(name, label, tensors):
    x = torch.zeros(4, 256).npu()
    with pytest.raises(ValueError, match=rf"{name} must be on the device of x, npu:0, got cpu \({label}\)"):
        ascend_moe_gating.npu_moe_gating_top_k(x, 8, **tensors)


@pytest.mark.parametrize("call", [ascend_moe_gating.npu_moe_gating_top_k, torch_npu.npu_moe_gating_top_k])
@pytest.mark.parametrize("device", ["cpu", "npu", "meta"])
def test_parameters_by_position_are_C13(call, device):
    x = torch.zeros(4, 256).to(device)
    rule = r"bias and all later parameters must be given by keyword, got 2 more by position \(C13\)"
    with pytest.raises(TypeError, match=rule):
        call(x, 8, None, 1)
    for fullgraph in (False, True):
        with raises_within(TypeError, match=rule):
            compiled(lambda x: call(x, 8, None, 1), fullgraph=fullgraph)(torch.zeros(4, 256).npu())


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"out_flag": "1"}, "out_flag must be a bool, got '1' of type str"),
        ({"eps": "0"}, "eps must be a number, got '0' of type str"),
        ({"routed_scaling_factor": None}, "routed_scaling_factor must be a number, got None of type NoneType"),
        ({"input_ids": [0] * 4}, "input_ids must be a Tensor or None, got [0, 0, 0, 0] of type list (C15)"),
        ({"tid2eid": 0}, "tid2eid must be a Tensor or None, got 0 of type int (C16)"),
        ({"tid2eid": torch.float32}, "tid2eid must be a Tensor or None, got torch.float32 of type dtype (C16)"),
    ],
)
@pytest.mark.parametrize("fullgraph", [None, False, True], ids=["eager", "compiled", "whole graph"])
def test_other_parameters_have_types_too(option, message, fullgraph):
    def call(x):
        return ascend_moe_gating.npu_moe_gating_top_k(x, 8, **option)

    with raises_within(TypeError, match=re.escape(message)):
        (call if fullgraph is None else compiled(call, fullgraph=fullgraph))(torch.zeros(4, 256).npu())


@pytest.mark.parametrize("option", ["k", "bias", "eps", "out_flag"])
def test_an_object_that_no_graph_can_hold(option):
    options = {"k": 8, option: Path("x")}
    with raises_within(TypeError, match=rf"{option} must be .*, got an object of type (Path|PosixPath)"):
        compiled(lambda x: ascend_moe_gating.npu_moe_gating_top_k(x, **options))(torch.zeros(4, 256).npu())


@pytest.mark.parametrize("fullgraph", [None, False, True], ids=["eager", "compiled", "whole graph"])
def test_a_definition_without_hash_routing_is_named(fullgraph, monkeypatch):
    """As that of torch_npu 2.10.0.post4 is; here the definition of this process is said to be such a one."""
    monkeypatch.setattr(SIGNATURE, "absent", ("input_ids", "tid2eid"))
    ids, table = torch.zeros(4).int().npu(), torch.zeros(9, 8).int().npu()

    def call(x):
        return ascend_moe_gating.npu_moe_gating_top_k(x, 8, input_ids=ids, tid2eid=table)

    rule = r"the installed torch_npu defines npu_moe_gating_top_k without input_ids and tid2eid \(hash routing\)"
    with raises_within(NotImplementedError, match=rule):
        (call if fullgraph is None else compiled(call, fullgraph=fullgraph))(torch.zeros(4, 256).npu())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("k", 8.0, "k must be an int, got 8.0 of type float (C9)"),
        ("k_group", 1.0, "k_group must be an int, got 1.0 of type float (C8)"),
        ("group_count", 1.0, "group_count must be an int, got 1.0 of type float (C5)"),
        ("group_select_mode", 0.0, "group_select_mode must be an int, got 0.0 of type float (C10)"),
        ("renorm", 0.0, "renorm must be an int, got 0.0 of type float (C11)"),
        ("norm_type", 0.0, "norm_type must be an int, got 0.0 of type float (C12)"),
    ],
)
def test_a_call_that_passed_does_not_let_an_equal_one_of_another_type_pass(name, value, message):
    x = torch.zeros(4, 256)
    passes = {"k": 8, "eps": 0.0}
    check(Call(x, **passes))
    with pytest.raises(TypeError, match=re.escape(message)):
        check(Call(x, **{**passes, name: value}))


def test_a_call_that_passed_does_not_let_an_equal_one_pass_with_several_of_another_type():
    x = torch.zeros(4, 256)
    check(Call(x, 8))
    with pytest.raises(TypeError, match=r"k must be an int, got 8\.0 of type float \(C9\)"):
        check(Call(x, 8.0, k_group=1.0, group_count=1.0, group_select_mode=0.0))


def test_a_call_that_passed_does_not_let_one_with_other_tensors_pass():
    x, bias = torch.zeros(4, 256), torch.zeros(256)
    check(Call(x, 8, bias))
    check(Call(x, 8))
    for label, others in (
        ("C1", (x[0], bias)),
        ("C2", (x.int(), None)),
        ("C4", (x, bias[:8])),
        ("C4", (x[:, :8], bias)),
        ("C4", (x, bias.half())),
        ("C4", (x.npu(), bias)),
        ("C9", (x[:, :4], bias[:4])),
    ):
        with pytest.raises((TypeError, ValueError), match=label):
            check(Call(others[0], 8, others[1]))


@each_way_to_the_checks
def test_a_call_that_passed_does_not_let_the_same_with_hash_routing_pass(call):
    x = torch.zeros(4, 256)
    call(x, 8)
    with pytest.raises(ValueError, match=r"got only input_ids \(C14\)"):
        call(x, 8, input_ids=torch.zeros(4).int())
    with pytest.raises(ValueError, match=r"got shape \[9, 7\] \(C16\)"):
        call(x, 8, input_ids=torch.zeros(4).int(), tid2eid=torch.zeros(9, 7).int())


@each_way_to_the_checks
def test_a_call_with_hash_routing_that_passed_does_not_let_others_pass(call):
    def attempt(tokens=4, ids=4, ids_dtype=torch.int64, table=(9, 8), table_dtype=torch.int32, **options):
        routing = {"input_ids": torch.zeros(ids).to(ids_dtype), "tid2eid": torch.zeros(table).to(table_dtype)}
        call(torch.zeros(tokens, 256), 8, **routing, **options)

    for tokens in (4, 7, 0):
        attempt(tokens, tokens)
        attempt(tokens, tokens, table=(1, 8))
    for label, wrong in (
        ("C15", {"ids": 5}),
        ("C15", {"ids": (4, 1)}),
        ("C15", {"ids_dtype": torch.int16}),
        ("C16", {"table": (9, 7)}),
        ("C16", {"table": (9, 8, 1)}),
        ("C16", {"table_dtype": torch.float32}),
        ("C18", {"group_count": 8, "k_group": 4}),
    ):
        for _ in range(2):
            with pytest.raises((ValueError, TypeError), match=label):
                attempt(**wrong)


def test_a_refused_call_leaves_the_next_one_right():
    x = torch.zeros(4, 256).npu()
    for _ in range(2):
        with pytest.raises(ValueError, match="C9"):
            ascend_moe_gating.npu_moe_gating_top_k(x, 300)
        assert ascend_moe_gating.npu_moe_gating_top_k(x, 3)[1].cpu().tolist() == [[0, 1, 2]] * 4
