"""Every class of transformers that chooses experts, small, with random weights and an input."""

import ast
import importlib.util
import inspect
import re
from pathlib import Path

import torch

HIDDEN, EXPERTS, VOCABULARY, TOKENS = 64, 32, 128, 10
SIZES = {
    **{"hidden_size": HIDDEN, "vocab_size": VOCABULARY, "num_hidden_layers": 2, "d_model": HIDDEN},
    **dict.fromkeys(("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts"), EXPERTS),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", "moe_top_k"), 4),
    **{"top_k_experts": 4, "moe_topk_group": 2, "norm_topk_prob": True},
}
# Classes that are not called Router, Gate or Gating, and the method that chooses.
OTHERS = {"DbrxFFN": "route_tokens_to_experts", "DogeCDMoE": "forward"}


def router_classes():
    """(model, class), of all that take the largest of something."""
    found = []
    folders = getattr(importlib.util.find_spec("transformers"), "submodule_search_locations", [])
    for file in sorted(file for folder in folders for file in Path(folder).glob("models/*/modeling_*.py")):
        source = file.read_text()
        if "topk(" not in source and "argmax(" not in source:
            continue
        for item in ast.parse(source).body:
            if isinstance(item, ast.ClassDef) and (
                re.search(r"(Router|Gate|Gating)$", item.name) or item.name in OTHERS
            ):
                body = ast.get_source_segment(source, item)
                if re.search(r"topk\(|argmax\(|tid2eid\[", body):
                    found.append((file.parent.name, item.name))
    return found or [("none", "none")]  # so that a test of them is skipped for what it needs


def build(model, name):
    """The router as a function, and its arguments."""
    torch.manual_seed(len(name))
    module = importlib.import_module(f"transformers.models.{model}.modeling_{model}")
    kind = getattr(module, name)
    if name == "JetMoeTopKGating":
        router = kind(HIDDEN, EXPERTS, 4)
    elif "layer_idx" in inspect.signature(kind.__init__).parameters:
        router = kind(_config(module, kind), layer_idx=1)
    else:
        router = kind(_config(module, kind))
    with torch.no_grad():
        for tensor in (*router.parameters(), *router.buffers()):
            if tensor.is_floating_point():
                torch.nn.init.normal_(tensor, std=0.3)
            elif tensor.dim() == 2:  # experts for each id
                tensor.copy_(torch.stack([torch.randperm(EXPERTS)[: tensor.shape[1]] for _ in tensor]))
    router.eval()
    call = getattr(router, OTHERS.get(name, "forward"))
    named = list(inspect.signature(call).parameters)
    further = [torch.randn(EXPERTS) for parameter in named[1:] if "bias" in parameter]
    further += [torch.randint(0, VOCABULARY, (TOKENS,)) for parameter in named[1:2] if "Hash" in name]
    width = EXPERTS if named[0] == "router_logits" else HIDDEN
    for shape in ((TOKENS, width), (2, TOKENS // 2, width)):
        inputs = (torch.randn(shape), *further)
        try:
            with torch.no_grad():
                call(*(tensor.clone() for tensor in inputs))
        except (ValueError, IndexError, RuntimeError):
            continue
        return call, inputs
    raise AssertionError(f"{name} takes neither tokens nor a batch of them")


def _config(module, kind):
    """The defaults of the model's configuration, with small sizes."""
    from transformers import PretrainedConfig

    annotations = [p.annotation for p in inspect.signature(kind.__init__).parameters.values()]
    configs = [a for a in annotations if inspect.isclass(a) and issubclass(a, PretrainedConfig)]
    if not configs:
        base = PretrainedConfig
        known = [c for c in vars(module).values() if inspect.isclass(c) and issubclass(c, base) and c is not base]
        configs = sorted(known, key=lambda c: "Text" not in c.__name__)
    config = configs[0]()
    return _Small(config.ffn_config if kind.__name__ == "DbrxFFN" else config)


class _Small:
    """A configuration with the sizes above, as far as it has them."""

    def __init__(self, config):
        self.config = config

    def __getattr__(self, name):
        if name == "ffn_config":
            return self
        if name in SIZES:
            return SIZES[name]
        try:
            value = getattr(self.config, name)
        except AttributeError:
            value = getattr(self.config.get_text_config(), name)
        return SIZES["num_experts_per_tok"] if value is None and name.endswith("top_k") else value
