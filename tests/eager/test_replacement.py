"""replace_gates is never in the way: results, gradients, modes and what others do with a model are as they were."""

import copy
import io
import pickle

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from ascend_moe_gating import replace_gates
from tests.eager import written_routers
from tests.eager.written_routers import EXPERTS, HIDDEN, LEFT, REPLACED, HasALayer, Loops, Refuses, Router


def made(kind=Router):
    torch.manual_seed(0)
    return kind()


def tokens(count=7, grad=False):
    return torch.randn(count, HIDDEN, generator=torch.Generator().manual_seed(count)).requires_grad_(grad)


def assert_same(actual, expected):
    """Whatever order the experts have; the rest up to float32's rounding."""
    actual, expected = ([one] if isinstance(one, torch.Tensor) else one for one in (actual, expected))
    for one, other in zip(actual, expected, strict=True):
        assert (one.dtype, one.shape, one.requires_grad) == (other.dtype, other.shape, other.requires_grad)
        torch.testing.assert_close(one.sort(-1)[0], other.sort(-1)[0], rtol=1e-4, atol=1e-5)


def gradients(results, *inputs):
    results = [results] if isinstance(results, torch.Tensor) else results
    smooth = [(one.sort(-1)[0] * torch.linspace(-1, 1, one.shape[-1])).sum() for one in results if one.requires_grad]
    return torch.autograd.grad(smooth, inputs, allow_unused=True) if smooth else ()


@pytest.mark.parametrize("kind", REPLACED)
def test_results_and_gradients(kind):
    router, plain = made(kind), made(kind)
    x, other = tokens(grad=True), tokens(grad=True)
    with replace_gates(router) as replaced:
        for seed in range(2):
            torch.manual_seed(seed)
            actual = router(x)
            torch.manual_seed(seed)
            expected = plain(other)
            assert_same(actual, expected)
            found, wanted = gradients(actual, x, router.weight), gradients(expected, other, plain.weight)
            for one, two in zip(found, wanted, strict=True):
                torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)
    assert (replaced.fused, len(replaced.gates), replaced.waiting) == (1, 1, [])
    for name in ("calls", "bias", "last"):
        torch.testing.assert_close(getattr(router, name, 0), getattr(plain, name, 0))


@pytest.mark.parametrize("kind", LEFT)
def test_what_is_left_is_as_it_was(kind):
    router, plain = made(kind), made(kind)
    x = tokens(grad=True)
    with replace_gates(router) as replaced:
        for _ in range(2):
            assert_same(router(x), plain(x))
    assert type(router) is kind
    (gate,) = replaced.gates
    assert not gate.fused
    assert gate.reason.startswith(LEFT[kind])
    assert f"{written_routers.__name__.rpartition('.')[2]}.py:" in gate.where


def test_any_number_of_tokens_and_every_mode():
    router, plain = made(), made()
    replace_gates(router)
    for count in (5, 1, 0, 33, 1, 0):
        assert_same(router(tokens(count)), plain(tokens(count)))
    for mode in (torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16)):
        with mode:
            actual, expected = router(tokens()), plain(tokens())
        assert_same(actual, expected)
        assert actual[0].is_inference() == expected[0].is_inference()


def test_numbers_of_the_module_may_change():
    router, plain = made(), made()
    replace_gates(router)
    for name, value in (("top_k", 3), ("scale", 9.0), ("training", False), ("top_k", 4)):
        setattr(router, name, value)
        setattr(plain, name, value)
        assert_same(router(tokens()), plain(tokens()))


def test_after_more_kinds_of_calls_than_dynamo_keeps():
    """Each k is a graph; then the method is called as it is written."""
    router, plain = made(), made()
    replace_gates(router)
    router(tokens())
    with torch._dynamo.config.patch(accumulated_cache_size_limit=4):
        for k in range(1, 12):
            router.top_k = plain.top_k = k
            assert_same(router(tokens()), plain(tokens()))


def test_an_error_is_the_methods_own():
    router = made(Refuses)
    replaced = replace_gates(router)
    for _ in range(2):
        with pytest.raises(KeyError, match="not while training"):
            router(tokens())
        assert replaced.waiting == [""] or replaced.fused == 1
        router.eval()
        router(tokens())
        router.train()
    assert replaced.fused == 1


def test_copies_and_pickles_have_their_own_methods():
    router = made()
    replace_gates(router)
    router(tokens())
    assert isinstance(router, Router)
    assert repr(router) == repr(made())
    saved = io.BytesIO()
    torch.save(router, saved)
    saved.seek(0)
    others = (copy.deepcopy(router), pickle.loads(pickle.dumps(router)), torch.load(saved, weights_only=False))
    for other in others:
        assert type(other) is Router
        assert_same(other(tokens()), router(tokens()))
        with torch.no_grad():
            other.weight.neg_()
        assert not torch.equal(other(tokens())[0], router(tokens())[0])


def test_undo():
    model = torch.nn.Sequential(torch.nn.Linear(HIDDEN, HIDDEN), made())
    before = {name: dict(vars(module)) for name, module in model.named_modules()}
    expected = model(tokens())
    with replace_gates(model) as replaced:
        assert_same(model(tokens()), expected)
        again = replace_gates(model)
        assert [gate.reason for gate in again.gates] == ["forward is replaced already"]
        again.undo()
        assert type(model[1]) is not Router
    replaced.undo()
    assert type(model[1]) is Router
    assert {name: dict(vars(module)) for name, module in model.named_modules()} == before
    assert [gate.module for gate in replaced.gates] == ["1"]


def test_a_method_that_others_have_replaced_stays_so():
    router = made()
    router.forward = lambda x: "theirs"
    replaced = replace_gates(router)
    assert router(tokens()) == "theirs"
    assert replaced.gates[0].reason == "forward is replaced already"
    del router.forward
    router.forward = router.forward  # as those leave it who replace a method for a while
    assert replace_gates(router).waiting == [""]
    assert_same(router(tokens()), made()(tokens()))


def test_hooks_of_the_modules_inside_are_called():
    router, seen = made(HasALayer), []
    replace_gates(router)
    router(tokens())
    router.layer.register_forward_hook(lambda *given: seen.append("layer"))
    router.register_forward_hook(lambda *given: seen.append("router"))
    router(tokens())
    assert seen == ["layer", "router"]


def test_who_watches_the_operations_sees_them_as_written():
    router = made()
    replaced = replace_gates(router)
    traced = make_fx(router)(tokens())
    assert any("topk" in str(node.target) for node in traced.graph.nodes)
    with FlopCounterMode(display=False) as counter:
        router(tokens())
    assert counter.get_total_flops() == 2 * 7 * HIDDEN * EXPERTS
    assert_same(torch.jit.trace(router, (tokens(),), check_trace=False)(tokens()), made()(tokens()))
    assert replaced.waiting == [""]


@pytest.mark.parametrize("kind", [Router, Loops])
def test_a_default_device_is_no_watcher(kind):
    router, plain = made(kind), made(kind)
    with replace_gates(router) as replaced, torch.device("cpu"):
        for count in (7, 9):
            assert_same(router(tokens(count)), plain(tokens(count)))
    assert replaced.fused == 1


def test_compilers_see_the_model_as_written():
    router = made()
    replaced = replace_gates(router)
    torch._dynamo.reset()
    compiled = torch.compile(router, backend="aot_eager", fullgraph=True)
    assert_same(compiled(tokens()), made()(tokens()))
    for strict in (False, True):
        program = torch.export.export(router, (tokens(),), strict=strict)
        assert any("topk" in str(node.target) for node in program.graph.nodes)
        assert_same(program.module()(tokens()), made()(tokens()))
    assert replaced.waiting == [""]
    assert_same(router(tokens()), made()(tokens()))
    assert replaced.fused == 1


def test_transforms_of_functions_and_second_derivatives():
    router, plain = made(), made()
    replace_gates(router)
    router(tokens())
    first = lambda module: lambda x: module(x)[0][:, 0].sum()  # noqa: E731
    torch.testing.assert_close(torch.func.grad(first(router))(tokens()), torch.func.grad(first(plain))(tokens()))
    mapped = torch.func.vmap(lambda x: router(x[None])[0][0])(tokens())
    torch.testing.assert_close(mapped, plain(tokens())[0])

    def second(module):
        x = tokens(grad=True)
        (gradient,) = torch.autograd.grad(module(x)[0].square().sum(), x, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), x)[0]

    torch.testing.assert_close(second(router), second(plain), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("kind", [Router, Loops])
def test_under_activation_checkpointing(reentrant, kind):
    router, plain = made(kind), made(kind)
    replaced = replace_gates(router)
    for count in (7, 9):
        found = []
        for module in (router, plain):
            x = tokens(count, grad=True)
            results = checkpoint(module, x, use_reentrant=reentrant)
            (results[0] * results[0].detach()).sum().backward()
            found.append(x.grad)
        torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)
    assert replaced.fused == 1


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"model must be a torch.nn.Module, got function"):
        replace_gates(lambda x: x)
    assert str(replace_gates(torch.nn.Linear(2, 2))) == "no gate found"


def test_the_report():
    model = torch.nn.Sequential(made(), made(Loops))
    replaced = replace_gates(model)
    assert str(replaced) == "2 places to be called yet"
    model[0](tokens())
    title, head, row = str(replaced).splitlines()
    assert title == "1 of 1 gates replaced, 1 place to be called yet"
    assert head.split() == ["gate", "line", "module", "nodes", "becomes"]
    assert "npu_moe_gating_top_k(k=4, norm_type=1" in row
    assert row.split()[:3] == ["1", "written_routers.py:23", "0"]
    model[1](tokens())
    assert "2 of 2 gates replaced" in str(replaced)
    assert "<table>" in replaced.html()
