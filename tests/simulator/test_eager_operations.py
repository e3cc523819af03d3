"""Eager operations around a gate, on npu tensors: the same as on the CPU."""

import ctypes
import re

import pytest
import torch

from ascend_moe_gating.plugin.aclnn import cann
from tests.programs import start

generator = torch.Generator().manual_seed(0)
X = torch.randn(4, 8, generator=generator)
Y = torch.randn(4, 8, generator=generator)
INDEX = torch.randint(0, 4, (4, 3), generator=generator)
UNIQUE = torch.stack([torch.randperm(8, generator=generator)[:3] for _ in range(4)])
MASK = X > 0
COUNTS = torch.arange(-6, 6).view(3, 4)
IDS = torch.randint(0, 7, (12,), generator=generator)
TIMES = torch.tensor([1, 0, 2, 3])

OPERATIONS = {
    "abs": lambda x, t: x.abs(),
    "add": lambda x, t: x + t(Y),
    "add a number": lambda x, t: x + 1.5,
    "add in place": lambda x, t: x.add_(t(Y), alpha=2),
    "add of two dtypes": lambda x, t: x + t(COUNTS)[:1, :1],
    "all": lambda x, t: [t(MASK).all(), t(MASK).all(dim=1), (x == x).all()],
    "amax": lambda x, t: [x.amax(1), x.amax((0, 1)), x.amin(0, keepdim=True)],
    "any": lambda x, t: [t(MASK).any(), t(MASK).any(dim=0)],
    "argmax": lambda x, t: [x.argmax(1), x.argmax(0, keepdim=True), x.argmin(1)],
    "bincount": lambda x, t: [
        torch.bincount(t(IDS)),
        torch.bincount(t(IDS).int(), minlength=9),
        torch.bincount(t(IDS), t(Y).flatten()[:12]),
        torch.bincount(t(IDS)[:0], minlength=3),
    ],
    "bitwise": lambda x, t: [~t(MASK), t(MASK) & t(MASK), t(COUNTS) & 3, t(COUNTS) | 4, ~t(COUNTS)],
    "broadcast": lambda x, t: x[:, :1] * t(Y)[:1],
    "cat": lambda x, t: [torch.cat([x, t(Y)]), torch.cat([x, t(Y)], dim=-1), torch.stack([x, t(Y)], dim=1)],
    "ceil": lambda x, t: [x.ceil(), x.floor()],
    "clamp": lambda x, t: [x.clamp(min=0), x.clamp(-0.5, 0.5), x.clamp(max=0), x.clamp(t(Y), t(Y) + 1), x.clamp(t(Y))],
    "compare": lambda x, t: [x < t(Y), x <= t(Y), x > t(Y), x >= t(Y), x == x, x != t(Y)],
    "compare with a number": lambda x, t: [x < 0, x <= 0, x > 0, x >= 0, x == 0, x != 0],
    "cumsum": lambda x, t: [x.cumsum(0), x.cumsum(-1, dtype=torch.float32), t(COUNTS).cumsum(1)],
    "div": lambda x, t: [x / t(Y), x / 3, t(COUNTS) / 2, t(COUNTS) // 4, t(COUNTS) % 4],
    "exp": lambda x, t: [x.exp(), x.abs().log(), x.abs().sqrt(), x.square(), x**3, x.reciprocal()],
    "expand": lambda x, t: x.unsqueeze(-1).expand(4, 8, 2).reshape(4, 16),
    "fill": lambda x, t: [torch.zeros_like(x), torch.ones_like(x), torch.full_like(x, 2.5), x.zero_()],
    "gather": lambda x, t: x.gather(1, t(UNIQUE)),
    "index": lambda x, t: [x[t(INDEX)[0]], x[:, t(INDEX)[1]], x[t(INDEX)[0], t(INDEX)[1]], x[1:3, ::2], x[0]],
    "index by a mask": lambda x, t: [x[t(MASK)], x.masked_select(t(MASK)), t(MASK).nonzero()],
    "index put": lambda x, t: x.index_put_((t(torch.tensor([0, 2])),), t(Y)[:2]),
    "index select": lambda x, t: x.index_select(0, t(INDEX)[0]),
    "isfinite": lambda x, t: [(x / 0).isfinite(), x.isfinite()],
    "linear": lambda x, t: [torch.nn.functional.linear(x, t(Y), t(Y)[:, 0].contiguous()), x @ t(Y).t()],
    "logical": lambda x, t: [t(MASK).logical_not(), x.logical_and(t(Y)), x.logical_or(t(Y) * 0)],
    "masked fill": lambda x, t: [x.masked_fill(t(MASK), float("-inf")), x.masked_fill_(~t(MASK), 2)],
    "maximum": lambda x, t: [torch.maximum(x, t(Y)), torch.minimum(x, t(Y))],
    "max and min": lambda x, t: [x.max(), x.min(), *x.max(1), *x.min(0, keepdim=True)],
    "mean": lambda x, t: [x.mean(), x.mean(1), x.mean((0, 1), keepdim=True)],
    "mul": lambda x, t: [x * t(Y), x * 2, -x, x.mul_(0.5)],
    "norm": lambda x, t: [
        *(torch.linalg.vector_norm(x, p, dim=1) for p in (2, 1, 3, 0, float("inf"), float("-inf"))),
        *(x.norm(), x.norm(1, dim=0, keepdim=True), torch.nn.functional.normalize(x, dim=-1)),
    ],
    "of no elements": lambda x, t: [x[:0] + 1, x[:0].sum(), x[:, :0].sum(1), torch.cat([x[:0], x])],
    "of a number": lambda x, t: [x.sum() * 2, x.sum().exp(), x.sum() > 0],
    "one hot": lambda x, t: [
        torch.nn.functional.one_hot(t(IDS)),
        torch.nn.functional.one_hot(t(INDEX), 6),
        torch.nn.functional.one_hot(t(INDEX)[:, None, :1], 4),
    ],
    "sign": lambda x, t: [x.sign(), t(COUNTS).sign()],
    "softplus": lambda x, t: [
        *(torch.nn.functional.softplus(x), torch.nn.functional.softplus(x, 2.0, 1.0)),
        *(torch.ops.aten.softplus_backward(t(Y).to(x.dtype), x, *kind) for kind in ((1.0, 20.0), (2.0, 1.0))),
    ],
    "in place": lambda x, t: [x.clone().neg_(), x.abs().sqrt_(), x.clone().exp_(), x.abs().log1p_(), x.sigmoid_()],
    "pow": lambda x, t: [x.abs() ** t(Y), 2**x, x.abs() ** 0.5, t(COUNTS) ** 3, t(COUNTS) ** t(COUNTS).abs()],
    "repeat": lambda x, t: [x.repeat(2, 1), x.repeat(3, 1, 2), x.flip(0), x.flip((0, 1))],
    "repeat interleave": lambda x, t: [
        *(
            x.repeat_interleave(2, 1),
            x.repeat_interleave(3, 0),
            x.repeat_interleave(2),
            t(COUNTS).repeat_interleave(2, 1),
        ),
        *(x.repeat_interleave(t(TIMES), 0), x.t().repeat_interleave(t(TIMES), 1), torch.repeat_interleave(t(TIMES))),
        *(x[:, 0].repeat_interleave(t(TIMES)), x.repeat_interleave(t(TIMES), 0, output_size=6)),
    ],
    "scatter": lambda x, t: [
        x.scatter(1, t(UNIQUE), t(Y)[:, :3].contiguous()),
        x.scatter(1, t(UNIQUE), 7),
        x.scatter_(1, t(UNIQUE), 1),
    ],
    "scatter add": lambda x, t: [x.scatter_add(1, t(UNIQUE), t(Y)), x.scatter_add_(0, t(INDEX).view(3, 4)[:1], t(Y))],
    "sigmoid": lambda x, t: [x.sigmoid(), torch.nn.functional.silu(x), x.softmax(-1), x.softmax(0)],
    "sort": lambda x, t: [*x.sort(), *x.sort(0, descending=True), x.argsort(1)],
    "strided": lambda x, t: [x.t() + t(Y).t(), x.t().sum(0), x[:, ::2].sigmoid(), x.t().topk(2).indices],
    "sub": lambda x, t: [x - t(Y), 1 - x, x - 1, x.sub_(t(Y))],
    "sum": lambda x, t: [x.sum(), x.sum(-1, keepdim=True), x.sum((0, 1)), t(MASK).sum(), t(COUNTS).sum(0)],
    "ties": lambda x, t: [*(x * 0).sort(stable=True, dim=1), *(x > 0).int().sort(stable=True, descending=True)],
    "topk": lambda x, t: [*x.topk(3), *x.topk(2, dim=0, largest=False)],
    "where": lambda x, t: torch.where(t(MASK), x, t(Y)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_operation(operation, dtype):
    def to(device):
        def move(tensor):
            return tensor.to(dtype if tensor.is_floating_point() else tensor.dtype, copy=True).to(device)

        results = operation(move(X), move)
        return [result.cpu() for result in (results if isinstance(results, list) else [results])]

    for actual, expected in zip(to("npu"), to("cpu"), strict=True):
        torch.testing.assert_close(actual, expected, equal_nan=True)


@pytest.mark.parametrize(
    "tensor", [X, COUNTS, MASK, X / 0, X[:0], X.sum(), X * 1e6, X.half()], ids=lambda t: str(t.dtype)
)
def test_printing(tensor):
    assert re.sub(r",\s*device='npu:0'", "", repr(tensor.npu())).split() == repr(tensor).split()


def test_gradients_of_a_gate_that_is_written_out():
    def gradient(device):
        x = X.clone().to(device).requires_grad_()
        scores = x.sigmoid() + x.softmax(-1)
        weights = scores.gather(1, scores.topk(3).indices)
        (weights / weights.sum(-1, keepdim=True))[:, 0].sum().backward()
        return x.grad.cpu()

    torch.testing.assert_close(gradient("npu"), gradient("cpu"))


def test_creation():
    assert torch.arange(2, 9, 3, device="npu").tolist() == [2, 5, 8]
    assert torch.full((2,), 0.5, device="npu").tolist() == [0.5, 0.5]
    assert torch.tensor([[1, 2]], device="npu").tolist() == [[1, 2]]
    assert torch.equal(torch.eye(3).npu(), torch.eye(3).npu())
    assert not torch.equal(X.npu(), Y.npu())
    assert torch.allclose(X.npu(), (X + 1e-9).npu())


def test_random_numbers_follow_their_seed_and_distribution():
    def draw(seed):
        torch.npu.manual_seed(seed)
        uniform, normal = torch.rand(20000, device="npu"), torch.randn(20000, device="npu")
        return uniform.cpu(), normal.cpu(), torch.randint(3, 9, (20000,), device="npu").cpu()

    uniform, normal, integers = draw(1)
    assert all(torch.equal(a, b) for a, b in zip(draw(1), draw(1), strict=True))
    assert not torch.equal(draw(2)[0], uniform)
    assert 0 <= uniform.min() < 0.01
    assert 0.99 < uniform.max() < 1
    assert abs(normal.mean()) < 0.05
    assert abs(normal.std() - 1) < 0.05
    assert integers.unique().tolist() == [3, 4, 5, 6, 7, 8]


def test_integers_are_exact():
    large = torch.tensor([[2**60 + 1, 2**60], [-(2**60) - 1, 3]])
    x = large.npu()
    for exact in (
        lambda x: x.sum(1),
        lambda x: x.max(),
        lambda x: x.min(1).values,
        lambda x: x // 7,
        lambda x: (x % 97) ** 9,
        lambda x: x.cumsum(1),
        lambda x: x % 7,
        lambda x: x[x > 5],
        lambda x: x.gather(1, (x < 5).long()),
        lambda x: torch.where(x > 5, x, -x),
    ):
        assert torch.equal(exact(x).cpu(), exact(large))
    assert not torch.equal(x[:, 0], x[:, 0] - 1)


def test_real_functions_of_integers():
    for function in (torch.exp, torch.sqrt, torch.sigmoid, torch.log):
        torch.testing.assert_close(function(COUNTS.abs().npu() + 1).cpu(), function(COUNTS.abs() + 1))


@pytest.fixture
def add():
    """aclnnAdd's first phase on tensors, None for a null pointer; gives the status and CANN's words."""
    opapi = cann._cann()
    call = ctypes.CDLL("libopapi.so").aclnnAddGetWorkspaceSize
    call.argtypes = [ctypes.c_void_p] * 6

    def first_phase(x, other, out):
        handles = [None if tensor is None else opapi.tensor(tensor) for tensor in (x, other, out)]
        results = (ctypes.c_uint64 * 2)()
        places = [ctypes.addressof(results), ctypes.addressof(results) + 8]
        status = call(*handles[:2], None, handles[2], *places)
        for handle in filter(None, handles):
            opapi.destroy_tensor(handle)
        return status, (opapi.recent_error() or b"").decode()

    return first_phase


@pytest.mark.stand_in
def test_results_of_other_sizes_and_null_pointers_are_refused(add):
    x = X.npu()
    name = "aclnnAddGetWorkspaceSize: "
    assert add(x, x[:1], x[:, :7]) == (161002, name + "out is [4, 7], not [4, 8]")
    assert add(x[:1], x[:1], x) == (161002, name + "out is [4, 8], not [1, 8]")
    assert add(x, x[:, :3], x) == (161002, name + "the sizes [4, 8] and [4, 3] do not fit")
    assert add(None, x, x) == (161001, name + "self is a null pointer")
    assert add(x, None, x) == (161001, name + "other is a null pointer")
    assert add(x, x, None) == (161001, name + "out is a null pointer")
    assert add(x, x, x.half()) == (0, "")  # another dtype is converted to


FREED = """
import ctypes
from ascend_moe_gating import simulator
simulator.load()
import torch, torch_npu
x = torch.ones(1 << 20, device="npu")
torch.npu.synchronize()
with simulator.fault("aclnnInplaceFillScalar", when="hang"):
    torch.full((1,), 2.0, device="npu")
    x.add_(1)
    address = next(a.address for a in simulator.allocations() if a.address <= x.data_ptr() < a.address + a.bytes)
    assert ctypes.CDLL("libascendcl.so").aclrtFree(ctypes.c_void_p(address)) == 0
try:
    torch.npu.synchronize()
except RuntimeError as error:
    print("507899" in str(error))
"""


@pytest.mark.stand_in
def test_memory_that_was_freed_under_a_launch_is_named():
    result = start(["-c", FREED])  # a process of its own: torch_npu's caches go on using what was freed
    assert "True" in result.stdout.splitlines(), result.stderr
    assert re.search("selfRef is 4194304 bytes at .* into a freed allocation", result.stderr)


def test_an_index_larger_than_its_tensor_fails_as_on_a_device():
    x = X.npu()
    assert torch.equal(x.gather(1, INDEX[:2].npu()).cpu(), X.gather(1, INDEX[:2]))
    chosen = x.new_empty(6, 3)
    torch.gather(x, 1, torch.zeros(6, 3, dtype=torch.int64).npu(), out=chosen)
    with pytest.raises(RuntimeError, match="507015"):
        torch.npu.synchronize()


def test_an_index_outside_fails_as_on_a_device():
    x = X.npu()
    chosen = x[torch.tensor([9]).npu()]
    with pytest.raises(RuntimeError, match="507015"):
        torch.npu.synchronize()
    del chosen
    assert torch.equal(x[torch.tensor([3]).npu()].cpu(), X[3:])


def test_counts_that_do_not_fit_their_result_are_refused():
    x = X.npu()
    for repeats in ([1, 1, 1, 1], [9, -1, 0, 0]):
        x.repeat_interleave(torch.tensor(repeats).npu(), 0, output_size=8)
        with pytest.raises(RuntimeError, match="507015"):
            torch.npu.synchronize()
