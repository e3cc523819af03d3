"""What became of the gates of a graph: as text, and as a page that needs nothing else."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch.fx import Node


@dataclass
class GateReport:
    """What became of one gate of a graph."""

    fused: bool
    reason: str = ""  # why it was not fused
    where: str = ""  # file:line of the choice of experts, where the graph knows it
    parameters: dict[str, Any] = field(default_factory=dict)  # of the operator
    operator: str = ""  # that computes the gate
    module: str = ""  # of the model, as in named_modules(), where the graph knows it
    nodes: tuple[int, int] = (0, 0)  # of the gate before and after, those that only unpack results not counted

    def __str__(self) -> str:
        place = f"the gate at {self.where}" if self.where else "a gate"
        if not self.fused:
            return f"{place} is not fused: {self.reason}"
        return f"{place} is fused: " + ", ".join(f"{name}={value}" for name, value in self.parameters.items())

    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        nodes = f"{self.nodes[0]} -> {self.nodes[1]}" if self.fused else ""
        parameters = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        outcome = f"{self.operator}({parameters})" if self.fused else f"not fused: {self.reason}"
        return os.path.basename(self.where), self.module, nodes, outcome


HEAD = ("gate", "line", "module", "nodes", "becomes")


def module_of(node: Node) -> str:
    """The innermost module of the user's model in which a node was traced."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = stack[-1][0] if stack else ""
    path = re.sub(r"\[['\"]?([^\]'\"]+)['\"]?\]", r".\1", path)  # L['self']._modules['layers'][0].gate
    return re.sub(r"^[LG]\.(self\.?)?|^self\.?|_modules\.|_orig_mod\.", "", path)


def text_table(gates: Sequence[GateReport]) -> str:
    rows = [HEAD, *((str(number), *gate.cells()) for number, gate in enumerate(gates, 1))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #222; }}
table {{ border-collapse: collapse; }}
th, td {{ text-align: left; vertical-align: top; padding: .35rem .8rem; border-bottom: 1px solid #ddd; }}
tr.fused td:first-child {{ border-left: .4rem solid #6aa84f; }}
tr.left td:first-child {{ border-left: .4rem solid #e69138; }}
td.code {{ font-family: ui-monospace, monospace; font-size: 13px; }}
</style></head><body><h1>{title}</h1><table>
<thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody></table></body></html>
"""


def page(title: str, gates: Sequence[GateReport]) -> str:
    """The table as an HTML page."""
    rows = []
    for number, gate in enumerate(gates, 1):
        line, *others = gate.cells()
        cells = [f"<td>{number}</td>", f'<td title="{html.escape(gate.where)}">{html.escape(line)}</td>']
        cells += [f'<td class="code">{html.escape(cell)}</td>' for cell in others]
        rows.append(f'<tr class="{"fused" if gate.fused else "left"}">{"".join(cells)}</tr>')
    head = "".join(f"<th>{name}</th>" for name in HEAD)
    return _PAGE.format(title=html.escape(title), head=head, rows="\n".join(rows))
