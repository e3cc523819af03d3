"""Each path is really tried: it works, is refused or broken as the device does, and wrong numbers are noticed."""

import numpy
import pytest
import torch

import ascend_moe_gating
from ascend_moe_gating import simulator
from ascend_moe_gating.plugin import reference
from ascend_moe_gating.plugin.constraints.needs import missing
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import NEEDS, SIGNATURE
from ascend_moe_gating.plugin.doctor import known, paths, probe, remedies
from ascend_moe_gating.plugin.environment.cann import present
from ascend_moe_gating.plugin.environment.switches import FUSE

COMPILED = ("graph", "fused_gates", "captured_graph")  # tried by test_command.py, in a process of their own
EAGER = [name for name in paths.PATHS if name not in COMPILED]
KNOWN = {"npu": known.SOFTMAX, "npu_renorm": known.RENORM, "npu_norm_type_2": known.SQRT_SOFTPLUS}
FIELDS = {"torch": "2.10.0", "torch_npu": "torch_npu==2.10.0.post4", "set_env": "set_env.sh"}


def routing():
    return {"input_ids": numpy.array(known.INPUT_IDS), "tid2eid": numpy.array(known.TID2EID)}


@pytest.mark.parametrize("name", ["SOFTMAX", "RENORM", "SQRT_SOFTPLUS", "ROUTED"])
def test_known_results_are_those_of_the_definition(name):
    call = getattr(known, name)
    more = routing() if name == "ROUTED" else {}
    y, expert_idx, _ = reference.moe_gating_top_k(numpy.array(known.X, numpy.float32), known.K, **call.options, **more)
    assert expert_idx.tolist() == call.experts
    numpy.testing.assert_allclose(y, call.weights, atol=1e-6)


def test_the_known_gradient_is_that_of_torch():
    x = torch.tensor(known.X, dtype=torch.float64, requires_grad=True)
    (x.softmax(1).topk(known.K)[0] * torch.tensor(known.FACTORS)).sum().backward()
    numpy.testing.assert_allclose(x.grad, known.GRADIENT, atol=1e-6)


@pytest.mark.parametrize("name", EAGER)
def test_a_path_works_unless_torch_npu_lacks_it_or_cann_refuses_it(name):
    answer = probe.answer(name)
    if "hash" in name and SIGNATURE.absent:
        assert answer == {"state": "absent", "reason": "torch_npu's operator has no input_ids and tid2eid"}
    elif name == "npu_norm_type_2" and not present().soc.startswith("Ascend950"):
        assert answer["state"] == "refused"
        assert answer["reason"].startswith("norm_type=2 needs CANN 9.1 on 950 (C12); this is CANN ")
    else:
        assert answer["state"] == "works", answer
        assert answer["runs_by"]


@pytest.mark.stand_in
@pytest.mark.parametrize("soc", ["Ascend910B1", "Ascend950PR_9579"])
@pytest.mark.parametrize("cann", ["8.3", "8.5.0", "9.0.0", "9.1.0", "newest"])
@pytest.mark.parametrize("name", KNOWN)
def test_what_a_cann_refuses_is_what_the_table_of_needs_says(name, cann, soc):
    call = SIGNATURE.Call(torch.tensor(known.X), known.K, **KNOWN[name].options)
    with simulator.release(cann, soc):
        lacking, answer = missing(call, NEEDS), probe.answer(name)
        version = ".".join(map(str, present().version))
    if lacking:
        assert answer == {"state": "refused", "reason": lacking}
    else:
        assert answer == {
            "state": "works",
            "runs_by": f"torch_npu's kernel on the host stand-in for CANN {version}",
        }


@pytest.mark.stand_in
@pytest.mark.parametrize(
    ("entry_point", "status", "when", "label"),
    [
        ("aclnnMoeGatingTopKGetWorkspaceSize", 561002, "call", "refused"),
        ("aclnnMoeGatingTopKGetWorkspaceSize", 161002, "call", "refused"),
        ("aclnnMoeGatingTopKGetWorkspaceSize", 561003, "call", "no kernels"),
        ("aclnnMoeGatingTopK", 507015, "run", "device failed"),
        ("aclnnMoeGatingTopK", 500002, "call", "start of CANN"),
    ],
)
@pytest.mark.parametrize("name", ["npu", "npu_direct"])
def test_what_a_device_that_fails_says_leads_to_a_remedy(name, entry_point, status, when, label):
    with simulator.fault(entry_point, status, when=when):
        answer = probe.answer(name)
    assert answer["state"] == "broken", answer
    assert remedies.find(answer["text"], "path", FIELDS).label == label
    assert probe.answer(name)["state"] == "works"


def test_a_refusal_that_no_need_explains_is_broken(monkeypatch):
    def refuses(x, k, **options):
        raise RuntimeError("EZ9999")

    monkeypatch.setattr(ascend_moe_gating, "npu_moe_gating_top_k", refuses)
    assert probe.answer("npu")["state"] == "broken"
    assert probe.answer("cpu")["state"] == "broken"


WRONG = {
    "the experts are wrong": lambda weights, experts: (weights, experts + 1),
    "the weights are wrong": lambda weights, experts: (weights * 1.001, experts),
    "the weights are wrong: [[nan": lambda weights, experts: (weights * float("nan"), experts),
}


@pytest.mark.parametrize("said", WRONG)
@pytest.mark.parametrize(
    "name",
    ["cpu", "npu", "npu_renorm", pytest.param("cpu_hash_routing", marks=pytest.mark.needs("hash routing"))],
)
def test_wrong_results_are_noticed(monkeypatch, said, name):
    right = ascend_moe_gating.npu_moe_gating_top_k
    monkeypatch.setattr(
        ascend_moe_gating, "npu_moe_gating_top_k", lambda *args, **options: WRONG[said](*right(*args, **options)[:2])
    )
    answer = probe.answer(name)
    assert answer["state"] == "broken"
    assert said in answer["reason"]


@pytest.mark.parametrize("name", ["cpu_gradients", "npu_gradients"])
def test_wrong_gradients_are_noticed(monkeypatch, name):
    monkeypatch.setattr(known, "GRADIENT", [[value + 2e-4 for value in row] for row in known.GRADIENT])
    assert "the gradients are wrong" in probe.answer(name)["reason"]


@pytest.mark.parametrize("name", ["cpu_replace_gates", "npu_replace_gates"])
def test_a_gate_that_is_not_replaced_is_noticed(monkeypatch, name):
    results = [torch.tensor(rows, device=name[:3]) for rows in known.SOFTMAX[:0:-1]]
    monkeypatch.setattr(paths, "_written_out", lambda x: [result.clone() for result in results])
    assert "the gate stayed as it was" in probe.answer(name)["reason"]


def test_a_gate_that_is_not_fused_is_noticed(monkeypatch):
    monkeypatch.setattr(paths, "_compiled", lambda function: function(torch.tensor(known.X)))
    assert probe.answer("fused_gates")["reason"] == "AssertionError: the gate was not fused: []"
    monkeypatch.setenv(FUSE.variable, "0")
    assert probe.answer("fused_gates") == {"state": "absent", "reason": "switched off by ASCEND_MOE_GATING_FUSE"}


def test_a_wrong_switch_does_not_hide_that_a_path_works(monkeypatch):
    monkeypatch.setenv(FUSE.variable, "maybe")
    assert probe.answer("cpu") == {"state": "works", "runs_by": "not known, as status() refuses a switch"}
