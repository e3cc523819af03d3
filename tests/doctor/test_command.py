"""The command as a whole, on the installation that the tests run in, and what it prints."""

import json
import re

import pytest

from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import SIGNATURE
from ascend_moe_gating.plugin.doctor import report
from ascend_moe_gating.plugin.doctor.examination import Examination, Problem, Row
from ascend_moe_gating.plugin.doctor.paths import PATHS
from tests.capabilities import has
from tests.programs import start


@pytest.mark.stand_in
def test_on_the_stand_in():
    """Everything that there is works, but for what this CANN refuses and what this torch_npu lacks."""
    result = start(["-m", "ascend_moe_gating", "doctor", "--stand-in", "--json"], ASCEND_MOE_GATING_CANN="8.5.0")
    assert (result.returncode, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert (found["healthy"], found["problems"]) == (True, [])
    expected = dict.fromkeys(PATHS, "works") | {"npu_renorm": "refused", "npu_norm_type_2": "refused"}
    expected["npu_hash_routing"] = "absent" if SIGNATURE.absent else "refused"
    expected["cpu_hash_routing"] = "absent" if SIGNATURE.absent else "works"
    if not has("captured graphs"):
        expected["captured_graph"] = "absent"
    assert {path["name"]: path["state"] for path in found["paths"]} == expected
    texts = {path["name"]: path["text"] for path in found["paths"]}
    assert texts["npu"] == "torch_npu's kernel on the host stand-in for CANN 8.5.0"
    assert texts["npu_renorm"].startswith(
        "renorm=1 needs CANN 9.0 on Atlas A2 and A3, 9.1 on 950 (C11); this is CANN 8.5.0"
    )
    assert re.fullmatch(r"compiled kernel \(\w+\).*", texts["cpu"])
    assert found["facts"]["cann"] == "8.5.0, the host stand-in for it"
    assert found["facts"]["npu"].startswith("Ascend910B1")
    assert f"({found['facts']['kernel']})" in texts["cpu"]
    assert found["facts"].keys() == {"package", *report.FACTS}


def examination(problems=(), rows=None):
    facts = dict.fromkeys(report.FACTS, None)
    return Examination(
        {**facts, "package": "0.1.0"}, rows or {name: Row("works", "a kernel") for name in PATHS}, list(problems)
    )


PROBLEM = Problem(
    "no CANN", "libhccl.so: " + "cannot open shared object file " * 9, "It means this.", (("", "mend it"),)
)
BROKEN = {name: Row("broken", "import torch fails", 1) for name in PATHS}


def test_the_text_of_what_is_healthy():
    first, *lines = report.as_text(examination()).splitlines()
    assert first == "ascend_moe_gating 0.1.0: healthy, 14 of 14 ways to call the operator work, none is broken"
    assert sum(line.startswith("  ok      ") for line in lines) == len(PATHS)
    assert "BROKEN" not in "".join(lines)


def test_the_text_of_what_is_broken():
    text = report.as_text(examination([PROBLEM], BROKEN))
    assert text.startswith(
        "ascend_moe_gating 0.1.0: 1 thing is to be mended, 14 of 14 ways to call the operator are BROKEN"
    )
    assert "  BROKEN  4 ways                   import torch fails (see 1)\n" in text
    assert "  BROKEN  10 ways                  import torch fails (see 1)\n" in text
    assert text.endswith("\n   It means this.\n   mend it")


def test_lines_fit_on_a_terminal_and_have_no_colours():
    rows = {name: Row("refused", "this CANN does not take it " * 12) for name in PATHS}
    lines = report.as_text(examination([PROBLEM], rows)).splitlines()
    assert max(map(len, lines)) <= 100
    assert not any("\x1b" in line or "\r" in line for line in lines)


def test_json_has_the_documented_keys_and_paths_in_their_order():
    found = report.as_json(examination([PROBLEM], dict(reversed(BROKEN.items()))))
    assert found.keys() == {"healthy", "facts", "paths", "problems", "notes"}
    assert [path["name"] for path in found["paths"]] == list(PATHS)
    assert all(path.keys() == {"name", "title", "tensors", "state", "text", "problem"} for path in found["paths"])
    (problem,) = found["problems"]
    assert problem.keys() == {"number", "label", "words", "meaning", "commands"}
    assert problem["commands"] == [{"for": "", "command": "mend it"}]
    assert found["healthy"] is False


def test_help_tells_the_exit_codes_and_every_key():
    said = start(["-m", "ascend_moe_gating", "doctor", "--help"]).stdout
    found = report.as_json(examination([PROBLEM]))
    keys = {*found, *found["facts"], *found["paths"][0], *found["problems"][0], "for", "command"}
    assert {key for key in keys if not re.search(rf"\b{key}\b", said)} == set()
    assert [line.split()[0] for line in said.splitlines() if re.match(r"  \d", line)] == ["0", "1", "2"]


@pytest.mark.parametrize(
    "arguments", [["--limit", "0"], ["--limit", "soon"], ["--limit", "nan"], ["more"], ["--js", "1"]]
)
def test_a_wrong_argument(arguments):
    result = start(["-m", "ascend_moe_gating", "doctor", *arguments])
    assert (result.returncode, result.stdout) == (2, "")
    assert "error: " in result.stderr
