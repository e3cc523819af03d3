"""Operations of compiled clients around a gate, in graphs of torchair: the same as on the CPU."""

import pytest
import torch

from ascend_moe_gating import simulator
from tests.backends import compiled

pytestmark = pytest.mark.stand_in


def scores(rows, dtype):
    return torch.randn(rows, 8, generator=torch.Generator().manual_seed(rows)).to(dtype)


def ids(rows, dtype):
    """Each row holds other numbers, in no order."""
    generator = torch.Generator().manual_seed(rows)
    return torch.randperm(rows * 4, generator=generator).view(rows, 4).to(dtype)


def overwritten(x, first, step=1):
    x = x.clone()
    x[first::step] = -1
    return x


def places(x):
    return torch.arange(x.shape[0], device=x.device)


REAL = {
    "arg max": lambda x: [x.argmax(), x.argmax(1), x.argmax(0, keepdim=True)],
    "arg min": lambda x: [x.argmin(1), x.argmin(0, keepdim=True)],
    "clamp": lambda x: [x.clamp(min=0), x.clamp(max=0.5), x.clamp(-0.5, 0.5), x.clamp(x[:1], x[:1] + 1)],
    "cumulative sum": lambda x: [x.cumsum(0), x.cumsum(-1)],
    "index": lambda x: [x[places(x)], x[:, places(x) % 8], x[places(x), places(x) % 8], x[places(x)[:2], :, None]],
    "mean": lambda x: [x.mean(), x.mean(1), x.mean((0, 1), keepdim=True), x.mean(0, dtype=torch.float32)],
    "norm": lambda x: [
        *(torch.linalg.vector_norm(x, p, dim=1) for p in (2, 1, 3, 0.5, 0, float("inf"), float("-inf"))),
        torch.linalg.vector_norm(x),
        x.norm(dim=-1, keepdim=True),
        torch.nn.functional.normalize(x, dim=-1),
    ],
    "overwrite": lambda x: [overwritten(x, 2), overwritten(x, 1, 2)],
    "pow": lambda x: [x**2, x.abs() ** 0.5, 2**x, x.abs() ** x, x.reciprocal()],
    "range": lambda x: [torch.arange(0, 1, 0.25, device=x.device), places(x) + x[:, 0]],
    "repeat": lambda x: [x.repeat(2, 1), x.repeat(3, 1, 2), x.flip(0), x.flip((0, 1))],
    "slice": lambda x: [x[1:] + 0, x[:-1] * 2, x[:, 2:7:2] + 0, x[1:3, ::3] * 1, x[-2:, -3:-1] + 0],
    "split": lambda x: [*x.split(2, 1), *x.split([3, 5], 1), *x.chunk(3, -1), *x.unbind(1)],
}
INTEGERS = {
    "clamp": lambda x: [x.clamp(min=3), x.clamp(3, 7), x.clamp(max=5)],
    "count": lambda x: [
        (x[..., None] == torch.arange(64, device=x.device, dtype=x.dtype)).sum((0, 1)),
        torch.zeros_like(x.flatten()).scatter_add_(0, x.flatten().long(), torch.ones_like(x.flatten())),
    ],
    "cumulative sum": lambda x: [x.cumsum(0)],
    "exact": lambda x: [(x + 3) ** 20, (x + 2**31 - 50).clamp(min=2**31 - 45) if x.dtype == torch.int64 else x],
    "index": lambda x: [x.flatten()[x.long()], x[x[:, 0].long() % x.shape[0]]],
    "overwrite": lambda x: [overwritten(x, 2), overwritten(x, 1, 2)],
    "range": lambda x: [places(x), torch.arange(2, 20, 3, device=x.device, dtype=x.dtype), places(x).to(x.dtype) + 1],
    "repeat": lambda x: [x.repeat(1, 2), x.flip(1)],
    "sort": lambda x: [*x.sort(), *x.sort(0, descending=True), *x.flatten().sort(), x.sort(1, descending=True)[1]],
    "split": lambda x: [*x.split(2, 1), *x.split([1, 3], -1)],
}


def compare(function, inputs, dynamic):
    """The first input decides what is compiled; a dynamic graph runs with the sizes of the others too."""
    model = compiled(function, dynamic)
    for x in inputs if dynamic else inputs[:1]:
        for actual, expected in zip(model(x.npu()), function(x), strict=True):
            torch.testing.assert_close(actual.cpu(), expected)


WAYS = pytest.mark.parametrize(
    ("dynamic", "narrow"), [(False, False), (True, True)], ids=["static and wide", "dynamic and narrow"]
)


@WAYS
@pytest.mark.parametrize("function", REAL.values(), ids=REAL)
def test_real_numbers(function, dynamic, narrow):
    dtype = torch.bfloat16 if narrow else torch.float32
    compare(function, [scores(rows, dtype) for rows in (6, 3, 5)], dynamic)


@WAYS
@pytest.mark.parametrize("function", INTEGERS.values(), ids=INTEGERS)
def test_integers(function, dynamic, narrow):
    compare(function, [ids(rows, torch.int32 if narrow else torch.int64) for rows in (6, 3, 5)], dynamic)


@pytest.mark.skipif(torch.__version__ < "2.6", reason="dynamo of this torch does not trace one_hot on an NPU")
def test_one_hot():
    compare(lambda x: [torch.nn.functional.one_hot(x, 64)], [ids(4, torch.int64)], False)


def test_halves():
    compare(lambda x: [x.mean(1), x.argmax(1), *x.split(4, 1), x.norm(dim=1)], [scores(4, torch.float16)], False)


def test_not_a_number_is_passed_on():
    x = torch.tensor([[1.0, float("nan"), 3.0]])
    limit = torch.tensor([[float("nan"), 1.0, 2.0]])
    assert torch.equal(torch.maximum(x.npu(), limit.npu()).cpu().isnan(), torch.maximum(x, limit).isnan())
    assert torch.equal(torch.minimum(x.npu(), limit.npu()).cpu().isnan(), torch.minimum(x, limit).isnan())
    actual = compiled(lambda x: x.clamp(0, 2))(x.npu()).cpu()
    torch.testing.assert_close(actual, x.clamp(0, 2), equal_nan=True)


def test_an_index_outside_fails_as_on_a_device():
    model = compiled(lambda x, index: x[index])
    model(scores(4, torch.float32).npu(), torch.tensor([4]).npu())
    with pytest.raises(RuntimeError, match="507015"):
        torch.npu.synchronize()


SCOPES = {
    "data_dump": (),
    "deterministic": (1,),
    "limit_core_num": (1, 2),
    "npu_stream_switch": ("1", 3),
    "op_never_timeout": (True,),
    "super_kernel": ("all", "option"),
}


@pytest.mark.parametrize("name", SCOPES)
def test_what_scopes_say_of_a_node_is_taken(name):
    scope = pytest.importorskip("torchair.scope")
    if not hasattr(scope, name):
        pytest.skip(f"the installed torchair has no scope {name}")

    def gate(x):
        with getattr(scope, name)(*SCOPES[name]):
            best = x.topk(2)[0]
        return best * 2

    x = scores(4, torch.float32)
    model = compiled(gate)
    model(x.npu())
    with simulator.record() as launches:
        actual = model(x.npu())
    torch.testing.assert_close(actual.cpu(), x.topk(2)[0] * 2)
    (node,) = (launch for launch in launches if launch.name == "TopKV2")
    assert not any(attribute.startswith(("_", "torchair")) for attribute in node.attributes)
