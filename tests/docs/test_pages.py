"""What README and docs/ show is true: samples run and print what is shown, commands exist, copies equal a source."""

import importlib.util
import re

import pytest
import torch

from ascend_moe_gating import npu_moe_gating_top_k, simulator
from ascend_moe_gating.plugin import commands
from ascend_moe_gating.plugin.gates import published
from benchmarks import page as performance
from tests import release
from tests.docs.pages import DOCS, PAGES, between, blocks, cells, run, samples
from tests.programs import ROOT, launch
from tests.wheels.baseline import NEWEST, POLICY

README = ROOT / "README.md"
NEEDS = {
    "operator.md": ["hash routing"],
    "operator.zh.md": ["hash routing"],
    "graph.md": ["cache_compile"],
    "written-out-gates.md": ["support by transformers", "transformers' models in dynamo"],
    "training.md": ["support by transformers"],
}


def marks(page):
    if page.name in NEEDS:
        yield pytest.mark.needs(*NEEDS[page.name])
    if any("import simulator" in block.text for block, _ in samples(page)):
        yield pytest.mark.stand_in


@pytest.fixture
def fresh_graphs():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("fresh_graphs")
@pytest.mark.parametrize(
    "page", [pytest.param(p, id=p.name, marks=[*marks(p)]) for p in PAGES if p != README and samples(p)]
)
def test_the_samples_of_a_page_run_and_print_what_it_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(page, tmp_path)


def test_the_lines_of_the_readme_run_as_a_script(tmp_path):
    script = tmp_path / "your_script.py"
    use, _ = blocks_of_python(README)
    script.write_text(use + "print(weights.shape, weights.device, experts.dtype)\n")
    assert launch(script).endswith("torch.Size([16, 8]) npu:0 torch.int32\n")


def blocks_of_python(page):
    return [block.text for block in blocks(page) if block.language == "python"]


def test_what_the_readme_calls_equivalent_is():
    names = {}
    exec(blocks_of_python(README)[1], names)
    logits, bias = torch.randn(50, 64), torch.rand(64)
    weights, experts = names["equivalent"](logits, bias, 6, 2.5)
    y, expert_idx, _ = npu_moe_gating_top_k(logits, 6, bias=bias, norm_type=1, routed_scaling_factor=2.5)
    assert torch.equal(experts.int(), expert_idx)
    torch.testing.assert_close(y, weights)


def test_the_readme_is_a_screen_and_a_half():
    assert len(README.read_text().splitlines()) <= 90


def test_the_readme_names_the_wheel_that_make_wheels_builds():
    # after the oldest that has its symbols, as auditwheel finds, and after the policy
    glibcs = ".".join("manylinux_{}_{}_x86_64".format(*version) for version in (NEWEST["GLIBC"], POLICY))
    wheel = f"ascend_moe_gating-{release.number()}-py3-none-{glibcs}.whl[npu]"
    assert f'pip install "./{wheel}"' in README.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_prints_is_held_to_something(page):
    """Text stands behind the sample that prints it, but for the errors that have tests of their own."""
    shown = [output for _, output in samples(page) if output is not None]
    text = [block.text for block in blocks(page) if block.language == "text"]
    assert shown == text or page.name == "troubleshooting.md"
    assert {block.language for block in blocks(page)} <= {"python", "text", "console", "{toctree}"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page):
    """`make X` has its target, `python -m X` its module, and `python -m ascend_moe_gating X` its command."""
    text = page.read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`|of )make ([a-z0-9-]+)", text, re.MULTILINE)) <= targets
    for module, argument in re.findall(r"python -m ([\w.]+) ?([\w./-]*)", text):
        assert importlib.util.find_spec(module), module
        assert module != "ascend_moe_gating" or argument in commands._COMMANDS
        assert (
            argument in ("", "your_script.py") or module != "ascend_moe_gating.simulator" or (ROOT / argument).is_file()
        )
    assert all((ROOT / path).exists() for path in re.findall(r"`((?:examples|tests|plugin|simulator)/[\w./]+)`", text))


def test_the_tables_of_performance_are_of_the_last_results():
    """`python -m benchmarks.page` writes them again."""
    document = performance.json.loads(performance.RESULTS.read_text())
    for name, made in performance.TABLES.items():
        assert between(performance.PAGE, name) == made(document)


def test_the_families_of_models_are_those_that_are_known():
    text = between(DOCS / "training.md", "families")
    assert text.replace("\n", " ").strip().split(", ") == list(published._FAMILIES)


@pytest.mark.stand_in
def test_the_releases_are_those_that_the_stand_in_knows():
    rows = {variable.strip("`"): values for variable, values in cells(between(DOCS / "stand-in.md", "releases"))}
    for variable, argument in (("ASCEND_MOE_GATING_CANN", "cann"), ("ASCEND_MOE_GATING_SOC", "soc")):
        with pytest.raises(ValueError, match="must be") as caught, simulator.release(**{argument: "none"}):
            pass
        known = re.search("must be (.*), got", str(caught.value))[1]
        assert sorted(re.split(", | or ", known)) == sorted(re.split(", | or ", rows[variable]))
