"""What is said and what still works where torch_npu, its torchair or CANN is missing."""

import re

import pytest

from tests.programs import HIDE, run

CALL = """
import torch, ascend_moe_gating
assert torch.ops.npu.npu_moe_gating_top_k(torch.zeros(2, 8), 2)[1].tolist() == [[0, 1], [0, 1]]
assert ascend_moe_gating.npu_moe_gating_top_k(torch.zeros(2, 8), 2)[1].tolist() == [[0, 1], [0, 1]]
"""
STATUS_AND_BACKEND = """
status = ascend_moe_gating.status()
print(status.graph == status.fusion and status.graph)
print(status.definition)
try:
    ascend_moe_gating.get_npu_backend()
except ImportError as error:
    print(error)
"""
STAND_IN = "from ascend_moe_gating import simulator\nsimulator.load()\n"


@pytest.mark.stand_in
@pytest.mark.parametrize("first", ["import torch", "import ascend_moe_gating"])
def test_without_cann(first):
    """torch_npu is installed and does not load, as on a laptop."""
    printed = run(f"{first}\n{CALL}{STATUS_AND_BACKEND}", TORCH_DEVICE_BACKEND_AUTOLOAD="0")
    graph, definition, backend = printed.splitlines()
    assert re.fullmatch(r"not available \(torch_npu does not load: lib.*\)", graph)
    assert definition == "defined by this plugin"
    assert backend == f"get_npu_backend() is {graph}"


def test_without_torch_npu():
    printed = run(HIDE.format("torch_npu") + CALL + STATUS_AND_BACKEND, TORCH_DEVICE_BACKEND_AUTOLOAD="0")
    reason = "not available (torch_npu is not installed)"
    assert printed == f"{reason}\ndefined by this plugin\nget_npu_backend() is {reason}\n"


def test_a_torch_npu_without_torchair():
    remove = """
import os
there = os.path.exists
os.path.exists = lambda path: not str(path).endswith("/torchair") and there(path)
"""
    *_, graph, _, backend = run(STAND_IN + remove + CALL + STATUS_AND_BACKEND).splitlines()
    assert re.fullmatch(r"not available \(torch_npu \S+ has no torchair\)", graph)
    assert backend == f"get_npu_backend() is {graph}"


def test_a_torchair_that_does_not_load():
    """Its protobuf is missing: torch_npu does not ask for it when it is installed."""
    printed = run(STAND_IN + HIDE.format("google") + CALL + STATUS_AND_BACKEND)
    assert "get_npu_backend() is not available (torchair does not load: No module named 'google" in printed
