"""Every test runs where the machine's CANN is, and on the stand-in where there is none: it goes first, before torch.

REQUIRE_NPU=1 makes a missing NPU a failure. Tests of the stand-in itself are marked stand_in.
"""

import os

import pytest

from ascend_moe_gating import simulator

ON_STAND_IN = simulator.load()


def pytest_runtest_setup(item):
    from tests import capabilities  # which imports torch: not before the stand-in is loaded

    capabilities.require(item)


def pytest_configure(config):
    if ON_STAND_IN and os.environ.get("REQUIRE_NPU") == "1":
        pytest.exit("REQUIRE_NPU=1, and this machine has no CANN that can be loaded", returncode=1)


def pytest_collection_modifyitems(config, items):
    if not ON_STAND_IN:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("stand_in")])
        items[:] = [item for item in items if not item.get_closest_marker("stand_in")]
