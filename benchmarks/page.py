"""Writes the tables of docs/performance.md, of the run that benchmarks/results.json holds.

make bench BENCH="--output benchmarks"    # makes that file, and the picture
python -m benchmarks.page
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")

from benchmarks.peers import MODELS, best
from benchmarks.shapes import SHAPES, nearest

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "results.json", HERE.parent / "docs" / "performance.md"
GATES = {
    "V3": "DeepSeek-V3: 256 experts, 4 of 8 groups, k 8, sigmoid, bias",
    "Kimi": "Kimi-K2: 384 experts, k 8, sigmoid, bias",
    "V2": "DeepSeek-V2: 160 experts, 3 of 8 groups, k 6, softmax",
    "Qwen3": "Qwen3-MoE: 128 experts, k 8, softmax",
}


def table(head: str, rows: list[list[str]]) -> str:
    columns = head.count("|") - 1
    return f"{head}\n{'|---' * columns}|\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def machine(document: dict[str, Any]) -> str:
    of = f"torch {document['torch']}, vectors: {document['vector']}, {document['processors']} processors"
    return f"{of}; one thread, float32, medians of interleaved rounds.\n"


def models(document: dict[str, Any]) -> str:
    rows = []
    for model, title in GATES.items():
        hot = [
            r
            for r in document["results"]
            if (r["model"], r["dtype"], r["threads"]) == (model, "float32", 1) and r["hot"]
        ]
        many, one = (next(r for r in hot if r["tokens"] == tokens) for tokens in (8192, 1))
        op, alone = many["seconds"]["op"], one["seconds"]["op"]
        against = [f"{best(many, kind) / op:.0f}x" for kind in ("eager", "inductor")]
        limit = f"{op / many['seconds']['limit']:.1f}x"
        rows.append([title, f"{1e9 * op / 8192:.0f} ns", *against, limit])
        rows[-1].append(f"{1e6 * alone:.1f} us, {best(one, 'eager') / alone:.1f}x")
    head = "| 8192 tokens | the operator, per token | best eager | Inductor | operator / limit |"
    return table(f"{head} one token: the operator, best eager |", rows)


def promises(document: dict[str, Any]) -> str:
    rows = []
    for made in document["promises"]:
        bound = "" if made["wanted"] is None else f"{'at least' if made['at_least'] else 'at most'} {made['wanted']:g}"
        measured = "-" if made["measured"] is None else f"{made['measured']:.2f}"
        rows.append([made["name"], bound, measured, made["case"], made["verdict"]])
    return table("| what | promised | measured | the worst case | verdict |", rows)


def shapes(document: dict[str, Any]) -> str:
    (result,) = (r for r in document["studies"]["awkward_shapes"] if r["dtype"] == "float32")
    rows = []
    for name, seconds in result["seconds"].items():
        model = MODELS.get(name) or SHAPES[name].model
        like = nearest(model)
        per_token = 1e9 * seconds / result["tokens"]
        usual = 1e9 * result["seconds"][like] / result["tokens"] / MODELS[like].experts
        each = per_token / model.experts
        ratio = "" if name in MODELS else f"{each / usual:.1f} times {like}'s"
        rows.append([GATES.get(name, name), f"{per_token:.0f} ns", f"{each:.2f} ns", ratio])
    return table("| shape | the kernel, per token | per expert | |", rows)


TABLES = {"machine": machine, "models": models, "promises": promises, "shapes": shapes}


def main() -> None:
    document, text = json.loads(RESULTS.read_text()), PAGE.read_text()
    for name, made in TABLES.items():
        begin, end = f"<!-- {name}: made by `python -m benchmarks.page` -->\n", f"<!-- /{name} -->"
        text = re.sub(
            f"{re.escape(begin)}.*?{end}", lambda _, m=made, b=begin, e=end: b + m(document) + e, text, flags=re.DOTALL
        )  # type: ignore[misc]
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
