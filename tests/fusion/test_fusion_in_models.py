"""Gates of transformers' models as they are: whole small models on the CPU, and their routers compiled by torchair."""

import gc
import time

import pytest
import torch
import torchair
from functorch.compile import make_boxed_func
from torch._functorch.aot_autograd import aot_module_simplified

from ascend_moe_gating import explain, fuse_gates, simulator

pytestmark = pytest.mark.needs("support by transformers")

SMALL = {
    **{"hidden_size": 64, "intermediate_size": 64, "moe_intermediate_size": 32, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 128, "max_position_embeddings": 64},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}
LATENT = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "v_head_dim": 16, "qk_nope_head_dim": 8}
GROUPED = {"n_routed_experts": 32, "n_group": 4, "topk_group": 2, "num_experts_per_tok": 4, "n_shared_experts": 1}
ONE_GROUP = {**GROUPED, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 0, "norm_topk_prob": True}
SIXTEEN = {"num_experts": 16, "num_experts_per_tok": 4}
SIGMOID = {"norm_type": 1, "k": 4}
SOFTMAX = {"norm_type": 0, "k": 4}
RENORMALIZED = {**SOFTMAX, "renorm": 1, "eps": 0.0}
IN_GROUPS = {"k_group": 2, "group_count": 4}
MODELS = {  # name: (what differs in the configuration, the operator's arguments)
    "deepseek_v3": (
        {**LATENT, **GROUPED, "first_k_dense_replace": 0},
        {**SIGMOID, **IN_GROUPS, "group_select_mode": 1},
    ),
    "deepseek_v2": (
        {**LATENT, **GROUPED, "first_k_dense_replace": 0, "topk_method": "group_limited_greedy"},
        {**SOFTMAX, **IN_GROUPS, "group_select_mode": 0},
    ),
    "glm4_moe": (ONE_GROUP, {**SIGMOID, "group_count": 1, "eps": 1e-20}),
    "dots1": (ONE_GROUP, {**SIGMOID, "group_count": 1}),
    "solar_open": (ONE_GROUP, SIGMOID),
    "qwen3_moe": ({**SIXTEEN, "norm_topk_prob": True, "head_dim": 16}, RENORMALIZED),
    "olmoe": (SIXTEEN, SOFTMAX),
    "mixtral": ({"num_local_experts": 8, "num_experts_per_tok": 2}, {**RENORMALIZED, "k": 2}),
    "gpt_oss": ({"num_local_experts": 16, "num_experts_per_tok": 4, "head_dim": 16}, {"k": 4, "renorm": 1}),
    "granitemoe": ({"num_local_experts": 16, "num_experts_per_tok": 4}, {"k": 4, "renorm": 1}),
    "hunyuan_v1_moe": ({**SIXTEEN, "moe_topk": 4, "head_dim": 16}, {**RENORMALIZED, "k": 4}),
    "minimax_m2": ({"num_local_experts": 16, "num_experts_per_tok": 4, "head_dim": 16}, {**SIGMOID, "eps": 0.0}),
}


def small(name, **others):
    torch.manual_seed(0)
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(name, **{**SMALL, **MODELS[name][0], **others})
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


IDS = torch.arange(14).view(2, 7) * 9


def compiled(model, fuse):
    """By AOTAutograd alone, on the CPU: the way of another backend."""

    def compile_graph(graph_module, _):
        if fuse:
            reports.extend(fuse_gates(graph_module))
        return make_boxed_func(graph_module.forward)

    reports = []
    torch._dynamo.reset()
    backend = lambda graph_module, inputs: aot_module_simplified(graph_module, inputs, fw_compiler=compile_graph)  # noqa: E731
    with torch.no_grad():
        logits = torch.compile(lambda ids: model(ids, use_cache=False).logits, backend=backend)(IDS)
    return logits, reports


in_dynamo = pytest.mark.needs("transformers' models in dynamo")


@in_dynamo
@pytest.mark.parametrize("name", MODELS)
def test_whole_models_compute_the_same(name):
    model = small(name)
    expected, _ = compiled(model, fuse=False)
    actual, reports = compiled(model, fuse=True)
    assert len(reports) == SMALL["num_hidden_layers"]
    for report in reports:
        assert report.fused, report
        assert report.parameters | MODELS[name][1] == report.parameters
        assert f"modeling_{name}.py:" in report.where
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def routers(model):
    return [module for module in model.modules() if type(module).__name__.endswith(("Router", "TopkRouter"))]


@pytest.mark.parametrize("name", ["deepseek_v3", "deepseek_v2", "glm4_moe", "dots1", "qwen3_moe", "mixtral"])
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_routers_on_the_device(name, dynamic):
    router = routers(small(name))[0]
    hidden_states = torch.randn(2, 5, SMALL["hidden_size"], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        _, expected_weights, expected_idx = router(hidden_states)
        torch._dynamo.reset()
        model = torch.compile(router.npu(), backend=torchair.get_npu_backend(), dynamic=dynamic, fullgraph=True)
        with simulator.record() as log:
            _, weights, idx = model(hidden_states.npu())
    nodes = [launch.name for launch in log if launch.kind == "graph node"]
    assert nodes.count("MoeGatingTopK") == 1
    assert not {"TopKV2", "Sigmoid", "SoftmaxV2", "Mul"}.intersection(nodes)
    order, expected_order = idx.cpu().argsort(1), expected_idx.argsort(1)
    assert torch.equal(idx.cpu().gather(1, order), expected_idx.gather(1, expected_order))
    torch.testing.assert_close(weights.cpu().gather(1, order), expected_weights.gather(1, expected_order))


@in_dynamo
def test_a_gate_that_does_not_normalize_is_left_alone():
    model = small("dots1", norm_topk_prob=False)
    (report, _) = explain(lambda ids: model(ids, use_cache=False).logits, IDS).gates
    assert not report.fused
    assert "not divided by their sum" in report.reason


@pytest.fixture
def no_garbage():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@in_dynamo
@pytest.mark.usefixtures("no_garbage")
def test_fusing_costs_a_twentieth_of_compiling_at_most():
    """Of dynamo and AOTAutograd alone; what torchair then does with the graph only makes the share smaller. In the
    thread's own time, and without collections of garbage, which take what other tests have left."""
    spent = 0.0

    def timed(graph_module, _):
        nonlocal spent
        began = time.thread_time()
        assert len(fuse_gates(graph_module)) == 8
        spent = time.thread_time() - began
        return make_boxed_func(graph_module.forward)

    model = small("deepseek_v3", num_hidden_layers=8)
    torch._dynamo.reset()
    backend = lambda graph_module, inputs: aot_module_simplified(graph_module, inputs, fw_compiler=timed)  # noqa: E731
    began = time.thread_time()
    with torch.no_grad():
        torch.compile(lambda ids: model(ids, use_cache=False).logits, backend=backend)(IDS)
    assert spent < 0.05 * (time.thread_time() - began)
