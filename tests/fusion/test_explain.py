"""explain() says in a sentence what becomes of each gate, and draws it."""

import re
from pathlib import Path

import pytest
import torch

from ascend_moe_gating import explain
from tests.fusion.gates import GATES

GATE, PARAMETERS, _ = GATES["deepseek-v3 of transformers"]
LOGITS, BIAS = torch.randn(5, 256), torch.rand(256)


def fused(logits, bias):
    return GATE(logits, bias, **PARAMETERS)


def unnormalized(logits, bias):
    scores = logits.sigmoid()
    return torch.topk(scores, 8)


def of_logits(logits, bias):
    values, idx = torch.topk(logits, 8)
    return values.softmax(-1), idx


def leaking(logits, bias):
    scores = logits.softmax(-1)
    return *torch.topk(scores, 8), scores


def half(logits, bias):
    return torch.topk(logits.bfloat16().softmax(-1), 8)


def too_many_groups(logits, bias):
    return GATE(logits, bias, **{**PARAMETERS, "groups": 128, "kept": 64})


WHY_NOT = {
    unnormalized: r"is not fused: the weights of a sigmoid are not divided by their sum, as the operator does",
    of_logits: r"is not fused: the experts are chosen first and scored afterwards",
    leaking: r"is not fused: the intermediate result _softmax is also used by output",
    half: r"is not fused: the scores are computed in bfloat16, the operator computes in float32",
    too_many_groups: r"is not fused: group_count times .* must be at most 2048 where .*, got 128 \* 32 = 4096 \(C7\)",
}


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_a_fused_gate_is_described_by_its_line_and_parameters(dynamic):
    explanation = explain(fused, (LOGITS, BIAS), dynamic=dynamic)
    assert explanation.fused == len(explanation.gates) == explanation.graphs == 1
    head, sentence = str(explanation).splitlines()
    assert head == "1 of 1 gates in 1 graph fused"
    file, line, parameters = re.fullmatch(r"the gate at (.*):(\d+) is fused: (.*)", sentence).groups()
    assert "torch.topk(choice" in Path(file).read_text().splitlines()[int(line) - 1]
    assert parameters == (
        "k=8, norm_type=1, k_group=4, group_count=8, group_select_mode=1, eps=1e-20, routed_scaling_factor=2.5"
    )


@pytest.mark.parametrize("gate", WHY_NOT, ids=lambda gate: gate.__name__)
def test_an_unfused_gate_says_why(gate):
    explanation = explain(gate, (LOGITS, BIAS))
    assert (explanation.fused, len(explanation.gates)) == (0, 1)
    assert re.search(f"^the gate at {re.escape(__file__)}:\\d+ |^the gate at .*gates.py", str(explanation.gates[0]))
    assert re.search(WHY_NOT[gate], str(explanation.gates[0]))


def test_a_model_without_gates():
    assert str(explain(torch.nn.Linear(256, 4), LOGITS)) == "no gate found in 1 graph"


def test_results_and_gradients_are_left_alone():
    layer = torch.nn.Linear(256, 256)
    explain(lambda x: fused(layer(x), BIAS), LOGITS)
    fused(layer(LOGITS), BIAS)[0].sum().backward()
    assert layer.weight.grad is not None


@pytest.mark.parametrize("gate", [fused, unnormalized], ids=["fused", "not fused"])
def test_the_picture(gate, tmp_path):
    explain(gate, (LOGITS, BIAS), picture=tmp_path / "gate.svg")
    picture = (tmp_path / "gate.svg").read_text()
    assert picture.startswith("<?xml")
    texts = re.findall(r"<!-- (.*?) -->", picture)
    assert ("npu.npu_moe_gating_top_k" in texts) == (gate is fused)
    assert "aten.topk" in texts
    assert any(text.startswith("before: ") for text in texts)
