"""A host stand-in for CANN: the published torch_npu and torchair run without an NPU.

    import ascend_moe_gating.simulator as simulator
    simulator.load()          # before `import torch`
    import torch, torch_npu   # unmodified

or, for a script as it is: `python -m ascend_moe_gating.simulator script.py [arguments]`.

It is never used where a real CANN can be loaded. What it does not do fails and names itself. It imports no torch.
"""

from ascend_moe_gating.simulator.faults import fault
from ascend_moe_gating.simulator.library import active, real_cann
from ascend_moe_gating.simulator.loading import load
from ascend_moe_gating.simulator.recording import Allocation, Launch, Operand, Recording, allocations, record
from ascend_moe_gating.simulator.releases import release

__all__ = [
    "Allocation",
    "Launch",
    "Operand",
    "Recording",
    "active",
    "allocations",
    "fault",
    "load",
    "real_cann",
    "record",
    "release",
]
