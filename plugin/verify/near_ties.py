"""Whether another order of experts than the reference's lies within the rounding of the scores.

Two orders differ legitimately where a device's exponential is off by its last bits. Scores are then known as intervals:
an order is possible if scores within them give it. Experts of the same logit and bias have the same score on any
device, so among these the lower index must come first, whatever the intervals are.

Of a row with NaN less is promised: numbers come first, in their order, NaN and -inf behind them, in either order or as
equals. Where groups are dropped, which ones is open.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy

from ascend_moe_gating.plugin.verify.expected import Expected
from ascend_moe_gating.plugin.verify.ulp import Array, ulp

_MINUS_INF = -1e300  # NaN comes behind it


class Row(NamedTuple):
    """One token's interval for each expert, and its class: experts of the same class have the same score."""

    low: Array
    high: Array
    classes: Array


def keeps_what_is_promised_of_nan(expected: Expected, row: int, ids: Array) -> bool:
    """The same for a row whose scores or biases have NaN."""
    with numpy.errstate(all="ignore"):
        known = _row(expected, row)
        if expected.group_count > 1:
            return _numbers_first(known, ids, len(known.low) // expected.group_count, expected.k_group)
        low, high = (numpy.maximum(values, _MINUS_INF) for values in (known.low, known.high))
        nan_is_minus_inf = Row(low, high, numpy.maximum(known.classes, -1))
        return _ordered(known, ids) or _ordered(nan_is_minus_inf, ids)


def _numbers_first(row: Row, ids: Array, size: int, k_group: int) -> bool:
    """Whether numbers of no more groups than are kept come first, then what is NaN, -inf or dropped, by index."""
    is_number, groups = row.low[ids] > _MINUS_INF, ids // size
    for numbers in range(len(ids) + 1):
        kept, others = set(groups[:numbers].tolist()), ids[numbers:]
        if len(kept) > k_group or not is_number[:numbers].all():
            return False
        if (row.low[ids[:numbers]] > numpy.minimum.accumulate(row.high[ids[:numbers]])).any():
            return False
        nan_behind = others + len(row.low) * (row.classes[others] == -2)
        ascending = (numpy.diff(others) > 0).all() or (numpy.diff(nan_behind) > 0).all()
        if ascending and not kept.intersection(groups[numbers:][is_number[numbers:]].tolist()):
            return True
    return False


def possible(expected: Expected, row: int, ids: Array) -> bool:
    """Whether scores within the rounding of the exact ones choose these experts in this order.

    Args:
        ids: [k], distinct and in range.
    """
    with numpy.errstate(all="ignore"):
        known = _row(expected, row)
        experts = len(known.low)
        if expected.group_count == 1:
            return _ordered(known, ids)
        size = experts // expected.group_count
        return any(_ordered(_without(known, ~kept, size), ids) for kept in _kept_groups(known, expected, ids))


def without_ties(expected: Expected) -> Expected:
    """The same where equal experts may be in any order."""
    experts = numpy.arange(expected.values.shape[1], dtype=numpy.float64)
    return expected._replace(values=numpy.broadcast_to(experts[:, None], (*expected.values.shape[:2], 1)))


def _without(row: Row, dropped: Array, size: int) -> Row:
    """The row where the experts of some groups are dropped."""
    each = numpy.repeat(dropped, size)
    low, high = (numpy.where(each, _MINUS_INF, values) for values in (row.low, row.high))
    return Row(low, high, numpy.where(each, -1, row.classes))


def _row(expected: Expected, row: int) -> Row:
    exact, tolerance = expected.choice.exact[row], expected.choice.tolerance[row]
    _, classes = numpy.unique(expected.values[row], axis=0, return_inverse=True)
    nan, minus = numpy.isnan(exact), exact == -numpy.inf
    classes = numpy.where(nan, -2, numpy.where(minus, -1, classes.reshape(-1)))
    low, high = (
        numpy.where(nan, -numpy.inf, numpy.where(minus, _MINUS_INF, exact + sign * tolerance)) for sign in (-1, 1)
    )
    return Row(low, high, classes)


def _ordered(row: Row, ids: Array) -> bool:
    low, high = row.low[ids], row.high[ids]
    ceiling = numpy.minimum.accumulate(high)
    if (low > ceiling).any():
        return False
    others = numpy.ones(len(row.low), bool)
    others[ids] = False
    if (row.low[others] > ceiling[-1]).any():
        return False
    first_left = dict(zip(row.classes[others][::-1], numpy.flatnonzero(others)[::-1], strict=True))
    before: dict[int, int] = {}
    for expert, cls in zip(ids.tolist(), row.classes[ids].tolist(), strict=True):
        if before.get(cls, -1) > expert or first_left.get(cls, expert) < expert:
            return False
        before[cls] = expert
    return True


def _kept_groups(row: Row, expected: Expected, ids: Array) -> Iterator[Array]:
    """Sets of groups, as masks, that may be the best and of which these experts may be chosen.

    The groups of the experts are among them, and those that are certainly kept. Which of the groups in doubt are kept
    without giving an expert does not matter as long as none of theirs is better: the first such, and the best, are
    tried.
    """
    low, high, keys = _group_scores(row, expected)
    certain = numpy.array([(high >= at).sum() - 1 < expected.k_group for at in low])
    excluded = numpy.array([(low > at).sum() >= expected.k_group for at in high])
    size = len(row.low) // expected.group_count
    numbers = ids[row.low[ids] > _MINUS_INF]
    for of_numbers in dict.fromkeys((len(numbers), _in_order(row, numbers))):
        needed = certain.copy()
        needed[numbers[:of_numbers] // size] = True
        open_places = expected.k_group - int(needed.sum())
        if open_places < 0 or (needed & excluded).any():
            continue
        in_doubt = numpy.flatnonzero(~needed & ~excluded)
        worst = row.high[ids].min()
        silent = in_doubt[row.low.reshape(-1, size).max(1)[in_doubt] <= worst]
        for others in (silent, silent[numpy.argsort(-high[silent], kind="stable")]):
            kept = needed.copy()
            kept[others[:open_places]] = True
            if kept.sum() == expected.k_group and not _keeps_a_later_equal(kept, keys):
                yield kept


def _in_order(row: Row, ids: Array) -> int:
    """How many of these experts are in the order of their scores: those behind may be of dropped groups."""
    falls = row.low[ids] > numpy.minimum.accumulate(row.high[ids])
    return int(numpy.argmax(falls)) if falls.any() else len(ids)


def _keeps_a_later_equal(kept: Array, keys: list[object]) -> bool:
    """Whether of groups of the same score one is kept though an earlier one is not."""
    gone: set[object] = set()
    for group, key in enumerate(keys):
        if kept[group] and key in gone:
            return True
        if not kept[group]:
            gone.add(key)
    return False


def _group_scores(row: Row, expected: Expected) -> tuple[Array, Array, list[object]]:
    """Intervals of the groups' scores, and keys: groups of the same key have the same score."""
    shape = (expected.group_count, -1)
    some = 1 if expected.group_select_mode == 0 else min(2, len(row.low) // expected.group_count)
    classes = row.classes.reshape(shape)
    has_nan = (classes == -2).any(1)
    ends = [numpy.sort(values.reshape(shape), axis=1)[:, -some:] for values in (row.low, row.high)]
    low, high = (numpy.where(has_nan, -numpy.inf, values.sum(1)) for values in ends)
    if some == 2:
        low, high = low - ulp(low), high + ulp(high)
    middle = ((row.low + row.high) / 2).reshape(shape)
    best = numpy.take_along_axis(classes, numpy.argsort(-middle, axis=1, kind="stable")[:, :some], 1)
    keys: list[object] = [
        "NaN" if nan else tuple(sorted(group)) for nan, group in zip(has_nan, best.tolist(), strict=True)
    ]
    return low, high, keys
