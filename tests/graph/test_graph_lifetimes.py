"""Graphs come and go: several in turn, one again and again, and one that fails."""

import pytest
import torch

from ascend_moe_gating import npu_moe_gating_top_k, simulator
from tests.backends import torchair_backend
from tests.programs import start

BIAS = torch.randn(256, generator=torch.Generator().manual_seed(0))


class Gate(torch.nn.Module):
    def __init__(self, k=8):
        super().__init__()
        self.k = k

    def forward(self, x, bias):
        return npu_moe_gating_top_k(x, self.k, bias=bias, norm_type=1)[:2]


def assert_right(actual, x, k=8):
    y, expert_idx, _ = npu_moe_gating_top_k(x, k, bias=BIAS, norm_type=1)
    assert torch.equal(actual[1].cpu(), expert_idx)
    torch.testing.assert_close(actual[0].cpu(), y)


def test_several_graphs_in_turn():
    torch._dynamo.reset()
    models = {k: torch.compile(Gate(k), backend=torchair_backend(), dynamic=False) for k in (1, 3, 8)}
    for _ in range(3):
        for k, model in models.items():
            x = torch.randn(5, 256)
            assert_right(model(x.npu(), BIAS.npu()), x, k)


CYCLES = """
from ascend_moe_gating import simulator
simulator.load()
import torch, torch_npu, torchair
from ascend_moe_gating import npu_moe_gating_top_k
torch.npu.init()
x = torch.arange(64.0).view(2, 32).npu()
model = torch.compile(lambda x: npu_moe_gating_top_k(x, 2)[1], backend=torchair.get_npu_backend(), dynamic=False)

def cycle():
    torch._dynamo.reset()
    assert model(x).cpu().tolist() == [[31, 30], [31, 30]]

for _ in range(5):
    cycle()
before = len(simulator.allocations())
for _ in range(40):
    cycle()
print(len(simulator.allocations()) - before)
"""


@pytest.mark.stand_in
def test_compiling_again_and_again_holds_no_device_memory():
    result = start(["-c", CYCLES])
    assert result.stdout.splitlines()[-1] == "0", result.stderr


REPEATED = """
import os
from ascend_moe_gating import simulator
simulator.load()
import torch, torch_npu, torchair
from ascend_moe_gating import npu_moe_gating_top_k
from torchair.core._backend import TorchNpuGraph

loaded = []
load = TorchNpuGraph.load
TorchNpuGraph.load = lambda graph, *arguments: (loaded.append(arguments), load(graph, *arguments))[1]
x = torch.arange(64.0).view(2, 32).npu()
torch.compile(lambda x: npu_moe_gating_top_k(x, 2)[1], backend=torchair.get_npu_backend(), dynamic=True)(x)
TorchNpuGraph.load = load

def cycle(number):
    graph = TorchNpuGraph(f"repeated_{number}")
    graph.load(*loaded[0])
    graph.compile()
    assert graph.run([x], [None])[0].cpu().tolist() == [[31, 30], [31, 30]]

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

for number in range(200):
    cycle(number)
allocations, bytes_before = len(simulator.allocations()), resident()
for number in range(200, 1200):
    cycle(number)
print(len(simulator.allocations()) - allocations, (resident() - bytes_before) // 1000)
"""


@pytest.mark.stand_in
def test_a_thousand_graphs_loaded_compiled_run_and_removed_leave_memory_flat():
    result = start(["-c", REPEATED])
    allocations, bytes_per_graph = map(int, result.stdout.splitlines()[-1].split())
    assert allocations == 0, result.stderr
    assert bytes_per_graph < 1000


@pytest.mark.stand_in
def test_a_graph_that_fails_leaves_nothing_behind():
    x = torch.randn(4, 256).npu()
    torch._dynamo.reset()
    model = torch.compile(Gate(), backend=torchair_backend(), dynamic=True)
    for _ in range(3):
        torch._dynamo.reset()
        with (
            simulator.fault("ge::RunGraphWithStreamAsync", 145000),
            pytest.raises(RuntimeError, match="returned 145000"),
        ):
            model(x, BIAS.npu())
        assert_right(model(x, BIAS.npu()), x.cpu())
