"""make bench: the operator against its peers and the limit of the machine, as a table, as JSON and as a picture."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")

import torch

from ascend_moe_gating.plugin.kernel import vector
from benchmarks import cpu, picture
from benchmarks.peers import MODELS
from benchmarks.picture import best

SWEEP = (1, 16, 256, 1024, 8192, 65536)


def cases() -> Iterator[tuple[str, int, str, int, bool]]:
    """(model, tokens, dtype, threads, hot): a sweep of tokens, and around 8192 tokens everything else."""
    for model in MODELS:
        for tokens in SWEEP:
            yield model, tokens, "float32", 1, True
        for dtype in ("bfloat16", "float16"):
            for tokens in (1, 1024, 8192):
                yield model, tokens, dtype, 1, True
        for tokens in (1024, 8192):
            yield model, tokens, "float32", 2, True
        yield model, 8192, "float32", 1, False


def row(result: dict) -> str:
    """A line of the table: times per token, and how many times slower the peers are."""
    op, tokens = result["seconds"]["op"], result["tokens"]
    threads = f"{result['threads']} thread{'s' * (result['threads'] > 1)}"
    where = f"{result['model']:6}{tokens:6}  {result['dtype']:9}{threads:10}{'hot' if result['hot'] else 'cold':5}"
    numbers = (
        f"{1e9 * op / tokens:9.0f} ns/token ±{result['spread']['op']:3.0%}  eager {best(result, 'eager') / op:5.1f}x"
    )
    if "limit" in result["seconds"]:
        numbers += f"  Inductor {best(result, 'inductor') / op:5.1f}x  op/limit {op / result['seconds']['limit']:5.1f}"
    return where + numbers


def npu_dispatch() -> dict:
    """In a process of its own: the stand-in has to be loaded before torch."""
    environment = {name: value for name, value in os.environ.items() if name != "TORCH_DEVICE_BACKEND_AUTOLOAD"}
    command = [sys.executable, "-m", "benchmarks.npu_dispatch"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.5, help="for each line of the table")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"), help="folder of JSON and picture")
    parser.add_argument("--device", choices=["cpu", "npu"], default="cpu")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    print(f"torch {torch.__version__}, vectors: {vector()}; medians of interleaved rounds, ± half the middle half\n")
    if arguments.device == "npu":
        import torch_npu  # noqa: F401
    results = []
    for result in cpu.measure(cases(), arguments.seconds, arguments.device):
        results.append(result)
        print(row(result), flush=True)
    dispatch = npu_dispatch()
    public, own = dispatch["dispatch"]["public"], dispatch["dispatch"]["torch_npu"]
    print(f"\nNPU dispatch{' (stand-in)' * dispatch['stand_in']}: torch_npu's operator {1e6 * own:.1f} us,", end=" ")
    print(f"public function {1e6 * public:.1f} us = {public / own:.2f}x; graph compile {dispatch['compile']:.2f} s")
    document = {"torch": torch.__version__, "vector": vector(), "results": results, "npu": dispatch}
    (arguments.output / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    sweep = [r for r in results if r["dtype"] == "float32" and r["threads"] == 1 and r["hot"]]
    if arguments.device == "cpu":
        picture.draw(sweep, arguments.output / "speed.svg")
    print(f"\n{arguments.output}/results.json" + f", {arguments.output}/speed.svg" * (arguments.device == "cpu"))


if __name__ == "__main__":
    main()
