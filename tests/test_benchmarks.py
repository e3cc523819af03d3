"""The benchmarks run: every peer chooses as the operator does, and every number is there."""

import json

import pytest
import torch

from ascend_moe_gating import simulator
from benchmarks import cpu, peers, picture


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("model", peers.MODELS)
def test_a_line_of_the_table(model, tmp_path):
    (result,) = cpu.measure(iter([(model, 64, "float32", 1, True)]), seconds=0.05)
    assert set(result["seconds"]) == {
        "op", "transformers", "vllm", "inductor static", "inductor dynamic", "read", "limit",
    }  # fmt: skip
    assert all(seconds > 0 for seconds in result["seconds"].values())
    json.dumps(result)
    picture.draw([result, {**result, "tokens": 128}], tmp_path / "speed.svg")
    assert (tmp_path / "speed.svg").read_text().count("<path") > 20


def test_a_peer_that_chooses_other_experts_is_found():
    model = peers.MODELS["Qwen3"]
    gates = {"op": peers.operator(model), "wrong": lambda logits, bias: peers.operator(model)(-logits, bias)}
    with pytest.raises(AssertionError, match="wrong chooses other experts"):
        cpu.assert_equal_choice(gates, *cpu.inputs(model, 64, "float32", "cpu"))


@pytest.mark.stand_in
def test_dispatch_is_measured_on_the_stand_in():
    from benchmarks.__main__ import npu_dispatch

    measured = npu_dispatch()
    assert measured["stand_in"] == simulator.active()
    assert set(measured["dispatch"]) == {"torch_npu", "public"}
    assert measured["compile"] > 0
