"""Hash routing: a row of tid2eid instead of a choice, on every backend, in any dtype, and what is refused."""

import re

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.fx.experimental.symbolic_shapes import ConstraintViolationError

from ascend_moe_gating import npu_moe_gating_top_k, simulator
from ascend_moe_gating.plugin.cpu import npu_moe_gating_top_k as cpu
from ascend_moe_gating.plugin.reference import moe_gating_top_k
from ascend_moe_gating.plugin.verify.cases import DTYPES
from ascend_moe_gating.plugin.verify.routing_cases import CASES, INT32, INT64, STRAYS
from tests.backends import BACKENDS, compiled, on_npu, torchair_backend
from tests.errors import raises_within
from tests.programs import run

pytestmark = pytest.mark.needs("hash routing")  # but where a test says otherwise


def with_routing(case, options):
    ids, table = case.routing()
    return {**options, "input_ids": ids, "tid2eid": table}


class OnBackend:
    """The case with its two tensors among its options, on the device if the backend is."""

    def __init__(self, case, backend):
        self.k, self.inputs, self.options = case.k, case.inputs, with_routing(case, case.options)
        for name in () if backend == "cpu" else ("input_ids", "tid2eid"):
            self.options[name] = on_npu(self.options[name])


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_results_are_those_of_the_reference(case, backend, dtype):
    y, expert_idx, norm_out = BACKENDS[backend](OnBackend(case, backend), dtype)
    assert (y.dtype, expert_idx.dtype, norm_out.dtype) == (dtype, torch.int32, torch.float32)
    assert norm_out.shape == (case.tokens, case.experts)
    x, bias = case.inputs(dtype)
    ids, table = case.routing()
    assert torch.equal(expert_idx, table[ids].int())
    if case.tokens:
        routing = {"input_ids": ids.numpy(), "tid2eid": table.numpy()}
        bias = None if bias is None else bias.float().numpy()
        expected = moe_gating_top_k(x.float().numpy(), case.k, bias=bias, **routing, **case.options)
        torch.testing.assert_close(y, torch.from_numpy(expected[0]).to(dtype))
    if case.options.get("out_flag"):
        torch.testing.assert_close(norm_out, x.float().softmax(1))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_cpu_kernels_give_the_same(case):
    x, bias = case.inputs(torch.float32)
    options = with_routing(case, {**case.options, "bias": bias, "out_flag": True})
    for a, b in zip(
        cpu.npu_moe_gating_top_k(x, case.k, **options),
        torch.ops.npu.npu_moe_gating_top_k(x, case.k, **options),
        strict=True,
    ):
        assert a.stride() == b.stride()
        assert torch.equal(a, b)


# What does not exist: C19, where the values can be read.
each_stray = pytest.mark.parametrize(("ids", "table", "message"), STRAYS, ids=[stray[2] for stray in STRAYS])


@each_stray
@pytest.mark.parametrize("integer", [INT32, INT64], ids=str)
@pytest.mark.parametrize(
    "call",
    [npu_moe_gating_top_k, torch.ops.npu.npu_moe_gating_top_k.default, cpu.npu_moe_gating_top_k],
    ids=["public", "operator", "Python kernel"],
)
def test_on_the_cpu_it_is_a_ValueError(call, integer, ids, table, message):
    ids, table = torch.tensor(ids, dtype=integer), torch.tensor(table, dtype=integer)
    with pytest.raises(ValueError, match=re.escape(f"{message} (C19)")):
        call(torch.zeros(3, 8), 2, input_ids=ids, tid2eid=table)


@pytest.mark.stand_in
@each_stray
@pytest.mark.parametrize("compile_it", [False, True], ids=["eager", "graph"])
def test_on_the_stand_in_the_run_fails(compile_it, ids, table, message):
    ids, table = torch.tensor(ids).npu(), torch.tensor(table).npu()
    model = compiled(npu_moe_gating_top_k) if compile_it else npu_moe_gating_top_k
    model(torch.zeros(3, 8).npu(), 2, input_ids=ids, tid2eid=table)
    with pytest.raises(RuntimeError, match=re.escape(message)):
        torch.npu.synchronize()
    assert model(torch.zeros(3, 8).npu(), 2, input_ids=ids * 0, tid2eid=table * 0)[1].cpu().tolist() == [[0, 0]] * 3


def test_a_row_that_no_id_names_may_hold_anything():
    ids, table = torch.tensor([1, 1]), torch.tensor([[-1, 999], [3, 3]])
    for device in ("cpu", "npu"):
        x = torch.zeros(2, 8).to(device)
        actual = npu_moe_gating_top_k(x, 2, input_ids=ids.to(device), tid2eid=table.to(device))
        assert actual[1].cpu().tolist() == [[3, 3], [3, 3]]


# What runs.


@pytest.mark.stand_in
def test_eager_mode_calls_the_second_version_only_for_it():
    x, ids, table = torch.zeros(2, 8).npu(), torch.tensor([0, 1]).npu(), torch.tensor([[1, 2], [4, 3]]).npu()
    with simulator.record() as launches:
        npu_moe_gating_top_k(x, 2)
        npu_moe_gating_top_k(x, 2, input_ids=ids, tid2eid=table)
    assert [launch.name for launch in launches] == ["aclnnMoeGatingTopK", "aclnnMoeGatingTopKV2"]
    assert list(launches[1].inputs) == ["x", "input_ids", "tid2eid"]


@pytest.mark.stand_in
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
def test_the_node_has_the_two_inputs(dynamic, bias):
    x, ids, table = torch.zeros(2, 8).npu(), torch.tensor([0, 1]).npu(), torch.tensor([[1, 2], [4, 3]]).npu()
    options = {"bias": torch.zeros(8).npu()} if bias else {}
    model = compiled(lambda x, i, t: npu_moe_gating_top_k(x, 2, input_ids=i, tid2eid=t, **options), dynamic)
    model(x, ids, table)
    with simulator.record() as launches:
        model(x, ids, table)
    (node,) = (launch for launch in launches if launch.name == "MoeGatingTopK")
    assert list(node.inputs) == ["x", *(["bias"] if bias else []), "input_ids", "tid2eid"]


# Dynamic shapes: one size for the tokens of x and the ids.


def dynamic_model(fullgraph=True):
    torch._dynamo.reset()
    counter = CompileCounterWithBackend(torchair_backend())

    def route(x, ids, table):
        return npu_moe_gating_top_k(x, 2, input_ids=ids, tid2eid=table, norm_type=1)[1]

    return counter, torch.compile(route, backend=counter, fullgraph=fullgraph)


def tokens(number):
    x = torch.zeros(number, 8).npu()
    return x, torch.arange(number).remainder(3).npu(), torch.tensor([[1, 2], [4, 3], [7, 0]]).npu()


def expected(number):
    return [[[1, 2], [4, 3], [7, 0]][i % 3] for i in range(number)]


def test_both_marked_dynamic_one_graph_serves_any_number_of_tokens():
    counter, model = dynamic_model()
    for number in (5, 6, 17, 5):
        x, ids, table = tokens(number)
        torch._dynamo.mark_dynamic(x, 0)
        torch._dynamo.mark_dynamic(ids, 0)
        assert model(x, ids, table).cpu().tolist() == expected(number)
    assert counter.frame_count == 1


def test_neither_marked_a_second_number_of_tokens_makes_both_dynamic():
    counter, model = dynamic_model()
    for number in (5, 6, 17, 5):
        assert model(*tokens(number)).cpu().tolist() == expected(number)
    assert counter.frame_count == 2


@pytest.mark.parametrize(("marked", "name"), [(0, "x"), (1, "ids")])
def test_only_one_marked_dynamic_is_refused_by_torch(marked, name):
    _, model = dynamic_model()
    inputs = tokens(5)
    torch._dynamo.mark_dynamic(inputs[marked], 0)
    with pytest.raises(ConstraintViolationError, match=rf"L.'{name}'.* (your code special|inferred to be a const)"):
        model(*inputs)


def test_another_number_of_ids_than_tokens_is_C15_in_a_dynamic_graph_too():
    _, model = dynamic_model(fullgraph=False)
    for number in (5, 6):
        model(*tokens(number))
    x, _, table = tokens(7)
    with raises_within(ValueError, r"one dimension of 7 tokens as x has, got shape \[6\] \(C15\)"):
        model(x, tokens(6)[1], table)


# Where the operator is older than hash routing.


@pytest.mark.needs
def test_a_definition_without_it_is_refused_by_name():
    run(
        """
        import torch
        library = torch.library.Library("npu", "DEF")
        library.define(
            "npu_moe_gating_top_k(Tensor x, int k, *, Tensor? bias=None, int k_group=1, int group_count=1, "
            "int group_select_mode=0, int renorm=0, int norm_type=0, bool out_flag=False, "
            "float routed_scaling_factor=1.0, float eps=1e-20) -> (Tensor, Tensor, Tensor)"
        )
        import ascend_moe_gating
        x, ids = torch.zeros(2, 8), torch.zeros(2).int()
        assert ascend_moe_gating.npu_moe_gating_top_k(x, 2)[1].tolist() == [[0, 1], [0, 1]]
        for call in (ascend_moe_gating.npu_moe_gating_top_k, torch.compile(ascend_moe_gating.npu_moe_gating_top_k,
                     backend="eager", fullgraph=False)):
            try:
                call(x, 2, input_ids=ids, tid2eid=ids.view(1, 2))
            except NotImplementedError as error:
                assert "without input_ids and tid2eid (hash routing)" in str(error), error
            else:
                raise AssertionError("it was not refused")
        """,
        TORCH_DEVICE_BACKEND_AUTOLOAD="0",
    )


def test_a_torchair_without_it_is_refused_by_name(monkeypatch):
    from torchair._ge_concrete_graph import ge_apis

    def old(x, bias, *, k, **options):
        raise AssertionError("not reached")

    monkeypatch.setattr(ge_apis, "MoeGatingTopK", old)
    model = compiled(lambda x, i, t: npu_moe_gating_top_k(x, 2, input_ids=i, tid2eid=t)[1])
    with pytest.raises(Exception, match=r"the installed torchair's MoeGatingTopK has no hash routing"):
        model(*tokens(3))


@pytest.mark.needs
def test_without_torch_npu_the_cpu_has_it():
    run(
        """
        import torch, ascend_moe_gating
        ids, table = torch.tensor([1, 0]), torch.tensor([[1, 2], [4, 3]])
        for call in (ascend_moe_gating.npu_moe_gating_top_k, torch.ops.npu.npu_moe_gating_top_k):
            assert call(torch.zeros(2, 8), 2, input_ids=ids, tid2eid=table)[1].tolist() == [[4, 3], [1, 2]]
        """,
        TORCH_DEVICE_BACKEND_AUTOLOAD="0",
    )


def test_opcheck():
    ids, table = torch.tensor([1, 0, 1]), torch.tensor([[1, 2], [4, 3]])
    options = {"input_ids": ids, "tid2eid": table, "norm_type": 1, "out_flag": True}
    tests = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    operator = torch.ops.npu.npu_moe_gating_top_k.default
    torch.library.opcheck(operator, (torch.randn(3, 8), 2), options, test_utils=tests)
