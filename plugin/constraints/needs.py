"""What only some published CANN takes: from which release on, and on which NPU.

Such a call is passed on. If the CANN that is present refuses it, the error says what would be needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ascend_moe_gating.plugin.environment.cann import Cann, present

Release = tuple[int, int]
A2_A3, A5 = "Atlas A2 and A3", "950"
_FAMILIES = {"Ascend910B": A2_A3, "Ascend910_93": A2_A3, "Ascend950": A5, "Ascend910_95": A5}  # by names of SoCs


class Need(NamedTuple):
    """`what`, which a call asks for if `wanted` is true, is taken from these releases of CANN on, and nowhere else."""

    label: str
    what: str
    wanted: Callable[[Any], Any]
    since: Mapping[str, Release]

    def __str__(self) -> str:
        releases = ", ".join(f"{'.'.join(map(str, release))} on {family}" for family, release in self.since.items())
        return f"{self.what} needs CANN {releases}"

    def met(self, cann: Cann) -> bool:
        """Whether this CANN takes it; one that is not known well enough does."""
        family = family_of(cann.soc)
        if family is None:
            return True
        since = self.since.get(family)
        return since is not None and (cann.version is None or cann.version >= since)


def family_of(soc: str | None) -> str | None:
    return next((family for start, family in _FAMILIES.items() if (soc or "").startswith(start)), None)


def missing(call: Any, needs: Iterable[Need], cann: Cann | None = None) -> str:
    """What of a call that breaks no rule the CANN that is present, or another, does not take: in words, or nothing."""
    cann = cann or present()
    unmet = [f"{need} ({need.label})" for need in needs if not need.met(cann) and need.wanted(call)]
    return f"{'; '.join(unmet)}; this is {cann}" if unmet else ""


def with_needs(error: RuntimeError, lacking: str) -> RuntimeError:
    """A device's refusal of a call that also says what is missing, with the refusal as its cause."""
    kind = NotImplementedError if isinstance(error, NotImplementedError) else RuntimeError
    explained = kind(f"{error}\n{lacking}")
    explained.__cause__ = error
    return explained


def present_and(needs: Iterable[Need]) -> str:
    """The CANN that is present, and what it does not take."""
    cann = present()
    lacking = [str(need) for need in needs if not need.met(cann)]
    return f"{cann}, which takes everything" if not lacking else f"{cann}: {'; '.join(lacking)}"
