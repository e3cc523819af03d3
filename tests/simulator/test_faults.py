"""Faults on demand: each is an error that names the call and the code, and the next call works."""

import pytest
import torch

from ascend_moe_gating import npu_moe_gating_top_k, simulator
from ascend_moe_gating.plugin.aclnn import npu_moe_gating_top_k as aclnn
from tests.backends import compiled
from tests.programs import on_stand_in, start

pytestmark = pytest.mark.stand_in

STEPS = [[7, 6], [7, 6]]


@pytest.fixture
def x():
    return torch.arange(16.0).view(2, 8).npu()


def held():
    torch.npu.synchronize()
    return sum(torch.npu.memory_allocated(device) for device in range(torch.npu.device_count()))


@pytest.mark.parametrize("call", [npu_moe_gating_top_k, aclnn.npu_moe_gating_top_k], ids=["torch_npu", "direct"])
@pytest.mark.parametrize("status", [161001, 161002, 561002, 561103])
@pytest.mark.parametrize("entry_point", ["aclnnMoeGatingTopKGetWorkspaceSize", "aclnnMoeGatingTopK"])
def test_a_status_of_an_aclnn_call(x, call, status, entry_point):
    before = held()
    with simulator.fault(entry_point, status):
        with pytest.raises(RuntimeError, match=rf"(?s)(aclnnMoeGatingTopK.*{status}|{status}.*aclnnMoeGatingTopK)"):
            call(x, 2)
        assert call(x, 2)[1].cpu().tolist() == STEPS  # only the first occurrence fails
    assert held() == before


@pytest.mark.parametrize("call", [npu_moe_gating_top_k, aclnn.npu_moe_gating_top_k], ids=["torch_npu", "direct"])
def test_a_launch_that_fails_shows_up_at_the_synchronisation(x, call, capfd):
    with simulator.fault("aclnnMoeGatingTopK", 507015, when="run"):
        results = call(x, 2)
        with pytest.raises(RuntimeError, match="507015"):
            torch.npu.synchronize()
    assert "aclnnMoeGatingTopK failed on its stream with 507015" in capfd.readouterr().err
    del results
    assert call(x, 2)[1].cpu().tolist() == STEPS


def test_the_occurrence_counts(x):
    with simulator.fault("aclnnMoeGatingTopK", 507015, occurrence=3):
        for _ in range(2):
            assert npu_moe_gating_top_k(x, 2)[1].cpu().tolist() == STEPS
        with pytest.raises(RuntimeError, match="507015"):
            npu_moe_gating_top_k(x, 2)
        assert npu_moe_gating_top_k(x, 2)[1].cpu().tolist() == STEPS
    with simulator.fault("aclnnMoeGatingTopK", 507015, occurrence=0):
        for _ in range(3):
            with pytest.raises(RuntimeError, match="507015"):
                npu_moe_gating_top_k(x, 2)


def test_an_allocation_that_fails_is_out_of_memory(x):
    torch.npu.empty_cache()
    with simulator.fault("aclrtMalloc", 207001, occurrence=0), pytest.raises(RuntimeError, match="NPU out of memory"):
        torch.empty(1 << 26, device="npu")
    assert torch.empty(1 << 26, device="npu").shape == (1 << 26,)


def test_a_graph_that_does_not_compile(x):
    model = compiled(lambda x: npu_moe_gating_top_k(x, 2))
    failing = pytest.raises(RuntimeError, match=r"ge::CompileGraph returned 1343225857")
    with simulator.fault("ge::CompileGraph", 1343225857), failing:
        model(x)
    torch._dynamo.reset()
    assert model(x)[1].cpu().tolist() == STEPS


def test_a_graph_node_that_fails(x):
    model = compiled(lambda x: npu_moe_gating_top_k(x, 2))
    model(x)
    with simulator.fault("MoeGatingTopK", 507015, when="run"):
        model(x)
        with pytest.raises(RuntimeError, match="507015"):
            torch.npu.synchronize()
    assert model(x)[1].cpu().tolist() == STEPS


def test_faults_nest(x):
    with simulator.fault("aclnnMoeGatingTopK", 1, occurrence=0):
        with simulator.fault("aclrtMalloc", 207001, occurrence=1):
            pass
        with pytest.raises(RuntimeError, match="aclnnMoeGatingTopK"):
            npu_moe_gating_top_k(x, 2)


LAUNCH_THREAD = """
from ascend_moe_gating import npu_moe_gating_top_k
x = torch.arange(16.0).view(2, 8).npu()
for entry_point in ("aclnnMoeGatingTopKGetWorkspaceSize", "aclnnMoeGatingTopK"):
    with simulator.fault(entry_point, 561103):
        try:
            npu_moe_gating_top_k(x, 2)
            torch.npu.synchronize()
        except RuntimeError as error:
            print(f"{entry_point} returned 561103" in str(error))
    print(npu_moe_gating_top_k(x, 2)[1].cpu().tolist())
"""


@pytest.mark.parametrize("queue", ["0", "1", "2"])
def test_torch_npus_launch_thread_outlives_a_fault(queue):
    result = on_stand_in(LAUNCH_THREAD, TASK_QUEUE_ENABLE=queue)
    assert result.stdout.splitlines()[-4:] == ["True", str(STEPS)] * 2, result.stderr


HANG = """
from ascend_moe_gating import simulator
simulator.load()
import torch, torch_npu
from ascend_moe_gating import npu_moe_gating_top_k
x = torch.arange(16.0).view(2, 8).npu()
with simulator.fault("aclnnMoeGatingTopK", when="hang"):
    result = npu_moe_gating_top_k(x, 2)
    try:
        torch.npu.synchronize()
    except RuntimeError as error:
        print("timed out:", "did not finish within" in str(error))
torch.npu.synchronize()
print(result[1].cpu().tolist())
"""


def test_a_hanging_stream_with_a_time_out():
    result = start(["-c", HANG], ACL_DEVICE_SYNC_TIMEOUT="1")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-2:] == ["timed out: True", "[[7, 6], [7, 6]]"]


ENVIRONMENT = """
from ascend_moe_gating import simulator
simulator.load()
import torch, torch_npu
from ascend_moe_gating import npu_moe_gating_top_k
x = torch.arange(16.0).view(2, 8).npu()
npu_moe_gating_top_k(x, 2)
try:
    npu_moe_gating_top_k(x, 2)
except RuntimeError as error:
    print("561103" in str(error), "aclnnMoeGatingTopK" in str(error))
"""


def test_faults_from_the_environment():
    fault = "aclnnMoeGatingTopKGetWorkspaceSize=561103#2"
    result = start(["-c", ENVIRONMENT], ASCEND_MOE_GATING_SIMULATOR_FAULTS=fault)
    assert result.stdout.splitlines()[-1] == "True True", result.stderr


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("aclrtMalloc", "must be entry_point=status[@run|@hang][#occurrence], got 'aclrtMalloc'"),
        ("aclrtMalloc=x", "must be entry_point=status[@run|@hang][#occurrence], got 'aclrtMalloc=x'"),
        ("aclrtMalloc=1@never", "when must be one of call, run, hang, got 'never'"),
        ("aclrtNothing=1", "entry_point must be one in which the stand-in has faults, got 'aclrtNothing'"),
        ("aclrtMalloc=0", "status must not be 0, which means success, got 0"),
    ],
)
def test_what_the_environment_gets_wrong_is_said(fault, message):
    result = start(
        ["-c", "from ascend_moe_gating import simulator; simulator.load()"], ASCEND_MOE_GATING_SIMULATOR_FAULTS=fault
    )
    assert result.returncode == 1
    assert message in result.stderr
