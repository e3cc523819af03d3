"""In any order of imports there is one operator, on every device, with this package's converters in torchair."""

import pytest

from tests.programs import on_stand_in, run

STAND_IN = "from ascend_moe_gating import simulator\nsimulator.load()\n"
EVERYTHING_WORKS = """
import torch, torch_npu, torchair
import ascend_moe_gating
x = torch.arange(8.0).view(1, 8)
for given in (x, x.npu()):
    for call in (ascend_moe_gating, torch_npu, torch.ops.npu):
        assert call.npu_moe_gating_top_k(given, 3)[1].tolist() == [[7, 6, 5]]
        assert call.npu_moe_gating_top_k_softmax_v2(given, k=2)[1].tolist() == [[7, 6]]

def gates(x):
    return torch.ops.npu.npu_moe_gating_top_k_softmax_v2(x, k=2)[1], torch.ops.npu.npu_moe_gating_top_k(x, 3)[1]

model = torch.compile(gates, backend=torchair.get_npu_backend(), fullgraph=True)
print([result.cpu().tolist() for result in model(x.npu())])
import torchair._ge_concrete_graph.ge_converter.custom
for name in ("npu_moe_gating_top_k", "npu_moe_gating_top_k_softmax_v2"):
    print(getattr(torch.ops.npu, name).default._ge_converter.__wrapped__.__module__)
wrapped = sys.modules["torchair.npu_fx_compiler"]._optimize_fx
print(hasattr(wrapped, "__wrapped__"), hasattr(wrapped.__wrapped__, "__wrapped__"))
"""
# The first of these is what a user's program imports first. Every module first: tests/package/test_first_import.py.
# With autoload torch imports torch_npu: what differs is what comes before torch, and after both.
WITH_AUTOLOAD = (
    "import ascend_moe_gating, torch, torch_npu",
    "import torch, ascend_moe_gating, torchair",
    "import torch, torch_npu, torchair._ge_concrete_graph.ge_converter.custom, ascend_moe_gating",
    "from ascend_moe_gating.plugin.npu_moe_gating_top_k_softmax_v2 import check\nimport torchair",
)
ORDERS = (
    "import ascend_moe_gating, torch, torch_npu",
    "import ascend_moe_gating, torch_npu, torchair, torch",
    "import torch, ascend_moe_gating, torch_npu",
    "import torch_npu, torchair, ascend_moe_gating",
    "import torch_npu, ascend_moe_gating",
    "import torch, torch_npu, torchair._ge_concrete_graph.ge_converter.custom, ascend_moe_gating",
    "import torch, torch_npu, torchair, ascend_moe_gating, ascend_moe_gating.plugin.registration.register",
    "import ascend_moe_gating, ascend_moe_gating.plugin.npu_moe_gating_top_k, torch_npu",
    "import ascend_moe_gating\nfrom ascend_moe_gating import npu_moe_gating_top_k_softmax_v2\nimport torchair",
    "from ascend_moe_gating.plugin.npu_moe_gating_top_k_softmax_v2 import check\nimport torchair",
    "import ascend_moe_gating.meta.npu_moe_gating_top_k",
    "import ascend_moe_gating.converters.fusion.hook",
)


@pytest.mark.parametrize(
    ("order", "autoload"),
    [
        pytest.param(order, autoload, id=f"{'with' if autoload == '1' else 'without'} autoload: {order!r}")
        for autoload, orders in (("0", ORDERS), ("1", WITH_AUTOLOAD))
        for order in orders
    ],
)
def test_everything_works(order, autoload):
    printed = run(f"import sys\n{STAND_IN}{order}\n{EVERYTHING_WORKS}", TORCH_DEVICE_BACKEND_AUTOLOAD=autoload)
    assert printed.splitlines()[-4:] == [
        "[[[7, 6]], [[7, 6, 5]]]",
        "ascend_moe_gating.converters.npu_moe_gating_top_k",
        "ascend_moe_gating.converters.npu_moe_gating_top_k_softmax_v2",
        "True False",
    ]


def test_the_direct_aclnn_call_is_selected_by_one_variable():
    program = """
import ascend_moe_gating
x = torch.arange(16.0).view(2, 8)
assert "direct aclnnMoeGatingTopK call" in ascend_moe_gating.status().npu
assert ascend_moe_gating.npu_moe_gating_top_k(x, 2)[1].tolist() == [[7, 6], [7, 6]]
assert ascend_moe_gating.npu_moe_gating_top_k(x.npu(), 2)[1].cpu().tolist() == [[7, 6], [7, 6]]
"""
    result = on_stand_in(program, ASCEND_MOE_GATING_ACLNN="1")
    assert result.returncode == 0, result.stderr
