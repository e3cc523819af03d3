"""What the README shows is true."""

import re

import numpy as np
import pytest
import torch

from ascend_moe_gating.plugin.constraints.needs import A2_A3, A5
from ascend_moe_gating.plugin.reference import choose_experts, moe_gating_top_k
from ascend_moe_gating.plugin.registration.operators import OPERATORS
from ascend_moe_gating.plugin.verify.cases import CASES
from tests.programs import ROOT, launch, start

README = (ROOT / "README.md").read_text()
USE, GATE, BALANCE, EXPLAINS, REPLACES, EQUIVALENT, TELLS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_lines_for_an_npu_run_as_they_are(tmp_path):
    script = tmp_path / "use.py"
    script.write_text(USE + "print(weights.shape, weights.device, experts.dtype)\n")
    assert launch(script).endswith("torch.Size([16, 8]) npu:0 torch.int32\n")


@pytest.mark.stand_in
def test_the_lines_for_the_stand_in_do_what_they_say(tmp_path):
    script = tmp_path / "tells.py"
    trace = tmp_path / "trace.json"
    script.write_text(USE + TELLS.replace("trace.json", str(trace)))
    result = start(["-m", "ascend_moe_gating.simulator", script])
    assert result.returncode == 1
    assert re.search("aclnnMoeGatingTopKGetWorkspaceSize returned 561103 .injected", result.stderr)
    assert "aclnnMoeGatingTopK" in trace.read_text()


MODEL = """
import torch
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

sizes = {"hidden_size": 64, "intermediate_size": 64, "moe_intermediate_size": 8, "num_hidden_layers": 1}
heads = {"vocab_size": 9, "num_attention_heads": 1, "num_key_value_heads": 1, "q_lora_rank": 8, "kv_lora_rank": 8}
model, hidden_states = DeepseekV3ForCausalLM(DeepseekV3Config(**sizes, **heads)), torch.randn(2, 3, 64)
"""


@pytest.mark.needs("support by transformers")
def test_the_lines_with_the_gate_of_a_model(tmp_path):
    script = tmp_path / "gate.py"
    bias = "print(gate.e_score_correction_bias.unique().tolist())\n"
    script.write_text(MODEL + GATE + BALANCE + bias + "print(gate)\nprint(weights.shape)\n")
    printed = launch(script, TORCH_DEVICE_BACKEND_AUTOLOAD="0")
    assert "k=8, k_group=4, group_count=8, routed_scaling_factor=2.5)" in printed
    assert printed.endswith("torch.Size([6, 8])\n")
    assert "[-0.0010000000474974513, 0.0010000000474974513]" in printed


@pytest.mark.needs("support by transformers", "transformers' models in dynamo")
def test_the_lines_that_replace_print_what_they_say(tmp_path):
    script = tmp_path / "replaces.py"
    layers = MODEL.replace('"num_hidden_layers": 1', '"num_hidden_layers": 1, "first_k_dense_replace": 0')
    script.write_text(layers + "input_ids = torch.arange(6).view(2, 3)\n" + REPLACES)
    assert_printed(REPLACES, launch(script, TORCH_DEVICE_BACKEND_AUTOLOAD="0"))


def assert_printed(lines, printed):
    """Each comment among the lines, whose dots stand for anything."""
    for said in re.findall("^# (.*)$", lines, re.MULTILINE):
        assert re.search(re.escape(said).replace(re.escape("..."), ".*"), printed)


@pytest.mark.needs("support by transformers")
def test_the_lines_that_explain_print_what_they_say(tmp_path):
    script = tmp_path / "explains.py"
    script.write_text(USE + EXPLAINS.replace("router.svg", str(tmp_path / "router.svg")))
    printed = launch(script)
    assert_printed(EXPLAINS, printed)
    assert (tmp_path / "router.svg").read_text().startswith("<?xml")


def test_what_each_cann_takes_is_what_the_tables_say():
    rows = []
    for operator in OPERATORS:
        for need in operator.constraints.NEEDS:
            what = f"`{operator.name}`" + ("" if need.what == operator.name else f": {need.what}")
            releases = (need.since.get(family) for family in (A2_A3, A5))
            told = ("no" if release is None else ".".join(map(str, release)) for release in releases)
            of_the_first = operator is OPERATORS[0] and need.what != operator.name
            rows.append(f"| {need.what if of_the_first else what} | {' | '.join(told)} |")
    _, table = re.search(r"<!-- needs:(.*?)-->\n(.*?)<!-- /needs -->", README, re.DOTALL).groups()
    assert table.splitlines()[2:] == rows


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_equivalent_formula_is_equivalent(case):
    names = {"torch": torch}
    exec(EQUIVALENT, names)
    x, bias = case.inputs(torch.float32)
    y, expert_idx, scores = names["npu_moe_gating_top_k"](x, case.k, bias=bias, **case.options)
    bias = None if bias is None else bias.numpy()
    expected = moe_gating_top_k(x.numpy(), case.k, bias=bias, **case.options)
    choosing = {name: case.options.get(name, default) for name, default in
                (("k_group", 1), ("group_count", 1), ("group_select_mode", 0))}  # fmt: skip
    np.testing.assert_allclose(scores, expected[2], rtol=1e-6)
    np.testing.assert_array_equal(expert_idx, choose_experts(scores.numpy(), case.k, bias, **choosing))
    np.testing.assert_allclose(y, expected[0], rtol=1e-5)


@pytest.mark.parametrize("norm_type", [0, 1, 2])
@pytest.mark.parametrize("groups", [{}, {"k_group": 2, "group_count": 4}, {"k_group": 5, "group_count": 32}])
@pytest.mark.parametrize("mode", [0, 1])
def test_nan_comes_last_in_the_equivalent_formula_as_in_the_reference(norm_type, groups, mode):
    names = {"torch": torch}
    exec(EQUIVALENT, names)
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (200, 32)).astype(np.float32)
    x[rng.random(x.shape) < 0.3] = np.nan
    x[1::3][rng.random(x[1::3].shape) < 0.3] = -np.inf
    options = {"norm_type": norm_type, "group_select_mode": mode, "bias": rng.normal(0, 1, 32).astype(np.float32)}
    expected = moe_gating_top_k(x, 5, **options, **groups)
    options["bias"] = torch.from_numpy(options["bias"])
    y, expert_idx, _ = names["npu_moe_gating_top_k"](torch.from_numpy(x), 5, **options, **groups)
    np.testing.assert_array_equal(expert_idx, expected[1])
    np.testing.assert_allclose(y, expected[0], rtol=1e-5)
