"""Compile a model with torchair: the operator becomes one node, and a dynamic number of tokens one graph."""

import tempfile
import textwrap
from pathlib import Path

import torch
import torch_npu  # noqa: F401  torchair comes with it
import torchair

from ascend_moe_gating import npu_moe_gating_top_k

EXPERTS, K = 256, 8


class Model(torch.nn.Module):
    def forward(self, logits, bias):
        return npu_moe_gating_top_k(
            logits, K, bias=bias, k_group=4, group_count=8, group_select_mode=1, norm_type=1, routed_scaling_factor=2.5
        )


config = torchair.CompilerConfig()
dumps = tempfile.TemporaryDirectory()
config.debug.graph_dump.type = "py"
config.debug.graph_dump.path = dumps.name
backend = torchair.get_npu_backend(compiler_config=config)
model = torch.compile(Model(), backend=backend, dynamic=True, fullgraph=True)

torch.manual_seed(0)
bias = torch.rand(EXPERTS)
agree = True
rows = []
for tokens in (16, 7, 1000):
    logits = torch.randn(tokens, EXPERTS)
    expected = Model()(logits, bias)
    actual = [result.cpu() for result in model(logits.npu(), bias.npu())]
    same = torch.equal(actual[1], expected[1]) and torch.allclose(actual[0], expected[0])
    agree = agree and same
    rows.append(f"{tokens:6}  {actual[1][0].tolist()!s:42} {'yes' if same else 'NO'}")

graphs = sorted(Path(dumps.name).glob("*original*.py"))
nodes = [line.strip() for line in graphs[0].read_text().splitlines() if "= ge.MoeGatingTopK" in line]

print("\n2. Graph mode\n")
print(f"{len(graphs)} graph for all numbers of tokens; in it the node")
print(*(textwrap.fill(node, 100, initial_indent="  ", subsequent_indent="    ") for node in nodes), sep="\n")
print("\ntokens  experts of the first token                 agrees with the CPU")
print(*rows, sep="\n")
raise SystemExit(not (agree and len(graphs) == 1 and len(nodes) == 1))
