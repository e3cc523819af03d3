"""Any object for any argument of a gate and of what keeps experts busy: a ValueError, a TypeError or a result."""

import inspect
import types

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ascend_moe_gating import GateConfig, MoEGate, balance
from ascend_moe_gating.plugin.gates.published import _FAMILIES
from tests.operator.test_any_argument import ANYTHING, EACH, NUMBERS

WEIGHTS, EXPERTS, KEPT = torch.rand(4, 2), torch.tensor([[0, 1], [2, 3], [1, 0], [3, 2]]), torch.ones(4).bool()
SCORES = torch.rand(4, 6)
LEGAL = {
    "tokens_per_expert": {"expert_idx": EXPERTS, "experts": 6, "kept": KEPT},
    "update_bias": {"bias": torch.zeros(6), "load": torch.rand(6), "rate": 0.1},
    "sequence_balance_loss": {"scores": SCORES, "expert_idx": EXPERTS, "sequences": 2, "factor": 0.1, "kept": KEPT},
    "drop_tokens": {"weights": WEIGHTS, "expert_idx": EXPERTS, "kept": KEPT, "experts": 6},
    "physical_experts": {
        "expert_idx": EXPERTS, "replicas": torch.arange(12).reshape(6, 2), "replica_counts": torch.ones(6).long(),
    },
    "append_shared_experts": {"weights": WEIGHTS, "expert_idx": EXPERTS, "experts": 6, "shared": 1, "weight": 0.5},
}  # fmt: skip
CONFIGURATION = {
    "hidden_size": 8, "n_routed_experts": 16, "num_experts_per_tok": 4, "n_group": 4, "topk_group": 2,
    "norm_topk_prob": True, "routed_scaling_factor": 2.5, "topk_method": "greedy", "scoring_func": "sqrtsoftplus",
    "vocab_size": 10, "mlp_layer_types": ["hash_moe", "moe"],
}  # fmt: skip


@st.composite
def broken(draw, legal):
    """These arguments, one or two of which are anything."""
    arguments = dict(legal)
    for name in draw(st.lists(st.sampled_from(sorted(legal)), min_size=1, max_size=2, unique=True)):
        arguments[name] = draw(ANYTHING | NUMBERS)
    return arguments


def refused_or_done(function, *also, **arguments):
    try:
        function(**arguments)
    except (ValueError, TypeError, *also):
        pass
    except (RuntimeError, IndexError) as error:
        if "out of bounds" not in str(error):  # what torch says of an expert that does not exist
            raise


@pytest.mark.parametrize("name", balance.__all__)
@settings(max_examples=EACH // 5, deadline=None)
@given(st.data())
def test_balance(name, data):
    refused_or_done(getattr(balance, name), **data.draw(broken(LEGAL[name])))


def test_every_function_and_parameter_of_balance_is_here():
    for name in balance.__all__:
        assert list(LEGAL[name]) == list(inspect.signature(getattr(balance, name)).parameters)
        getattr(balance, name)(**LEGAL[name])


@settings(max_examples=EACH // 3, deadline=None)
@given(st.data())
def test_GateConfig(data):
    names = inspect.signature(GateConfig).parameters
    legal = {"hidden_size": 8, "experts": 16, "k": 2}
    legal |= {name: p.default for name, p in names.items() if name not in legal}
    refused_or_done(GateConfig, **data.draw(broken(legal)))


@settings(max_examples=EACH // 2, deadline=None)
@given(
    st.sampled_from(sorted(_FAMILIES)),
    broken({**CONFIGURATION, "layer": 0}),
    st.sets(st.sampled_from(sorted(CONFIGURATION)), max_size=1),
)
def test_from_hf(family, values, missing):
    layer = values.pop("layer")
    config = types.SimpleNamespace(model_type=family, **{n: v for n, v in values.items() if n not in missing})
    refused_or_done(GateConfig.from_hf, NotImplementedError, config=config, layer=layer)


@settings(max_examples=EACH // 6, deadline=None)
@given(ANYTHING)
def test_a_configuration_that_is_none(value):
    for config in (value, types.SimpleNamespace(model_type=value), types.SimpleNamespace(text_config=value)):
        with pytest.raises(NotImplementedError, match="model_type must be one of"):
            GateConfig.from_hf(config)


@settings(max_examples=EACH // 3, deadline=None)
@given(broken({"hidden_states": torch.zeros(4, 8), "input_ids": None, "return_scores": False}))
def test_MoEGate(arguments):
    refused_or_done(MoEGate(8, 16, 2), **arguments)
