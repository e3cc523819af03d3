"""The streams of the stand-in run by themselves, in the order that events give them, and tell what they ran."""

import ctypes
import json
import threading

import pytest
import torch

from ascend_moe_gating import npu_moe_gating_top_k, simulator
from tests.programs import on_stand_in

pytestmark = pytest.mark.stand_in

acl = ctypes.CDLL("libascendcl.so")
acl.aclGetRecentErrMsg.restype = ctypes.c_char_p


def test_work_is_asynchronous_and_queries_tell_when_it_is_done():
    x = torch.arange(16.0).view(2, 8).npu()
    stream, event = torch.npu.current_stream(), torch.npu.Event()
    with simulator.fault("aclnnMoeGatingTopK", when="hang"):
        expert_idx = npu_moe_gating_top_k(x, 2)[1]
        event.record()
        assert not stream.query()
        assert not event.query()
    event.synchronize()
    assert event.query()
    torch.npu.synchronize()
    assert stream.query()
    assert expert_idx.cpu().tolist() == [[7, 6], [7, 6]]


def test_a_copy_that_is_not_waited_for_has_not_happened():
    x = torch.arange(16.0).view(2, 8).npu()
    host = torch.zeros(2, 2, dtype=torch.int32).pin_memory()
    with simulator.fault("aclnnMoeGatingTopK", when="hang"):
        host.copy_(npu_moe_gating_top_k(x, 2)[1], non_blocking=True)
        assert host.tolist() == [[0, 0], [0, 0]]
    torch.npu.synchronize()
    assert host.tolist() == [[7, 6], [7, 6]]


def test_events_order_streams_and_only_they_do():
    x = torch.arange(16.0).view(2, 8).npu()
    first, second, third = torch.npu.Stream(), torch.npu.Stream(), torch.npu.Stream()
    event = torch.npu.Event()
    torch.npu.synchronize()
    with simulator.fault("aclnnMoeGatingTopK", when="hang"):
        with torch.npu.stream(first):
            npu_moe_gating_top_k(x, 2)
            event.record()
        second.wait_event(event)
        with torch.npu.stream(third):
            x.half()
        third.synchronize()  # nobody told it to wait
        assert not second.query()
    second.synchronize()
    assert second.query()


@pytest.mark.parametrize("queue", ["0", "1"])
def test_10000_launches_on_4_streams(queue):
    """Each stream chains additions to its own counter by the operator's results; events join them."""
    code = """
from ascend_moe_gating import npu_moe_gating_top_k
streams = [torch.npu.Stream() for _ in range(4)]
x = [torch.arange(8.0).roll(i).view(1, 8).npu() for i in range(8)]
kept = [[] for _ in streams]
torch.npu.synchronize()
before = torch.npu.memory_allocated()
for i in range(2500):
    for number, stream in enumerate(streams):
        with torch.npu.stream(stream):
            result = npu_moe_gating_top_k(x[(i + number) % 8], 1)[1]
            if i % 100 == number:
                kept[number].append((i, result))
            del result
torch.npu.synchronize()
for number, results in enumerate(kept):
    assert len(results) == 25
    for i, result in results:
        assert result.item() == (7 + i + number) % 8, (i, number)
del kept, result, results
torch.npu.synchronize()
print(torch.npu.memory_allocated() - before)
"""
    result = on_stand_in(code, TASK_QUEUE_ENABLE=queue)
    assert result.stdout.splitlines()[-1] == "0", result.stderr


def test_functions_of_the_host_run_in_the_order_of_the_stream():
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    seen = []
    function = kind(lambda data: seen.append((data, expert_idx_done())))
    x = torch.arange(16.0).view(2, 8).npu()
    host = torch.zeros(2, 2, dtype=torch.int32).pin_memory()

    def expert_idx_done():
        return host.tolist() == [[7, 6], [7, 6]]

    stream = ctypes.c_void_p(torch.npu.current_stream().npu_stream)
    with simulator.fault("aclnnMoeGatingTopK", when="hang"):
        host.copy_(npu_moe_gating_top_k(x, 2)[1], non_blocking=True)
        assert acl.aclrtLaunchHostFunc(stream, function, ctypes.c_void_p(5)) == 0
        assert seen == []
    torch.npu.synchronize()
    assert seen == [(5, True)]


def test_callbacks_run_on_the_thread_that_subscribed():
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    ran_on = []
    function = kind(lambda data: ran_on.append(threading.get_ident()))
    torch.npu.init()
    stream = ctypes.c_void_p(torch.npu.current_stream().npu_stream)
    assert acl.aclrtLaunchCallback(function, None, 1, stream) != 0
    assert b"no thread has subscribed" in acl.aclGetRecentErrMsg()
    thread = threading.Thread(target=lambda: acl.aclrtProcessReport(10000))
    thread.start()
    assert acl.aclrtSubscribeReport(ctypes.c_uint64(thread.ident), stream) == 0
    assert acl.aclrtLaunchCallback(function, None, 1, stream) == 0
    thread.join()
    torch.npu.synchronize()
    assert ran_on == [thread.ident]
    assert acl.aclrtUnSubscribeReport(ctypes.c_uint64(thread.ident), stream) == 0


# Insight


def test_a_recording_is_a_trace(tmp_path):
    x = torch.arange(16.0).view(2, 8).npu()
    side = torch.npu.Stream()
    torch.npu.synchronize()
    with simulator.record() as launches:
        npu_moe_gating_top_k(x, 2)
        torch.npu.synchronize()
        with torch.npu.stream(side):
            npu_moe_gating_top_k(x, 3)
    first, second = (launch for launch in launches if launch.kind == "aclnn")
    assert first.stream != second.stream
    assert 0 < first.duration < 1e6
    assert first.start + first.duration <= second.start
    launches.write_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    drawn = [event for event in events if event["ph"] == "X" and event["cat"] == "aclnn"]
    assert [event["name"] for event in drawn] == ["aclnnMoeGatingTopK"] * 2
    assert drawn[1]["args"]["attributes"]["k"] == 3
    assert (drawn[0]["ts"], drawn[0]["dur"]) == (first.start, first.duration)
    named = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    assert {(event["pid"], event["tid"]) for event in drawn} <= named
