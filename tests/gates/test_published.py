"""GateConfig.from_hf makes the gates of published models: the same as transformers' own routers."""

import contextlib
import importlib
from types import SimpleNamespace

import pytest
import torch

from ascend_moe_gating import GateConfig, MoEGate
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import Call
from tests.backends import where_taken

pytestmark = pytest.mark.needs("support by transformers")
SIZES = {"hidden_size": 32, "num_experts_per_tok": 4, "vocab_size": 50}
GROUPS = {"n_routed_experts": 16, "n_group": 4, "topk_group": 2, "routed_scaling_factor": 2.5, "norm_topk_prob": True}
# The family, the class of its router and what its configuration is given.
ROUTERS = (
    ("deepseek_v2", "DeepseekV2TopkRouter", {**GROUPS, "topk_method": "group_limited_greedy"}),
    ("deepseek_v2", "DeepseekV2TopkRouter", {**GROUPS, "topk_method": "greedy"}),
    ("deepseek_v3", "DeepseekV3TopkRouter", GROUPS),
    ("deepseek_v4", "DeepseekV4TopKRouter", {"n_routed_experts": 16, "mlp_layer_types": ["moe"]}),
    pytest.param(
        *("deepseek_v4", "DeepseekV4HashRouter", {"n_routed_experts": 16, "mlp_layer_types": ["hash_moe"]}),
        marks=pytest.mark.needs("support by transformers", "hash routing"),
    ),
    ("glm4_moe", "Glm4MoeTopkRouter", GROUPS),
    ("dots1", "Dots1TopkRouter", GROUPS),
    ("minimax_m2", "MiniMaxM2TopKRouter", {"num_local_experts": 16}),
    ("ernie4_5_moe", "Ernie4_5_MoeTopKRouter", {"moe_num_experts": 16, "moe_k": 4}),
    ("qwen2_moe", "Qwen2MoeTopKRouter", {"num_experts": 16}),
    ("qwen3_moe", "Qwen3MoeTopKRouter", {"num_experts": 16, "norm_topk_prob": True}),
    ("qwen3_moe", "Qwen3MoeTopKRouter", {"num_experts": 16, "norm_topk_prob": False}),
    ("qwen3_next", "Qwen3NextTopKRouter", {"num_experts": 16}),
    ("qwen3_5_moe_text", "Qwen3_5MoeTopKRouter", {"num_experts": 16}),
    ("olmoe", "OlmoeTopKRouter", {"num_experts": 16}),
    ("mixtral", "MixtralTopKRouter", {"num_local_experts": 16}),
    ("gpt_oss", "GptOssTopKRouter", {"num_local_experts": 16}),
)


def made(family, name, more):
    """A router of transformers and its configuration, with numbers as a trained one has."""
    from transformers import CONFIG_MAPPING

    layers = {"num_hidden_layers": len(more["mlp_layer_types"])} if "mlp_layer_types" in more else {}
    config = CONFIG_MAPPING[family](**{**SIZES, **layers, **more})
    package = family.removesuffix("_text")
    router = getattr(importlib.import_module(f"transformers.models.{package}.modeling_{package}"), name)(config)
    generator = torch.Generator().manual_seed(0)
    for tensor in (*router.parameters(), *(b for b in router.buffers() if b.is_floating_point())):
        tensor.data = torch.randn(tensor.shape, generator=generator) / 4
    for table in (b for b in router.buffers() if not b.is_floating_point()):
        table.copy_(torch.stack([torch.randperm(16, generator=generator)[:4] for _ in table]))
    return router, config


@pytest.mark.parametrize(("family", "name", "more"), ROUTERS, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("device", ["cpu", "npu"])
def test_the_gate_of_a_family(family, name, more, device):
    router, config = made(family, name, more)
    gate = MoEGate.from_config(GateConfig.from_hf(config, layer=0))
    states = router.state_dict()
    correction = next((states[name] for name in states if "e_score" in name), torch.zeros(16))
    if gate.config.bias:  # of some models it lies beside the router
        states = {"weight": states["weight"], "e_score_correction_bias": correction.flatten()}
    gate.load_state_dict(states)
    hidden_states, ids = torch.randn(5, 32), torch.arange(5)
    by_table = gate.tid2eid is not None
    more_inputs = (ids,) if by_table else (correction.flatten(),) if family == "minimax_m2" else ()
    on_device = (hidden_states.to(device), *((ids.to(device),) if by_table else ()))
    table = {"input_ids": ids, "tid2eid": gate.tid2eid} if by_table else {}
    call = Call(torch.zeros(5, 16), 4, **table, **gate.config.gating())
    with torch.no_grad(), where_taken(call) if device == "npu" else contextlib.nullcontext():
        _, weights, experts = router(hidden_states, *more_inputs)
        got_weights, got_experts = (result.cpu() for result in gate.to(device)(*on_device))
    order, got_order = experts.argsort(1), got_experts.argsort(1)
    assert torch.equal(experts.gather(1, order), got_experts.gather(1, got_order).long())
    torch.testing.assert_close(got_weights.gather(1, got_order), weights.gather(1, order), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"model_type": "llama4_text"}, NotImplementedError, "the gate of llama4_text is not what"),
        ({"model_type": "bert"}, NotImplementedError, "model_type must be one of deepseek_v2, "),
        ({}, NotImplementedError, "got None"),
        (
            {
                "model_type": "deepseek_v3",
                "hidden_size": 8,
                **GROUPS,
                "num_experts_per_tok": 2,
                "norm_topk_prob": False,
            },
            NotImplementedError,
            "norm_topk_prob is False",
        ),
        ({"model_type": "mixtral", "hidden_size": 8, "num_experts_per_tok": 2}, ValueError, "or num_experts or"),
    ],
    ids=str,
)
def test_other_gates_are_refused_by_name(config, error, message):
    with pytest.raises(error, match=message):
        GateConfig.from_hf(SimpleNamespace(**config))


def test_a_layer_decides_where_some_route_by_a_table():
    from transformers import CONFIG_MAPPING

    kinds = ["hash_moe", "moe"]
    config = CONFIG_MAPPING["deepseek_v4"](**SIZES, num_hidden_layers=2, mlp_layer_types=kinds)
    assert [GateConfig.from_hf(config, layer).vocabulary for layer in range(2)] == [50, None]
    with pytest.raises(ValueError, match="layer must be given for deepseek_v4"):
        GateConfig.from_hf(config)
