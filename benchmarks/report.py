"""How a run is printed."""

from __future__ import annotations

from benchmarks import studies
from benchmarks.peers import best
from benchmarks.promises import SHAPE, Promise, label, shape_ratios
from benchmarks.shapes import SHAPES, nearest


def row(result: dict) -> str:
    """A line of the table: times per token, how many times slower the peers are, and times the limit."""
    op, tokens = result["seconds"]["op"], result["tokens"]
    threads = f"{result['threads']} thread{'s' * (result['threads'] > 1)}"
    text = f"{result['model']:6}{tokens:6}  {result['dtype']:9}{threads:10}{'hot' if result['hot'] else 'cold':5}"
    text += f"{1e9 * op / tokens:9.0f} ns/token ±{result['spread']['op']:4.0%}"
    for kind in ("eager", "inductor", "listing"):
        ratio = f"{best(result, kind) / op:.1f}x"
        text += f"  {kind} {'-' if ratio == 'nanx' else ratio:6}"
    if "limit" in result["seconds"]:
        limit = result["seconds"]["limit"]
        text += f"  op/limit {op / limit:5.1f}  kernel/limit {result['seconds']['kernel'] / limit:5.1f}"
    return text.rstrip()


def study(name: str, results: list[dict]) -> list[str]:
    """What a study found: microseconds per call, or for awkward shapes the ratios that are judged."""
    described = (studies.STUDIES[name].__doc__ or "").splitlines()[0]
    lines = [f"\n{name.replace('_', ' ').capitalize()}. {described}"]
    for result in results:
        if name == "awkward_shapes":
            for shape, ratio in shape_ratios(result).items():
                model = nearest(SHAPES[shape].model)
                lines.append(
                    f"{shape:42}{result['dtype']:9}{ratio:6.2f} of {model}'s per expert{'  MISSED' * (ratio > SHAPE)}"
                )
        else:
            times = "  ".join(f"{key} {1e6 * seconds:.0f} us" for key, seconds in result["seconds"].items())
            lines.append(f"{label(result):28}{times}")
    return lines


def dispatch(npu: dict) -> str:
    public, own, checks = (1e6 * npu["dispatch"][name] for name in ("public", "torch_npu", "checks"))
    return (
        f"NPU dispatch{' (stand-in)' * npu['stand_in']}: torch_npu's operator {own:.1f} us, public function "
        f"{public:.1f} us, its checks {checks:.2f} us; graph compile {npu['compile']:.2f} s"
    )


def promise(made: Promise) -> str:
    """A line of the table of promises."""
    bound = "" if made.wanted is None else f"{'>=' if made.at_least else '<='} {made.wanted:g}"
    measured = "" if made.measured is None else f"{made.measured:.2f}"
    several = f", {made.beyond} cases" if made.verdict == "MISSED" else ""
    return f"{made.name:44}{bound:>9}{measured:>9}  {made.verdict:8} {made.case}{several}".rstrip()
