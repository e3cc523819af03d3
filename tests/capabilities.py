"""What the installed torch and torch_npu may lack. A test asks with `@pytest.mark.needs("hash routing")`; where that is
missing it is skipped, and the reason names it. REQUIRE_EVERYTHING=1 makes what is missing a failure.
"""

import functools
import importlib.util
import os

import pytest
import torch

import ascend_moe_gating


def _hash_routing():
    from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import SIGNATURE

    ascend_moe_gating.status()  # which registers
    return not SIGNATURE.absent


def _torchair(name):
    from torchair import inference

    return hasattr(inference, name)


def _inductor():
    """Inductor on the CPU: some torch_npu import what only triton-ascend has, or its driver, whatever the device is."""
    try:
        torch.compile(lambda x: x + 1, backend="inductor")(torch.zeros(2))
    except Exception:
        return False
    return True


PROBES = {
    "hash routing": _hash_routing,
    "npugraph_ex": lambda: importlib.util.find_spec("npugraph_ex") is not None,
    "dim gears": lambda: _torchair("set_dim_gears"),
    "cache_compile": lambda: _torchair("cache_compile"),
    "Inductor without triton-ascend": _inductor,
    "captured graphs": lambda: hasattr(torch.npu, "NPUGraph"),
}


@functools.cache
def has(capability):
    """Whether the capability of this name is there; a name that the table lacks is a KeyError."""
    return bool(PROBES[capability]())


def require(item):
    """Skip a test, or fail it, that needs what is missing. The mark that is closest to it counts."""
    marker = item.get_closest_marker("needs")
    missing = [capability for capability in marker.args if not has(capability)] if marker else []
    if missing:
        reason = f"the installed torch_npu lacks {' and '.join(missing)}"
        if os.environ.get("REQUIRE_EVERYTHING") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
