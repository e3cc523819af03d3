"""Captured graphs: torch.npu.graph, and the modes of torchair that use it."""

import copy
import ctypes
import re

import pytest
import torch
import torchair

from ascend_moe_gating import MoEGate, npu_moe_gating_top_k, simulator
from ascend_moe_gating.plugin.verify.cases import V3
from tests.programs import on_stand_in


def steps(first=0.0):
    return (torch.arange(16.0) + first).view(2, 8)


def capture(function):
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        results = function()
    return graph, results


@pytest.mark.stand_in
def test_a_captured_graph_runs_on_replay_only_and_reads_its_inputs_anew():
    x = steps().npu()
    with simulator.record() as launches:
        graph, (y, expert_idx, _) = capture(lambda: npu_moe_gating_top_k(x, 2))
    assert [launch for launch in launches if launch.name == "aclnnMoeGatingTopK"] == []
    for contents, best in ((steps(), [7, 6]), (steps().flip(1), [0, 1]), (steps(), [7, 6])):
        x.copy_(contents)
        graph.replay()
        assert expert_idx.cpu().tolist() == [best] * 2
        torch.testing.assert_close(y.cpu(), npu_moe_gating_top_k(contents, 2)[0])


@pytest.mark.stand_in
def test_a_replay_runs_what_was_captured():
    x = steps().npu()
    graph, _ = capture(lambda: npu_moe_gating_top_k(x, 2)[0] * 2)
    with simulator.record() as launches:
        graph.replay()
        graph.replay()
    # torch_npu 2.9 fills in the state of the random generator before each replay, whatever is in the graph.
    names = [launch.name for launch in launches if launch.name != "aclnnInplaceFillScalar"]
    assert names == ["aclnnMoeGatingTopK", "aclnnMuls"] * 2


def test_a_capture_follows_events_to_other_streams_and_back():
    x = steps().npu()
    side = torch.npu.Stream()

    def fork():
        first = npu_moe_gating_top_k(x, 2)[1]
        side.wait_stream(torch.npu.current_stream())
        with torch.npu.stream(side):
            second = first + 1
        torch.npu.current_stream().wait_stream(side)
        return second * 2

    graph, result = capture(fork)
    for contents, expected in ((steps(), [16, 14]), (steps().flip(1), [2, 4])):
        x.copy_(contents)
        graph.replay()
        assert result.cpu().tolist() == [expected] * 2
    assert (side.query(), torch.npu.current_stream().query()) == (True, True)


@pytest.mark.stand_in
def test_what_no_event_orders_shows_in_a_replay():
    x = torch.zeros(1).npu()
    side = torch.npu.Stream()

    def race():
        side.wait_stream(torch.npu.current_stream())
        with torch.npu.stream(side):
            x.fill_(1)
        seen = x + 0
        torch.npu.current_stream().wait_stream(side)
        return seen

    graph, seen = capture(race)
    values = []
    for _ in range(2):
        x.zero_()
        graph.replay()
        values.append(seen.item())
    assert sorted(values) == [0, 1]


def test_graphs_can_share_a_pool():
    x = steps().npu()
    pool = torch.npu.graph_pool_handle()
    graphs = []
    for k in (1, 3):
        graph = torch.npu.NPUGraph()
        with torch.npu.graph(graph, pool=pool):
            result = npu_moe_gating_top_k(x, k)[1]
        graphs.append((graph, result, k))
    for graph, result, k in graphs * 2:
        graph.replay()
        assert result.cpu().tolist() == [[7, 6, 5][:k]] * 2


@pytest.mark.needs("random numbers in captured graphs")
def test_random_numbers_are_new_in_each_replay():
    def draw():
        return [torch.rand(4, device="npu"), torch.randn(4, device="npu"), torch.randint(9**9, (4,), device="npu")]

    graph, drawn = capture(draw)
    replays = []
    for _ in range(2):
        graph.replay()
        replays.append([numbers.tolist() for numbers in drawn])
    for first, second in zip(*replays, strict=True):
        assert first != second


# After a capture that failed, torch_npu up to 2.10.0.post4 refuses every other one in the process.
FAILING = """
from ascend_moe_gating import npu_moe_gating_top_k

x = torch.arange(16.0).view(2, 8).npu()
event, side = torch.npu.Event(), torch.npu.Stream()
torch.npu.synchronize()

def capture(function):
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        result = function()
    return graph, result

def failing():
    npu_moe_gating_top_k(x, 2)
    {forbidden}

try:
    capture(failing)
except RuntimeError as error:
    print("refused:", f"{{error}} {{error.__context__}}".replace("\\n", " "))
print(npu_moe_gating_top_k(x, 2)[1].cpu().tolist())
try:
    graph, result = capture(lambda: npu_moe_gating_top_k(x, 2)[1])
    graph.replay()
    print(result.cpu().tolist())
except RuntimeError as error:
    if "captures_underway" not in str(error):
        raise
    print("torch_npu refuses")
"""


def refused(forbidden):
    result = on_stand_in(FAILING.format(forbidden=forbidden))
    assert result.returncode == 0, result.stderr
    said, eager, again = result.stdout.splitlines()[-3:]
    assert said.startswith("refused: ")
    assert eager == "[[7, 6], [7, 6]]"
    assert again in ("[[7, 6], [7, 6]]", "torch_npu refuses")
    return said


@pytest.mark.parametrize(
    ("forbidden", "message"),
    [
        ("x.cpu()", "while a stream is being captured|the stream is being captured"),
        ("torch.npu.synchronize()", "aclrtSynchronizeDevice.* is not possible while a stream is being"),
        ("torch.npu.current_stream().synchronize()", "aclrtSynchronizeStream: the stream is being captured"),
        ("torch.npu.current_stream().query()", "aclrtStreamQuery: the stream is being captured"),
        ("event.record(), event.synchronize()", "aclrtSynchronizeEvent: the event was recorded on a"),
    ],
    ids=["copy to the host", "device", "stream", "query", "event"],
)
def test_what_cannot_be_captured_says_so_and_leaves_the_device_working(forbidden, message):
    assert re.search(message, refused(forbidden))


@pytest.mark.stand_in
def test_a_capture_cannot_lose_its_stream_or_its_graph():
    acl = ctypes.CDLL("libascendcl.so")
    acl.aclGetRecentErrMsg.restype = ctypes.c_char_p
    torch.npu.init()
    stream, graph, status = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_int()
    assert acl.aclrtCreateStream(ctypes.byref(stream)) == 0
    assert acl.aclmdlRICaptureBegin(stream, 0) == 0
    assert acl.aclmdlRICaptureGetInfo(stream, ctypes.byref(status), ctypes.byref(graph)) == 0
    for call, arguments in (("aclmdlRIExecuteAsync", (graph, None)), ("aclmdlRIDestroy", (graph,))):
        assert getattr(acl, call)(*arguments) == 100000
        assert acl.aclGetRecentErrMsg().decode() == f"{call}: the graph is still being captured"
    assert acl.aclrtDestroyStream(stream) == 107027
    assert acl.aclmdlRICaptureEnd(stream, ctypes.byref(graph)) == 107030
    assert acl.aclGetRecentErrMsg().decode().endswith("aclrtDestroyStream: the stream is being captured")
    assert acl.aclmdlRICaptureEnd(stream, ctypes.byref(graph)) == 107029
    assert acl.aclrtDestroyStream(stream) == 0


FORK = """
    side.wait_stream(torch.npu.current_stream())
    with torch.npu.stream(side):
        npu_moe_gating_top_k(x, 2)
"""


def test_a_fork_that_does_not_come_back_is_refused():
    assert "which the capture forked to, was not joined by an event" in refused(FORK.strip())


def reduce_overhead():
    config = torchair.CompilerConfig()
    config.mode = "reduce-overhead"
    return torchair.get_npu_backend(compiler_config=config)


each_backend = pytest.mark.parametrize(
    "backend",
    [
        pytest.param(reduce_overhead, id="reduce-overhead"),
        pytest.param(lambda: "npugraph_ex", id="npugraph_ex", marks=pytest.mark.needs("npugraph_ex")),
    ],
)


@each_backend
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_compiled_for_capture(backend, dynamic):
    torch._dynamo.reset()
    torch.manual_seed(0)
    gate = MoEGate(64, 256, 8, k_group=4, group_count=8, routed_scaling_factor=2.5)
    with torch.no_grad():
        gate.weight.copy_(torch.randint(-8, 9, gate.weight.shape) / 64)
        gate.e_score_correction_bias.copy_(torch.rand(256) / 16)
    model = torch.compile(copy.deepcopy(gate).npu(), backend=backend(), dynamic=dynamic, fullgraph=True)
    for tokens in (6, 6, 10, 6):
        hidden_states = torch.randint(-8, 9, (tokens, 64)) / 8
        with torch.no_grad():
            weights, expert_idx = model(hidden_states.npu())
            expected = gate(hidden_states)
        assert torch.equal(expert_idx.cpu(), expected[1])
        torch.testing.assert_close(weights.cpu(), expected[0], rtol=1e-6, atol=0)


@each_backend
def test_the_operator_alone_compiled_for_capture(backend):
    torch._dynamo.reset()
    model = torch.compile(
        lambda x, bias: npu_moe_gating_top_k(x, 8, bias=bias, **V3), backend=backend(), fullgraph=True
    )
    x, bias = torch.randn(33, 256), torch.randn(256)
    for _ in range(3):
        actual = model(x.npu(), bias.npu())
        assert torch.equal(actual[1].cpu(), npu_moe_gating_top_k(x, 8, bias=bias, **V3)[1])
