"""The stand-in keeps its memory apart, and catches mistakes."""

import ctypes
import re
import threading

import pytest
import torch

from ascend_moe_gating import npu_moe_gating_top_k, simulator
from tests.programs import on_stand_in

pytestmark = pytest.mark.stand_in

acl = ctypes.CDLL("libascendcl.so")
acl.aclGetRecentErrMsg.restype = ctypes.c_char_p
HOST_TO_DEVICE, DEVICE_TO_HOST, DEVICE_TO_DEVICE = 1, 2, 3


def said():
    return (acl.aclGetRecentErrMsg() or b"").decode()


@pytest.fixture
def device_memory():
    torch.npu.set_device(0)  # the device of this thread, whichever test comes first
    torch.npu.init()
    address = ctypes.c_void_p()
    assert acl.aclrtMalloc(ctypes.byref(address), ctypes.c_size_t(1000), 0) == 0
    yield address.value
    acl.aclrtFree(ctypes.c_void_p(address.value))


def copy(to, from_, size, kind):
    return acl.aclrtMemcpy(
        ctypes.c_void_p(to), ctypes.c_size_t(size), ctypes.c_void_p(from_), ctypes.c_size_t(size), kind
    )


# Memory


@pytest.mark.parametrize("access", ["ctypes.string_at(x.data_ptr() + 8, 4)", "ctypes.memset(x.data_ptr() + 8, 0, 4)"])
def test_an_access_of_the_host_faults_and_says_why(access):
    result = on_stand_in("x = torch.ones(4).npu()\n" + access)
    assert result.returncode == -11
    assert "the host touched device memory" in result.stderr
    assert "8 bytes into an allocation of 2097152 bytes on device 0" in result.stderr


def test_copies_beyond_an_allocation_are_refused_with_its_size(device_memory):
    host = (ctypes.c_uint8 * 2000)()
    at = ctypes.addressof(host)
    assert copy(device_memory, at, 1000, HOST_TO_DEVICE) == 0
    assert copy(device_memory, at, 1001, HOST_TO_DEVICE) != 0
    assert "0 bytes into an allocation of 1000 bytes on device 0" in said()
    assert copy(at, device_memory + 600, 500, DEVICE_TO_HOST) != 0
    assert "the source is 500 bytes at " in said()
    assert copy(at, device_memory, 10, HOST_TO_DEVICE) != 0
    assert "where host memory is meant" in said()


@pytest.mark.parametrize("size", [2**64 - 1, 2**64 - 4, 2**63])
def test_sizes_that_would_wrap_around_are_refused(device_memory, size):
    host = (ctypes.c_uint8 * 16)()
    at, address = ctypes.addressof(host), ctypes.c_void_p()
    assert copy(device_memory + 8, at, size, HOST_TO_DEVICE) != 0
    assert f"{size} bytes at " in said()
    assert copy(device_memory + 8, device_memory, size, DEVICE_TO_DEVICE) != 0
    assert acl.aclrtMemset(ctypes.c_void_p(device_memory + 8), ctypes.c_size_t(size), 0, ctypes.c_size_t(size)) != 0
    assert acl.aclrtMalloc(ctypes.byref(address), ctypes.c_size_t(size), 0) == 207001
    assert acl.aclrtMallocHost(ctypes.byref(address), ctypes.c_size_t(size)) == 207001


def test_a_kind_of_copy_that_does_not_exist_is_refused(device_memory):
    host = (ctypes.c_uint8 * 16)()
    assert copy(device_memory, ctypes.addressof(host), 8, 9) != 0
    assert said() == "aclrtMemcpy: kind must be 0 to 4, got 9"


@pytest.mark.parametrize(
    ("call", "arguments", "status"),
    [
        ("aclrtSynchronizeStream", 1, 107003),
        ("aclrtDestroyStream", 1, 107003),
        ("aclrtStreamQuery", 2, 107003),
        ("aclrtSynchronizeEvent", 1, 107004),
        ("aclrtDestroyEvent", 1, 107004),
        ("aclrtRecordEvent", 2, 107004),
        ("aclmdlRIDestroy", 1, 100000),
    ],
)
def test_what_is_not_a_handle_is_refused_with_its_value(call, arguments, status):
    torch.npu.init()
    assert getattr(acl, call)(*[ctypes.c_void_p(0x1234)] * arguments) == status
    assert re.fullmatch(f"{call}: .*: 0x1234", said())


@pytest.mark.parametrize("call", ["aclrtCreateStream", "aclrtCreateEvent", "aclrtGetDevice", "aclrtGetDeviceCount"])
def test_a_result_needs_a_place(call):
    torch.npu.init()
    assert getattr(acl, call)(None) == 100000
    assert said() == f"{call}: the place for a result is a null pointer"


def test_a_thread_without_a_device_is_refused():
    place, statuses = ctypes.c_void_p(), []

    def ask():
        statuses.append(acl.aclrtMalloc(ctypes.byref(place), ctypes.c_size_t(8), 0))
        statuses.append(acl.aclrtCreateStream(ctypes.byref(place)))
        statuses.append(acl.aclrtSynchronizeStream(None))
        statuses.append(acl.aclrtSynchronizeDevice())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert statuses == [107002] * 4


def test_an_event_and_a_stream_may_go_while_they_are_in_use():
    x = torch.arange(16.0).view(2, 8).npu()
    first, second = torch.npu.Stream(), torch.npu.Stream()
    event, stream = ctypes.c_void_p(), ctypes.c_void_p()
    assert acl.aclrtCreateStream(ctypes.byref(stream)) == 0
    torch.npu.synchronize()
    with simulator.fault("aclnnMoeGatingTopK", when="hang"):
        with torch.npu.stream(first):
            npu_moe_gating_top_k(x, 2)
        assert acl.aclrtCreateEvent(ctypes.byref(event)) == 0
        assert acl.aclrtRecordEvent(event, ctypes.c_void_p(first.npu_stream)) == 0
        assert acl.aclrtStreamWaitEvent(ctypes.c_void_p(second.npu_stream), event) == 0
        assert acl.aclrtDestroyEvent(event) == 0
        assert not second.query()
    second.synchronize()
    asking = threading.Thread(target=lambda: [acl.aclrtStreamQuery(stream, ctypes.byref(event)) for _ in range(2000)])
    asking.start()
    assert acl.aclrtDestroyStream(stream) == 0
    asking.join()
    assert acl.aclrtStreamQuery(stream, ctypes.byref(event)) == 107003


def test_freed_memory_is_refused_with_its_size():
    torch.npu.init()
    address = ctypes.c_void_p()
    acl.aclrtMalloc(ctypes.byref(address), ctypes.c_size_t(700), 0)
    assert acl.aclrtFree(address) == 0
    host = (ctypes.c_uint8 * 8)()
    assert copy(ctypes.addressof(host), address.value + 16, 8, DEVICE_TO_HOST) != 0
    assert "16 bytes into a freed allocation of 700 bytes on device 0" in said()
    assert acl.aclrtFree(address) != 0
    assert "not an address that aclrtMalloc gave" in said()


def test_allocations_are_listed_and_leaks_reported(device_memory):
    mine = [allocation for allocation in simulator.allocations() if allocation.address == device_memory]
    assert mine == [simulator.Allocation(0, device_memory, 1000)]
    leak = "torch.npu.set_device(0)\na = ctypes.c_void_p()\nacl = ctypes.CDLL('libascendcl.so')\n"
    leak += "acl.aclrtMalloc(ctypes.byref(a), ctypes.c_size_t(12345), 0)"
    assert "12345 bytes" in on_stand_in(leak, ASCEND_MOE_GATING_SIMULATOR_LEAKS="1").stderr
    assert "12345 bytes" not in on_stand_in(leak).stderr


def test_memory_runs_out_as_torch_npu_says_it():
    result = on_stand_in(
        "try:\n    x = torch.empty(200 << 20, dtype=torch.uint8, device='npu')\n"
        "except RuntimeError as error:\n    print(error)\n"
        "print(torch.npu.mem_get_info()[1], torch.empty(50 << 20, dtype=torch.uint8, device='npu').shape)",
        ASCEND_MOE_GATING_SIMULATOR_MEMORY=str(100 << 20),
    )
    assert "NPU out of memory. Tried to allocate 20" in result.stdout, result.stderr
    assert result.stdout.endswith("104857600 torch.Size([52428800])\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [("ASCEND_MOE_GATING_SIMULATOR_MEMORY", "1G"), ("ASCEND_MOE_GATING_SIMULATOR_DEVICES", "17")],
)
def test_settings_are_checked(name, value):
    result = on_stand_in("", **{name: value})
    assert result.returncode == 1
    assert f"ValueError: {name} must be " in result.stderr
    assert f"got '{value}'" in result.stderr
