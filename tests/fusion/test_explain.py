"""explain() says in a sentence what becomes of each gate, and draws it."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
import torchair

from ascend_moe_gating import explain, simulator
from tests.fusion.gates import GATES

GATE, PARAMETERS, _ = GATES["deepseek-v3 of transformers"]
LOGITS, BIAS = torch.randn(5, 256), torch.rand(256)


def fused(logits, bias):
    return GATE(logits, bias, **PARAMETERS)


def unnormalized(logits, bias):
    scores = logits.sigmoid()
    return torch.topk(scores, 8)


def scored_afterwards(logits, bias):
    values, idx = torch.topk(logits, 8)
    return values.sigmoid(), idx


def leaking(logits, bias):
    choice = logits.sigmoid() + bias
    idx = torch.topk(choice, 8)[1]
    weights = logits.sigmoid().gather(1, idx)
    return weights / weights.sum(-1, keepdim=True), idx, choice


def best_alone(logits, bias):
    return logits.softmax(-1).max(-1)


def half(logits, bias):
    return torch.topk(logits.bfloat16().softmax(-1), 8)


def too_many_groups(logits, bias):
    return GATE(logits, bias, **{**PARAMETERS, "groups": 128, "kept": 64})


WHY_NOT = {
    unnormalized: r"the weights of a sigmoid are not divided by their sum, as the operator does",
    scored_afterwards: r"the experts are chosen by their logits, and scored afterwards by no softmax",
    leaking: r"the result of add in the gate is also a result of the graph",
    half: r"the scores are computed in bfloat16, the operator computes in float32",
    too_many_groups: r"group_count times .* must be at most 2048 where .*, got 128 \* 32 = 4096 \(C7\)",
    best_alone: r"one expert is chosen by max, not by top-k",
}


def parameters_of(gate):
    return ", ".join(f"{name}={value}" for name, value in gate.parameters.items())


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_a_fused_gate_is_described_by_its_line_and_parameters(dynamic):
    explanation = explain(fused, (LOGITS, BIAS), dynamic=dynamic)
    assert explanation.fused == len(explanation.gates) == explanation.graphs == 1
    (gate,) = explanation.gates
    file, line, parameters = re.fullmatch(r"the gate at (.*):(\d+) is fused: (.*)", str(gate)).groups()
    assert "torch.topk(choice" in Path(file).read_text().splitlines()[int(line) - 1]
    assert parameters == (
        "k=8, norm_type=1, k_group=4, group_count=8, group_select_mode=1, eps=1e-20, routed_scaling_factor=2.5"
    )


@pytest.mark.parametrize("gate", WHY_NOT, ids=lambda gate: gate.__name__)
def test_an_unfused_gate_says_why(gate):
    explanation = explain(gate, (LOGITS, BIAS))
    assert (explanation.fused, len(explanation.gates)) == (0, 1)
    assert re.search(f"^the gate at {re.escape(__file__)}:\\d+ |^the gate at .*gates.py", str(explanation.gates[0]))
    assert re.search(f"is not fused: {WHY_NOT[gate]}", str(explanation.gates[0]))


class Layer(torch.nn.Module):
    def __init__(self, gate):
        super().__init__()
        self.linear, self.gate = torch.nn.Linear(64, 256), gate
        self.register_buffer("bias", BIAS)

    def forward(self, hidden_states):
        return self.gate(self.linear(hidden_states), self.bias)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList([Layer(fused), Layer(unnormalized)])

    def forward(self, hidden_states):
        return [layer(hidden_states) for layer in self.layers]


def test_the_table_of_a_model():
    with torch.no_grad():
        explanation = explain(Model(), torch.randn(5, 64))
    title, head, first, second = str(explanation).splitlines()
    assert title == "1 of 2 gates in 1 graph fused"
    assert head.split() == ["gate", "line", "module", "nodes", "becomes"]
    assert re.fullmatch(r"1 +gates.py:\d+ +layers\.0 +(\d+) -> 2 +npu_moe_gating_top_k\(k=8, .*\)", first)
    assert re.fullmatch(r"2 +test_explain.py:\d+ +layers\.1 +not fused: the weights of a sigmoid .*", second)
    assert all(first.index(word) == head.index(name) for word, name in (("gates.py", "line"), ("layers", "module")))


def test_the_table_as_a_page():
    with torch.no_grad():
        page = explain(Model(), torch.randn(5, 64)).html()
    document = ElementTree.fromstring(page.partition("\n")[2].replace('<meta charset="utf-8">', ""))
    rows = [["".join(cell.itertext()) for cell in row] for row in document.iter("tr")]
    assert rows[0] == ["gate", "line", "module", "nodes", "becomes"]
    assert [row[2] for row in rows[1:]] == ["layers.0", "layers.1"]
    assert rows[1][4].startswith("npu_moe_gating_top_k(k=8")
    assert [row.get("class") for row in document.iter("tr")][1:] == ["fused", "left"]
    assert not re.search(r"(src|href)=", page)  # it needs nothing else


@pytest.mark.parametrize("gradients", [False, True], ids=["without gradients", "with gradients"])
def test_what_is_explained_is_what_torchair_compiles(gradients):
    """A gate keeps what its backward pass needs, so that less of it is one node."""
    layer = Layer(fused)
    hidden_states = torch.randn(5, 64, requires_grad=gradients)
    with torch.set_grad_enabled(gradients):
        (gate,) = explain(layer, hidden_states).gates
        torch._dynamo.reset()
        model = torch.compile(layer.npu(), backend=torchair.get_npu_backend())
        with simulator.record() as log:
            model(hidden_states.npu())
    nodes = [launch.name for launch in log if launch.kind == "graph node"]
    assert gate.fused
    assert gate.parameters.get("out_flag", False) == gradients
    assert ("GatherElements" in nodes) == gradients
    assert nodes.count("MoeGatingTopK") == 1
    assert not {"TopKV2", "Sigmoid"}.intersection(nodes)


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
