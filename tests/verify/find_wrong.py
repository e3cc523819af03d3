"""Which check finds each wrong kernel first: a program for a process that has one preloaded; it prints JSON."""

import json
import os
import sys

from ascend_moe_gating import simulator

if sys.argv[1] == "npu":
    simulator.load()

import ascend_moe_gating
from ascend_moe_gating.plugin.cpu.kernel import vector
from ascend_moe_gating.plugin.verify.checks import Device
from ascend_moe_gating.plugin.verify.paths import NPU_PATHS, cpu_paths
from ascend_moe_gating.plugin.verify.plan import Plan

GROUPS = ("cases", "crossed", "strides", "many tokens", "repetition")


def first_finding(device, wrong):
    """Of the quick run's checks of the public function."""
    os.environ["WRONG_KERNEL"] = wrong
    path = NPU_PATHS[0] if device == "npu" else cpu_paths(vector(), False)[0]
    made = 0
    for check in Plan(Device(device), [path], quick=True).checks:
        if check.group in GROUPS:
            made += 1
            outcome = check.run(lambda words: None)
            if outcome.wrong:
                found = next(m for m in outcome.mismatches if not m.near_tie)
                return {"checks": made, "group": check.group, "result": found.result, "says": found.says}
    return {"checks": made, "group": "", "result": "", "says": "nothing was found"}


ascend_moe_gating.status()
print(json.dumps({wrong: first_finding(sys.argv[1], wrong) for wrong in sys.argv[2:]}))
