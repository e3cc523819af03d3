"""make bench: the operator against its peers and the limit of the machine, and every promise about speed, judged.

A table, the promises, JSON and a picture. A promise that a machine misses is told, it is no failure.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")

import torch

from ascend_moe_gating.plugin.kernel import vector
from benchmarks import cpu, picture, promises, studies
from benchmarks.peers import best
from benchmarks.plan import cases, npu_cases
from benchmarks.shapes import SHAPES, nearest


def row(result: dict) -> str:
    """A line of the table: times per token, how many times slower the peers are, and times the limit."""
    op, tokens = result["seconds"]["op"], result["tokens"]
    threads = f"{result['threads']} thread{'s' * (result['threads'] > 1)}"
    text = f"{result['model']:6}{tokens:6}  {result['dtype']:9}{threads:10}{'hot' if result['hot'] else 'cold':5}"
    text += f"{1e9 * op / tokens:9.0f} ns/token ±{result['spread']['op']:4.0%}"
    for kind in ("eager", "inductor", "listing"):
        ratio = f"{best(result, kind) / op:.1f}x"
        text += f"  {kind} {ratio if 'nan' not in ratio else '':6}"
    if "limit" in result["seconds"]:
        limit = result["seconds"]["limit"]
        text += f"  op/limit {op / limit:5.1f}  kernel/limit {result['seconds']['kernel'] / limit:5.1f}"
    return text.rstrip()


def npu_dispatch(seconds: float) -> dict:
    """In a process of its own: the stand-in has to be loaded before torch."""
    environment = {name: value for name, value in os.environ.items() if name != "TORCH_DEVICE_BACKEND_AUTOLOAD"}
    command = [sys.executable, "-m", "benchmarks.npu_dispatch", str(seconds)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def print_studies(measured: dict[str, list[dict]]) -> None:
    """What each study found, in microseconds per call; for awkward shapes the ratios that are judged."""
    for name, results in measured.items():
        print(f"\n{name.replace('_', ' ')}: {(getattr(studies, name).__doc__ or '').splitlines()[0]}")
        for result in results:
            if name == "awkward_shapes":
                for shape, ratio in promises.shape_ratios(result).items():
                    near = nearest(SHAPES[shape].model)
                    print(f"  {shape:42}{result['dtype']:9}{ratio:6.2f} of {near}'s time per expert")
            else:
                times = "  ".join(f"{key} {1e6 * value:.0f} us" for key, value in result["seconds"].items())
                print(f"  {promises.label(result):28}{times}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.5, help="for each line of the table")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"), help="folder of JSON and picture")
    parser.add_argument("--device", choices=["cpu", "npu"], default="cpu")
    arguments = parser.parse_args()
    on_cpu, seconds = arguments.device == "cpu", arguments.seconds
    arguments.output.mkdir(parents=True, exist_ok=True)
    print(f"torch {torch.__version__}, vectors: {vector()}; medians of interleaved rounds, ± half the middle half\n")
    if not on_cpu:
        import torch_npu  # noqa: F401
    results = []
    for result in cpu.measure(cases() if on_cpu else npu_cases(), seconds, arguments.device):
        results.append(result)
        print(row(result), flush=True)
    document = {"torch": torch.__version__, "vector": vector(), "results": results}
    npu = document["npu"] = npu_dispatch(2 * seconds)
    public, own, checks = (1e6 * npu["dispatch"][name] for name in ("public", "torch_npu", "checks"))
    print(f"\nNPU dispatch{' (stand-in)' * npu['stand_in']}: torch_npu's operator {own:.1f} us,", end=" ")
    print(f"public function {public:.1f} us, its checks {checks:.2f} us; graph compile {npu['compile']:.2f} s")
    judged = promises.of_the_npu(npu)
    if on_cpu:
        measured = document["studies"] = studies.measure(seconds / 3)
        print_studies(measured)
        judged = promises.judge(results, measured, npu)
        hot = [r for r in results if r["dtype"] == "float32" and r["threads"] == 1 and r["hot"]]
        picture.draw(hot, arguments.output / "speed.svg")
    document["promises"] = [made._asdict() | {"verdict": made.verdict} for made in judged]
    print("\nPromises, each by its worst case")
    print(*map(promises.line, judged), sep="\n")
    (arguments.output / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"\n{arguments.output}/results.json" + f", {arguments.output}/speed.svg" * on_cpu)


if __name__ == "__main__":
    main()
