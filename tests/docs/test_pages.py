"""What README and docs/ show is true: samples run and print what is shown, commands exist."""

import pytest
import torch

from tests.docs.pages import PAGES, run, samples

NEEDS = {
    "operator.md": ["hash routing"],
    "operator.zh.md": ["hash routing"],
    "graph.md": ["cache_compile"],
    "written-out-gates.md": ["support by transformers", "transformers' models in dynamo"],
}


@pytest.fixture(autouse=True)
def fresh_graphs():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=pytest.mark.needs(*NEEDS.get(page.name, [])))
        for page in PAGES
        if samples(page)
    ],
)
def test_the_samples_of_a_page_run_and_print_what_it_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(page, tmp_path)
