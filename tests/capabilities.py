"""What the installed torch and torch_npu may lack. A test asks with `@pytest.mark.needs("hash routing")`; where that is
missing it is skipped, and the reason names it. REQUIRE_EVERYTHING=1 makes what is missing a failure.
REQUIRE_BROWSER=1 and REQUIRE_COMPILER=1 do so for what is a part of the machine.
"""

import ctypes
import functools
import importlib.util
import os
import shutil

import pytest
import torch

import ascend_moe_gating
from tests import browser


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


def _random_numbers_in_captured_graphs():
    from tests.programs import on_stand_in  # a capture that fails would be felt by later ones

    capture = "with torch.npu.graph(torch.npu.NPUGraph()):\n    torch.rand(4, device='npu')\n"
    return on_stand_in(capture).returncode == 0


def _ascend950():
    from tests.programs import on_stand_in

    return on_stand_in("torch.npu.init()", ASCEND_MOE_GATING_SOC="Ascend950PR_9579").returncode == 0


def _graphs_of_other_tracers():
    """Graphs that dynamo has not made: they have no fake tensors."""
    import torchair

    graph_module = torch.fx.symbolic_trace(lambda x: (torch.ops.aten.neg.default(x),))
    try:
        torchair.get_compiler(torchair.CompilerConfig())(graph_module, [torch.zeros(2).npu()])
    except (KeyError, TypeError):
        return False
    return True


def _torchair_node(name):
    from torchair._ge_concrete_graph import ge_apis

    return hasattr(ge_apis, name)


def _post_grad_passes():
    import torchair

    return hasattr(torchair.CompilerConfig(), "post_grad_custom_post_pass")


def _one_hot_in_traces():
    from torch.fx.experimental.proxy_tensor import make_fx

    try:
        make_fx(lambda x: torch.nn.functional.one_hot(x, 4), tracing_mode="symbolic")(torch.zeros(3, 2).long())
    except RuntimeError:  # it asks for the values
        return False
    return True


def _numbers_in_dynamic_training():
    """A partition of forward and backward that takes a graph with a number that is symbolic."""
    import torchair

    scaled = torch.compile(lambda x, scale: x * scale, backend=torchair.get_npu_backend(), dynamic=True)
    try:
        scaled(torch.ones(3, 2, requires_grad=True, device="npu"), 2.5).sum().backward()
    except Exception:
        return False
    return True


def _fully_shard():
    from torch.distributed import fsdp

    return hasattr(fsdp, "fully_shard")


def _support_by_transformers():
    """A transformers that supports this torch; there is none of the version for Python 3.10."""
    if importlib.util.find_spec("transformers") is None:
        return False
    from transformers import is_torch_available

    return is_torch_available()


def _models_of_transformers():
    """A dynamo that can compile how transformers' models hand out what is inside of them."""
    if not _support_by_transformers():
        return False
    from transformers import MixtralConfig, MixtralForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_local_experts": 2}
    model = MixtralForCausalLM(MixtralConfig(**sizes, **heads))
    try:
        torch.compile(lambda ids: model(ids, use_cache=False).logits, backend="eager")(torch.zeros(1, 3).long())
    except NameError:
        return False
    return True


def _values_in_graphs():
    """Graphs up to where a function asks for the values of a tensor; else it is not compiled at all."""
    from functorch.compile import make_boxed_func
    from torch._functorch.aot_autograd import aot_module_simplified

    graphs = []

    def compile_graph(graph_module, _):
        graphs.append(graph_module)
        return make_boxed_func(graph_module.forward)

    backend = lambda graph_module, inputs: aot_module_simplified(graph_module, inputs, fw_compiler=compile_graph)  # noqa: E731
    torch.compile(lambda x: (2 * x, x.sum(0).tolist()), backend=backend)(torch.ones(3, 2, dtype=torch.int64))
    return bool(graphs)


PROBES = {
    "hash routing": _hash_routing,
    "the C interface for operators": lambda: hasattr(ctypes.CDLL("libtorch_cpu.so"), "aoti_torch_library_impl"),
    "support by transformers": _support_by_transformers,
    "transformers' models in dynamo": _models_of_transformers,
    "npugraph_ex": lambda: "npugraph_ex" in torch._dynamo.list_backends(exclude_tags=None),
    "dim gears": lambda: _torchair("set_dim_gears"),
    "cache_compile": lambda: _torchair("cache_compile"),
    "Inductor without triton-ascend": _inductor,
    "Ascend950": _ascend950,
    "graphs before tolist": _values_in_graphs,
    "captured graphs": lambda: hasattr(torch.npu, "NPUGraph"),
    "random numbers in captured graphs": _random_numbers_in_captured_graphs,
    "fully_shard": _fully_shard,
    "one_hot in traces": _one_hot_in_traces,
    "numbers in dynamic graphs with gradients": _numbers_in_dynamic_training,
    "graphs of other tracers than dynamo": _graphs_of_other_tracers,
    "passes over graphs of torchair": _post_grad_passes,
    "torchair's MoeGatingTopKSoftmaxV2": lambda: _torchair_node("MoeGatingTopKSoftmaxV2"),
    "a browser": lambda: browser.program() is not None,
    "a compiler": lambda: all(map(shutil.which, ("cc", "c++", "g++", "make"))),
}
# What the machine may lack, and torch's Inductor with it; the variables make that a failure.
OF_THE_MACHINE = {"a browser": "REQUIRE_BROWSER", "a compiler": "REQUIRE_COMPILER"}


@functools.cache
def has(capability):
    """Whether the capability of this name is there; a name that the table lacks is a KeyError."""
    return bool(PROBES[capability]())


def _needed(item):
    """What all marks of a test name; one that names nothing sets aside those around it."""
    for marker in item.iter_markers("needs"):
        yield from marker.args
        if not marker.args:
            return


def require(item):
    """Skip a test, or fail it, that needs what is missing."""
    missing = [capability for capability in dict.fromkeys(_needed(item)) if not has(capability)]
    of_the_machine = [capability for capability in missing if capability in OF_THE_MACHINE]
    if missing:
        where = "this machine" if of_the_machine else "the installed torch or torch_npu"
        reason = f"{where} lacks {' and '.join(of_the_machine or missing)}"
        variables = [OF_THE_MACHINE[capability] for capability in of_the_machine] or ["REQUIRE_EVERYTHING"]
        if any(os.environ.get(variable) == "1" for variable in variables):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
