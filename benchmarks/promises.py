"""What the project promises about speed, and whether a run keeps it: numbers of a run in, verdicts out.

Where a promise is about several cases, what counts is the worst of them. A machine that misses one is told so; it is no
failure of the command.
"""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.peers import MODELS, best
from benchmarks.plan import MANY, PROMISED_DTYPES
from benchmarks.shapes import SHAPES, nearest

# Times, for each model, from 1024 tokens, on one thread, hot, in float32 and bfloat16.
EAGER = {"V3": 28, "Kimi": 15, "V2": 14, "Qwen3": 11}
INDUCTOR = {"V3": 25, "Kimi": 14, "V2": 10, "Qwen3": 11}
LIMIT = {"V3": 3, "Kimi": 2.8, "V2": 5, "Qwen3": 4.5}

SHAPE = 1.3  # of the time per expert of the nearest of the four models
AVX2 = 1.6  # of the time with AVX-512
TWO_THREADS = 1.8  # times faster than one
ONE_TOKEN = 8  # times faster than best eager, for V3, from Python
EQUAL_LOGITS = 1.6  # of the time with random logits
SPECIAL_LOGITS = 2.5  # the same, where a softmax is saturated, or of NaN
SQRT_SOFTPLUS = 1.6  # of the time with a sigmoid
RENORM = 1.05  # of the time without
BOTH_PASSES = 5  # times faster than the best written-out gate, with autograd
REPLACED = 10  # times faster than what replace_gates has replaced, for V3, from Python
END_OF_MEMORY = 1.1  # of the time elsewhere
LINEAR = 1.3  # of the time per token with 1024 tokens
PUBLIC = 1.1  # of torch_npu's own call
CHECKS = 0.5  # us


class Promise(NamedTuple):
    name: str
    wanted: float | None  # None: told for comparison, not promised
    measured: float | None  # None: cannot be measured here
    case: str  # the worst one, or why there is none
    beyond: str  # how many cases miss it
    at_least: bool  # else at most

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "skipped"
        if self.wanted is None:
            return ""
        return "reached" if reaches(self.measured, self.wanted, self.at_least) else "MISSED"


def reaches(measured: float, wanted: float, at_least: bool) -> bool:
    return measured >= wanted if at_least else measured <= wanted


def promise(name: str, wanted: float | None, cases: dict[str, float], at_least: bool = False, without="") -> Promise:
    """Judged by the worst of the cases; `without` says why there are none."""
    if not cases:
        return Promise(name, wanted, None, without, "", at_least)
    worst = (min if at_least else max)(cases, key=cases.__getitem__)
    missing = [] if wanted is None else [case for case in cases.values() if not reaches(case, wanted, at_least)]
    return Promise(name, wanted, cases[worst], worst, f"{len(missing)} of {len(cases)}", at_least)


def label(result: dict) -> str:
    return " ".join(str(result[key]) for key in ("model", "dtype", "tokens") if key in result)


def ratios(results: list[dict], slower: str, faster: str) -> dict[str, float]:
    return {label(result): best(result, slower) / best(result, faster) for result in results}


def of_the_table(results: list[dict]) -> list[Promise]:
    hot = [result for result in results if result["threads"] == 1 and result["hot"]]
    made = []
    for model in MODELS:
        many = [r for r in hot if r["model"] == model and r["tokens"] in MANY and r["dtype"] in PROMISED_DTYPES]
        made += [
            promise(f"{model}: best eager / operator", EAGER[model], ratios(many, "eager", "op"), at_least=True),
            promise(f"{model}: Inductor / operator", INDUCTOR[model], ratios(many, "inductor", "op"), at_least=True),
            promise(f"{model}: kernel / limit", LIMIT[model], ratios(many, "kernel", "limit")),
            promise(f"{model}: operator / limit", None, ratios(many, "op", "limit")),
        ]
    for model in MODELS:
        one = [r for r in hot if r["model"] == model and r["tokens"] == 1 and r["dtype"] == "float32"]
        wanted = ONE_TOKEN if model == "V3" else None
        made.append(
            promise(f"{model}: one token, best eager / operator", wanted, ratios(one, "eager", "op"), at_least=True)
        )
    return made


def shape_ratios(result: dict) -> dict[str, float]:
    """Of each awkward shape: its time per expert, relative to that of the nearest model in the same rounds."""

    def per_expert(name: str, experts: int) -> float:
        return result["seconds"][name] / experts

    made = {}
    for name, shape in SHAPES.items():
        model = nearest(shape.model)
        made[name] = per_expert(name, shape.model.experts) / per_expert(model, MODELS[model].experts)
    return made


def slowest_growth(result: dict) -> float:
    """The largest time per token of all numbers of tokens, relative to that with the fewest."""
    per_token = {int(tokens): seconds / int(tokens) for tokens, seconds in result["seconds"].items()}
    return max(per_token.values()) / per_token[min(per_token)]


def of_the_studies(studies: dict[str, list[dict]]) -> list[Promise]:
    awkward = {
        f"{name} {result['dtype']}": ratio
        for result in studies["awkward_shapes"]
        for name, ratio in shape_ratios(result).items()
    }
    growth = {label(result): slowest_growth(result) for result in studies["linearity"]}
    versions = ratios(studies["versions"], "avx2", "avx512")
    special = studies["special_logits"]
    trained, routed = (
        [result for result in studies[study] if result["model"] == "V3"] for study in ("both_passes", "replaced_gates")
    )

    def scored_by(way: str) -> list[dict]:
        return [result for result in studies["ways_to_score"] if way in result["seconds"]]

    return [
        promise("awkward shape / nearest model, per expert", SHAPE, awkward),
        promise("AVX2 / AVX-512", AVX2, versions, without="this processor has no AVX-512"),
        promise("one thread / two threads", TWO_THREADS, ratios(studies["threads"], "1", "2"), at_least=True),
        promise("equal logits / random logits", EQUAL_LOGITS, ratios(special, "equal", "random")),
        promise("saturated logits / random logits", SPECIAL_LOGITS, ratios(special, "saturated", "random")),
        promise("logits of NaN / random logits", SPECIAL_LOGITS, ratios(special, "nan", "random")),
        promise("sqrt(softplus) / sigmoid", SQRT_SOFTPLUS, ratios(scored_by("norm_type"), "norm_type", "plain")),
        promise("renorm / without", RENORM, ratios(scored_by("renorm"), "renorm", "plain")),
        promise("V3: both passes, best eager / operator", BOTH_PASSES, ratios(trained, "eager", "op"), at_least=True),
        promise("V3: eager / after replace_gates", REPLACED, ratios(routed, "eager", "replaced"), at_least=True),
        promise("end of memory / elsewhere", END_OF_MEMORY, ratios(studies["end_of_memory"], "end", "elsewhere")),
        promise(f"time per token / that of {MANY[0]} tokens", LINEAR, growth),
    ]


def of_the_npu(npu: dict) -> list[Promise]:
    seconds = npu["dispatch"]
    return [
        promise("NPU: public function / torch_npu's call", PUBLIC, {"V3": seconds["public"] / seconds["torch_npu"]}),
        promise("NPU: the public function's checks, us", CHECKS, {"V3": 1e6 * seconds["checks"]}),
    ]


def judge(results: list[dict], studies: dict[str, list[dict]], npu: dict) -> list[Promise]:
    return of_the_table(results) + of_the_studies(studies) + of_the_npu(npu)
