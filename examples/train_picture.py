"""The picture that examples/train.py draws: the load of each expert, with and without update_bias, and the loss."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import torch
from matplotlib.colors import LogNorm

Runs = dict[str, tuple[torch.Tensor, torch.Tensor]]  # by name: losses [steps], loads [steps, layers, experts]
STYLES = ({"color": "tab:orange", "linewidth": 2.5}, {"color": "tab:blue", "linewidth": 1})  # the losses coincide
BINS = 60  # a bin of steps is a column: the tokens of a single step scatter


def draw(runs: Runs, path: Path) -> None:
    plt.rcParams.update({"svg.hashsalt": "moe_gating", "font.size": 9})  # the same numbers give the same file
    figure = plt.figure(figsize=(9, 6), layout="constrained", facecolor="white")
    axes = figure.subplot_mosaic([["without", "with"], ["busiest", "loss"]], height_ratios=[3, 2])
    start = relative(next(iter(runs.values()))[1])[0]
    order = start.argsort(dim=-1)  # of the first steps, in which both runs are alike: the busiest experts on top
    for (name, (losses, loads)), key, style in zip(runs.items(), ("without", "with"), STYLES, strict=True):
        share = relative(loads)
        image = show_map(axes[key], name, share.gather(2, order.expand(share.shape)), len(losses))
        at = (torch.arange(len(share)) + 0.5) * (len(losses) / len(share))
        axes["busiest"].plot(at, share.flatten(1).amax(1), label=name, **style)
        axes["loss"].plot(at, binned(losses), label=name, **style)
    bar = figure.colorbar(image, ax=[axes["without"], axes["with"]], ticks=[0.25, 0.5, 1, 2, 4], pad=0.01)
    bar.ax.set_yticklabels(["1/4 or less", "1/2", "even", "2x", "4x or more"])
    bar.ax.minorticks_off()
    bar.set_label("tokens that the expert gets")
    axes["without"].set_ylabel("a row for each expert")
    axes["busiest"].axhline(1, color="black", linestyle=":", label="even load")
    axes["busiest"].margins(y=0.15)  # room for the legend
    axes["busiest"].set(xlabel="step", ylabel="busiest expert's tokens,\nrelative to an even load", ylim=0)
    axes["loss"].set(xlabel="step", ylabel="loss, nats per character")
    for key in ("busiest", "loss"):
        axes[key].set_xlim(0, len(losses))
        axes[key].locator_params(nbins=5)
        axes[key].spines[["top", "right"]].set_visible(False)
        axes[key].grid(alpha=0.3)
        axes[key].legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def show_map(axis: plt.Axes, name: str, share: torch.Tensor, steps: int) -> matplotlib.image.AxesImage:
    """A row for each expert, a block of rows for each layer, in the colours of its load."""
    _, layers, experts = share.shape
    rows = layers * experts
    image = axis.imshow(
        share.flatten(1).clamp(0.25, 4).T,
        cmap="RdBu_r",
        norm=LogNorm(0.25, 4),
        aspect="auto",
        interpolation="none",
        extent=(0, steps, 0, rows),
        origin="lower",
    )
    for layer in range(1, layers):
        axis.axhline(layer * experts, color="black", linewidth=1)
    middles = [(layer + 0.5) * experts for layer in range(layers)]
    axis.set(title=name, xlabel="step")
    axis.set_yticks(middles, [f"layer {layer + 1}\n{experts} experts" for layer in range(layers)])
    axis.tick_params(axis="y", length=0)
    axis.locator_params(axis="x", nbins=5)
    return image


def relative(loads: torch.Tensor) -> torch.Tensor:
    """[bins, layers, experts]: the load relative to an even one."""
    return binned(loads) / binned(loads).mean(-1, keepdim=True)


def binned(values: torch.Tensor) -> torch.Tensor:
    return torch.stack([part.float().mean(0) for part in values.tensor_split(min(BINS, len(values)))])
