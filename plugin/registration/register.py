"""One operator, one identity: give each operator of this package whatever the installed packages lack of it.

Where torch_npu defines the operator, it gains a CPU kernel, complete shape inference and a checking converter; where
nothing defines it, it is defined here, with the direct aclnn call as its NPU kernel if there is one.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn

import torch

from ascend_moe_gating import simulator
from ascend_moe_gating.plugin.constraints.needs import present_and
from ascend_moe_gating.plugin.constraints.rules import make_known_to_dynamo
from ascend_moe_gating.plugin.constraints.signature import NAMESPACE
from ascend_moe_gating.plugin.constraints.users_line import names_the_users_line
from ascend_moe_gating.plugin.cpu import kernel
from ascend_moe_gating.plugin.cpu import npu_moe_gating_top_k_gradient as gradient
from ascend_moe_gating.plugin.environment import packages, switches
from ascend_moe_gating.plugin.gradients.autograd import differentiable
from ascend_moe_gating.plugin.registration.after_import import after_import, importing
from ascend_moe_gating.plugin.registration.operators import OPERATORS, Operator

_TORCHAIR_CONVERTERS = "torchair._ge_concrete_graph.ge_converter.custom"
_TORCHAIR_GRAPHS = "torchair.core._backend"
_COMPILERS = ("torchair.npu_fx_compiler", "npugraph_ex.npu_fx_compiler")  # the second is the backend of that name


@dataclass(frozen=True)
class Status:
    """What an operator can do in this process; `print(ascend_moe_gating.status())`."""

    name: str
    definition: str
    cpu: str
    npu: str
    shape_inference: str
    graph: str
    fusion: str
    cann: str = ""  # as it is when it is asked for

    def __str__(self) -> str:
        rows = {
            "operator": f"{self.name}, {self.definition}",
            "CPU": self.cpu,
            "NPU": self.npu,
            "CANN": self.cann,
            "shapes": self.shape_inference,
            "graph": self.graph,
            "fusion": self.fusion,
        }
        return "\n".join(f"{name:9} {text}" for name, text in rows.items())


_libraries: list[torch.library.Library] = []  # a registration ends with its Library
_statuses: dict[str, Status] = {}


def status(operator: str = OPERATORS[0].name) -> Status:
    """What is available of an operator, and why something is not.

    Raises:
        ValueError: this package has no operator of that name, or a variable of the environment has a wrong value.
    """
    for understood in (switches.FUSE.on, switches.DIRECT_ACLNN.on, kernel.vector):
        understood()
    register()
    if not _statuses:
        raise RuntimeError("ascend_moe_gating.status() was called while torch or torch_npu is being imported")
    if operator not in _statuses:
        raise ValueError(f"operator must be {' or '.join(_statuses)}, got {operator}")
    needs = next(known.constraints.NEEDS for known in OPERATORS if known.name == operator)
    return replace(_statuses[operator], cann=present_and(needs))


def register() -> None:
    """Register once, as soon as torch and torch_npu are completely imported; later calls do nothing."""
    if _statuses or importing("torch") or importing("torch_npu"):
        return
    missing = packages.missing_torch_npu()
    if _statuses:  # the end of that import has brought somebody here
        return
    _define_gradient()
    for operator in OPERATORS:
        _statuses[operator.name] = _register(operator, missing)
    if not missing:
        after_import(_TORCHAIR_GRAPHS, _register_refusals)
        for compiler in _COMPILERS:
            after_import(compiler, functools.partial(_register_fusion, compiler))


def _register(operator: Operator, missing: str) -> Status:
    definition, ours = _define(operator)
    cpu = _register_cpu(operator)
    shapes = _register_meta(operator)
    npu = _register_npu(operator, missing, ours)
    _register_gradient(operator)
    table = operator.constraints
    checks = functools.partial(make_known_to_dynamo, table.CHECKS, table.CONSTRAINTS, table.REFUSALS)
    after_import("torch._dynamo", checks)
    no_graphs = missing or packages.missing_torchair()
    graph = no_graphs or f"converter to {operator.node}, registered when torchair loads its own"
    if not missing:
        after_import(_TORCHAIR_CONVERTERS, functools.partial(_register_converter, operator))
        _serve_torch_npu_name(operator)
    fusion = "hand-written gates do not become that node"
    if operator is OPERATORS[0]:
        unless = f"unless {switches.FUSE.variable}=0"
        fusion = no_graphs or f"hand-written gates become that node when torchair compiles, {unless}"
    return Status(operator.name, definition, cpu, npu, shapes, graph, fusion)


def _register_fusion(compiler: str) -> None:
    from ascend_moe_gating.converters.fusion import hook  # takes a while, and who compiles nothing needs none of it

    hook.register(sys.modules[compiler])


def _register_refusals() -> None:
    from ascend_moe_gating.converters import refusals

    refusals.register(sys.modules[_TORCHAIR_GRAPHS])


def _library(kind: str = "IMPL") -> torch.library.Library:
    library = torch.library.Library(NAMESPACE, kind)
    _libraries.append(library)
    return library


def _overload(operator: Operator) -> torch._ops.OpOverload:
    return getattr(getattr(torch.ops, NAMESPACE), operator.name).default


def _define(operator: Operator) -> tuple[str, bool]:
    """Define the operator unless somebody has."""
    if getattr(getattr(torch.ops, NAMESPACE), operator.name, None) is None:
        _library("FRAGMENT").define(operator.signature.schema)
        return "defined by this plugin", True
    operator.signature.compare(_overload(operator))
    version = getattr(sys.modules.get("torch_npu"), "__version__", "of unknown version")
    lacks = " and ".join(operator.signature.absent)
    return f"defined by torch_npu {version}{lacks and f', without {lacks}'}", False


def _define_gradient() -> None:
    library = torch.library.Library("ascend_moe_gating", "DEF")
    _libraries.append(library)
    library.define(gradient.SCHEMA)
    library.impl("npu_moe_gating_top_k_gradient", gradient.npu_moe_gating_top_k_gradient, "CPU")
    library.impl("npu_moe_gating_top_k_gradient", gradient.empty_gradient, "Meta")


def _register_cpu(operator: Operator) -> str:
    if operator.compiled_cpu is None:
        _library().impl(operator.name, operator.cpu, "CPU")
        return "composed of torch's operations"
    way = ""
    if not operator.compiled_cpu():
        _library().impl(operator.name, operator.cpu, "CPU")
        way = ", called through Python: this torch has no C interface for operators"
    try:
        return f"compiled kernel ({kernel.vector()}){way}"
    except ValueError as error:  # of the first call; it is no reason why torch could not be imported
        return f"not available ({error})"


def _register_meta(operator: Operator) -> str:
    """Ours takes the place of torch_npu's."""
    _override(operator.name, names_the_users_line(operator.meta), "Meta")
    return "complete, with the constraints"


def _register_gradient(operator: Operator) -> None:
    """For the keys of all devices; that of NPUs may be taken by torch_npu's, which reads what was never written."""
    kernels: dict[type, Callable[..., object]] = {}
    kernel = differentiable(operator.signature, _overload(operator), operator.gradient, kernels)
    for key in ("Autograd", "AutogradPrivateUse1"):
        _override(operator.name, kernel, key)
    after_import("torch.distributed.tensor", functools.partial(_register_dtensors, operator, kernels))


def _register_dtensors(operator: Operator, kernels: dict[type, Callable[..., object]]) -> None:
    from ascend_moe_gating.plugin.registration import dtensors  # which imports what a torch may be built without

    kernels.update(dtensors.register(operator, _overload(operator), _library()))


def _override(name: str, kernel: Callable[..., object], key: str) -> None:
    """Register a kernel whoever has one. Torch up to 2.12 allows no second one of Python unless it is told to."""
    library = _library()
    if "allow_override" in inspect.signature(library.impl).parameters:
        library.impl(name, kernel, key, allow_override=True)
    else:
        # What library.impl calls when it has found no other.
        library.m.impl(name, key, kernel, False)  # type: ignore[union-attr]


def _register_npu(operator: Operator, missing: str, ours: bool) -> str:
    if missing:
        return missing
    try:
        direct = switches.DIRECT_ACLNN.on()
    except ValueError as error:  # as on the CPU, the error of the first call
        _library().impl(operator.name, _refusing(error), "PrivateUse1")
        return f"not available ({error})"
    cann = "the host stand-in for CANN" if simulator.active() else "CANN"
    qualified = f"{NAMESPACE}::{operator.name}"
    theirs = not ours and torch._C._dispatch_has_kernel_for_dispatch_key(qualified, "PrivateUse1")
    if theirs and not direct:
        return f"torch_npu's kernel on {cann}"
    _library().impl(operator.name, operator.npu, "PrivateUse1")
    return f"direct {operator.npu_call} call on {cann}"


def _refusing(error: ValueError) -> Callable[..., NoReturn]:
    def kernel_that_refuses(*args: object, **kwargs: object) -> NoReturn:
        raise ValueError(*error.args)

    return kernel_that_refuses


def _register_converter(operator: Operator) -> None:
    """Make ours the operator's converter; torchair's own are imported, and replace what was there before them."""
    from torchair import register_fx_node_ge_converter

    register_fx_node_ge_converter(_overload(operator))(names_the_users_line(operator.converter))


def _serve_torch_npu_name(operator: Operator) -> None:
    """Let torch_npu's name of the operator check the constraints too: the device answers a bare 561002 to them."""
    import torch_npu

    public, packet = operator.public, getattr(getattr(torch.ops, NAMESPACE), operator.name)

    @functools.wraps(public)
    def served(*args, **kwargs):
        return public(*args, **kwargs)

    served.__module__ = torch_npu.__name__  # where pickle looks for it
    for attribute in {*dir(packet), *packet.overloads()} - {*dir(served)}:  # default, op, overloads and so on
        if not attribute.startswith("__"):
            setattr(served, attribute, getattr(packet, attribute))
    setattr(torch_npu, operator.name, served)
