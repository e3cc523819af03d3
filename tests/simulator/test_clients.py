"""What clients of the operator use beside operations: its gradient, converters of their own, limits, a profiler."""

import re

import pytest
import torch
import torch_npu

from ascend_moe_gating import npu_moe_gating_top_k, simulator
from tests.backends import compiled
from tests.programs import ROOT, on_stand_in

pytestmark = pytest.mark.stand_in

OF_GRADIENT = {"norm_type": 1, "routed_scaling_factor": 2.5, "eps": 1e-20}


def gradient():
    found = getattr(torch_npu, "npu_moe_gating_top_k_backward", None)
    if found is None:
        pytest.skip("the installed torch_npu lacks npu_moe_gating_top_k_backward")
    return found


def chosen(tokens, experts, k, dtype=torch.float32):
    """Scores, a gradient of the weights, and the experts of each token."""
    generator = torch.Generator().manual_seed(tokens * experts + k)
    x = torch.randn(tokens, experts, generator=generator, requires_grad=True)
    return x, torch.randn(tokens, k, generator=generator).to(dtype), x.topk(k).indices


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("sizes", [(1, 2, 1), (3, 8, 2), (5, 256, 8), (2, 2048, 16), (4, 6, 6)], ids=str)
def test_the_gradient_is_that_of_the_gate_written_out(sizes, dtype):
    backward = gradient()
    x, of_y, experts = chosen(*sizes, dtype)
    x_norm = x.sigmoid()
    weights = x_norm.gather(1, experts)
    (weights / (weights.sum(1, keepdim=True) + 1e-20) * 2.5).backward(of_y.float())
    given = x_norm.detach().npu(), of_y.npu(), experts.int().npu()
    actual = backward(*given, **OF_GRADIENT).cpu()
    assert actual.dtype == dtype
    tolerance = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 1e-2}[dtype]
    torch.testing.assert_close(actual.float(), x.grad, rtol=tolerance, atol=tolerance)


def test_an_expert_that_is_chosen_twice_gets_both_gradients():
    x_norm, of_y = torch.tensor([[0.5, 0.25]]), torch.tensor([[1.0, 3.0]])
    actual = gradient()(x_norm.npu(), of_y.npu(), torch.tensor([[0, 0]], dtype=torch.int32).npu(), norm_type=1)
    torch.testing.assert_close(actual.cpu(), torch.tensor([[0.25 * ((1 - 2) + (3 - 2)), 0]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, g, e: (x, g, e, {"norm_type": 0}), "norm_type is 0, it must be 1"),
        (lambda x, g, e: (x.half(), g, e, {}), "x_norm is float16"),
        (lambda x, g, e: (x, g.double(), e, {}), "grad_y is float64"),
        (lambda x, g, e: (x, g, e.long(), {}), "expert_idx is int64"),
        (lambda x, g, e: (x[:0], g[:0], e[:0], {}), "x_norm has no rows"),
        (lambda x, g, e: (x, g[:2], e, {}), r"grad_y is \[2, 2\], not \[3, k\]"),
        (lambda x, g, e: (x[:, :1], g, e, {}), "its k is not in 1 to the 1 experts"),
        (lambda x, g, e: (x, g, e[:, :1], {}), r"expert_idx is \[3, 1\], grad_y is \[3, 2\]"),
        (lambda x, g, e: (x.repeat(1, 257), g, e, {}), "x_norm has 2056 experts"),
    ],
)
def test_what_the_gradient_refuses(change, message):
    backward = gradient()
    x, of_y, experts = chosen(3, 8, 2)
    *tensors, options = change(x.detach(), of_y, experts.int())
    with pytest.raises(RuntimeError, match=message):
        backward(*(tensor.npu() for tensor in tensors), **OF_GRADIENT | options)


def test_the_gradient_takes_strides_where_cann_does():
    x, of_y, experts = chosen(3, 8, 2)
    given = x.detach().npu(), of_y.npu(), experts.int().npu()
    turned = [tensor.t().contiguous().t() for tensor in given]
    assert torch.equal(gradient()(*turned[:2], given[2], **OF_GRADIENT), gradient()(*given, **OF_GRADIENT))
    with pytest.raises(RuntimeError, match="expert_idx is not contiguous"):
        gradient()(*given[:2], turned[2], **OF_GRADIENT)


def test_torch_npu_trains_with_the_gradient():
    gradient()
    scores = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    x, y = scores.npu().requires_grad_(), scores.clone().requires_grad_()
    weights, experts, _ = npu_moe_gating_top_k(x, 4, norm_type=1, out_flag=True, routed_scaling_factor=2.0)
    (weights * torch.arange(4.0).npu()).sum().backward()
    expected = y.sigmoid().gather(1, experts.cpu().long())
    (expected / expected.sum(1, keepdim=True) * 2 * torch.arange(4.0)).sum().backward()
    torch.testing.assert_close(x.grad.cpu(), y.grad)


@pytest.mark.parametrize(("cann", "soc"), [("9.0.0", "Ascend910B1"), ("8.5.0", None), ("newest", "Ascend950PR_9579")])
def test_the_gradient_came_with_cann_9_1_for_a2_and_a3(cann, soc):
    backward = gradient()
    x, of_y, experts = chosen(3, 8, 2)
    given = x.detach().npu(), of_y.npu(), experts.int().npu()
    with (
        simulator.release(cann, soc=soc),
        pytest.raises(RuntimeError, match=r"there is no MoeGatingTopKBackward in CANN \d") as refused,
    ):
        backward(*given, **OF_GRADIENT)
    assert "561002" in str(refused.value)
    for taken in ("9.1.0", "newest"):
        with simulator.release(taken):
            backward(*given, **OF_GRADIENT)
            torch.npu.synchronize()


@pytest.fixture(scope="module")
def described():
    """What the graph engine says of an operator; torchair asks once it has compiled something."""
    from torchair.core import _torchair

    if not hasattr(_torchair, "get_registered_ir_def"):
        pytest.skip("the installed torchair does not ask for operators")
    compiled(lambda x: x + 1)(torch.ones(2).npu())
    return _torchair.get_registered_ir_def


def node_types():
    table = (ROOT / "simulator" / "graph" / "node_types.cpp").read_text()
    return [name for name in re.findall(r'^    \{"(\w+)"', table, re.MULTILINE) if name not in ("Data", "Const")]


def test_the_readme_names_every_node_type():
    (named,) = re.findall("graphs of ([^;]*);", (ROOT / "simulator" / "README.md").read_text())
    assert named.split(", ") == [name for name in node_types() if name != "NetOutput"]


# Where the text of torchair's function is not what CANN has.
OF_CANN = {
    ("MoeGatingTopK", "y2"): "out",
    ("MoeGatingTopKSoftmaxV2", "output_softmax"): "output_softmax_result_flag",
}
NEWER = {"indices_dtype", "input_ids", "sort_policy", "tid2eid"}  # than some torchair
KINDS = {"": "required", "OPTIONAL_": "optional", "DYNAMIC_": "dynamic", "REQUIRED_": "required"}
NOT_OF_TORCHAIR = ("Cast", "MoeGatingTopKBackward")  # it writes no text of these
TYPES = {"Type": "DATA_TYPE", "ListInt": "LIST_INT"}


@pytest.mark.parametrize("name", [name for name in node_types() if name not in NOT_OF_TORCHAIR])
def test_operators_are_described_as_torchair_has_them(name, described):
    from torchair._ge_concrete_graph import auto_generated_ge_raw_ops as ops
    from torchair._ge_concrete_graph import dynamic_output_ops

    function = getattr(dynamic_output_ops, name, None) or getattr(ops, name, None)
    status, inputs, outputs, attributes = described(name)
    if name == "NetOutput":
        assert status == "ERROR"
        return
    assert status == "SUCCESS"
    if function is None or function.__doc__ is None:
        pytest.skip(f"the installed torchair does not describe {name}")
    said = {"INPUT": [], "OUTPUT": [], "ATTR": []}
    for kind, what, entry, type_ in re.findall(r"\.(\w*?)(INPUT|OUTPUT|ATTR)\((\w+), *(\w*)", function.__doc__):
        meaning = "VT_" + TYPES.get(type_, type_.upper()) if what == "ATTR" else KINDS[kind]
        said[what].append((OF_CANN.get((name, entry), entry), meaning))
    for told, what in ((inputs, "INPUT"), (outputs, "OUTPUT"), (attributes, "ATTR")):
        names = {entry for entry, _ in said[what]}
        assert [entry for entry in told if entry[0] not in NEWER - names] == said[what]


def test_operators_are_described_as_the_release_has_them(described):
    assert described("Erf")[0] == "ERROR"
    assert [name for name, _ in described("MoeGatingTopK")[1]] == ["x", "bias", "input_ids", "tid2eid"]
    with simulator.release("9.1.0"):
        assert [name for name, _ in described("MoeGatingTopK")[1]] == ["x", "bias"]
        assert described("MoeGatingTopKBackward")[0] == "SUCCESS"
    with simulator.release("9.0.0"):
        assert described("MoeGatingTopKBackward")[0] == "ERROR"


def test_converters_are_made_of_the_descriptions(described):
    from torchair import ge, register_fx_node_ge_converter

    library = torch.library.Library("clients", "FRAGMENT")
    library.define("moe_gating_top_k_backward(Tensor x, Tensor g, Tensor e, int r, int n, float f, float p) -> Tensor")
    library.define("softmax_v2(Tensor x, int[] axes, bool half_to_float) -> Tensor")
    library.define("double(Tensor x) -> Tensor")
    library.impl("moe_gating_top_k_backward", lambda x, g, *rest: torch.empty_like(x), "Meta")
    library.impl("softmax_v2", lambda x, axes, half_to_float: torch.empty_like(x), "Meta")
    library.impl("double", lambda x: torch.empty_like(x), "Meta")

    @register_fx_node_ge_converter(torch.ops.clients.double.default)
    def convert(x, meta_outputs=None):
        return ge.custom_op("Add", x, x)

    x, of_y, experts = chosen(3, 8, 2)
    x_norm = x.detach().sigmoid()
    softmax = compiled(lambda x: torch.ops.clients.softmax_v2(x, [0], False) + torch.ops.clients.double(x))
    torch.testing.assert_close(softmax(x_norm.npu()).cpu(), x_norm.softmax(0) + 2 * x_norm)
    given = x_norm.npu(), of_y.npu(), experts.int().npu()
    backward = compiled(lambda *given: torch.ops.clients.moe_gating_top_k_backward(*given, 0, 1, 2.5, 1e-20))
    assert torch.equal(backward(*given).cpu(), gradient()(*given, **OF_GRADIENT).cpu())
    library._destroy()


@pytest.mark.skipif(
    not hasattr(torch.npu, "set_stream_limit"), reason="the installed torch_npu has no limits of streams"
)
def test_limits_of_cores_are_kept_and_change_no_result():
    stream = torch.npu.Stream()
    whole = {"cube_core_num": 24, "vector_core_num": 48}
    assert torch.npu.get_stream_limit(stream) == whole
    torch.npu.set_stream_limit(stream, 8, 16)
    assert torch.npu.get_stream_limit(stream) == {"cube_core_num": 8, "vector_core_num": 16}
    assert torch.npu.get_stream_limit(torch.npu.current_stream()) == whole
    x = torch.arange(6.0).npu()
    with torch.npu.stream(stream):
        assert (x + 1).cpu().tolist() == [1, 2, 3, 4, 5, 6]
    for limit in (0, 25):
        with pytest.raises(RuntimeError, match="SetStreamResLimit"):
            torch.npu.set_stream_limit(stream, limit)
    torch.npu.reset_stream_limit(stream)
    assert torch.npu.get_stream_limit(stream) == whole


def test_limits_of_a_device_hold_for_its_streams_without_their_own():
    result = on_stand_in(
        """
    cann, value = ctypes.CDLL("libascendcl.so"), ctypes.c_uint32()
    def ask(function, *given):
        assert function(*given, ctypes.byref(value)) == 0
        return value.value
    torch.zeros(1).npu()
    stream = ctypes.c_void_p(torch.npu.Stream().npu_stream)
    assert cann.aclrtSetDeviceResLimit(0, 1, 40) == 0
    assert cann.aclrtSetStreamResLimit(stream, 0, 5) == 0
    told = [ask(cann.aclrtGetStreamResLimit, stream, what) for what in (0, 1)]
    told += [ask(cann.aclrtGetResInCurrentThread, what) for what in (0, 1)]
    assert cann.aclrtUseStreamResInCurrentThread(stream) == 0
    told += [ask(cann.aclrtGetResInCurrentThread, 0)]
    assert cann.aclrtUnuseStreamResInCurrentThread(stream) == 0
    assert cann.aclrtResetDeviceResLimit(0) == 0
    told += [ask(cann.aclrtGetResInCurrentThread, 0), ask(cann.aclrtGetDeviceResLimit, 0, 1)]
    print(told, cann.aclrtSetStreamResLimit(stream, 2, 1), cann.aclrtSetDeviceResLimit(7, 0, 1))
    """.replace("\n    ", "\n")
    )
    assert result.stdout.splitlines()[-1] == "[5, 40, 24, 40, 5, 24, 48] 100000 107001", result.stderr


def test_a_profiler_of_torch_records_the_cpus_side():
    x = torch.ones(8).npu()
    with torch.profiler.profile() as profile:
        x + 1
        torch.npu.synchronize()
    events = profile.key_averages()
    assert "aten::add" in {event.key for event in events}
    assert not any(event.device_time for event in events)
