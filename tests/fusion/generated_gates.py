"""Random gates that the operator expresses, and near misses: a Spelling says how a gate is written.

The spellings are those of model code: transformers, vllm, the DeepSeek repositories, and mixtures of them.
"""

import random
from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Spelling:
    experts: int = 32
    groups: int = 4
    kept: int = 2
    k: int = 4
    two: bool = True  # groups are scored by their two best
    sigmoid: bool = True
    softplus: bool = False  # the root of one in place of the sigmoid
    first: bool = False  # the experts are chosen by their logits, and then scored by a softmax
    bias: str | None = "plain"
    grouping: str = "topk"
    mask: str = "zeros, expanded, not"
    fill: float = float("-inf")
    chosen: str = "topk"
    weights: str = "gather"
    taken: str = "gather"  # how, where the weights are gathered
    norm: str | None = "eps"
    eps: float = 1e-20
    scale: float | None = 2.5
    ids: torch.dtype = torch.int64
    dtype: torch.dtype = torch.float32  # of the logits
    softmax: str = "dtype"
    miss: str | None = None  # how it fails to be a gate

    @property
    def size(self):
        return self.experts // self.groups

    @property
    def masks(self):
        return self.groups > 1 or self.mask == "zeros, expanded, not"


BIASES = ("plain", "first", "unsqueezed", "expanded", "viewed", "subtracted")
GROUPINGS_OF_ONE = ("amax", "max", "topk", "sort")
GROUPINGS_OF_TWO = ("topk", "sort", "topk, kept dimension")
MASKS = (
    *("zeros, expanded, not", "ones, bool", "where", "where, other", "full", "equal to zero", "one minus", "repeated"),
    *("negative ones", "source", "greater", "one_hot", "compared", "multiplied"),
)
TAKEN = ("gather", "along", "indexed")
CHOSEN = ("topk", "unsorted", "sort", "argsort", "method")
NORMS = ("eps", "eps first", "plain", "unsqueezed", "reciprocal", "scaled before")
NORMS_OF_SOFTMAX = (*NORMS, "normalize", "clamped")


def family(seed):
    """A random gate that the operator expresses."""
    pick = random.Random(seed)
    groups = pick.choice([1, 1, 2, 4, 8])
    size = pick.choice([2, 3, 4, 8, 20, 32])
    sigmoid = pick.random() < 0.6
    kept = pick.randint(1, groups)
    bias = pick.choice([None, *BIASES]) if groups == 1 or pick.random() < 0.7 else None
    two = pick.random() < 0.5
    weights = "gather" if bias or pick.random() < 0.5 else "values"
    spelling = Spelling(
        experts=groups * size,
        groups=groups,
        kept=kept,
        k=pick.randint(1, min(kept * size, 8)),
        two=two,
        sigmoid=sigmoid,
        bias=bias,
        grouping=pick.choice(GROUPINGS_OF_TWO if two else GROUPINGS_OF_ONE),
        mask=pick.choice([mask for mask in MASKS if mask != "multiplied"]),
        fill=float("-inf") if bias else pick.choice([float("-inf"), -1.0, torch.finfo(torch.float32).min]),
        chosen=pick.choice(CHOSEN) if weights == "gather" else pick.choice(["topk", "unsorted", "sort"]),
        weights=weights,
        norm=None
        if not sigmoid and pick.random() < 0.5
        else pick.choice(NORMS if sigmoid or bias else NORMS_OF_SOFTMAX),
        eps=pick.choice([1e-20, 1e-6, 1e-9]),
        scale=pick.choice([None, 1.0, 2.5, 16.0]),
        ids=pick.choice([torch.int64, torch.int32]),
        dtype=pick.choice([torch.float32, torch.bfloat16, torch.float16]),
        softmax=pick.choice(["dtype", "cast first"]),
        softplus=sigmoid and pick.random() < 0.3,
        taken=pick.choice(TAKEN),
    )
    if pick.random() < 0.1:
        values = pick.random() < 0.5
        chosen = pick.choice(["topk", "unsorted", "sort"] if values else CHOSEN)
        weights = "values" if values else "gather"
        plain = {"groups": 1, "kept": 1, "experts": 32, "mask": "where", "bias": None, "norm": None, "scale": None}
        return replace(spelling, **plain, first=True, weights=weights, chosen=chosen, sigmoid=False, softplus=False)
    if not sigmoid and weights == "values" and pick.random() < 0.3:  # DeepSeek-V2
        spelling = replace(spelling, fill=0.0, mask=pick.choice(["zeros, expanded, not", "multiplied"]))
    return spelling


GROUPED = {"groups": 4, "kept": 2}
MISSES = {  # what makes each of them possible
    "fill of zero": {"sigmoid": True, "bias": "plain", "fill": 0.0, **GROUPED},
    "fill of zero, weights gathered": {"sigmoid": False, "bias": None, "fill": 0.0, "weights": "gather", **GROUPED},
    "fill of -1 with bias": {"bias": "plain", "fill": -1.0, **GROUPED},
    "weights of biased scores": {"bias": "plain", "weights": "values"},
    "weights gathered from biased scores": {"bias": "plain"},
    "weights gathered by other ids": {"weights": "gather"},
    "sigmoid, not normalized": {"sigmoid": True, "norm": None},
    "eps added to the weights": {"sigmoid": True},
    "eps added to each weight": {"sigmoid": True},
    "clamped": {"sigmoid": True},
    "divided by another sum": {"sigmoid": True},
    "divided by the sum over tokens": {"sigmoid": True},
    "divided by the sum of another token": {"sigmoid": True, "groups": 1, "kept": 1, "experts": 32, "k": 6},
    "divided by the sum of squares": {"sigmoid": True},
    "choice used": {"bias": "plain"},
    "group scores used": GROUPED,
    "mask used": GROUPED,
    "three of a group": {"two": True, "grouping": "topk", **GROUPED},
    "mean of a group": {"two": True, "grouping": "topk", **GROUPED},
    "least of a group": {"two": False, "grouping": "amax", **GROUPED},
    "groups ranked without bias": {"bias": "plain", **GROUPED},
    "worst groups kept": GROUPED,
    "best groups dropped": GROUPED,
    "groups interleaved": {"groups": 4, "kept": 2, "experts": 16, "mask": "zeros, expanded, not"},
    "random groups": GROUPED,
    "float64": {},
    "half precision": {"dtype": torch.bfloat16},
    "least chosen": {},
    "softmax over tokens": {"sigmoid": False},
    "bias for each token": {"bias": "plain"},
    "bias twice": {"bias": "plain"},
    "bias a number": {"bias": "plain"},
    "scores scaled before bias": {"bias": "plain"},
    "tanh": {"sigmoid": True},
    "scores of other rows": {"groups": 1, "kept": 1, "bias": None},
    "bias in float64": {"bias": "plain"},
    "groups scored in float64": {"two": True, "grouping": "topk", **GROUPED},
    "groups of half of the experts": GROUPED,
    "groups of two tokens": GROUPED,
    "groups of all tokens": GROUPED,
    "mask of the first token": GROUPED,
    "mask of the token before": GROUPED,
    "groups of the first token": GROUPED,
    "choice among half of the experts": {"groups": 1, "kept": 1, "experts": 32, "weights": "gather"},
    "choice among two tokens": {"groups": 1, "kept": 1, "bias": None, "weights": "values"},
    "scores of the first token": {"groups": 1, "kept": 1, "weights": "gather"},
    "weights of the token before": {"weights": "gather"},
    "too many experts": {"experts": 4096, "groups": 1, "kept": 1},
    "too many padded experts": {"experts": 520, "groups": 65, "kept": 8, "k": 2},
}

# What stays outside of the node, or is another result of it.
PARTS = {
    "eps a tensor": {"sigmoid": True},
    "scale a tensor": {"sigmoid": True},
    "scale a tensor of one": {"sigmoid": False, "norm": None},
    "scores used": {"mask": "zeros, expanded, not"},  # others write into the scores
    "sizes of the scores used": {"mask": "zeros, expanded, not"},
    "sum used": {"sigmoid": True},
}


def near_miss(seed):
    """A random gate with one thing about it that the operator does not do."""
    return altered(seed, MISSES)


def partly(seed):
    """A random gate of which the operator computes the most."""
    return altered(seed, PARTS)


def altered(seed, changes):
    name = list(changes)[seed % len(changes)]
    spelling = family(seed)
    overrides = dict(changes[name])
    while spelling.first:
        seed += len(changes)
        spelling = family(seed)
    if overrides.get("bias"):
        overrides.setdefault("weights", "gather")
        overrides.setdefault("fill", float("-inf"))
    spelling = replace(spelling, **overrides, miss=name)
    if spelling.fill == 0.0 or spelling.mask == "multiplied":
        spelling = replace(spelling, mask="zeros, expanded, not")
    if spelling.fill == 0.0 and spelling.weights == "values" and spelling.sigmoid:
        spelling = replace(spelling, fill=float("-inf"))
    if spelling.groups != GROUPED["groups"] or "groups" not in overrides:
        groups = spelling.groups
        spelling = replace(spelling, experts=groups * max(spelling.size, 3)) if "experts" not in overrides else spelling
    elif "experts" not in overrides:
        spelling = replace(spelling, experts=spelling.groups * random.Random(seed).choice([4, 8, 20]))
    if not spelling.two and spelling.grouping not in GROUPINGS_OF_ONE:
        spelling = replace(spelling, grouping="amax")
    if spelling.two and spelling.grouping not in GROUPINGS_OF_TWO:
        spelling = replace(spelling, grouping="topk")
    if spelling.weights == "values" and spelling.chosen in ("argsort", "method"):
        spelling = replace(spelling, chosen="topk")
    if spelling.sigmoid and spelling.norm is None and name != "sigmoid, not normalized":
        spelling = replace(spelling, norm="eps")
    if (spelling.sigmoid or spelling.bias) and spelling.norm in ("normalize", "clamped"):
        spelling = replace(spelling, norm="eps")
    spelling = replace(spelling, softplus=spelling.softplus and spelling.sigmoid)
    return replace(spelling, k=max(1, min(spelling.k, spelling.kept * spelling.size - 1)))
