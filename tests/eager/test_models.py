"""Models of transformers before and after replace_gates: whole ones, and every class that is a router."""

import pytest
import torch

from ascend_moe_gating import replace_gates, simulator
from tests.eager.test_replacement import assert_same, gradients
from tests.fusion.routers import build
from tests.fusion.test_fusion_in_models import IDS, MODELS, SMALL, small
from tests.fusion.test_fusion_in_routers import LEFT, ROUTERS, router

pytestmark = pytest.mark.needs("support by transformers")

EXPERTS, K = 8, 2
OF_ANY_NAME = {
    **dict.fromkeys(("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts"), EXPERTS),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk"), K),
    **{"n_group": 1, "topk_group": 1, "norm_topk_prob": True, "head_dim": 16, "first_k_dense_replace": 0},
    **{"moe_layer_start_index": 0, "num_dense_layers": 0, "shared_expert_intermediate_size": 32},
}
FURTHER = {  # how many of two layers have a gate
    **{"afmoe": 2, "cohere2_moe": 2, "ernie4_5_moe": 2, "exaone_moe": 2, "flex_olmo": 2, "jetmoe": 4, "laguna": 1},
    **{"mellum": 2, "minimax": 2, "qwen2_moe": 2, "granitemoeshared": 2, "jamba": 1, "hy_v3": 1},
}


# Their backward pass fails as they are: they write into what it needs.
WITHOUT_GRADIENT = {"DogeCDMoE", "NllbMoeTop2Router", "SwitchTransformersTop1Router"}


def further(name):
    torch.manual_seed(0)
    from transformers import AutoConfig, AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **{**SMALL, **OF_ANY_NAME})).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def passes(model):
    """The logits, and the gradients of all parameters."""
    model.zero_grad()
    logits = model(IDS, use_cache=False).logits
    logits.square().sum().backward()
    return logits.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", [*MODELS, *FURTHER])
def test_whole_models(name):
    model = small(name) if name in MODELS else further(name)
    expected, wanted = passes(model)
    with replace_gates(model) as replaced:
        actual, found = passes(model)
    assert replaced.fused == len(replaced.gates) == FURTHER.get(name, 2)
    assert replaced.waiting == []
    assert {gate.module for gate in replaced.gates} <= {path for path, _ in model.named_modules()}
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    assert found.keys() == wanted.keys()
    for parameter in wanted:
        scale = wanted[parameter].abs().max().item()
        torch.testing.assert_close(found[parameter], wanted[parameter], rtol=0, atol=1e-3 * scale + 1e-9)
    again, _ = passes(model)
    assert torch.equal(again, expected)


@pytest.mark.parametrize(("model", "name"), [router(*each) for each in ROUTERS])
def test_every_router(model, name):
    method, inputs = build(model, name)
    module, smooth = method.__self__, name not in WITHOUT_GRADIENT

    def run(call):
        given = [tensor.clone().requires_grad_(tensor.is_floating_point() and smooth) for tensor in inputs]
        torch.manual_seed(0)
        with torch.set_grad_enabled(smooth):
            results = call(*given)
        results = [one for one in results if isinstance(one, torch.Tensor)] if isinstance(results, tuple) else [results]
        return results, gradients(results, given[0])

    expected = run(method)
    with simulator.release(soc="Ascend950PR_9579"), replace_gates(module) as replaced:
        for _ in range(2):
            actual = run(getattr(module, method.__name__))
    assert_same(actual[0], expected[0])
    torch.testing.assert_close(actual[1], expected[1], rtol=1e-3, atol=1e-5)
    if method.__name__ == "forward":
        assert (replaced.fused, len(replaced.gates)) == (0 if name in LEFT else 1, 1)
