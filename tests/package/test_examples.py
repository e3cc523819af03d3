"""The examples and the two programs of the operator's documentation run as they are."""

import re

import pytest

from tests.capabilities import has
from tests.programs import ROOT, launch, start


@pytest.mark.parametrize("name", ["eager", "graph"])
def test_the_documents_examples_word_for_word(name):
    # A last line makes the result visible; the program itself is untouched.
    program = ROOT / "tests" / "package" / "document" / f"{name}.py"
    check = ROOT / "tests" / "package" / "document" / "then_show.py"
    shown = launch(check, program)
    assert "float16 [16, 1] npu:0" in shown
    assert "int32 [16, 1] npu:0" in shown
    assert "float32 [16, 256] npu:0" in shown
    assert "agrees with the reference: True" in shown


def test_eager():
    printed = launch(ROOT / "examples" / "eager.py")
    assert "CPU and NPU agree: yes" in printed
    assert "defined by torch_npu" in printed


def test_graph():
    printed = launch(ROOT / "examples" / "graph.py")
    assert "1 graph for all numbers of tokens" in printed
    assert printed.count("= ge.MoeGatingTopK(") == 1
    assert printed.count("yes\n") == 3


def test_gate_on_a_file_of_the_users(tmp_path):
    text = tmp_path / "text"
    text.write_text("abcabc")
    printed = launch(ROOT / "examples" / "gate.py", text)
    assert "on the first 6 bytes of text" in printed
    for name in ("CPU, eager", "NPU, eager", "NPU, compiled"):
        assert f"{name:14} 6 of 6, 0.0e+00" in printed
    rows = [line[6:] for line in printed.splitlines() if line.startswith(("'a'", "'b'"))]
    assert rows[0] == rows[2] != rows[1]  # the same byte goes to the same experts
    assert rows[1] == rows[3]


@pytest.mark.stand_in  # on a machine with NPUs it wants one for each process
@pytest.mark.parametrize("processes", [2, 4])
def test_expert_parallel(processes):
    printed = launch(ROOT / "examples" / "expert_parallel.py", processes)
    assert f"{processes} processes, gloo on cpu" in printed
    sent, per_expert = re.findall(r":\n((?:  \d  [\d ]+\n)+)", printed)
    rows = [[list(map(int, row.split()[1:])) for row in table.splitlines()] for table in (sent, per_expert)]
    assert [[len(row) for row in table] for table in rows] == [[processes] * processes, [16 // processes] * processes]
    assert [sum(column) for column in zip(*rows[0], strict=True)] == [sum(row) for row in rows[1]]
    assert sum(map(sum, rows[0])) == 512 * 4
    assert printed.endswith("agree: yes\n")


def test_expert_parallel_refuses_experts_that_it_cannot_share_out():
    refused = start(["-m", "ascend_moe_gating.simulator", ROOT / "examples" / "expert_parallel.py", 3])
    assert refused.returncode == 1
    assert "processes must divide the 16 experts, got 3" in refused.stderr


@pytest.mark.stand_in
@pytest.mark.parametrize("soc", [pytest.param("Ascend950PR_9579", marks=pytest.mark.needs("Ascend950")), "Ascend910B1"])
def test_deepseek_v4(soc, monkeypatch):
    monkeypatch.setenv("ASCEND_MOE_GATING_SOC", soc)
    printed = launch(ROOT / "examples" / "deepseek_v4.py")
    assert f"on CANN 9.2.0 on {soc}" in printed
    agree, refused = "512 of 512 tokens have the CPU's experts", "refused: norm_type=2 needs CANN 9.1 on 950 (C12)"
    ways = 4 if has("hash routing") else 2
    assert ("without input_ids and tid2eid" in printed) == (ways == 2)
    assert (printed.count(agree), printed.count(refused)) == ((ways, 0) if "950" in soc else (0, ways))


def test_gate_on_the_readme():
    assert "on the first 1024 bytes of README.md" in launch(ROOT / "examples" / "gate.py")
