"""Histograms of distances in ULP, as SVG that stands in the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ascend_moe_gating.plugin.verify.outcome import EDGES

_WIDTH, _HEIGHT, _FOOT, _TOP = 300, 96, 16, 12
_WORST = 8.0  # ULP: bars from here on are of the other colour


def histogram(counts: Sequence[int], title: str) -> str:
    """One bar for each interval of EDGES; its height is the logarithm of the number of values."""
    most = math.log10(1 + max(max(counts), 1))
    step = _WIDTH / len(counts)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}" preserveAspectRatio="xMidYMid meet">',
        f"<title>{title}</title>",
        f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{_HEIGHT - _FOOT}" y2="{_HEIGHT - _FOOT}"/>',
    ]
    for place, (count, low, high) in enumerate(zip(counts, EDGES, EDGES[1:], strict=False)):
        left = place * step
        if count:
            height = max(2.0, (_HEIGHT - _FOOT - _TOP) * math.log10(1 + count) / most)
            top = _HEIGHT - _FOOT - height
            kind = "bar far" if low >= _WORST else "bar"
            parts.append(
                f'<rect class="{kind}" x="{left + 1.5:.1f}" y="{top:.1f}" width="{step - 3:.1f}" height="{height:.1f}">'
                f"<title>{count} values from {low:g} to {high:g} ULP</title></rect>"
                f'<text class="count" x="{left + step / 2:.1f}" y="{top - 3:.1f}">{_short(count)}</text>'
            )
        parts.append(f'<text x="{left:.1f}" y="{_HEIGHT - 4}" class="edge">{low:g}</text>')
    return "".join([*parts, "</svg>"])


def _short(count: int) -> str:
    for size, name in ((1_000_000, "M"), (1000, "k")):
        if count >= size:
            return f"{count / size:.3g}{name}" if count < 1000 * size else f"{count // size}{name}"
    return str(count)
