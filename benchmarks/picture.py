"""The picture of docs/performance.md: nanoseconds per token against tokens, the limit drawn in."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from benchmarks.peers import best

STYLES = {
    "op": ("npu_moe_gating_top_k", "tab:red", "-"),
    "eager": ("best eager PyTorch", "tab:blue", "-"),
    "inductor": ("Inductor", "tab:green", "-"),
    "limit": ("limit: reading the logits and taking scores", "black", ":"),
}


def draw(results: list[dict], path: Path) -> None:
    """Results of one dtype and thread count, hot."""
    models = list(dict.fromkeys(result["model"] for result in results))
    plt.rcParams["svg.hashsalt"] = "moe_gating"  # the same numbers give the same file
    size = (3.4 * len(models), 3.2)
    figure, (axes,) = plt.subplots(1, len(models), figsize=size, sharey=True, layout="constrained", squeeze=False)
    for axis, model in zip(axes, models, strict=True):
        of_model = sorted((r for r in results if r["model"] == model), key=lambda r: r["tokens"])
        tokens = [result["tokens"] for result in of_model]
        for label, (title, color, line) in STYLES.items():
            axis.plot(tokens, [1e9 * best(r, label) / r["tokens"] for r in of_model], line, color=color, label=title)
        axis.set(xscale="log", yscale="log", title=model, xlabel="tokens")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("ns per token")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(STYLES), frameon=False)
    figure.savefig(path, metadata={"Date": None})
