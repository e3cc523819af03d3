"""A kernel that is wrong on purpose is found, whatever its mistake is."""

import json

import pytest

from tests.once import once
from tests.programs import start

KINDS = {  # and the result in which the quick run finds it
    "next on ties": "expert_idx",
    "bias enters y": "y",
    "eps ignored": "y",
    "rounded before the scale": "y",
    "bfloat16 is cut off": "y",
    "last column of norm_out": "norm_out",
    "above 1024 experts": "expert_idx",
    "strides ignored": "expert_idx",
    "above 2047 tokens": "y",
    "mode 0 for odd groups": "expert_idx",
    "NaN first": "expert_idx",
    "every ninth launch is lost": None,  # in whatever the memory held
    "no renorm": "y",
    "no bias in float16": "expert_idx",
    "one group less": "expert_idx",
    "places from 32 on": "expert_idx",
}

ON_CPU = ("next on ties", "above 2047 tokens", "every ninth launch is lost")  # the same kernel, by another door
# Called through Python, the kernel is asked of its own library, and nothing that is preloaded stands before it.
NEEDS = pytest.mark.needs("the C interface for operators")
EACH = [*((kind, "npu") for kind in KINDS), *(pytest.param(kind, "cpu", marks=NEEDS) for kind in ON_CPU)]


pytestmark = [pytest.mark.stand_in, pytest.mark.needs("a compiler")]


@pytest.fixture(scope="module")
def found(wrong_kernel, tmp_path_factory):
    """What is found on a device, by kind."""

    def run(device):
        kinds = KINDS if device == "npu" else ON_CPU
        arguments = ["-m", "tests.verify.find_wrong", device, "none", *kinds]
        result = start(arguments, LD_PRELOAD=wrong_kernel, TORCH_DEVICE_BACKEND_AUTOLOAD="0")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout.splitlines()[-1])  # torch_npu may print before it

    return lambda device: once(tmp_path_factory, f"found_on_{device}", lambda folder: run(device))


@pytest.mark.parametrize(("kind", "device"), EACH)
def test_it_is_found(found, kind, device):
    finding = found(device)[kind]
    assert finding["group"], finding
    assert KINDS[kind] in (finding["result"], None), finding


@pytest.mark.parametrize("device", ["npu", pytest.param("cpu", marks=NEEDS)])
def test_without_a_mistake_nothing_is_found(found, device):
    none = found(device)["none"]
    assert none["group"] == ""
    assert none["checks"] > 150


def test_it_is_named_in_the_terminal_in_json_and_on_the_page(wrong_run):
    assert wrong_run.code == 1
    says = "1 of 64 scores are wrong, first of expert 63"
    assert "SOMETHING DIFFERS" in wrong_run.out
    assert f"norm_out: {says}" in wrong_run.out
    assert wrong_run.json["verdict"] == "something differs"
    mismatches = [m for m in wrong_run.json["mismatches"] if m["says"].startswith(says)]
    assert mismatches
    results = {m["result"] for m in wrong_run.json["mismatches"] if not m["near_tie"]}
    assert results <= {"norm_out", "expert_idx"}  # the order is not that of the scores which are returned
    assert says in wrong_run.html
    tallies = {tally["group"]: tally for tally in wrong_run.json["tallies"]}
    assert tallies["cases"]["wrong"] > 100
    assert tallies["softmax_v2"]["wrong"] == tallies["constraints"]["wrong"] == 0
    assert len(wrong_run.json["mismatches"]) <= 120
