"""One operator, one identity: give npu::npu_moe_gating_top_k whatever the installed packages lack of it.

Where torch_npu defines the operator, it gains a CPU kernel, complete shape inference and a checking converter; where
nothing defines it, it is defined here, with the direct aclnn call as its NPU kernel.
"""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass

import torch

from ascend_moe_gating import simulator
from ascend_moe_gating.converters import npu_moe_gating_top_k as converter
from ascend_moe_gating.meta.npu_moe_gating_top_k import npu_moe_gating_top_k as meta_kernel
from ascend_moe_gating.plugin import aclnn, cpu_dispatch, kernel
from ascend_moe_gating.plugin import npu_moe_gating_top_k as public
from ascend_moe_gating.plugin.after_import import after_import, importing
from ascend_moe_gating.plugin.constraints import keep_out_of_graphs_of_their_own
from ascend_moe_gating.plugin.cpu import NO_HASH_ROUTING
from ascend_moe_gating.plugin.cpu import npu_moe_gating_top_k as cpu_kernel
from ascend_moe_gating.plugin.schema import NAME, NAMESPACE, SCHEMA

DIRECT_ACLNN_VARIABLE = "ASCEND_MOE_GATING_ACLNN"
FUSION_VARIABLE = "ASCEND_MOE_GATING_FUSE"
_TORCHAIR_CONVERTERS = "torchair._ge_concrete_graph.ge_converter.custom"
COMPILERS = ("torchair.npu_fx_compiler", "npugraph_ex.npu_fx_compiler")  # the second is the backend of that name


@dataclass(frozen=True)
class Status:
    """What the operator can do in this process; `print(ascend_moe_gating.status())`."""

    definition: str
    cpu: str
    npu: str
    shape_inference: str
    graph: str
    fusion: str

    def __str__(self) -> str:
        rows = {
            "operator": self.definition,
            "CPU": self.cpu,
            "NPU": self.npu,
            "shapes": self.shape_inference,
            "graph": self.graph,
            "fusion": self.fusion,
        }
        return "\n".join(f"{name:9} {text}" for name, text in rows.items())


_libraries: list[torch.library.Library] = []  # a registration ends with its Library
_status: Status | None = None


def status() -> Status:
    """What is available, and why something is not."""
    register()
    if _status is None:
        raise RuntimeError("ascend_moe_gating.status() was called while torch or torch_npu is being imported")
    return _status


def register() -> None:
    """Register once, as soon as torch and torch_npu are completely imported; later calls do nothing."""
    global _status
    if _status is not None or importing("torch") or importing("torch_npu"):
        return
    missing = _import_torch_npu()
    definition, ours = _define()
    cpu = _register_cpu()
    shapes = _register_meta()
    npu = _register_npu(missing, ours)
    after_import("torch._dynamo", keep_out_of_graphs_of_their_own)
    graph = missing or "converter to MoeGatingTopK, registered when torchair loads its own"
    fusion = missing or f"hand-written gates become that node when torchair compiles, unless {FUSION_VARIABLE}=0"
    if not missing:
        after_import(_TORCHAIR_CONVERTERS, converter.register)
        for compiler in COMPILERS:
            after_import(compiler, functools.partial(_register_fusion, compiler))
        _serve_torch_npu_name()
    _status = Status(definition, cpu, npu, shapes, graph, fusion)


def _register_fusion(compiler: str) -> None:
    from ascend_moe_gating.converters import torchair_fusion  # takes a while, and who compiles nothing needs none of it

    torchair_fusion.register(sys.modules[compiler])


def _import_torch_npu() -> str:
    """Import torch_npu where it is installed; the reason if it is not there."""
    try:
        import torch_npu  # noqa: F401
    except ImportError as error:
        reason = "torch_npu is not installed" if error.name == "torch_npu" else f"torch_npu does not load: {error}"
        return f"not available ({reason})"
    return ""


def _library(kind: str = "IMPL") -> torch.library.Library:
    library = torch.library.Library(NAMESPACE, kind)
    _libraries.append(library)
    return library


def _has_kernel(key: str) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(f"{NAMESPACE}::{NAME}", key)


def _define() -> tuple[str, bool]:
    """Define the operator unless somebody has."""
    operator = getattr(getattr(torch.ops, NAMESPACE), NAME, None)
    if operator is None:
        _library("FRAGMENT").define(SCHEMA)
        return "defined by this plugin", True
    version = getattr(sys.modules.get("torch_npu"), "__version__", "of unknown version")
    return f"defined by torch_npu {version}", False


def _register_cpu() -> str:
    compiled = f"compiled kernel ({kernel.vector()})"
    if cpu_dispatch.register():
        return compiled
    _library().impl(NAME, cpu_kernel, "CPU")
    return f"{compiled}, called through Python: this torch has no C interface for operators"


def _register_meta() -> str:
    """Torch 2.7 to 2.12 allow no second Meta kernel: there the public function and the converter do the checks."""
    try:
        _library().impl(NAME, meta_kernel, "Meta")
    except RuntimeError:
        return "torch_npu's; this torch allows no other (constraints are checked before and after it)"
    return "complete, with the constraints"


def _register_npu(missing: str, ours: bool) -> str:
    direct = os.environ.get(DIRECT_ACLNN_VARIABLE, "0") not in ("", "0")
    if missing:
        return missing
    cann = "the host stand-in for CANN" if simulator.active() else "CANN"
    if not (direct or ours or not _has_kernel("PrivateUse1")):
        return f"torch_npu's kernel on {cann}"
    _library().impl(NAME, aclnn.npu_moe_gating_top_k, "PrivateUse1")
    return f"direct aclnnMoeGatingTopK call on {cann}"


def _serve_torch_npu_name() -> None:
    """Let torch_npu.npu_moe_gating_top_k check the constraints too: the device answers a bare 561002 to them."""
    import torch_npu

    operator = getattr(torch.ops, NAMESPACE).npu_moe_gating_top_k

    def npu_moe_gating_top_k(*args, input_ids=None, tid2eid=None, **kwargs):
        """ascend_moe_gating.npu_moe_gating_top_k; with input_ids and tid2eid torch_npu's own hash routing."""
        if input_ids is None and tid2eid is None:
            return public.npu_moe_gating_top_k(*args, **kwargs)
        if args and isinstance(args[0], torch.Tensor) and args[0].is_cpu:
            raise NotImplementedError(NO_HASH_ROUTING)
        return operator(*args, input_ids=input_ids, tid2eid=tid2eid, **kwargs)

    npu_moe_gating_top_k.default = operator.default  # type: ignore[attr-defined]
    torch_npu.npu_moe_gating_top_k = npu_moe_gating_top_k
