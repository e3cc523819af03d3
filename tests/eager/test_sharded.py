"""replace_gates before and after a model is sharded, or its gradients are averaged: in a process of its own."""

import pytest

from tests.programs import on_stand_in

HEAD = """
import copy
import torch.distributed
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from ascend_moe_gating import replace_gates
from tests.eager.written_routers import Router

torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.before, self.gate = nn.Linear(64, 64), Router()

    def forward(self, x):
        return self.gate(self.before(x))

def step(model, of):
    weights, _ = model(torch.randn(5, 64, generator=torch.Generator().manual_seed(1)))
    (weights * torch.arange(4)).sum().backward()
    gradients = [getattr(p.grad, "to_local", lambda: p.grad)().clone() for p in of.parameters()]
    of.zero_grad()
    return [weights.detach(), *gradients]

plain = Model()
expected = step(plain, plain)

def check(replaced, whole, model):
    for _ in range(2):
        torch.testing.assert_close(step(whole, model), expected, rtol=1e-4, atol=1e-5)
    assert replaced.fused == 1, replaced
    replaced.undo()
    torch.testing.assert_close(step(whole, model), expected, rtol=1e-4, atol=1e-5)
"""
AVERAGED = """
for first in (True, False):
    model = copy.deepcopy(plain)
    replaced = replace_gates(model) if first else None
    whole = nn.parallel.DistributedDataParallel(model)
    check(replaced or replace_gates(whole), whole, model)
    assert type(model.gate) is Router
"""
SHARDED = """
from torch.distributed.fsdp import fully_shard
for first in (True, False):
    model, mesh = copy.deepcopy(plain), init_device_mesh("cpu", (1,))
    replaced = replace_gates(model) if first else None
    fully_shard(model.gate, mesh=mesh)
    fully_shard(model, mesh=mesh)
    check(replaced or replace_gates(model), model, model)
    assert isinstance(model.gate, Router)
"""


@pytest.mark.parametrize("code", [AVERAGED, pytest.param(SHARDED, marks=pytest.mark.needs("fully_shard"))])
def test_before_and_after(code):
    result = on_stand_in(HEAD + code)
    assert result.returncode == 0, result.stderr
