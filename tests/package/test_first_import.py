"""Any module of the package can be the first thing that a process imports, and everything is registered once."""

import pytest

from tests.programs import ROOT, run

FILES = [
    file.relative_to(ROOT)
    for room in ("plugin", "meta", "converters", "simulator")
    for file in (ROOT / room).rglob("*.py")
]
MODULES = sorted(
    ".".join(("ascend_moe_gating", *file.with_suffix("").parts)).removesuffix(".__init__") for file in FILES
)
AUTOLOAD = pytest.mark.parametrize("autoload", ["0", "1"], ids=["without autoload", "with autoload"])

# To import torch and torch_npu takes seconds. Here they are imported once, without the package, and for each module a
# fork of that process imports them anew: the same modules, in the same order of events, only their code does not run.
EACH_IN_A_FORK = """
import importlib, os, sys, traceback
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from ascend_moe_gating import simulator

simulator.load()
for name in [name for name in sys.modules if name.split(".")[0] == "ascend_moe_gating"]:
    del sys.modules[name]
sys.meta_path[:] = [finder for finder in sys.meta_path if "ascend_moe_gating.plugin" not in type(finder).__module__]
autoload = os.environ["TORCH_DEVICE_BACKEND_AUTOLOAD"] == "1"
import torch, torch_npu, functorch.compile, torch._functorch.aot_autograd

class Again(MetaPathFinder, Loader):
    modules = {"torch": torch, "torch_npu": torch_npu}

    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self, is_package=True) if name in self.modules else None

    def create_module(self, spec):
        return self.modules[spec.name]

    def exec_module(self, module):
        if module is torch and autoload:
            importlib.import_module("torch_npu")

def first(name):
    for module in Again.modules:
        del sys.modules[module]
    sys.meta_path.insert(0, Again())
    importlib.import_module(name)
    import torch
    x = torch.zeros(2, 8)
    assert torch.ops.npu.npu_moe_gating_top_k(x, 2)[1].tolist() == [[0, 1], [0, 1]]
    register = importlib.import_module("ascend_moe_gating.plugin.registration.register")
    assert list(register._statuses) == [operator.name for operator in register.OPERATORS]
    assert "torch_npu" in register.status().definition
    assert importlib.import_module("torch_npu").npu_moe_gating_top_k(x, 2)[1].tolist() == [[0, 1], [0, 1]]

for name in sys.argv[1:]:
    if os.fork() == 0:
        try:
            first(name)
        except BaseException:
            print(f"{name} as the first import:")
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
            os._exit(1)
        os._exit(0)
    _, status = os.wait()
    print(name, status, flush=True)
"""


@pytest.mark.stand_in
@AUTOLOAD
def test_every_module_first(autoload):
    printed = run(EACH_IN_A_FORK, *MODULES, TORCH_DEVICE_BACKEND_AUTOLOAD=autoload)
    assert printed.splitlines()[-len(MODULES) :] == [f"{name} 0" for name in MODULES], printed


def test_what_needs_no_torch_imports_none():
    """The stand-in must be loaded before torch, and a switch is read by whoever asks."""
    names = [name for name in MODULES if ".simulator" in name or ".plugin.environment" in name]
    names += ["ascend_moe_gating.plugin.registration.after_import", "ascend_moe_gating.converters.fusion.switch"]
    assert run("import sys\n" + "".join(f"import {name}\n" for name in names) + "print('torch' in sys.modules)") == (
        "False\n"
    )
