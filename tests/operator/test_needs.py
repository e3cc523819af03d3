"""What only some CANN takes: the needs, what the stand-in refuses in the name of each release, what a user reads."""

import functools
import gc
import itertools
import re
import types
import weakref

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

import ascend_moe_gating
from ascend_moe_gating import simulator
from ascend_moe_gating.converters import refusals
from ascend_moe_gating.plugin.aclnn import npu_moe_gating_top_k as aclnn
from ascend_moe_gating.plugin.constraints.needs import missing
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import NEEDS, SIGNATURE, Call
from ascend_moe_gating.plugin.environment.cann import Cann, _parsed, present
from ascend_moe_gating.plugin.verify.needs import broken, grid
from tests.backends import compiled

RELEASES = ("8.3", "8.5.0", "9.0.0", "9.1.0", "newest")
SOCS = ("Ascend910B1", "Ascend910_9391", "Ascend950PR_9579")
everywhere = pytest.mark.parametrize(("release", "soc"), list(itertools.product(RELEASES, SOCS)))


GRID = [(call, broken(call)) for call in grid()]


@functools.cache
def refusals_of(release, soc):
    """What this device says to each call of the grid."""
    with simulator.release(release, soc):
        return [refusal(call._replace(x=call.x.npu())) for call, _ in GRID]


def refusal(call):
    """What the device says to a call, no matter what this package thinks of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aclnn, "check", lambda call: None)
        try:
            aclnn.npu_moe_gating_top_k(*call[:2], **{name: getattr(call, name) for name in Call._fields[2:]})
        except RuntimeError as error:
            return str(error)
    return ""


@pytest.mark.stand_in
@everywhere
def test_the_stand_in_refuses_what_breaks_a_rule_or_has_an_unmet_need_and_nothing_else(release, soc):
    said_to = refusals_of(release, soc)
    with simulator.release(release, soc):
        for (call, rule), said in zip(GRID, said_to, strict=True):
            unmet = "" if rule else missing(call, NEEDS)
            assert bool(said) == bool(rule or unmet), (call, rule, unmet, said)
            assert not said or "returned 561002" in said


@pytest.mark.stand_in
def test_every_rule_is_one_that_no_cann_takes():
    every = [refusals_of(release, soc) for release, soc in itertools.product(RELEASES, SOCS)]
    taken = {i for said in every for i, words in enumerate(said) if not words}
    assert taken == {i for i, (_, rule) in enumerate(GRID) if not rule}


FROM_8_5, FROM_9_0, FROM_9_1 = set(RELEASES[1:]), set(RELEASES[2:]), set(RELEASES[3:])
TAKEN = [
    ({"renorm": 1}, "renorm=1 needs CANN 9.0 on Atlas A2 and A3, 9.1 on 950 (C11)", FROM_9_0, FROM_9_1),
    ({"norm_type": 2}, "norm_type=2 needs CANN 9.1 on 950 (C12)", set(), FROM_9_1),
    ({"k_group": 4, "group_count": 8}, "a group of 1 or 2 experts needs CANN 8.5", FROM_8_5, FROM_8_5),
    (
        {"k_group": 8, "group_count": 16, "group_select_mode": 1},
        "group_select_mode=1 with groups of 1 expert needs CANN 8.5 on 950 (C6)",
        set(),
        FROM_8_5,
    ),
]


@pytest.mark.stand_in
@pytest.mark.parametrize("way", ["public", "direct aclnn call", "static graph", "dynamic graph"])
@pytest.mark.parametrize(("options", "need", "by_a2", "by_950"), TAKEN, ids=[str(row[0]) for row in TAKEN])
def test_what_the_device_refuses_is_a_runtime_error_that_names_the_need(options, need, by_a2, by_950, way):
    def public(x):
        return ascend_moe_gating.npu_moe_gating_top_k(x, 4, **options)

    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    expected = public(x)
    for release, (soc, takers) in itertools.product(
        ("8.3", "8.5.0", "9.0.0", "newest"), zip(SOCS[1:], (by_a2, by_950), strict=True)
    ):
        with simulator.release(release, soc):
            call = {
                "public": public,
                "direct aclnn call": lambda x: aclnn.npu_moe_gating_top_k(x, 4, **options),
                "static graph": compiled(public),
                "dynamic graph": compiled(public, dynamic=True),
            }[way]
            if release in takers:
                for actual, right in zip(call(x.npu())[:2], expected[:2], strict=True):
                    torch.testing.assert_close(actual.cpu(), right)
                continue
            with pytest.raises(RuntimeError, match=re.escape(need)) as caught:
                call(x.npu())
            version = {"newest": "9.2.0", "8.3": "8.3.0"}.get(release, release)
            assert f"; this is CANN {version} on {soc}" in str(caught.value)
            assert re.search("must be|kernel|greater than", str(caught.value))  # and CANN's own words


@pytest.mark.stand_in
def test_a_client_that_catches_the_refusal_falls_back():
    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(0)).npu()
    expected = ascend_moe_gating.npu_moe_gating_top_k(x, 4, renorm=1)
    with simulator.release("8.5.0"):
        try:
            y, experts, _ = ascend_moe_gating.npu_moe_gating_top_k(x, 4, renorm=1)
        except RuntimeError:
            y, experts, _ = ascend_moe_gating.npu_moe_gating_top_k(x, 4)
            y = y / (y.sum(1, keepdim=True) + 1e-20)
    torch.testing.assert_close(y.cpu(), expected[0].cpu())
    assert torch.equal(experts.cpu(), expected[1].cpu())


@pytest.mark.stand_in
@pytest.mark.needs("hash routing")
@pytest.mark.parametrize("k", [6, 65])
def test_hash_routing(k):
    ids, table = torch.zeros(3).int().npu(), torch.arange(2 * k).reshape(2, k).int().npu()

    def call():
        ascend_moe_gating.npu_moe_gating_top_k(torch.zeros(3, 256).npu(), k, input_ids=ids, tid2eid=table)

    for release, soc in itertools.product(RELEASES, SOCS):
        with simulator.release(release, soc):
            if release == "newest" and (k <= 64 or "950" not in soc):
                call()
                continue
            with pytest.raises(
                RuntimeError, match=r"with input_ids and tid2eid needs|input_ids and tid2eid needs CANN 9"
            ):
                call()


@pytest.mark.stand_in
@everywhere
def test_what_is_present(release, soc):
    with simulator.release(release, soc):
        version = {"newest": "9.2.0", "8.3": "8.3.0"}.get(release, release)
        assert str(present()) == f"CANN {version} on {soc}"
        status = ascend_moe_gating.status()
        assert status.cann.startswith(f"CANN {version} on {soc}")
        takes_renorm = version >= ("9.1" if "950" in soc else "9.0")
        assert ("renorm=1 needs CANN 9.0" in status.cann) != takes_renorm


@pytest.mark.parametrize("cann", [Cann(None, None), Cann((8, 3), None), Cann((8, 3), "Ascend310P3")])
def test_what_is_not_known_takes_everything(cann):
    assert missing(Call(torch.zeros(1, 8), 2, renorm=1, norm_type=2), NEEDS, cann) == ""
    assert missing(Call(torch.zeros(1, 8), 2, renorm=1), NEEDS, Cann(None, "Ascend910B3")) == ""


@pytest.mark.parametrize(
    ("text", "version"),
    [("8.5.0", (8, 5, 0)), ("8.3.RC1", (8, 3)), ("9.1.0-beta.2", (9, 1, 0)), ("9.0.0.beta1", (9, 0, 0)), ("", None)],
)
def test_versions(text, version):
    assert _parsed(text) == version


@pytest.mark.stand_in
def test_a_gate_that_this_cann_does_not_take_is_not_fused():
    def gate(logits):  # the best of pairs of experts
        scores = logits.softmax(1)
        best = scores.unflatten(1, (8, 2)).max(2).values
        kept = torch.zeros_like(best).scatter(1, best.topk(3, 1, sorted=False).indices, 1.0)
        masked = scores.masked_fill(~kept.unsqueeze(2).expand(-1, -1, 2).reshape(-1, 16).bool(), 0.0)
        return masked.topk(2, 1)

    x = torch.randn(5, 16).npu()
    for release, fused in (("8.3", False), ("8.5.0", True)):
        torch._dynamo.reset()
        with simulator.release(release):
            (report,) = ascend_moe_gating.explain(gate, x).gates
            assert report.fused == fused, report
            assert ("a group of 1 or 2 experts needs CANN 8.5" in report.reason) != fused, report
            compiled(gate)(x)


def test_the_names_of_the_needs_are_labels_of_the_operator():
    assert {need.label for need in NEEDS} <= {f"C{number}" for number in range(1, 20)}
    assert SIGNATURE.Call is Call


def test_a_number_of_tokens_that_nobody_knows_stays_unknown():
    """Under fake tensors no tokens are no special case: asking would make a guard, or fail where there is no hint."""
    mode = FakeTensorMode(shape_env=ShapeEnv())
    with mode:
        x = torch.empty(mode.shape_env.create_unbacked_symint(), 8, device="npu")
        y, experts, _ = ascend_moe_gating.npu_moe_gating_top_k(x, 2)
        assert not mode.shape_env.guards
        assert (y.shape[0], experts.shape[1]) == (x.shape[0], 2)


@pytest.mark.stand_in
@pytest.mark.parametrize(
    "call",
    [
        lambda x: ascend_moe_gating.npu_moe_gating_top_k(x, 4, renorm=1),
        lambda x: aclnn.npu_moe_gating_top_k(x, 4, renorm=1),
        lambda x: ascend_moe_gating.npu_moe_gating_top_k_softmax(x, None, 4),
    ],
    ids=["public", "direct aclnn call", "softmax"],
)
def test_a_refusal_that_is_over_keeps_no_tensor(call):
    x = torch.zeros(2, 2049 if call.__code__.co_names[-1].endswith("softmax") else 16).npu()
    alive = weakref.ref(x)
    gc.collect()
    gc.disable()
    try:
        with simulator.release("9.0.0", "Ascend950PR_9579"):
            call(x)
    except RuntimeError as error:
        said = str(error)
        del x
    finally:
        gc.enable()
    assert "needs CANN" in said
    assert alive() is None


def test_a_torchair_whose_graphs_are_not_known_is_left_alone():
    for module in (types.ModuleType("a"), types.SimpleNamespace(TorchNpuGraph=object)):
        refusals.register(module)
