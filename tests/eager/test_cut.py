"""A method that is cut in two does what it did, wherever it is cut."""

import inspect

import pytest
import torch
from torch import nn

from ascend_moe_gating.converters.eager.candidates import candidates
from ascend_moe_gating.converters.eager.cut import cuts, loops
from tests.eager.written_routers import Loops, LoopsBehindAMethod, ReturnsEarly, Router

THREE = 3


def around(added):
    class Method:
        def mixed(self, first, *others, scale=2, **named):
            """What is around it, and in it, has all kinds of names."""
            start, end = first
            squares = [number * number for number in range(end)]
            first = start + added + THREE
            first += 1

            def twice(number):
                return 2 * number * scale

            for number in range(end):
                first += twice(number)
            return first, squares, others, scale, named

        def of_its_class(self):
            before = self.__private
            for _ in before:
                pass

        def whole(self, value):
            return value

        __private = ()

    return Method()


def test_each_cut_does_what_the_method_does():
    made = around(5)
    expected = made.mixed((1, 4), 7, scale=5, other=1)
    found = list(cuts(type(made).mixed))
    assert len(found) == 6
    for head, tail in found:
        assert tail(made, *head(made, (1, 4), 7, scale=5, other=1)) == expected
        assert inspect.signature(head) == inspect.signature(type(made).mixed)
    assert loops(type(made).mixed)


def test_an_error_behind_the_cut_shows_the_line_of_the_method():
    made = around(5)
    head, tail = next(cuts(type(made).mixed))
    with pytest.raises(TypeError) as caught:
        tail(made, *head(made, (1, 4), scale=None))
    lines, first = inspect.getsourcelines(type(made).mixed)
    shown = caught.traceback[1]
    assert str(shown.path) == __file__
    assert "first += twice(number)" in lines[shown.lineno + 1 - first]


@pytest.mark.parametrize("method", [around(1).of_its_class, around(1).whole, print])
def test_what_is_not_cut(method):
    assert list(cuts(getattr(method, "__func__", method))) == []


def test_an_early_return_is_not_cut_behind():
    assert list(cuts(ReturnsEarly.forward)) == []
    assert [loops(kind.forward) for kind in (Router, Loops, LoopsBehindAMethod)] == [False, True, True]


class Chooses(nn.Module):
    """What may choose experts, and what does not or is too large to be a router."""

    def __init__(self):
        super().__init__()
        self.router, self.norm, self.others = Router(), nn.LayerNorm(4), nn.ModuleList([Loops(), LoopsBehindAMethod()])

    def forward(self, x):
        return torch.topk(x, 2)


def test_candidates():
    found = candidates(Chooses())
    assert [(one.path, one.name) for one in found] == [
        ("router", "forward"),
        ("others.0", "forward"),
        ("others.1", "forward"),
    ]
    assert [[inner.name for inner in one.inner] for one in found] == [["route"], [], ["route"]]


def test_whole_models_and_sorts_are_candidates_only_where_nothing_else_is():
    class Sorts(nn.Module):
        def forward(self, x):
            return x.sort(-1, descending=True)

    class Whole(Chooses):
        def __init__(self):
            super().__init__()
            self.router, self.others, self.words = nn.Identity(), nn.ModuleList(), nn.Embedding(2, 2)

    assert candidates(Whole()) == []
    assert candidates(nn.LazyLinear(2)) == []
    assert [one.path for one in candidates(nn.Sequential(Sorts(), Router()))] == ["1"]
    assert [one.path for one in candidates(nn.Sequential(Sorts()))] == ["0"]
