"""The report: what was run, what came of it, and how far it came. It is JSON as it stands."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from ascend_moe_gating.plugin.verify.outcome import EDGES
from ascend_moe_gating.plugin.verify.scrub import scrub

VERSION = 1  # of the JSON
MODES = {"quick": "quick run (few checks of each kind: a full run finds more)", "full": "full run"}
_MISMATCHES_OF_A_GROUP, _MISMATCHES = 6, 120  # that are listed; all are counted
_WORDS = 400  # characters


@dataclass
class Tally:
    """A group of checks on one path."""

    path: str
    group: str
    checks: int = 0
    rows: int = 0
    wrong: int = 0
    near_ties: int = 0
    undetermined: int = 0  # rows of which float32 or NaN leaves something open
    refused_as_expected: int = 0
    surprises: int = 0  # refusals that were not expected, or failed to come
    lost: int = 0  # checks that ended the process, or did not end
    seconds: float = 0.0

    @property
    def differs(self) -> bool:
        return bool(self.wrong or self.surprises or self.lost)


@dataclass
class Report:
    """All lists are of plain data; tallies are in the order of the first check."""

    mode: str = "full"
    version: int = VERSION
    state: str = "not started"  # complete, or why it is not
    device: str = ""
    stand_in: bool = False
    started: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    seconds: float = 0.0
    planned: int = 0
    done: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    tallies: list[Tally] = field(default_factory=list)
    mismatches: list[dict[str, Any]] = field(default_factory=list)
    mismatches_in_all: int = 0
    refusals: list[dict[str, Any]] = field(default_factory=list)
    accuracy: list[dict[str, Any]] = field(default_factory=list)
    times: list[dict[str, Any]] = field(default_factory=list)
    lost: list[dict[str, Any]] = field(default_factory=list)
    not_run: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._begun = time.monotonic()

    @property
    def complete(self) -> bool:
        return self.state == "complete"

    @property
    def differs(self) -> bool:
        return any(tally.differs for tally in self.tallies)

    @property
    def verdict(self) -> str:
        if not self.done:
            return "could not run"
        if self.differs:
            return "something differs"
        return "all as expected" if self.complete else "as expected so far"

    @property
    def exit_code(self) -> int:
        if not self.done:
            return 2
        return 0 if self.complete and not self.differs else 1

    def total(self, name: str) -> int:
        return sum(getattr(tally, name) for tally in self.tallies)

    def tally(self, path: str, group: str) -> Tally:
        for tally in self.tallies:
            if (tally.path, tally.group) == (path, group):
                return tally
        self.tallies.append(Tally(path, group))
        return self.tallies[-1]

    def leave_out(self, what: str, why: str, checks: int = 1) -> None:
        _count(self.not_run, {"what": what, "why": scrub(why)}, checks)

    def lose(self, path: str, group: str, call: str, how: str, words: str) -> None:
        """A check that ended the process it ran in, or was ended as it did not end."""
        self.done += 1
        tally = self.tally(path, group)
        tally.checks, tally.lost = tally.checks + 1, tally.lost + 1
        self.lost.append({"path": path, "group": group, "call": call, "how": how, "words": scrub(words)})

    def add(self, path: str, group: str, outcome: dict[str, Any], seconds: float) -> None:
        """An outcome.Outcome as plain data."""
        self.done += 1
        if outcome["left_out"]:
            self.leave_out(f"{path}: {group}", outcome["left_out"])
            return
        tally = self.tally(path, group)
        tally.checks, tally.seconds = tally.checks + 1, tally.seconds + seconds
        for name in ("rows", "wrong", "near_ties", "undetermined"):
            setattr(tally, name, getattr(tally, name) + outcome[name])
        self._add_mismatches(path, group, outcome["mismatches"])
        if outcome["refusal"]:
            self._add_refusal(path, tally, outcome["refusal"])
        for accuracy in outcome["accuracies"]:
            self._add_accuracy(path, accuracy)
        if outcome["timing"]:
            self.times.append({"path": path, **outcome["timing"]})

    def _add_mismatches(self, path: str, group: str, mismatches: list[dict[str, Any]]) -> None:
        for mismatch in mismatches:
            self.mismatches_in_all += 1
            near = mismatch["near_tie"]
            alike = [m for m in self.mismatches if (m["path"], m["group"], m["near_tie"]) == (path, group, near)]
            if len(alike) < (2 if near else _MISMATCHES_OF_A_GROUP) and len(self.mismatches) < _MISMATCHES:
                said = scrub(mismatch["says"])
                self.mismatches.append({"path": path, "group": group, **mismatch, "says": said})

    def _add_refusal(self, path: str, tally: Tally, refusal: dict[str, Any]) -> None:
        as_expected = refusal["refused"] == bool(refusal["need"])
        tally.refused_as_expected += as_expected
        tally.surprises += not as_expected
        told = {
            "path": path,
            "as_expected": as_expected,
            "expected": refusal["need"] or "to be taken",
            "refused": refusal["refused"],
        }
        words = scrub(refusal["words"])[:_WORDS]
        _count(self.refusals, told, call=refusal["call"], words=words)

    def _add_accuracy(self, path: str, accuracy: dict[str, Any]) -> None:
        key = {"path": path, "result": accuracy["result"], "dtype": accuracy["dtype"]}
        for known in self.accuracy:
            if key.items() <= known.items():
                known["counts"] = [a + b for a, b in zip(known["counts"], accuracy["counts"], strict=True)]
                known["largest"] = max(known["largest"], accuracy["largest"])
                known["total"] += accuracy["total"]
                return
        self.accuracy.append({**key, **{name: accuracy[name] for name in ("counts", "largest", "total")}})

    def end(self, state: str) -> None:
        self.state = scrub(state)
        self.seconds = round(time.monotonic() - self._begun, 1)

    def as_json(self) -> dict[str, Any]:
        """Floats that JSON has no number for are words: NaN, Infinity, -Infinity."""
        plain = {**asdict(self), "verdict": self.verdict, "exit_code": self.exit_code, "ulp_edges": list(EDGES)}
        return _without_nan(plain)


def _count(rows: list[dict[str, Any]], key: dict[str, Any], times: int = 1, **shown: Any) -> None:
    """Count rows that have the same key; what is shown is of the first."""
    for row in rows:
        if key.items() <= row.items():
            row["count"] += times
            return
    rows.append({**key, **shown, "count": times})


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    if isinstance(value, float) and value - value != 0:
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value
