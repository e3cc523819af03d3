"""One operator, one identity: what is registered."""

import inspect
import timeit

import pytest
import torch
import torch_npu

import ascend_moe_gating
from ascend_moe_gating.converters.npu_moe_gating_top_k import npu_moe_gating_top_k as converter
from ascend_moe_gating.meta.npu_moe_gating_top_k import npu_moe_gating_top_k as meta
from ascend_moe_gating.plugin.aclnn import npu_moe_gating_top_k as aclnn
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import SIGNATURE, Call, check
from ascend_moe_gating.plugin.cpu import kernel
from ascend_moe_gating.plugin.cpu import npu_moe_gating_top_k as cpu
from ascend_moe_gating.plugin.reference import moe_gating_top_k
from ascend_moe_gating.plugin.registration import register as registration
from tests.capabilities import has
from tests.programs import run


def schema_parameters():
    """Name, default and kind of each parameter of the one signature."""
    schema = torch._C.parse_schema(f"npu::{SIGNATURE.schema}")
    return {
        argument.name: (
            argument.default_value if argument.has_default_value() else inspect.Parameter.empty,
            argument.kwarg_only,
        )
        for argument in schema.arguments
    }


def parameters(function):
    return {
        name: (parameter.default, parameter.kind is parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "meta_outputs"
    }


@pytest.mark.parametrize(
    "function",
    [
        ascend_moe_gating.npu_moe_gating_top_k,
        meta,
        converter,
        cpu.npu_moe_gating_top_k,
        aclnn.npu_moe_gating_top_k,
        moe_gating_top_k,
    ],
    ids=["public", "meta", "converter", "cpu", "aclnn", "reference"],
)
def test_every_copy_of_the_signature_equals_the_schema(function):
    assert parameters(function) == schema_parameters()


def test_check_takes_the_parameters_of_the_schema_in_their_order():
    assert list(Call._fields) == list(schema_parameters())
    assert Call._field_defaults == {
        name: default for name, (default, keyword) in schema_parameters().items() if keyword
    }


def test_the_schema_is_the_one_of_torch_npu():
    installed = {
        argument.name: (
            argument.default_value if argument.has_default_value() else inspect.Parameter.empty,
            argument.kwarg_only,
        )
        for argument in torch.ops.npu.npu_moe_gating_top_k.default._schema.arguments
    }
    ours = schema_parameters()
    assert installed == {name: ours[name] for name in ours if name not in SIGNATURE.absent}
    assert set(SIGNATURE.absent) <= {"input_ids", "tid2eid"}


def test_torch_npus_own_name_serves_cpu_tensors():
    x = torch.zeros(2, 8)
    assert torch_npu.npu_moe_gating_top_k(x, 2)[1].tolist() == [[0, 1], [0, 1]]
    assert torch_npu.npu_moe_gating_top_k.default is torch.ops.npu.npu_moe_gating_top_k.default


def test_registering_twice_changes_nothing():
    before = registration.status()
    registration.register()
    assert registration.status() == before


@pytest.mark.parametrize("tokens", [0, 1, 100, 5000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("view", [lambda x: x, lambda x: x.T.contiguous().T, lambda x: x[::2]], ids=["", "T", "rows"])
def test_both_cpu_kernels_give_the_same(tokens, dtype, view):
    generator = torch.Generator().manual_seed(tokens)
    x, bias = view(torch.randn(tokens, 64, generator=generator).to(dtype)), torch.randn(128, generator=generator)[::2]
    options = {"bias": bias.to(dtype), "k_group": 2, "group_count": 4, "norm_type": 1, "out_flag": True}
    for a, b in zip(
        cpu.npu_moe_gating_top_k(x, 4, **options),
        torch.ops.npu.npu_moe_gating_top_k(x, 4, **options),
        strict=True,
    ):
        assert a.dtype == b.dtype
        assert a.stride() == b.stride()
        assert torch.equal(a, b)


# In a process of its own: what other tests have in theirs may grow meanwhile.
GROWTH = """
from ascend_moe_gating import simulator
simulator.load()
import torch, ascend_moe_gating

def growth(call, number):
    "Bytes that the process grows by in so many calls, after some that warm up."
    def resident():
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * 4096
    for _ in range(50):
        call()
    before = resident()
    for _ in range(number):
        call()
    return resident() - before

operator = torch.ops.npu.npu_moe_gating_top_k.default
"""


def test_calls_of_the_compiled_kernel_leave_no_tensor_behind():
    program = """
def call():
    x, bias = torch.zeros(100, 256), torch.zeros(256)
    operator(x, 8, bias=bias)
    try:
        operator(x, 300, bias=bias)
    except ValueError as error:
        assert "C9" in str(error)
    else:
        raise AssertionError("not refused")

print(growth(call, 500))
"""
    assert int(run(GROWTH + program).splitlines()[-1]) < 10e6  # of 100 kB of logits each


def test_calls_of_the_compiled_kernel_leave_not_a_word_behind():
    program = """
x, bias = torch.zeros(1, 16), torch.zeros(16)
print(growth(lambda: operator(x, 2, bias=bias), 200_000))
"""
    assert int(run(GROWTH + program).splitlines()[-1]) < 3e6


def test_the_compiled_cpu_kernel_is_registered_where_torch_has_the_interface():
    assert ("Python" not in registration.status().cpu) == has("the C interface for operators")
    assert kernel.vector() in registration.status().cpu


@pytest.mark.parametrize("out_flag", [False, True])
def test_norm_out_is_written_only_with_out_flag(monkeypatch, out_flag):
    calls = []
    monkeypatch.setattr(cpu.kernel, "run", lambda arguments, threads: calls.append(arguments))
    norm_out = cpu.npu_moe_gating_top_k(torch.zeros(2, 8), 2, out_flag=out_flag)[2]
    assert calls[0].norm_out == (norm_out.data_ptr() if out_flag else None)


@pytest.mark.parametrize("device", ["cpu", "npu"])
@pytest.mark.parametrize("bias", [None, "bias"])
def test_opcheck(device, bias):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(6, 64, generator=generator)
    bias = torch.randn(64, generator=generator) if bias else None
    arguments = (x.to(device), 4)
    options = {
        "bias": bias if bias is None else bias.to(device),
        "k_group": 2,
        "group_count": 4,
        "norm_type": 1,
        "out_flag": True,
    }
    tests = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    if device == "npu":
        tests = ("test_autograd_registration", "test_faketensor")  # the others compare tensors on the device
    torch.library.opcheck(torch.ops.npu.npu_moe_gating_top_k.default, arguments, options, test_utils=tests)


def test_importing_costs_at_most_50_ms_over_torch_and_an_attempt_at_torch_npu():
    code = """
    import time, torch
    try:
        import torch_npu  # up to 2.6 it takes a second and more to find that there is no CANN
    except ImportError:
        pass
    begin = time.process_time()  # what else runs on the machine does not count
    import ascend_moe_gating
    ascend_moe_gating.npu_moe_gating_top_k
    print(time.process_time() - begin)
    """
    seconds = min(float(run(code, TORCH_DEVICE_BACKEND_AUTOLOAD="0")) for _ in range(5))
    assert seconds < 0.050


def test_checking_a_call_costs_at_most_5_microseconds():
    x, bias = torch.zeros(1, 256), torch.zeros(256)
    timer = timeit.Timer(lambda: check((x, 8, bias, None, None, 4, 8, 1, 0, 1, False, 2.5, 1e-20)))
    assert min(timer.repeat(20, 1000)) / 1000 < 5e-6
