"""Which steps are tried after one that is broken, and which are given up."""

import pytest

from ascend_moe_gating.plugin.doctor import subprocesses
from ascend_moe_gating.plugin.doctor.trials import CPU, NPU, Trials

LEVELS = ["cann", "torch", "torch_npu", "torchair", "device"]


class Processes:
    """In place of processes: steps by name that break, and of what."""

    def __init__(self, breaks):
        self.breaks, self.started = breaks, []

    def run(self, steps, limit, folder, environment, begins):
        self.started.append(list(steps))
        answers = {}
        for step in steps:
            reason = self.breaks.get(step)
            answers[step] = {"state": "broken", "reason": reason} if reason else {"state": "works"}
            if reason:
                break
        return answers


@pytest.fixture
def tried(monkeypatch):
    def try_on_npu(breaks, stand_in=False):
        processes = Processes(breaks)
        monkeypatch.setattr(subprocesses, "run", processes.run)
        return Trials(stand_in, 1.0, "", print).on_npu(True), processes.started

    return try_on_npu


def test_what_works_is_tried_in_one_process(tried):
    outcome, started = tried({})
    assert started == [[*LEVELS, *NPU]]
    assert outcome.broken() == []
    assert outcome.blocked == {}


def test_behind_a_broken_path_the_others_are_tried_in_a_new_process(tried):
    outcome, started = tried({NPU[1]: "x"}, stand_in=True)
    assert started == [["load_stand_in", *LEVELS, *NPU], ["load_stand_in", *NPU[2:]]]
    assert (outcome.broken(), outcome.blocked) == ([NPU[1]], {})


def test_behind_three_broken_paths_the_others_are_given_up(tried):
    outcome, started = tried(dict.fromkeys(NPU, "x"))
    assert started[1:] == [NPU[1:], NPU[2:]]
    assert outcome.broken() == NPU[:3]
    assert outcome.blocked == dict.fromkeys(NPU[3:], NPU[2])


def test_behind_one_that_hangs_all_are_given_up(tried):
    outcome, started = tried({NPU[0]: f"{subprocesses.HUNG} 1 seconds"})
    assert len(started) == 1
    assert outcome.blocked == dict.fromkeys(NPU[1:], NPU[0])


@pytest.mark.parametrize(
    ("broken", "blocked"),
    [
        ("load_stand_in", [*LEVELS, *NPU]),
        ("torch", [*LEVELS[2:], *NPU]),
        ("torch_npu", [*LEVELS[3:], *NPU]),
        ("torchair", []),  # eager mode needs none
        ("device", NPU),
    ],
)
def test_what_stands_on_a_broken_step_is_not_tried(tried, broken, blocked):
    outcome, _ = tried({broken: "x"}, stand_in=True)
    assert outcome.blocked == dict.fromkeys(blocked, broken)
    assert outcome.broken() == [broken]


def test_tensors_of_the_cpu_need_no_more_than_torch(monkeypatch):
    processes = Processes({"torch": "x"})
    monkeypatch.setattr(subprocesses, "run", processes.run)
    assert Trials(False, 1.0, "", print).on_cpu({}).blocked == dict.fromkeys(CPU, "torch")
