"""The public function goes a short way to the operator; whatever listens to torch's dispatcher still hears of it."""

import gc
import re
import weakref

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from ascend_moe_gating import npu_moe_gating_top_k

operator = torch.ops.npu.npu_moe_gating_top_k.default
X, BIAS = torch.randn(3, 64, generator=torch.Generator().manual_seed(1)), torch.linspace(1, -1, 64)
GROUPS = {"k_group": 2, "group_count": 4, "group_select_mode": 1}
ROUTING = {"input_ids": torch.tensor([1, 0, 1]), "tid2eid": torch.tensor([[0, 1, 2, 3], [7, 6, 5, 4]])}
OPTIONS = {
    "defaults": {},
    "bias": {"bias": BIAS},
    "a parameter as bias": {"bias": torch.nn.Parameter(BIAS, requires_grad=False)},
    "groups": {**GROUPS, "norm_type": 1},
    "bias and groups": {"bias": BIAS, **GROUPS, "norm_type": 1, "routed_scaling_factor": 2.5},
    "all groups": {"k_group": 4, "group_count": 4},
    "one group": {"group_select_mode": 1},
    "norm_type": {"bias": BIAS, "norm_type": 1},
    "routed_scaling_factor": {"routed_scaling_factor": 2.5},
    "whole routed_scaling_factor": {"routed_scaling_factor": 2},
    "eps": {"bias": BIAS, **GROUPS, "norm_type": 1, "eps": 0.5},
    "out_flag": {"bias": BIAS, **GROUPS, "out_flag": True},
    "hash routing": {**ROUTING, "norm_type": 1},
    "hash routing, bias and groups": {**ROUTING, "bias": BIAS, "k_group": 4, "group_count": 4},
}
NEEDS = pytest.mark.needs("hash routing")
each_call = pytest.mark.parametrize(
    "options",
    [pytest.param(given, id=name, marks=NEEDS if "input_ids" in given else ()) for name, given in OPTIONS.items()],
)


class Calls:
    """A mode that notes what it lets through; torch leaves out of the arguments what is the default."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def note(self, function, types, args=(), kwargs=None):
        if function is operator:
            self.calls.append((args, kwargs or {}))
        return function(*args, **(kwargs or {}))


class DispatchCalls(Calls, TorchDispatchMode):
    __torch_dispatch__ = Calls.note


class FunctionCalls(Calls, TorchFunctionMode):
    __torch_function__ = Calls.note


def heard(mode, call, *args, **options):
    with mode() as listener:
        call(*args, **options)
    return listener.calls


def as_text(calls):
    return [
        (len(args), args[1:], {name: str(value) for name, value in sorted(kwargs.items())}) for args, kwargs in calls
    ]


@each_call
@pytest.mark.parametrize("device", ["cpu", "npu", "meta"])
def test_a_dispatch_mode_hears_of_the_call_and_of_all_arguments(options, device):
    options = {name: v.to(device) if isinstance(v, torch.Tensor) else v for name, v in options.items()}
    public = heard(DispatchCalls, npu_moe_gating_top_k, X.to(device), 4, **options)
    assert len(public) == 1
    assert as_text(public) == as_text(heard(DispatchCalls, operator, X.to(device), 4, **options))


@each_call
def test_a_function_mode_hears_of_the_overload(options):
    ((args, kwargs),) = heard(FunctionCalls, npu_moe_gating_top_k, X, 4, **options)
    assert args[0] is X
    assert all(kwargs[name] is value for name, value in options.items())


@each_call
def test_the_profiler_hears_of_it(options):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        npu_moe_gating_top_k(X, 4, **options)
    assert [event.name for event in profile.events() if "gating" in event.name] == ["npu::npu_moe_gating_top_k"]


class Named(torch.Tensor):
    functions = ()

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        cls.functions += (function,)
        return super().__torch_function__(function, types, args, kwargs)


@pytest.mark.parametrize("which", ["x", "bias"])
@each_call
def test_a_subclass_stays_one(options, which):
    arguments = {"x": X, **options}
    arguments[which] = {"x": X, "bias": BIAS}[which].as_subclass(Named)
    Named.functions = ()
    y, expert_idx, _ = npu_moe_gating_top_k(k=4, **arguments)
    assert operator in Named.functions
    assert type(y) is type(expert_idx) is Named
    assert torch.equal(y.as_subclass(torch.Tensor), operator(X, 4, **{**options, "bias": arguments.get("bias")})[0])


@each_call
def test_fake_tensors(options):
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        for x in (X, mode.from_tensor(X)):
            y, expert_idx, norm_out = npu_moe_gating_top_k(x, 4, **options)
            assert all(type(t) is torch._subclasses.FakeTensor for t in (y, expert_idx, norm_out))
            assert (y.shape, expert_idx.dtype, norm_out.shape) == ((3, 4), torch.int32, (3, 64))


def nodes(graph_module):
    return [node for node in graph_module.graph.nodes if node.op == "call_function" and "gating" in str(node.target)]


@each_call
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_dynamo_takes_it_whole(options, dynamic):
    torch._dynamo.reset()
    graphs = []

    def backend(graph_module, inputs):
        graphs.append(graph_module)
        return graph_module

    def route(x, ids=None):  # a number of tokens is a size of both
        return npu_moe_gating_top_k(x, 4, **({**options, "input_ids": ids} if ids is not None else options))

    ids = (ROUTING["input_ids"],) if "input_ids" in options else ()
    model = torch.compile(route, backend=backend, fullgraph=True, dynamic=dynamic)
    for copies in (1, 2):
        inputs = [tensor.repeat_interleave(copies, 0).clone() for tensor in (X, *ids)]
        for actual, expected in zip(model(*inputs)[:2], route(*inputs)[:2], strict=True):
            assert torch.equal(actual, expected)
    assert len(graphs) == (1 if dynamic else 2)
    assert [node.target for graph in graphs for node in nodes(graph)] == [operator] * len(graphs)


@each_call
def test_other_tracers_take_it(options):
    def route(x):
        return npu_moe_gating_top_k(x, 4, **options)[:2]

    class Route(torch.nn.Module):
        def forward(self, x):
            return route(x)

    exported = torch.export.export(Route(), (X,), strict=False)
    for graph_module in (
        make_fx(route)(X),
        make_fx(route, tracing_mode="symbolic", _allow_non_fake_inputs=True)(X),
        exported.graph_module,
    ):
        assert [node.target for node in nodes(graph_module)] == [operator]
    assert "npu::npu_moe_gating_top_k" in str(torch.jit.trace(route, X).graph)


@pytest.mark.parametrize(
    "options", [OPTIONS["defaults"], OPTIONS["bias and groups"]], ids=["defaults", "bias and groups"]
)
def test_transforms_answer_as_the_operator_does(options):
    def answer(transform, call):
        try:
            return str(transform(lambda x: call(x, 4, **options)[0].sum()))
        except RuntimeError as error:
            return str(error)

    for transform in (lambda call: torch.vmap(call)(X[None]), lambda call: torch.func.grad(call)(X)):
        assert answer(transform, npu_moe_gating_top_k) == answer(transform, operator)


def test_results_of_what_requires_a_gradient_are_those_of_the_operator():
    x, bias = X.clone().requires_grad_(), torch.nn.Parameter(BIAS)
    for options in ({}, {"bias": bias}):
        for public, own in zip(npu_moe_gating_top_k(x, 4, **options), operator(x, 4, **options), strict=True):
            assert public.requires_grad == own.requires_grad
            assert type(public.grad_fn) is type(own.grad_fn)
    with torch.inference_mode():
        assert npu_moe_gating_top_k(X, 4)[0].is_inference()


OTHER_TYPES = [
    ("k", 4.0, "k must be an int, got 4.0 of type float (C9)"),
    ("k", "4", "k must be an int, got '4' of type str (C9)"),
    ("k_group", 1.0, "k_group must be an int, got 1.0 of type float (C8)"),
    ("group_count", 1.0, "group_count must be an int, got 1.0 of type float (C5)"),
    ("group_select_mode", 0.0, "group_select_mode must be an int, got 0.0 of type float (C10)"),
    ("renorm", None, "renorm must be an int, got None of type NoneType (C11)"),
    ("norm_type", 0.0, "norm_type must be an int, got 0.0 of type float (C12)"),
    ("out_flag", "0", "out_flag must be a bool, got '0' of type str"),
    ("routed_scaling_factor", None, "routed_scaling_factor must be a number, got None of type NoneType"),
    ("eps", torch.zeros(2), "eps must be a number, got tensor([0., 0.]) of type Tensor"),
    ("bias", 0.0, "bias must be a Tensor or None, got 0.0 of type float (C4)"),
    ("input_ids", 0, "input_ids must be a Tensor or None, got 0 of type int (C15)"),
]


@pytest.mark.parametrize(("name", "value", "message"), OTHER_TYPES, ids=[message for *_, message in OTHER_TYPES])
def test_what_equals_a_default_but_has_another_type_is_refused(name, value, message):
    npu_moe_gating_top_k(X, 4)
    with pytest.raises(TypeError, match="^" + re.escape(message)):
        npu_moe_gating_top_k(X, **{"k": 4, name: value})


@pytest.mark.parametrize("options", [{"k": 65}, {"norm_type": 3}, {"renorm": 2}, {"renorm": 2, "bias": BIAS, **GROUPS}])
def test_a_broken_constraint_is_one_error_not_a_chain_of_them(options):
    with pytest.raises(ValueError, match=r"\(C\d+\)$") as raised:
        npu_moe_gating_top_k(X, **{"k": 4, **options})
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    ("x", "bias"),
    [(X.npu(), None), (X.npu(), BIAS.npu()), (X, BIAS.npu()), (X.to("meta"), None), (X.as_subclass(Named), None)],
    ids=["x on the NPU", "both on the NPU", "bias on the NPU", "meta", "subclass"],
)
def test_a_broken_call_that_no_cpu_kernel_would_check_never_leaves(x, bias):
    with DispatchCalls() as listener, pytest.raises(ValueError, match=r"\(C[49]\)$"):
        npu_moe_gating_top_k(x, 65, bias=bias)
    assert not listener.calls


def test_an_error_that_is_no_constraints_stays_what_it_is():
    failure = ValueError("not of this package")

    class Failing(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            raise failure

    with Failing(), pytest.raises(ValueError, match="not of this package") as raised:
        npu_moe_gating_top_k(X, 4)
    assert raised.value is failure
    assert raised.value.__context__ is None


@pytest.mark.parametrize(("k", "bias"), [(65, None), (4, BIAS.to_sparse())], ids=["a constraint", "another"])
def test_an_error_that_is_over_keeps_no_tensor(k, bias):
    x = X.clone()
    alive = weakref.ref(x)
    gc.disable()
    try:
        npu_moe_gating_top_k(x, k, bias=bias)
    except (ValueError, NotImplementedError):
        del x
    finally:
        gc.enable()
    assert alive() is None
