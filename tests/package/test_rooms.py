"""The rooms of the house: no arrow of imports or includes runs back up, and there is no circle."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import PurePosixPath

import pytest

from tests.programs import ROOT

ALL = object()
# What each room may know beside itself. Files of a room are those of its folder, not of the folders below.
MAY_KNOW = {
    "kernels": (),
    "simulator/runtime": (),
    "simulator/operations": ("simulator/runtime", "kernels"),
    "simulator/aclnn": ("simulator/operations", "simulator/runtime"),
    "simulator/graph": ("simulator/operations", "simulator/runtime"),
    "simulator": (),
    "plugin/environment": (),
    "plugin/constraints": ("plugin/environment",),
    "plugin/gradients": ("plugin/constraints",),
    "plugin": ("plugin/constraints", "plugin/gradients"),
    "plugin/gates": ("plugin", "plugin/constraints"),
    "meta": ("plugin/constraints",),
    "converters": ("plugin/constraints",),
    "converters/fusion": ("plugin/constraints", "plugin/environment"),
    "converters/eager": ("converters/fusion", "plugin", "plugin/constraints"),
    "plugin/cpu": ("plugin/constraints", "meta", "kernels"),
    "plugin/aclnn": ("plugin/constraints", "meta"),
    "plugin/doctor": ("plugin/aclnn", "plugin/constraints", "plugin/environment", "simulator"),
    "plugin/verify": (
        "plugin",
        "plugin/aclnn",
        "plugin/constraints",
        "plugin/cpu",
        "plugin/environment",
        "simulator",
    ),
    "plugin/registration": ALL,
}
FILES = [
    file.relative_to(ROOT)
    for room in MAY_KNOW
    for file in sorted((ROOT / room).iterdir())
    if file.suffix in (".py", ".cpp", ".h")
]
CODE_IN_TESTS_TOO = [
    file.relative_to(ROOT)
    for folder in ("benchmarks", "examples", "tests")
    for file in sorted((ROOT / folder).rglob("*"))
    if file.suffix in (".py", ".cpp", ".h")
]


def may_know(room):
    return set(MAY_KNOW) if MAY_KNOW[room] is ALL else {room, *MAY_KNOW[room]}


def module_file(name):
    """The file of a module of this package, or of the module that a name is imported from."""
    parts = name.split(".")[1:]
    for candidate in ("/".join(parts) + ".py", "/".join([*parts, "__init__.py"]), "/".join(parts[:-1]) + ".py"):
        if (ROOT / candidate).is_file():
            return PurePosixPath(candidate)
    return None  # the package itself, which registers


def imported(file):
    """The files of this package that a Python file imports, at once or when it is called."""
    tree = ast.parse((ROOT / file).read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    own = [module_file(name) for name in names if name.startswith("ascend_moe_gating.")]
    return {found for found in own if found is not None}


def included(file):
    """The files that a C++ file includes: of its own room, or of those that its include path holds."""
    found = set()
    for name in re.findall(r'^#include "(.*)"', (ROOT / file).read_text(), re.MULTILINE):
        folders = [file.parent, *(PurePosixPath(room) for room in may_know(str(file.parent)) if name.count("/") == 0)]
        places = [PurePosixPath(folder / name) for folder in folders]
        there = [(ROOT / place).resolve().relative_to(ROOT) for place in places if (ROOT / place).is_file()]
        assert there, f"{file} includes {name}, which is in no room that it may know"
        found.add(PurePosixPath(there[0]))
    return found


def known(file):
    return imported(file) if file.suffix == ".py" else included(file)


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_file_knows_what_its_room_may_know(file):
    rooms = {str(other.parent) for other in known(file)}
    assert rooms - may_know(str(file.parent)) == set()


def test_no_room_knows_one_that_knows_it():
    rooms = {room: may_know(room) - {room} for room in MAY_KNOW}
    order = list(TopologicalSorter(rooms).static_order())
    assert order[-1] == "plugin/registration"


def test_no_file_knows_one_that_knows_it():
    graph = {PurePosixPath(file): known(file) - {PurePosixPath(file)} for file in FILES}
    TopologicalSorter(graph).prepare()  # raises for a circle, and names it


def test_every_folder_of_code_is_a_room():
    folders = {
        str(file.parent.relative_to(ROOT))
        for top in ("kernels", "simulator", "plugin", "meta", "converters")
        for file in (ROOT / top).rglob("*")
        if file.suffix in (".py", ".cpp", ".h")
    }
    assert folders == set(MAY_KNOW)


def test_what_the_compiler_holds_apart_is_what_the_table_says():
    text = (ROOT / "CMakeLists.txt").read_text()
    rooms = {name: set(rest.split()) for name, rest in re.findall(r"add_room\((\w+)([^)$]*)\)\n", text)}
    of_the_table = {
        room.removeprefix("simulator/"): {other.removeprefix("simulator/") for other in known if other != "kernels"}
        for room, known in MAY_KNOW.items()
        if room.startswith("simulator/")
    }
    rooms.pop("name", None)
    assert rooms == of_the_table


@pytest.mark.parametrize("file", [*FILES, *CODE_IN_TESTS_TOO], ids=str)
def test_no_file_has_more_than_300_lines(file):
    assert len((ROOT / file).read_text().splitlines()) <= 300


@pytest.mark.parametrize("room", [room for room in MAY_KNOW if room.startswith("simulator/")])
def test_the_stand_ins_readme_leads_to_each_of_its_rooms(room):
    assert f"\n- `{room.removeprefix('simulator/')}/` is " in (ROOT / "simulator" / "README.md").read_text()
