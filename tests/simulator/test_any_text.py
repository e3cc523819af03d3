"""Any text for what the stand-in is told by name: a ValueError that shows it, or what it asks for."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ascend_moe_gating import simulator

pytestmark = pytest.mark.stand_in
TEXTS = st.text() | st.sampled_from(
    ["aclrtMalloc", "call", "run", "newest", "Ascend910B1", "aclnn", "ge::", "%s%n", "\0"]
)


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS, st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_faults(entry_point, when, status, occurrence):
    with contextlib.suppress(ValueError), simulator.fault(entry_point, status, when=when, occurrence=occurrence):
        pass


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS)
def test_releases(cann, soc):
    with contextlib.suppress(ValueError), simulator.release(cann, soc=soc):
        pass
