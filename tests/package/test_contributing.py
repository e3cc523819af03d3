"""CONTRIBUTING: its recipe for an operator more makes one, and its table of rooms has every room."""

import ast
import importlib.resources
import re
import shutil

import pytest

from tests.package.test_rooms import MAY_KNOW
from tests.programs import ROOT, start

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
STEPS = re.split(r"\n\d+\. ", TEXT[TEXT.index("## Add an operator") :])[1:]
FILES = [match[1] for step in STEPS if (match := re.match(r"`([\w/]+npu_moe_top_k\.py)`", step))]
EXAMPLE = ROOT / "examples" / "operator"

USES = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__module__.endswith("_editable")]
sys.path.insert(0, sys.argv[1])
from ascend_moe_gating import simulator
simulator.load()
import torch, torch_npu, torchair, pytest
import ascend_moe_gating
from ascend_moe_gating import npu_moe_top_k

x = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
right = x.topk(3)
backend = torchair.get_npu_backend()
static, dynamic = (torch.compile(npu_moe_top_k, backend=backend, dynamic=d, fullgraph=True) for d in (False, True))
ways = {"cpu": npu_moe_top_k, "npu": npu_moe_top_k, "torch_npu": torch_npu.npu_moe_top_k, "static": static,
        "dynamic": dynamic}
for way, call in ways.items():
    given = x if way == "cpu" else x.npu()
    y, experts = call(given, 3)
    assert torch.equal(y.cpu(), right.values) and torch.equal(experts.cpu(), right.indices), way
    learned = given.clone().requires_grad_()
    npu_moe_top_k(learned, 3)[0].sum().backward()
    assert torch.equal(learned.grad.cpu(), torch.zeros(5, 16).scatter(1, right.indices, 1.0)), way
    with pytest.raises(ValueError, match=r"k must be between 1 and 16 \\(= experts\\), got 17 \\(K2\\)"):
        npu_moe_top_k(given, 17)
with pytest.raises(Exception, match=r"x must have 2 dimensions, got \\[16\\] \\(K1\\)"):
    torch.compile(lambda x: npu_moe_top_k(x, 3), backend=backend)(torch.zeros(16).npu())
torch.library.opcheck(torch.ops.npu.npu_moe_top_k.default, (x, 3))
print(ascend_moe_gating.status("npu_moe_top_k"))
"""


@pytest.fixture
def house(tmp_path):
    """A copy of the package that somebody is about to change."""
    package = tmp_path / "ascend_moe_gating"
    for room in ("plugin", "meta", "converters", "simulator"):
        shutil.copytree(ROOT / room, package / room, ignore=shutil.ignore_patterns("*.cpp", "*.h", "__pycache__"))
    installed = importlib.resources.files("ascend_moe_gating")
    (package / "__init__.py").write_text((installed / "__init__.py").read_text())
    (package / "lib").symlink_to(installed / "lib")
    return package


@pytest.mark.stand_in
def test_the_recipe_makes_an_operator(house, tmp_path):
    for name in FILES:
        shutil.copy(EXAMPLE / name, house / name)
    (record,) = re.findall(r"\n +(Operator\(.*\),)\n", TEXT)
    operators = house / "plugin" / "registration" / "operators.py"
    before, end = operators.read_text().rsplit(")", 1)
    operators.write_text(f"{before}    {record}\n){end}")
    public = house / "__init__.py"
    public.write_text(public.read_text().replace("__all__ = [\n", '__all__ = [\n    "npu_moe_top_k",\n'))

    result = start(["-c", USES, tmp_path])
    assert result.returncode == 0, result.stderr
    assert "direct aclnnTopk call on the host stand-in" in result.stdout
    assert "converter to TopKV2" in result.stdout


def test_the_recipe_names_every_file_of_the_example_and_of_an_operator():
    example = {str(file.relative_to(EXAMPLE)) for file in EXAMPLE.rglob("*.py")}
    found = [file.relative_to(ROOT) for file in ROOT.glob("*/**/npu_moe_gating_top_k_softmax.py")]
    operator = {str(file) for file in found if file.parts[0] != "build"}  # copies, of make check and make wheels
    assert set(FILES) == example
    assert {name.replace("npu_moe_top_k", "npu_moe_gating_top_k_softmax") for name in FILES} == operator


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step[:40])
def test_what_a_step_names_is_there(step):
    for name in re.findall(r"`([\w/]+\.(?:py|cpp|toml)|[\w/]+/)`", step):
        if not name.endswith("npu_moe_top_k.py"):
            assert (ROOT / name).exists(), name


def test_the_calls_and_nodes_that_the_recipe_finds_in_the_stand_in_are_there():
    assert re.search(r"^ACLNN\(Topk,", (ROOT / "simulator/aclnn/calls.cpp").read_text(), re.MULTILINE)
    assert '{"TopKV2",' in (ROOT / "simulator/graph/node_types.cpp").read_text()


@pytest.mark.parametrize("room", [room for room in MAY_KNOW if not room.startswith("simulator/")])
def test_there_is_a_row_for_every_room(room):
    assert f"\n| `{room}/` | " in TEXT


@pytest.mark.parametrize("file", sorted(EXAMPLE.rglob("*.py")), ids=lambda file: str(file.relative_to(EXAMPLE)))
def test_a_file_of_the_example_says_what_it_is(file):
    assert ast.get_docstring(ast.parse(file.read_text()))
