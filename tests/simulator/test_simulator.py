"""The stand-in for CANN: how it comes in, what it refuses, and what it tells."""

import ctypes
import importlib.resources
import re
import subprocess
from pathlib import Path

import pytest
import torch
import torch_npu

from ascend_moe_gating import npu_moe_gating_top_k, simulator
from tests.programs import ROOT, launch, run, start

pytestmark = pytest.mark.stand_in

LOAD = "from ascend_moe_gating import simulator\n"


def test_it_says_that_it_is_in_use_in_one_line():
    result = start(["-c", LOAD + "print(simulator.load(), simulator.load(), simulator.active())"])
    assert result.stdout == "True True True\n"
    assert result.stderr == "ascend_moe_gating: no CANN on this machine, torch_npu runs on the host stand-in\n"


@pytest.mark.needs("a compiler")
def test_it_is_not_used_where_a_real_cann_can_be_loaded(tmp_path):
    source = tmp_path / "cann.c"
    source.write_text("int aclInit(const char *config) { return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "libascendcl.so", source], check=True)
    code = LOAD + "print(simulator.load(), simulator.active(), simulator.real_cann())"
    result = start(["-c", code], LD_LIBRARY_PATH=str(tmp_path))
    assert result.stdout == "False False True\n"
    assert result.stderr == ""


def test_it_must_be_loaded_before_torch():
    code = "import torch\n" + LOAD + "simulator.load()"
    result = start(["-c", code], TORCH_DEVICE_BACKEND_AUTOLOAD="0")
    assert result.returncode == 1
    assert "ascend_moe_gating.simulator.load() must be called before torch is imported" in result.stderr


def test_the_launcher_hands_over_arguments_folder_and_exit_code(tmp_path):
    (tmp_path / "neighbour.py").write_text("NAME = 'neighbour'\n")
    script = tmp_path / "script.py"
    script.write_text("import sys, neighbour\nprint(__name__, sys.argv[1:], neighbour.NAME)\nsys.exit(3)\n")
    result = start(["-m", "ascend_moe_gating.simulator", script, "a", "--b"])
    assert result.returncode == 3
    assert result.stdout == "__main__ ['a', '--b'] neighbour\n"


def test_what_a_script_starts_finds_the_stand_in_too(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("""
import subprocess, sys
for head in ("", "from ascend_moe_gating import simulator; assert simulator.load() and not simulator.real_cann();"):
    subprocess.run([sys.executable, "-c", head + "import torch; print(torch.ones(3).npu().sum().item())"], check=True)
""")
    assert launch(script).splitlines().count("3.0") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "usage: python -m ascend_moe_gating.simulator script.py"), (["none.py"], "no such script: none.py")],
)
def test_the_launcher_says_what_is_missing(arguments, message):
    result = start(["-m", "ascend_moe_gating.simulator", *arguments])
    assert result.returncode == 1
    assert message in result.stderr


def test_a_program_sees_an_npu():
    assert torch.npu.is_available()
    assert torch.npu.device_count() == 2
    assert torch.npu.get_device_name().startswith("Ascend910B")
    assert "torch_npu" in torch_npu.__file__


def test_recording_tells_what_ran():
    x, half = torch.arange(6.0).view(2, 3).npu(), torch.empty(2, 3, dtype=torch.float16).npu()
    with simulator.record() as launches:
        npu_moe_gating_top_k(x, 2, routed_scaling_factor=0.5)
        half.copy_(x)
    gating, cast = (launch for launch in launches if launch.kind == "aclnn")
    assert (gating.name, cast.name) == ("aclnnMoeGatingTopK", "aclnnInplaceCopy")
    assert gating.device == cast.device == 0
    assert gating.inputs["x"] == simulator.Operand((2, 3), (3, 1), "float32")
    assert "bias" not in gating.inputs
    assert gating.outputs["expert_idx"] == simulator.Operand((2, 2), (2, 1), "int32")
    assert gating.attributes["k"] == 2
    assert gating.attributes["routed_scaling_factor"] == 0.5
    assert cast.outputs["selfRef"].dtype == "float16"


def test_nothing_is_recorded_outside_the_block():
    x = torch.zeros(2, 3).npu()
    with simulator.record() as launches:
        pass
    npu_moe_gating_top_k(x, 1)
    torch.npu.synchronize()
    assert launches == []


def test_recording_needs_the_stand_in():
    result = start(["-c", LOAD + "with simulator.record(): pass"])
    assert "RuntimeError: nothing to record: the stand-in for CANN is not in use" in result.stderr


@pytest.mark.parametrize("queue", ["0", "1"])
def test_an_operation_that_is_not_implemented_names_itself(queue):
    result = start(
        ["-c", LOAD + "simulator.load()\nimport torch, torch_npu\ntorch.zeros(3).npu().erf()\ntorch.npu.synchronize()"],
        TASK_QUEUE_ENABLE=queue,
    )
    assert result.returncode != 0
    assert re.search(r"the host stand-in for CANN does not implement .*Erf", result.stdout + result.stderr)


def test_the_host_cannot_touch_device_memory():
    code = "import ctypes, torch, torch_npu\nx = torch.ones(4).npu()\nctypes.string_at(x.data_ptr(), 4)"
    result = start(["-c", LOAD + "simulator.load()\n" + code])
    assert result.returncode == -11  # the access faults


def test_device_memory_is_not_zero_when_it_is_new():
    code = "import torch, torch_npu\nprint(torch.empty(4, dtype=torch.uint8, device='npu').cpu().tolist())"
    assert run(LOAD + "simulator.load()\n" + code).splitlines()[-1] == "[165, 165, 165, 165]"


def test_devices_are_apart_and_their_number_is_settable():
    x = torch.arange(8.0).view(2, 4)
    on_second = npu_moe_gating_top_k(x.to("npu:1"), 2)
    assert str(on_second[0].device) == "npu:1"
    assert on_second[1].cpu().tolist() == [[3, 2], [3, 2]]
    code = LOAD + "simulator.load()\nimport torch, torch_npu\nprint(torch.npu.device_count())"
    assert run(code, ASCEND_MOE_GATING_SIMULATOR_DEVICES="5").splitlines()[-1] == "5"


def test_memory_of_another_device_is_refused():
    torch.add(torch.ones(3).npu(), torch.ones(3).to("npu:1"))
    with pytest.raises(RuntimeError, match=r"aclnnAdd: other is .* on device 1, not on the stream's device"):
        torch.npu.synchronize()


def test_work_on_a_side_stream_is_ordered_by_events():
    x = torch.randn(1000, 256, generator=torch.Generator().manual_seed(0))
    side = torch.npu.Stream()
    y = x.npu()
    side.wait_stream(torch.npu.current_stream())
    with torch.npu.stream(side):
        actual = npu_moe_gating_top_k(y, 8)[1]
    torch.npu.current_stream().wait_stream(side)
    assert torch.equal(actual.cpu(), npu_moe_gating_top_k(x, 8)[1])


def test_every_symbol_of_cann_that_the_wheels_link_to_is_there():
    def symbols(path, kind):
        listing = subprocess.run(["nm", "-D", kind, path], capture_output=True, text=True, check=False).stdout
        return {line.split()[-1].split("@")[0] for line in listing.splitlines()}

    wanted = set()
    for library in Path(torch_npu.__file__).parent.rglob("*.so*"):
        wanted |= symbols(library, "--undefined-only")
    cann = {name for name in wanted if re.match(r"acl[a-z]*[A-Z]|_ZNK?2ge|Hccl|Msprof|rt[A-Z]|\w+_s$", name)}
    there = symbols(importlib.resources.files("ascend_moe_gating") / "lib" / "libhost_cann.so", "--defined-only")
    assert len(cann) > 150
    assert cann - there == set()


# torch_npu before 2.7 binds these when it is loaded; later wheels want none of them.
COLLECTIVES = ["AllGather", "AllReduce", "Broadcast", "CommDestroy", "CommInitAll", "CommInitRootInfo"]
COLLECTIVES += ["GetRootInfo", "Recv", "ReduceScatter", "Send"]
DESCRIBED_OPERATORS = [
    "_ZN2ge23OperatorCreatorRegisterC1EPKcRKSt8functionIFNS_8OperatorERKNS_12AscendStringEEE",
    "_ZN2ge8Operator12AttrRegisterEPKcb",
    "_ZN2ge8Operator12AttrRegisterEPKcl",
    "_ZN2ge8Operator13InputRegisterEPKc",
    "_ZN2ge8Operator14OutputRegisterEPKc",
    "_ZN2ge8Operator20DynamicInputRegisterEPKcjb",
    "_ZN2ge8OperatorC2EPKcS2_",
    "_ZN2ge8Operator20RequiredAttrRegisterEPKc",
    "_ZN2ge8Operator27DynamicInputRegisterByIndexEPKcjm",
    "_ZN2ge8OperatorC2ERKNS_12AscendStringES3_",
]


@pytest.mark.parametrize("name", COLLECTIVES)
def test_collectives_are_refused_by_name(name):
    cann = ctypes.CDLL("libhccl.so")
    cann.aclGetRecentErrMsg.restype = ctypes.c_char_p
    assert getattr(cann, f"Hccl{name}")() == 207000
    text = cann.aclGetRecentErrMsg().decode()
    assert text == f"Hccl{name}: the host stand-in for CANN does not implement Hccl{name}"


@pytest.mark.parametrize("symbol", DESCRIBED_OPERATORS)
def test_what_older_wheels_describe_operators_with_is_there(symbol):
    assert hasattr(ctypes.CDLL("libge_runner.so"), symbol)


def test_nothing_is_compiled_just_in_time():
    cann, just_in_time = ctypes.CDLL("libacl_op_compiler.so"), 10
    value = ctypes.create_string_buffer(8)
    assert cann.aclGetCompileoptSize(just_in_time) == 8
    assert cann.aclGetCompileopt(just_in_time, value, ctypes.c_size_t(8)) == 0
    assert value.value == b"disable"
    assert cann.aclGetCompileopt(just_in_time, value, ctypes.c_size_t(7)) == 100000


def test_the_launcher_runs_a_script_of_the_project():
    assert "CPU and NPU agree: yes" in launch(ROOT / "examples" / "eager.py")


def test_the_table_of_symbols_is_the_library():
    tables = (ROOT / "simulator" / "README.md").read_text().partition("## What it does")[2]
    lines = [line for line in tables.splitlines() if line.startswith("| `")]
    named = {name for line in lines for name in re.findall(r"`([^`]+)`", line.split(" | ")[0])} - {"GetWorkspaceSize"}
    named |= {f"{name}GetWorkspaceSize" for name in named if name.startswith("aclnn")}
    library = importlib.resources.files("ascend_moe_gating") / "lib" / "libhost_cann.so"
    listing = subprocess.run(
        ["nm", "-DC", "--defined-only", library], capture_output=True, text=True, check=True
    ).stdout
    exported = {line.split(maxsplit=2)[2].split("(")[0] for line in listing.splitlines() if " T " in line}
    exported = {name for name in exported if not name.startswith(("host_cann_", "std::", "_fini", "_init"))}
    assert named - exported == set()
    assert exported - named == set()
