"""The ways to call the operator, each tried with a call whose results are known. Runs in the process of a probe."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from ascend_moe_gating.plugin.doctor import known
from ascend_moe_gating.plugin.doctor.known import RENORM, ROUTED, SOFTMAX, SQRT_SOFTPLUS, Known

Answer = dict[str, Any]


class Path(NamedTuple):
    """A way to call the operator: what it is called, the tensors that it is for, and the trial."""

    title: str
    tensors: str  # CPU or NPU
    run: Callable[[], Answer]


def _x(device: str) -> Any:
    import torch

    return torch.tensor(known.X, device=device)


def _compare(expected: Known, results: Any) -> None:
    weights, experts = (result.detach().cpu().tolist() for result in results[:2])
    if experts != expected.experts:
        raise AssertionError(f"the experts are wrong: {experts} instead of {expected.experts}")
    _compare_numbers("weights", weights, expected.weights)


def _compare_numbers(name: str, found: list[list[float]], expected: list[list[float]]) -> None:
    for row, other in zip(found, expected, strict=True):
        if any(not abs(one - two) < 1e-4 for one, two in zip(row, other, strict=True)):
            raise AssertionError(f"the {name} are wrong: {found} instead of {expected}")


def _call(device: str, of: Known, function: Any = None) -> Answer:
    """Try one call. What the CANN that is there does not take, by the table of needs, is refused and not broken."""
    import torch

    from ascend_moe_gating import npu_moe_gating_top_k
    from ascend_moe_gating.plugin.constraints.needs import missing
    from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import NEEDS, SIGNATURE

    x, options = _x(device), dict(of.options)
    if of is ROUTED:
        if SIGNATURE.absent:
            return {"state": "absent", "reason": f"torch_npu's operator has no {' and '.join(SIGNATURE.absent)}"}
        options["input_ids"] = torch.tensor(known.INPUT_IDS, device=device)
        options["tid2eid"] = torch.tensor(known.TID2EID, device=device)
    try:
        _compare(of, (function or npu_moe_gating_top_k)(x, known.K, **options))
    except RuntimeError:
        lacking = missing(SIGNATURE.Call(x, known.K, **options), NEEDS) if device == "npu" else ""
        if not lacking:
            raise
        return {"state": "refused", "reason": lacking}
    return {"runs_by": _runs_by(device)}


def _runs_by(device: str) -> str:
    """What status() says of a device, with the release of CANN."""
    from ascend_moe_gating import status
    from ascend_moe_gating.plugin.environment.cann import present

    try:
        said = getattr(status(), device)
    except ValueError:  # of a switch: the path has run, and the command speaks of the switches by itself
        return "not known, as status() refuses a switch"
    release = present().version
    return said if device == "cpu" or release is None else f"{said} {'.'.join(map(str, release))}"


def _cpu() -> Answer:
    for of in (RENORM, SQRT_SOFTPLUS):
        _call("cpu", of)
    return _call("cpu", SOFTMAX)


def _gradients(device: str) -> Answer:
    import torch

    from ascend_moe_gating import npu_moe_gating_top_k

    x = _x(device).requires_grad_()
    weights, *_ = npu_moe_gating_top_k(x, known.K)
    (weights * torch.tensor(known.FACTORS, device=device)).sum().backward()
    _compare_numbers("gradients", x.grad.cpu().tolist(), known.GRADIENT)
    return {"runs_by": "compiled kernel" if device == "cpu" else "torch's operations"}


def _direct() -> Answer:
    from ascend_moe_gating.plugin.aclnn.npu_moe_gating_top_k import npu_moe_gating_top_k

    return {**_call("npu", SOFTMAX, npu_moe_gating_top_k), "runs_by": "aclnnMoeGatingTopK"}


def _written_out(x: Any) -> Any:
    import torch

    weights, experts = torch.topk(torch.softmax(x, -1), known.K, dim=-1)
    return weights, experts.to(torch.int32)


def _replaced(device: str) -> Answer:
    import torch

    from ascend_moe_gating import replace_gates

    class Gate(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return _written_out(x)

    gate = Gate()
    replaced = replace_gates(gate)
    _compare(SOFTMAX, gate(_x(device)))
    if replaced.fused != 1:
        raise AssertionError(f"the gate stayed as it was: {replaced}")
    return {"runs_by": _runs_by(device)}


def _compiled(mode: str = "", function: Any = None) -> Any:
    """The results of a compiled call, the second one: a captured graph is run again then."""
    import torch
    import torchair

    from ascend_moe_gating import npu_moe_gating_top_k

    config = torchair.CompilerConfig()
    if mode == "reduce-overhead":
        config.mode = mode
    backend = mode if mode == "npugraph_ex" else torchair.get_npu_backend(compiler_config=config)
    torch._dynamo.reset()
    function = function or (lambda x: npu_moe_gating_top_k(x, known.K))
    call = torch.compile(function, backend=backend, dynamic=False, fullgraph=True)
    with torch.no_grad():
        call(_x("npu"))
        return call(_x("npu"))


def _no_torchair() -> str:
    from ascend_moe_gating.plugin.environment.packages import missing_torchair

    return missing_torchair()


def _graph() -> Answer:
    if reason := _no_torchair():
        return {"state": "absent", "reason": reason}
    _compare(SOFTMAX, _compiled())
    return {"runs_by": "the node MoeGatingTopK of torchair"}


def _captured() -> Answer:
    torch: Any = import_module("torch")
    if reason := _no_torchair():
        return {"state": "absent", "reason": reason}
    if not hasattr(torch.npu, "NPUGraph"):
        return {"state": "absent", "reason": "this torch_npu has no torch.npu.NPUGraph"}
    import torchair  # noqa: F401  registers the backend

    modes = ["reduce-overhead"]
    if "npugraph_ex" in torch._dynamo.list_backends(exclude_tags=None):
        modes.append("npugraph_ex")  # the other way round torchair registers something twice
    for mode in modes:
        _compare(SOFTMAX, _compiled(mode))
    return {"runs_by": " and ".join(modes)}


class _Reports(logging.Handler):
    """What the fusion pass says of the gates that it meets."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.gates: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.gates += record.args or ()


def _fused() -> Answer:
    from ascend_moe_gating.plugin.environment.switches import FUSE

    if reason := _no_torchair():
        return {"state": "absent", "reason": reason}
    if not FUSE.on():
        return {"state": "absent", "reason": f"switched off by {FUSE.variable}"}
    logger, reports = logging.getLogger("ascend_moe_gating.converters.fusion.hook"), _Reports()
    logger.setLevel(logging.INFO)
    logger.addHandler(reports)
    _compare(SOFTMAX, _compiled(function=_written_out))
    if [gate.fused for gate in reports.gates] != [True]:
        raise AssertionError(f"the gate was not fused: {reports.gates}")
    return {"runs_by": "the node MoeGatingTopK of torchair"}


PATHS = {
    "cpu": Path("the operator", "CPU", _cpu),
    "cpu_hash_routing": Path("hash routing", "CPU", lambda: _call("cpu", ROUTED)),
    "cpu_gradients": Path("gradients", "CPU", lambda: _gradients("cpu")),
    "cpu_replace_gates": Path("replace_gates", "CPU", lambda: _replaced("cpu")),
    "npu": Path("the operator, eager", "NPU", lambda: _call("npu", SOFTMAX)),
    "npu_renorm": Path("renorm=1", "NPU", lambda: _call("npu", RENORM)),
    "npu_norm_type_2": Path("norm_type=2", "NPU", lambda: _call("npu", SQRT_SOFTPLUS)),
    "npu_hash_routing": Path("hash routing", "NPU", lambda: _call("npu", ROUTED)),
    "npu_gradients": Path("gradients", "NPU", lambda: _gradients("npu")),
    "npu_direct": Path("direct aclnn call", "NPU", _direct),
    "npu_replace_gates": Path("replace_gates, eager", "NPU", lambda: _replaced("npu")),
    "graph": Path("GE graph", "NPU", _graph),
    "fused_gates": Path("written-out gates in it", "NPU", _fused),
    "captured_graph": Path("captured graph", "NPU", _captured),
}
