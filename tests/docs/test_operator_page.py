"""The page of the operator, in both languages: its tables are those of the constraints, its listing is equivalent."""

import re

import numpy as np
import pytest
import torch

from ascend_moe_gating import npu_moe_gating_top_k, npu_moe_gating_top_k_softmax, npu_moe_gating_top_k_softmax_v2
from ascend_moe_gating.plugin.constraints import npu_moe_gating_top_k as constraints
from ascend_moe_gating.plugin.constraints.needs import A2_A3, A5
from ascend_moe_gating.plugin.reference import choose_experts, moe_gating_top_k
from ascend_moe_gating.plugin.registration.operators import OPERATORS
from ascend_moe_gating.plugin.verify.cases import CASES
from ascend_moe_gating.plugin.verify.routing_cases import STRAYS
from ascend_moe_gating.plugin.verify.softmax_violations import VIOLATIONS as OF_THE_SOFTMAX
from ascend_moe_gating.plugin.verify.violations import VIOLATIONS
from tests.docs.pages import DOCS, between, blocks, cells
from tests.docs.test_built import formulas

PAGES = ENGLISH, CHINESE = DOCS / "operator.md", DOCS / "operator.zh.md"
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
(LISTING,) = (block.text for block in blocks(ENGLISH) if block.text.startswith("def npu_moe_gating_top_k("))


def refusal(call, *arguments, **options):
    with pytest.raises((TypeError, ValueError)) as caught:
        call(*arguments, **options)
    return str(caught.value)


@each_page
def test_the_constraints_are_those_of_the_table(page):
    rows = cells(between(page, "constraints"))
    messages = {label: shown.strip("`") for label, _, shown in rows}
    assert list(messages) == [f"C{number}" for number in range(1, 20)]
    (routed,) = (need for need in constraints.NEEDS if need.label == "C17")
    said = {
        *((violation.label, violation.message) for violation in VIOLATIONS),
        ("C13", refusal(npu_moe_gating_top_k, torch.zeros(3, 256), 8, None, 1).removesuffix(" (C13)")),
        ("C17", str(routed)),
        *(("C19", message) for *_, message in STRAYS),
    }
    assert set(messages.items()) <= said


@each_page
def test_the_constraints_of_the_softmax_are_those_of_the_table(page):
    of_the_table = {(violation.label, violation.message) for violation in OF_THE_SOFTMAX}
    rows = cells(between(page, "softmax"))
    assert [labels for labels, *_ in rows] == [*(f"T{number}, S{number}" for number in range(1, 6)), "S6", "S7"]
    for labels, _, shown in rows[:-1]:
        assert (labels.rpartition(" ")[2], shown.strip("`")) in of_the_table
    assert f"`{refusal(npu_moe_gating_top_k_softmax_v2, torch.zeros(2, 4), 2)}`" == rows[-1][2][:-1] + " (S7)`"
    assert refusal(npu_moe_gating_top_k_softmax, torch.zeros(2, 4), None, 5).endswith("(T5)")


@each_page
def test_what_each_cann_takes_is_what_the_tables_say(page):
    expected = []
    for operator in OPERATORS:
        for need in operator.constraints.NEEDS:
            what = f"`{operator.name}`" + ("" if need.what == operator.name else f": {need.what}")
            of_the_first = operator is OPERATORS[0] and need.what != operator.name
            releases = (need.since.get(family) for family in (A2_A3, A5))
            told = ("no" if release is None else ".".join(map(str, release)) for release in releases)
            expected.append([need.what if of_the_first else what, *told])
    assert cells(between(page, "needs")) == expected


@each_page
def test_the_parameters_are_those_of_the_signature(page):
    table = re.search(r"^\| `x` \| Tensor.*?\n\n", page.read_text(), re.DOTALL | re.MULTILINE)[0]
    rows = cells(f"|\n|\n{table}")
    parameters = constraints.SIGNATURE.parameters
    assert [(row[0].strip("`"), row[1]) for row in rows] == [(p.name, p.schema_type) for p in parameters]
    assert [row[2] for row in rows[2:]] == [str(default) for default in constraints.Call._field_defaults.values()]


def table_rows(page):
    """The rows of all tables, each as its code and numbers: what is the same in every language."""
    lines = [line for line in page.read_text().splitlines() if line.startswith("|")]
    return [sorted(re.findall(r"`[^`]+`|\b[\d.]*\d\b", line)) for line in lines]


def test_both_languages_have_the_same_formulas_samples_tables_and_headings():
    (displayed, inline), (others_displayed, others_inline) = map(kinds_of_formulas, PAGES)
    assert displayed == others_displayed
    assert sorted(inline) == sorted(others_inline)  # in a sentence their order is that of the language
    assert code(ENGLISH) == code(CHINESE)
    for row, other in zip(table_rows(ENGLISH), table_rows(CHINESE), strict=True):
        assert row == other
    levels = [re.findall(r"^(#+) ", page.read_text(), re.MULTILINE) for page in PAGES]
    assert levels[0] == levels[1]


def kinds_of_formulas(page):
    every = formulas(page)
    return [formula for formula in every if formula[:2] == "$$"], [formula for formula in every if formula[:2] != "$$"]


def code(page):
    return [(block.language, block.text) for block in blocks(page)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_equivalent_listing_is_equivalent(case):
    names = {"torch": torch}
    exec(LISTING, names)
    x, bias = case.inputs(torch.float32)
    y, expert_idx, scores = names["npu_moe_gating_top_k"](x, case.k, bias=bias, **case.options)
    bias = None if bias is None else bias.numpy()
    expected = moe_gating_top_k(x.numpy(), case.k, bias=bias, **case.options)
    choosing = {name: case.options.get(name, default) for name, default in
                (("k_group", 1), ("group_count", 1), ("group_select_mode", 0))}  # fmt: skip
    np.testing.assert_allclose(scores, expected[2], rtol=1e-6)
    np.testing.assert_array_equal(expert_idx, choose_experts(scores.numpy(), case.k, bias, **choosing))
    np.testing.assert_allclose(y, expected[0], rtol=1e-5)


@pytest.mark.parametrize("norm_type", [0, 1, 2])
@pytest.mark.parametrize("groups", [{}, {"k_group": 2, "group_count": 4}, {"k_group": 5, "group_count": 32}])
@pytest.mark.parametrize("mode", [0, 1])
def test_nan_comes_last_in_the_equivalent_listing_as_in_the_reference(norm_type, groups, mode):
    names = {"torch": torch}
    exec(LISTING, names)
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (200, 32)).astype(np.float32)
    x[rng.random(x.shape) < 0.3] = np.nan
    x[1::3][rng.random(x[1::3].shape) < 0.3] = -np.inf
    options = {"norm_type": norm_type, "group_select_mode": mode, "bias": rng.normal(0, 1, 32).astype(np.float32)}
    expected = moe_gating_top_k(x, 5, **options, **groups)
    options["bias"] = torch.from_numpy(options["bias"])
    y, expert_idx, _ = names["npu_moe_gating_top_k"](torch.from_numpy(x), 5, **options, **groups)
    np.testing.assert_array_equal(expert_idx, expected[1])
    np.testing.assert_allclose(y, expected[0], rtol=1e-5)
