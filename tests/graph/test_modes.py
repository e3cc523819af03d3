"""What torchair offers beside compiling, for every kind of call that this package converts: no tokens, gears, exported
graphs, graphs on disk, captured ones."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torchair
from torch._dynamo.testing import CompileCounterWithBackend
from torchair.inference import cache_compile, set_dim_gears

from ascend_moe_gating import npu_moe_gating_top_k, npu_moe_gating_top_k_softmax_v2
from tests.backends import compiled, torchair_backend

GENERATOR = torch.Generator().manual_seed(0)


class Gating(torch.nn.Module):
    def forward(self, x, bias):
        return npu_moe_gating_top_k(x, 4, bias=bias, norm_type=1, out_flag=True)


class Routing(torch.nn.Module):
    def forward(self, x, ids, table):
        return npu_moe_gating_top_k(x, 4, input_ids=ids, tid2eid=table, norm_type=1, out_flag=True)


class Softmax(torch.nn.Module):
    def forward(self, x, finished):
        return npu_moe_gating_top_k_softmax_v2(x, k=4, finished=finished, output_softmax=True)


class Renormalized(torch.nn.Module):
    def forward(self, x, finished):
        return npu_moe_gating_top_k_softmax_v2(x, k=4, finished=finished, renorm=1)


BIAS = torch.randn(32, generator=GENERATOR)
TABLE = torch.randint(0, 32, (9, 4), generator=GENERATOR)


@dataclass(frozen=True)
class Kind:
    """A model, its node, and what it takes for so many tokens: first what has a size that varies, then the rest."""

    model: Any
    node: str
    varying: int

    def inputs(self, tokens, device="cpu"):
        x = torch.randn(tokens, 32, generator=torch.Generator().manual_seed(tokens))
        more = {
            Gating: (BIAS,),
            Routing: (torch.arange(tokens) % 9, TABLE),
            Softmax: (torch.arange(tokens) % 3 == 0,),
            Renormalized: (torch.arange(tokens) % 2 == 0,),
        }[self.model]
        return [tensor.to(device) for tensor in (x, *more)]


KINDS = {
    "gating": Kind(Gating, "MoeGatingTopK", 1),
    "hash routing": Kind(Routing, "MoeGatingTopK", 2),
    "softmax": Kind(Softmax, "MoeGatingTopKSoftmaxV2", 2),
    "renormalized": Kind(Renormalized, "MoeGatingTopKSoftmaxV2", 2),
}
NEEDS = {"hash routing": pytest.mark.needs("hash routing")}
each_kind = pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=name, marks=NEEDS.get(name, ())) for name, kind in KINDS.items()]
)


def assert_right(actual, kind, tokens):
    expected = kind.model()(*kind.inputs(tokens))
    for a, e in zip(actual, expected, strict=True):
        assert (a.shape, a.dtype) == (e.shape, e.dtype)
        torch.testing.assert_close(a.cpu(), e)


@each_kind
@pytest.mark.parametrize("device", ["cpu", "npu"])
def test_no_tokens_in_eager_mode(kind, device):
    assert_right(kind.model()(*kind.inputs(0, device)), kind, 0)


@each_kind
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_no_tokens_in_a_graph(kind, dynamic):
    assert_right(compiled(kind.model(), dynamic)(*kind.inputs(0, "npu")), kind, 0)


@each_kind
def test_a_dynamic_graph_meets_no_tokens_between_others(kind):
    counter = CompileCounterWithBackend(torchair_backend())
    torch._dynamo.reset()
    model = torch.compile(kind.model(), backend=counter, dynamic=True, fullgraph=True)
    graphs = []
    for tokens in (5, 0, 7, 0, 5):
        assert_right(model(*kind.inputs(tokens, "npu")), kind, tokens)
        graphs.append(counter.frame_count)
    assert graphs[1:] == [graphs[0] + 1] * 4  # 0 is a size of its own for torch, and the graph for others stays


@each_kind
def test_gears(kind):
    counter = CompileCounterWithBackend(torchair_backend())
    torch._dynamo.reset()
    model = torch.compile(kind.model(), backend=counter, dynamic=True, fullgraph=True)
    graphs = []
    for tokens in (4, 8, 16, 4):
        inputs = kind.inputs(tokens, "npu")
        for tensor in inputs[: kind.varying]:
            set_dim_gears(tensor, {0: [4, 8, 16]})
        for tensor in inputs[kind.varying :]:
            torch._dynamo.mark_static(tensor)
        assert_right(model(*inputs), kind, tokens)
        graphs.append(counter.frame_count)
    assert len(set(graphs)) == 1


@each_kind
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_export(kind, dynamic, tmp_path):
    torch._dynamo.reset()
    torchair.dynamo_export(
        *kind.inputs(4, "npu"), model=kind.model(), export_path=str(tmp_path), export_name="gate", dynamic=dynamic
    )
    assert kind.node.encode() in (tmp_path / "gate.air").read_bytes()
    text = (tmp_path / "dynamo.pbtxt").read_text()
    assert text.count(f'op: "{kind.node}"') == 1


@each_kind
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_a_compiled_model_is_kept_on_disk(kind, dynamic, tmp_path):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = kind.model()
            self.compiled = cache_compile(self.run, cache_dir=str(tmp_path), dynamic=dynamic)

        def forward(self, *inputs):
            return self.compiled(*inputs)

        def run(self, x, *more):
            return self.gate(x, *more)

    for _ in range(2):  # the second finds what the first has left
        torch._dynamo.reset()
        model = Model()
        for tokens in (5, 9) if dynamic else (5,):
            assert_right(model(*kind.inputs(tokens, "npu")), kind, tokens)
    assert len(list(tmp_path.rglob("compiled_module"))) == 1


@each_kind
@pytest.mark.parametrize("type_", ["py", "txt", "pbtxt"])
def test_dumps(kind, type_, tmp_path):
    torch._dynamo.reset()
    config = torchair.CompilerConfig()
    config.debug.graph_dump.type = type_
    config.debug.graph_dump.path = str(tmp_path)
    torch.compile(kind.model(), backend=torchair.get_npu_backend(compiler_config=config))(*kind.inputs(4, "npu"))
    dumps = list(tmp_path.glob(f"*.{type_}"))
    assert dumps
    assert all(kind.node in dump.read_text() for dump in dumps)


@each_kind
def test_captured(kind):
    torch._dynamo.reset()
    config = torchair.CompilerConfig()
    config.mode = "reduce-overhead"
    backend = torchair.get_npu_backend(compiler_config=config)
    model = torch.compile(kind.model(), backend=backend, dynamic=False, fullgraph=True)
    for _ in range(2):
        assert_right(model(*kind.inputs(5, "npu")), kind, 5)
