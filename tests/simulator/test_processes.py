"""The stand-in in other processes: workers of multiprocessing, forks, and what LD_LIBRARY_PATH leads to it."""

import pytest

from ascend_moe_gating.simulator.library import folder
from tests.programs import run, start

pytestmark = pytest.mark.stand_in

WORKER = """
import multiprocessing, sys
from ascend_moe_gating import simulator

if __name__ == "__main__":
    simulator.load()

def work():
    import torch, torch_npu
    import ascend_moe_gating

    print(simulator.active(), simulator.load(), ascend_moe_gating.status().npu)
    x = torch.arange(16.0).view(2, 8).npu()
    with simulator.record() as launches:
        ascend_moe_gating.npu_moe_gating_top_k(x, 2)
    print([launch.name for launch in launches], [allocation.device for allocation in simulator.allocations()])
    with simulator.fault("aclnnMoeGatingTopKGetWorkspaceSize", 561103):
        try:
            ascend_moe_gating.npu_moe_gating_top_k(x, 2)
        except RuntimeError as error:
            print("aclnnMoeGatingTopKGetWorkspaceSize returned 561103" in str(error))

if __name__ == "__main__":
    worker = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    worker.start()
    worker.join()
    sys.exit(worker.exitcode)
"""
WORKED = ["True True torch_npu's kernel on the host stand-in for CANN", "['aclnnMoeGatingTopK'] [0]", "True"]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("launcher", [True, False], ids=["launcher", "load"])
def test_a_worker_knows_the_stand_in(method, launcher, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(WORKER)
    result = start([*(["-m", "ascend_moe_gating.simulator"] if launcher else []), script, method])
    lines = [line for line in result.stdout.splitlines() if not line.startswith("[W")]  # torch_npu's
    assert lines[-3:] == WORKED, result.stderr


BY_PATH = """
import torch, torch_npu
from ascend_moe_gating import npu_moe_gating_top_k, simulator, status

def said(function):
    try:
        return function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"

print(said(lambda: npu_moe_gating_top_k(torch.arange(8.0).view(1, 8).npu(), 2)[1].cpu().tolist()))
print(status().npu, simulator.active())
print(said(simulator.allocations))
print(said(simulator.load))
"""


def test_a_program_may_lead_torch_npu_to_the_stand_in_itself():
    lines = run(BY_PATH, LD_LIBRARY_PATH=str(folder() / "cann")).splitlines()
    assert lines[-4:-2] == ["[[7, 6]]", "torch_npu's kernel on the host stand-in for CANN True"]
    assert "Allocation(device=0" in lines[-2]
    assert lines[-1] == "True"


def test_the_faults_of_the_environment_are_in_force_there():
    fault = {"ASCEND_MOE_GATING_SIMULATOR_FAULTS": "aclnnMoeGatingTopKGetWorkspaceSize=561103"}
    printed = run(BY_PATH, LD_LIBRARY_PATH=str(folder() / "cann"), **fault)
    assert "aclnnMoeGatingTopKGetWorkspaceSize returned 561103 (injected, occurrence 1)" in printed


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("DEVICES", "17", "ASCEND_MOE_GATING_SIMULATOR_DEVICES must be a number of devices, 1 to 16, got '17'"),
        ("MEMORY", "16GB", "ASCEND_MOE_GATING_SIMULATOR_MEMORY must be the bytes of memory of each device, got '16GB'"),
        ("FAULTS", "aclrtNothing=1", "entry_point must be one in which the stand-in has faults, got 'aclrtNothing'"),
    ],
)
def test_a_wrong_setting_is_said_there(setting, value, message):
    variable = {f"ASCEND_MOE_GATING_SIMULATOR_{setting}": value}
    printed = run(BY_PATH, LD_LIBRARY_PATH=str(folder() / "cann"), **variable)
    first, rest = printed.split("torch_npu's kernel on the host stand-in for CANN True")
    assert "aclInit" in first
    assert message in first
    assert rest.count("ValueError: ") == rest.count(message) == 2


FORK = """
import ctypes, multiprocessing, os, sys
from ascend_moe_gating import simulator
simulator.load()
import torch, torch_npu

x = None

def said(function):
    try:
        print(function(), flush=True)
    except RuntimeError as error:
        print("RuntimeError:", str(error).replace("\\n", " "), flush=True)

def work():
    said(torch.npu.device_count)
    said(lambda: torch.ones(3).npu().sum().item())
    if x is not None:
        said(lambda: x.cpu())

def in_child():
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(100)
    print("ended", process.exitcode, flush=True)

in_child()
x = torch.ones(3).npu()
x.cpu()
in_child()
if os.fork() == 0:
    for name in ("aclrtSynchronizeDevice", "aclrtSetDevice", "aclrtFree", "aclmdlRICaptureBegin"):
        acl = ctypes.CDLL("libascendcl.so")
        acl.aclGetRecentErrMsg.restype = ctypes.c_char_p
        print(getattr(acl, name)(0, 0), acl.aclGetRecentErrMsg().decode(), flush=True)
    sys.exit(3)
print("exit", os.wait()[1] >> 8)
print((x + 1).sum().item())
"""
REFUSED = "the device cannot be used in a forked process whose parent used it; start the process by the method spawn"


def test_a_fork_may_use_the_device_only_if_its_parent_did_not():
    result = start(["-c", FORK])
    lines = [line for line in result.stdout.splitlines() if not line.startswith(("Warning", "[W"))]
    assert lines[:3] == ["2", "3.0", "ended 0"], result.stderr
    assert lines[3] == "2"
    assert lines[4].startswith("RuntimeError: Cannot re-initialize NPU in forked subprocess. To use NPU with multiproc")
    assert lines[5].startswith("RuntimeError: ")
    assert f"aclrtMemcpy: {REFUSED}" in lines[5]
    assert lines[6] == "ended 0"
    calls = ("aclrtSynchronizeDevice", "aclrtSetDevice", "aclrtFree", "aclmdlRICaptureBegin")
    assert lines[7:11] == [f"107002 {call}: {REFUSED}" for call in calls]
    assert lines[11:] == ["exit 3", "6.0"]
