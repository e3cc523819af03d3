"""What came of one check: plain data, so that it can be sent from one process to another. It imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

MISMATCHES_OF_A_CHECK = 3  # that are shown; all are counted
# Of the intervals of distances in ULP; the first is what correct rounding leaves.
EDGES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0, 32.0, float("inf"))
TIMED = "DeepSeek-V3's gate: 256 experts, 8 of 4 of 8 groups, sigmoid, bias, bfloat16"


@dataclass
class Expert:
    """One expert of a mismatching row, with its exact score. Places count from 0; -1: it is not chosen."""

    expert: int
    logit: float
    bias: float | None
    score: float
    choice: float  # what is ordered
    expected_place: int
    place: int
    expected_weight: float | None = None
    weight: float | None = None


@dataclass
class Mismatch:
    """A row, or a whole result, that is not what it has to be."""

    call: str
    result: str  # y, expert_idx, norm_out, ... or error
    says: str
    near_tie: bool = False
    row: int = -1
    experts: list[Expert] = field(default_factory=list)


@dataclass
class Accuracy:
    """Of one result and dtype: ulp.Distances as plain data."""

    result: str
    dtype: str
    counts: list[int]
    largest: float
    total: float


@dataclass
class Refusal:
    """A call that a device refused, or took, and what was expected of it: `need` is empty for one to be taken."""

    call: str
    need: str
    refused: bool
    words: str = ""

    @property
    def as_expected(self) -> bool:
        return self.refused == bool(self.need)


@dataclass
class Timing:
    """Microseconds of one call until its results are there: the median, and the fastest."""

    tokens: int
    median: float
    fastest: float
    repetitions: int


@dataclass
class Outcome:
    """Rows compared, how many are wrong, near-ties that are ordered otherwise, and not determined by float32."""

    rows: int = 0
    wrong: int = 0
    near_ties: int = 0
    undetermined: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)
    accuracies: list[Accuracy] = field(default_factory=list)
    refusal: Refusal | None = None
    timing: Timing | None = None
    left_out: str = ""  # why the check was not made

    def fails(self, call: str, result: str, says: str) -> Outcome:
        """The whole answer is wrong."""
        self.rows, self.wrong = max(self.rows, 1), max(self.wrong, 1)
        self.mismatches.append(Mismatch(call, result, says))
        return self
