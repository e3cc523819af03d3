"""The switches in the environment: what they take, and a wrong value as an error of the first use, not of an import."""

import re

import pytest
import torch
import torchair

import ascend_moe_gating
from ascend_moe_gating.plugin.cpu import kernel
from ascend_moe_gating.plugin.environment.switches import DIRECT_ACLNN, FUSE
from tests.programs import on_stand_in, run

SWITCHES = pytest.mark.parametrize("switch", [FUSE, DIRECT_ACLNN], ids=lambda switch: switch.variable)
WORDS = {"1": True, "true": True, "YES": True, "On": True, "0": False, "False": False, "no": False, "OFF": False}


@SWITCHES
@pytest.mark.parametrize(("word", "meaning"), WORDS.items())
def test_words_that_a_switch_takes(monkeypatch, switch, word, meaning):
    monkeypatch.setenv(switch.variable, word)
    assert switch.on() is meaning


@SWITCHES
def test_a_switch_that_is_not_set_or_empty_is_its_default(monkeypatch, switch):
    monkeypatch.delenv(switch.variable, raising=False)
    assert switch.on() is switch.default
    monkeypatch.setenv(switch.variable, "")
    assert switch.on() is switch.default


@SWITCHES
@pytest.mark.parametrize("word", ["maybe", "2", " 1"])
def test_another_word_is_an_error_that_names_variable_choices_and_value(monkeypatch, switch, word):
    monkeypatch.setenv(switch.variable, word)
    message = f"^{switch.variable} must be 1/true/yes/on or 0/false/no/off, got {word!r}$"
    for read in (switch.on, ascend_moe_gating.status):
        with pytest.raises(ValueError, match=message):
            read()


def test_a_wrong_word_about_fusion_is_an_error_of_the_compilation_that_it_concerns(monkeypatch):
    monkeypatch.setenv(FUSE.variable, "maybe")
    torch._dynamo.reset()

    def gate(x):
        return torch.topk(torch.softmax(x, 1), 2)

    with pytest.raises(Exception, match=f"{FUSE.variable} must be .*, got 'maybe'"):
        torch.compile(gate, backend=torchair.get_npu_backend())(torch.zeros(3, 16).npu())
    torch._dynamo.reset()
    with ascend_moe_gating.fusion(True):
        torch.compile(gate, backend=torchair.get_npu_backend())(torch.zeros(3, 16).npu())


FIRST_USES = """
import ascend_moe_gating
x = torch.zeros(2, 8)
on_npu = x.npu()
def refusal(call):
    try:
        call()
    except ValueError as error:
        return str(error)
"""


@pytest.mark.stand_in
def test_a_wrong_word_about_the_direct_call_is_an_error_of_the_first_call_on_the_npu():
    code = """
said = {refusal(call) for call in (
    ascend_moe_gating.status,
    lambda: ascend_moe_gating.npu_moe_gating_top_k(on_npu, 2),
    lambda: torch_npu.npu_moe_gating_top_k(on_npu, 2),
    lambda: torch.ops.npu.npu_moe_gating_top_k(on_npu, 2),
    lambda: torch_npu.npu_moe_gating_top_k_softmax_v2(on_npu),
)}
assert ascend_moe_gating.npu_moe_gating_top_k(x, 2)[1].tolist() == [[0, 1], [0, 1]]
print(said)
"""
    result = on_stand_in(FIRST_USES + code, ASCEND_MOE_GATING_ACLNN="perhaps")
    message = "ASCEND_MOE_GATING_ACLNN must be 1/true/yes/on or 0/false/no/off, got 'perhaps'"
    assert result.stdout.endswith(f"\n{ {message} }\n"), result.stderr


def versions_here():
    """The versions that this processor has, as the kernel lists them."""
    return re.search(r"must be (.*) on this processor", kernel.library().moe_gating_top_k_error(12).decode())[1]


@pytest.mark.stand_in
@pytest.mark.parametrize("name", ["foo", "sse9\t", "neon,avx512"])
def test_a_wrong_version_of_the_kernel_is_an_error_of_the_first_call_on_the_cpu(name):
    code = """
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import SIGNATURE
from ascend_moe_gating.plugin.cpu import kernel, npu_moe_gating_top_k
routing = {} if SIGNATURE.absent else {"input_ids": x[:, 0].int(), "tid2eid": torch.zeros(1, 2).int()}
said = {refusal(call) for call in (
    ascend_moe_gating.status,
    lambda: ascend_moe_gating.npu_moe_gating_top_k(x, 2),
    lambda: ascend_moe_gating.npu_moe_gating_top_k(x, 2, **routing),
    lambda: torch_npu.npu_moe_gating_top_k(x, 2),
    lambda: torch.ops.npu.npu_moe_gating_top_k(x, 2),
    lambda: torch.compile(ascend_moe_gating.npu_moe_gating_top_k, backend="eager")(x, 2),
    lambda: npu_moe_gating_top_k.npu_moe_gating_top_k(x, 2),
    kernel.vector,
)}
assert kernel.library().moe_gating_top_k_vector() == b"none"
assert torch_npu.npu_moe_gating_top_k_softmax_v2(x)[1].tolist() == [[0], [0]]  # what it does not concern
assert torch_npu.npu_moe_gating_top_k_softmax_v2(on_npu)[1].tolist() == [[0], [0]]
print(said)
try:
    ascend_moe_gating.npu_moe_gating_top_k(on_npu, 2)[1].cpu()
except RuntimeError:  # the stand-in runs the same kernel, and says so as a device does
    print("failed")
"""
    result = on_stand_in(FIRST_USES + code, ASCEND_MOE_GATING_VECTOR=name)
    got = name.replace("\t", "?")
    message = f"ASCEND_MOE_GATING_VECTOR must be {versions_here()} on this processor, got '{got}'"
    assert result.stdout.endswith(f"\n{ {message} }\nfailed\n"), result.stderr
    assert f"aclnnMoeGatingTopK: {message}\n" in result.stderr


def test_a_version_may_be_written_in_any_case():
    assert run(
        "import torch, ascend_moe_gating\nprint(ascend_moe_gating.status().cpu)",
        ASCEND_MOE_GATING_VECTOR="Portable",
        TORCH_DEVICE_BACKEND_AUTOLOAD="0",
    ) == ascend_moe_gating.status().cpu.replace(f"({kernel.vector()})", "(portable)") + "\n"  # fmt: skip


def test_wrong_values_break_no_import():
    names = [f"ASCEND_MOE_GATING_{switch}" for switch in ("FUSE", "ACLNN", "VECTOR")]
    code = """
import os, sys
from ascend_moe_gating import simulator
simulator.load()
import torch, torch_npu, torchair, ascend_moe_gating
assert torch_npu.npu.is_available()
for name in sys.argv[1:]:
    others = {other: os.environ.pop(other) for other in sys.argv[1:] if other != name}
    try:
        ascend_moe_gating.status()
    except ValueError as error:
        print(error)
    os.environ.update(others)
"""
    said = run(code, *names, **dict.fromkeys(names, "wrong")).splitlines()[-len(names) :]
    for name, error in zip(names, said, strict=True):
        assert error.startswith(f"{name} must be ")
        assert error.endswith(", got 'wrong'")


def test_the_kernel_refuses_without_python_too():
    """Through the C interface alone: a code, its text, and nothing written."""
    code = """
import ctypes
from ascend_moe_gating.plugin.cpu.kernel import Arguments, library
weight, expert = (ctypes.c_float * 1)(7), (ctypes.c_int32 * 1)(7)
logits = (ctypes.c_float * 3)(1, 2, 3)
args = Arguments(x=ctypes.addressof(logits), x_row_stride=3, x_column_stride=1, tokens=1, experts=3, k=1, k_group=1,
                 group_count=1, y=ctypes.addressof(weight), expert_idx=ctypes.addressof(expert))
codes = [library().moe_gating_top_k(ctypes.byref(args), 2), library().moe_gating_top_k_rows(ctypes.byref(args), 0, 1)]
print(codes, weight[0], expert[0], library().moe_gating_top_k_error(12).decode())
"""
    said = run(code, ASCEND_MOE_GATING_VECTOR="foo")
    assert said.startswith("[12, 12] 7.0 7 ASCEND_MOE_GATING_VECTOR must be ")
    assert said.endswith(", got 'foo'\n")
