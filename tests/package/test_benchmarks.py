"""The benchmarks run: every peer chooses as the operator does, every number is there, a missed promise is called so."""

import itertools
import json
import os
import sys

import pytest
import torch

import ascend_moe_gating
from ascend_moe_gating import simulator
from ascend_moe_gating.plugin.cpu.kernel import vector
from benchmarks import __main__ as command
from benchmarks import cpu, kernel, peers, picture, plan, promises, report, shapes, studies, timing
from benchmarks.inputs import inputs

INDUCTOR = ("Inductor without triton-ascend",)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=pytest.mark.needs("a compiler", *INDUCTOR * (model == "Qwen3")))
        for model in peers.MODELS
    ],
)
def test_a_line_of_the_table(model, tmp_path):
    inductor = ["inductor static", "inductor dynamic"] if model == "Qwen3" else []
    listing = ["listing"] if model == "V3" else []
    (result,) = cpu.measure([plan.Case(model, 64, "float32", inductor=bool(inductor))], seconds=0.05)
    assert list(result["seconds"]) == [
        "op", "transformers", "vllm", *listing, *inductor, "kernel", "read", "limit",
    ]  # fmt: skip
    assert all(seconds > 0 for seconds in result["seconds"].values())
    assert model in report.row(result)
    json.dumps(result)
    picture.draw([result, {**result, "tokens": 128}], tmp_path / "speed.svg")
    assert (tmp_path / "speed.svg").read_text().count("<path") > 20


@pytest.mark.usefixtures("threads")
@pytest.mark.needs("a compiler")
@pytest.mark.parametrize(
    "case", [plan.Case("V3", 64, "bfloat16", threads=2), plan.Case("V3", 64, "float16", hot=False)]
)
def test_a_line_with_two_threads_and_a_cold_one(case):
    (result,) = cpu.measure([case], seconds=0.01)
    assert ("limit" in result["seconds"]) == (case.threads == 1)  # the limit is that of one thread
    assert (result["dtype"], result["threads"], result["hot"]) == (case.dtype, case.threads, case.hot)


def test_a_peer_that_chooses_other_experts_is_found():
    model = peers.MODELS["Qwen3"]
    gates = {"op": peers.operator(model), "wrong": lambda logits, bias: peers.operator(model)(-logits, bias)}
    with pytest.raises(AssertionError, match="wrong chooses other experts"):
        cpu.assert_equal_choice(gates, *inputs(model, 64, "float32"))


def test_the_plan_has_every_case_that_is_promised():
    cases = set(plan.cases())
    for model, dtype in itertools.product(("V3", "Kimi", "V2", "Qwen3"), ("float32", "bfloat16", "float16")):
        hot = [case for case in cases if (case.model, case.dtype, case.threads, case.hot) == (model, dtype, 1, True)]
        assert sorted(case.tokens for case in hot) == [1, 16, 256, 1024, 8192, 65536]
        assert dtype == "float16" or all(case.inductor for case in hot if case.tokens >= 1024)
        assert any((case.model, case.dtype, case.threads) == (model, dtype, 2) for case in cases)
        assert any((case.model, case.dtype, case.hot) == (model, dtype, False) for case in cases)


@pytest.mark.parametrize("name", shapes.SHAPES)
@pytest.mark.parametrize("dtype", plan.PROMISED_DTYPES)
def test_the_kernel_alone_chooses_as_the_operator(name, dtype):
    model, strided = shapes.SHAPES[name]
    logits, bias = inputs(model, 9, dtype)
    weights, experts, _ = ascend_moe_gating.npu_moe_gating_top_k(
        logits, model.k, bias=bias, routed_scaling_factor=2.5, **model.options
    )
    logits = shapes.strided(logits) if strided else logits
    assert logits.is_contiguous() != strided
    alone = kernel.prepared(logits, bias, model.k, model.options)()
    assert torch.equal(alone[0], weights)
    assert torch.equal(alone[1], experts)


@pytest.mark.parametrize("before", [None, lambda: None])
def test_contestants_take_turns_and_hot_ones_warm_up(before):
    calls = []
    contestants = {name: lambda name=name: calls.append(name) for name in "ab"}
    timings = timing.interleave(contestants, seconds=0, before=before, rounds=15)
    once_each = "ab" if before else "aabb"
    assert "".join(calls) == "aabb" + 9 * once_each
    assert [len(timed.rounds) for timed in timings.values()] == [9, 9]


def test_the_nearest_model_has_the_same_scores_and_groups():
    assert [shapes.nearest(model) for model in peers.MODELS.values()] == list(peers.MODELS)
    assert shapes.nearest(peers.Model(100, 4, False, {"norm_type": 1})) == "Kimi"
    assert shapes.nearest(peers.Model(100, 4, True, {"group_count": 4, "k_group": 2})) == "V2"


def test_copies_of_the_library_run_the_versions_that_they_are_asked_for():
    before = dict(os.environ)
    copies = {name: kernel.version(name) for name in ("portable", vector())}
    assert {name: copy.moe_gating_top_k_vector().decode() for name, copy in copies.items()} == {
        name: name for name in copies
    }
    assert kernel.version("sse9") is None
    assert dict(os.environ) == before


@pytest.mark.usefixtures("threads")
def test_every_study_is_measured(monkeypatch):
    monkeypatch.setattr(studies, "TOKENS", 16)
    monkeypatch.setattr(studies, "MANY", (16, 32))
    monkeypatch.setattr(studies, "TRAINED_TOKENS", 16)
    measured = studies.measure(seconds=0.001)
    printed = "\n".join(line for name, results in measured.items() for line in report.study(name, results))
    assert all(name in printed for name in shapes.SHAPES)
    for made in promises.of_the_studies(measured):
        assert made.measured is not None or "AVX-512" in made.case
        assert made.measured is None or made.measured > 0


# A run whose numbers are exactly what is promised: each in seconds of one call of what the promise compares with.
BEST_EAGER = {"V3": 28, "Kimi": 15, "V2": 14, "Qwen3": 11}
BEST_INDUCTOR = {"V3": 25, "Kimi": 14, "V2": 10, "Qwen3": 11}
LIMIT = {"V3": 3, "Kimi": 2.8, "V2": 5, "Qwen3": 4.5}


def promised_run():
    results = [
        {**case._asdict(), "spread": {"op": 0.0}, "seconds": {
            "op": 1.0, "transformers": BEST_EAGER[case.model], "vllm": 99.0, "kernel": LIMIT[case.model], "limit": 1.0,
            **({"inductor static": 99.0, "inductor dynamic": BEST_INDUCTOR[case.model]} if case.inductor else {}),
        }} for case in plan.cases()
    ]  # fmt: skip
    every = {name: shapes.Shape(model) for name, model in peers.MODELS.items()} | shapes.SHAPES
    per_expert = {name: 1.0 if name in peers.MODELS else 1.3 for name in every}
    of_one = {"model": "V3", "dtype": "float32", "tokens": 1024}
    measured = {
        "versions": [{**of_one, "seconds": {"avx512": 1.0, "avx2": 1.6}}],
        "threads": [{**of_one, "seconds": {"1": 1.8, "2": 1.0}}],
        "linearity": [{**of_one, "seconds": {"1024": 1.0, "8192": 8.0, "65536": 1.3 * 64}}],
        "special_logits": [{**of_one, "seconds": {"random": 1.0, "equal": 1.6, "saturated": 2.5, "nan": 2.5}}],
        "ways_to_score": [
            {**of_one, "seconds": {"plain": 1.0, "norm_type": 1.6}},
            {**of_one, "seconds": {"plain": 1.0, "renorm": 1.05}},
        ],
        "both_passes": [{**of_one, "seconds": {"op": 1.0, "transformers": 5.0, "vllm": 9.0}}],
        "replaced_gates": [{**of_one, "seconds": {"replaced": 1.0, "transformers": 10.0}}],
        "end_of_memory": [{**of_one, "seconds": {"elsewhere": 1.0, "end": 1.1}}],
        "awkward_shapes": [
            {"dtype": "float32", "seconds": {name: per_expert[name] * every[name].model.experts for name in every}}
        ],
    }
    npu = {"stand_in": True, "compile": 1.0, "dispatch": {"torch_npu": 1.0, "public": 1.1, "checks": 5e-7}}
    return results, measured, npu


def seconds_of(run, where, contestant=""):
    """The seconds that a test changes: of a line of the table, of a study, or of NPU dispatch."""
    results, measured, npu = run
    if where == "npu":
        return npu["dispatch"]
    if isinstance(where, str):
        return next(
            result["seconds"] for result in measured[where] if not contestant or contestant in result["seconds"]
        )
    return next(result for result in results if plan.Case(*(result[f] for f in plan.Case._fields)) == where)["seconds"]


def line_of(model, tokens, dtype="bfloat16"):
    return next(case for case in plan.cases() if case[:5] == (model, tokens, dtype, 1, True))


MISSES = [
    *((line_of(model, 65536), "transformers", f"{model}: best eager / operator") for model in peers.MODELS),
    *((line_of(model, 8192), "inductor dynamic", f"{model}: Inductor / operator") for model in peers.MODELS),
    *((line_of(model, 1024), "kernel", f"{model}: kernel / limit") for model in peers.MODELS),
    (line_of("V3", 1, "float32"), "transformers", "V3: one token, best eager / operator"),
    ("versions", "avx2", "AVX2 / AVX-512"),
    ("threads", "1", "one thread / two threads"),
    ("linearity", "65536", "time per token / that of 1024 tokens"),
    ("special_logits", "equal", "equal logits / random logits"),
    ("special_logits", "saturated", "saturated logits / random logits"),
    ("special_logits", "nan", "logits of NaN / random logits"),
    ("ways_to_score", "norm_type", "sqrt(softplus) / sigmoid"),
    ("ways_to_score", "renorm", "renorm / without"),
    ("both_passes", "transformers", "V3: both passes, best eager / operator"),
    ("replaced_gates", "transformers", "V3: eager / after replace_gates"),
    ("end_of_memory", "end", "end of memory / elsewhere"),
    ("awkward_shapes", "60 experts, softmax", "awkward shape / nearest model, per expert"),
    ("npu", "public", "NPU: public function / torch_npu's call"),
    ("npu", "checks", "NPU: the public function's checks, us"),
]


def missed(run):
    return [made.name for made in promises.judge(*run) if made.verdict == "MISSED"]


def test_numbers_as_promised_are_reached():
    run = promised_run()
    seconds_of(run, line_of("V3", 1, "float32"))["transformers"] = 8.0
    assert missed(run) == []
    assert [made.verdict for made in promises.judge(*run)].count("reached") == len(MISSES)


@pytest.mark.parametrize(("where", "contestant", "name"), MISSES, ids=lambda value: str(value))
def test_one_number_in_one_case_misses_its_promise(where, contestant, name):
    run = promised_run()
    seconds = seconds_of(run, where, contestant)
    if name.startswith("V3: one token"):
        seconds[contestant] = 8.0
    at_least = "operator" in name or "threads" in name or "replace_gates" in name
    seconds[contestant] *= 0.99 if at_least else 1.01
    assert missed(run) == [name]


def test_a_processor_without_avx512_is_no_miss():
    results, measured, npu = promised_run()
    measured["versions"] = []
    (made,) = (made for made in promises.judge(results, measured, npu) if made.name == "AVX2 / AVX-512")
    assert made.verdict == "skipped"
    assert "no AVX-512" in report.promise(made)


def test_the_command_tells_a_miss_and_writes_it(monkeypatch, tmp_path, capsys):
    results, measured, npu = promised_run()
    measured["threads"][0]["seconds"]["2"] = 1.5
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--output", str(tmp_path)])
    monkeypatch.setattr(cpu, "measure", lambda *_: iter(results))
    monkeypatch.setattr(studies, "measure", lambda *_: measured)
    monkeypatch.setattr(command, "npu_dispatch", lambda *_: npu)
    command.main()
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "MISSED" in line)
    assert " ".join(line.split()) == "one thread / two threads >= 1.8 1.20 MISSED V3 float32 1024, 1 of 1 cases"
    written = json.loads((tmp_path / "results.json").read_text())["promises"]
    assert {made["name"]: made["verdict"] for made in written}["one thread / two threads"] == "MISSED"
    assert all(set(made) == {"name", "wanted", "measured", "case", "beyond", "at_least", "verdict"} for made in written)


@pytest.mark.stand_in
def test_dispatch_is_measured_on_the_stand_in():
    measured = command.npu_dispatch(seconds=0.1)
    assert measured["stand_in"] == simulator.active()
    assert set(measured["dispatch"]) == {"torch_npu", "public", "checks"}
    assert measured["compile"] > 0
