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
from typing import Any

os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")

import torch

from ascend_moe_gating.plugin.cpu.kernel import vector
from benchmarks import cpu, picture, promises, report, studies
from benchmarks.plan import cases, npu_cases

QUIET = 0.5  # load average; above it, what two threads gain means little


def npu_dispatch(seconds: float) -> dict:
    """In a process of its own: the stand-in has to be loaded before torch."""
    environment = {name: value for name, value in os.environ.items() if name != "TORCH_DEVICE_BACKEND_AUTOLOAD"}
    command = [sys.executable, "-m", "benchmarks.npu_dispatch", str(seconds)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1, help="for each line of the table")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"), help="folder of JSON and picture")
    parser.add_argument("--device", choices=["cpu", "npu"], default="cpu")
    arguments = parser.parse_args()
    on_cpu, seconds = arguments.device == "cpu", arguments.seconds
    arguments.output.mkdir(parents=True, exist_ok=True)
    load, processors = os.getloadavg()[0], len(os.sched_getaffinity(0))
    print(f"torch {torch.__version__}, vectors: {vector()}; medians of interleaved rounds, ± half the middle half")
    print(f"{processors} processors, load average {load:.1f}{': not a quiet machine' * (load > QUIET)}\n")
    if not on_cpu:
        import torch_npu  # noqa: F401
    results = []
    for result in cpu.measure(cases() if on_cpu else npu_cases(), seconds, arguments.device):
        results.append(result)
        print(report.row(result), flush=True)
    machine = {"torch": torch.__version__, "vector": vector(), "processors": processors, "load": load}
    document: dict[str, Any] = {**machine, "results": results}
    npu = document["npu"] = npu_dispatch(2 * seconds)
    print(f"\n{report.dispatch(npu)}")
    judged = promises.of_the_npu(npu)
    if on_cpu:
        measured = document["studies"] = studies.measure(seconds)
        for name, of_study in measured.items():
            print(*report.study(name, of_study), sep="\n")
        judged = promises.judge(results, measured, npu)
        hot = [r for r in results if r["dtype"] == "float32" and r["threads"] == 1 and r["hot"]]
        picture.draw(hot, arguments.output / "speed.svg")
    document["promises"] = [made._asdict() | {"verdict": made.verdict} for made in judged]
    print(
        "\nPromises, each by its worst case, in float32 and bfloat16; from 1024 tokens, hot, on one thread, if not said"
    )
    print(*map(report.promise, judged), sep="\n")
    (arguments.output / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"\n{arguments.output}/results.json" + f", {arguments.output}/speed.svg" * on_cpu)


if __name__ == "__main__":
    main()
