"""MoEGate in a model that is sharded with mixed precision, or whose gradients are averaged: in a process of its own."""

import pytest

from tests.programs import on_stand_in

HEAD = """
import torch.distributed
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from ascend_moe_gating import MoEGate

torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.before, self.gate = nn.Linear(64, 64), MoEGate(64, 32, 4)

    def forward(self, x):
        return self.gate(self.before(x))

def step(model, of):
    weights, _ = model(torch.randn(5, 64))
    assert weights.dtype == torch.float32
    (weights[:, 0] - weights[:, 3]).sum().backward()
    for parameter in (of.before.weight, of.gate.weight):
        assert getattr(parameter.grad, "to_local", lambda: parameter.grad)().abs().max() > 0
"""


def run(code):
    result = on_stand_in(HEAD + code)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.needs("fully_shard")
def test_mixed_precision_is_refused_and_the_words_help():
    code = """
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
mesh, half = init_device_mesh("cpu", (1,)), MixedPrecisionPolicy(param_dtype=torch.bfloat16)
model = fully_shard(Model(), mesh=mesh, mp_policy=half)
try:
    model(torch.randn(5, 64))
except TypeError as error:
    print(error)
model = Model()
fully_shard(model.gate, mesh=mesh)
step(fully_shard(model, mesh=mesh, mp_policy=half), model)
"""
    assert "weight must be float32 where the gate routes, got bfloat16: leave the gate out of mixed precision" in run(
        code
    )


def test_gradients_are_averaged():
    run("model = Model()\nstep(nn.parallel.DistributedDataParallel(model), model)\n")
