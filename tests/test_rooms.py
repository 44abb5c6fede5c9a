"""The rooms of every package: how many, on how many floors, what they import of one another, and what they may hold.

import-linter holds the layers (pyproject.toml, `make lint`); this file counts, and looks at what
import-linter cannot see: module names in strings, public names, small files.
"""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import NamedTuple

import grimp
import pytest

from tests.support.places import ROOT

LINKS = ("golden", "hw", "sim", "synth")
PACKAGES = ("roundel", *(f"roundel.{link}" for link in LINKS))
BENCHES = "roundel.sim.benches"  # named in strings, as cocotb loads them by name
SMALL = 60  # lines

# Small files with one user that stay files of their own, and why.
SMALL_FILES = {
    "roundel.cli.*_command": "one file a command",
    "roundel.hw.requant.table": "one file a core, as the other schemes have",
}


class Plan(NamedTuple):
    """The rooms of one package and the imports between them."""

    floors: dict[str, int]  # floor of each room: 0 imports no other room
    arrows: set[tuple[str, str]]  # importing room, imported room
    upward: set[tuple[str, str]]  # arrows that the layers of pyproject.toml forbid, of packages as of rooms
    circles: set[str]  # rooms that import themselves through others


@cache
def graph() -> grimp.ImportGraph:
    """All imports between modules, those inside functions and under TYPE_CHECKING too."""
    return grimp.build_graph("roundel", cache_dir=None)


@cache
def layers(package: str) -> dict[str, int]:
    """Height of each room of a package, 0 the lowest, as pyproject.toml has its layers."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [contract] = [c for c in contracts if c["type"] == "layers" and c["containers"] == [package]]
    return {
        room.strip(): height
        for height, layer in enumerate(reversed(contract["layers"]))
        for room in re.split("[|:]", layer)
    }


def file_of(module: str) -> str:
    """The path of a module's file below the repository's root."""
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"


@cache
def tree(module: str) -> ast.Module:
    return ast.parse((ROOT / file_of(module)).read_text())


@cache
def modules() -> list[str]:
    return sorted(graph().modules)


def packages() -> list[str]:
    return [module for module in modules() if file_of(module).endswith("__init__.py")]


def room_of(module: str, package: str) -> str | None:
    """The direct child of `package` that holds `module`; None if it is the package itself or lies elsewhere."""
    return module.removeprefix(f"{package}.").split(".")[0] if module.startswith(f"{package}.") else None


def owner(module: str) -> str:
    """The innermost of PACKAGES that holds a module."""
    return max((package for package in PACKAGES if f"{module}.".startswith(f"{package}.")), key=len)


def plan(package: str) -> Plan:
    """Rooms, floors and arrows of a package; links to other packages, data and the front door aside."""
    height = layers(package)
    pairs = {
        (room_of(module, package), room_of(imported, package))
        for module in modules()
        for imported in graph().find_modules_directly_imported_by(module)
    }
    arrows = {(upper, lower) for upper, lower in pairs if upper in height and lower in height and upper != lower}
    upward = {(upper, lower) for upper, lower in arrows if height[upper] <= height[lower]}
    rooms = {room_of(module, package) for module in modules()} - {None, "__main__"}
    if package == "roundel":
        rooms -= {"data", "processes", *LINKS}  # below hw
        arrows = {arrow for arrow in arrows if rooms.issuperset(arrow)}
    below = {room: {lower for upper, lower in arrows if upper == room} for room in rooms}
    floors: dict[str, int] = {}
    while ready := [room for room in rooms - set(floors) if below[room] <= set(floors)]:
        floors.update({room: max((floors[lower] + 1 for lower in below[room]), default=0) for room in ready})
    return Plan(floors, arrows, upward, rooms - set(floors))


@pytest.mark.parametrize(
    ("package", "rooms", "floors", "arrows"),
    [
        ("roundel", 17, 8, 70),
        ("roundel.hw", 11, 8, 60),
        ("roundel.golden", 16, 8, 64),
        ("roundel.sim", 12, 8, 60),
        ("roundel.synth", 11, 8, 60),
    ],
)
def test_a_package_has_few_rooms_on_few_floors_and_no_arrow_upward(
    package: str, rooms: int, floors: int, arrows: int
) -> None:
    house = plan(package)
    height = max(house.floors.values()) + 1
    print(f"\n{package}: {len(house.floors)} rooms, {height} floors, {len(house.arrows)} arrows, ", end="")
    print(f"{len(house.upward)} upward, {len(house.circles)} in circles")
    for room, floor in sorted(house.floors.items(), key=lambda item: (-item[1], item[0])):
        print(f"  {floor}  {room:14}", *sorted(lower for upper, lower in house.arrows if upper == room))
    assert not house.upward
    assert not house.circles
    assert len(house.floors) <= rooms
    assert height <= floors
    assert len(house.arrows) <= arrows


def test_the_front_door_is_imported_by_no_room_below_the_command_line() -> None:
    importers = graph().find_modules_that_directly_import("roundel")
    assert {module for module in importers if room_of(module, "roundel") not in ("cli", "__main__")} == set()


def allowed(module: str, named: str) -> bool:
    """Whether `module` may import `named`, by the layers of the innermost package that holds both."""
    if named.startswith(BENCHES):
        return owner(module) in ("roundel.sim", "roundel.synth", "roundel")
    package = max((p for p in PACKAGES if room_of(module, p) and room_of(named, p)), key=len)
    upper, lower = room_of(module, package), room_of(named, package)
    assert upper is not None
    assert lower is not None
    height = layers(package)
    return upper == lower or upper == "__main__" or height[upper] > height[lower]


def names_in_strings(module: str) -> Iterator[str]:
    """Strings of a module that are names of modules of ours, by their long or their short name; docstrings aside."""
    nodes = list(ast.walk(tree(module)))
    prose = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            name = node.value.partition(":")[0]
            if name != "roundel" and (name in modules() or ("." in name and f"roundel.{name}" in modules())):
                yield name


def test_modules_named_in_strings_lie_below_as_imported_ones_do() -> None:
    wrong = [
        f"{module} names {name}"
        for module in modules()
        for name in names_in_strings(module)
        if module != "roundel" and not (name.startswith("roundel.") and allowed(module, name))
    ]
    assert wrong == []


def public(package: str) -> list[str]:
    """The names in `__all__` of a package."""
    return [
        name
        for node in tree(package).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for name in ast.literal_eval(node.value)
    ]


def test_no_public_name_of_a_room_is_the_name_of_a_file_in_it() -> None:
    # `import roundel.a.b as m` would give the function, not the module.
    names = [f"{package}.{name}" for package in packages() for name in public(package)]
    assert set(names) & set(modules()) == set()


def guard(package: str) -> str:
    """The one code that a linked package may begin with."""
    name = package.removeprefix("roundel.")
    return f"if __name__ == '{name}':\n    raise ImportError('import {package}')"


@pytest.mark.parametrize("package", [p for p in PACKAGES if p != "roundel"] + ["roundel.cli"])
def test_a_package_of_rooms_imports_none_of_them(package: str) -> None:
    first, *rest = tree(package).body
    assert isinstance(first, ast.Expr)  # the docstring
    assert [ast.unparse(node) for node in rest] == ([guard(package)] if package != "roundel.cli" else [])


def test_a_room_opens_with_nothing_but_its_docstring_imports_and_public_names() -> None:
    code = [
        f"{package}: {ast.unparse(node)}"
        for package in packages()
        if package not in (*PACKAGES, "roundel.data")
        for index, node in enumerate(tree(package).body)
        if not (
            isinstance(node, ast.Import | ast.ImportFrom)
            or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
            or (index == 0 and isinstance(node, ast.Expr))
        )
    ]
    assert code == []


def sources(module: str) -> Iterator[tuple[str, str]]:
    """Module and name of everything that a module imports by `from ... import ...`."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield node.module, alias.name


def room(module: str) -> str:
    """The room that holds a module: a direct child of the innermost package that holds it."""
    package = owner(module)
    return f"{package}.{room_of(module, package)}" if module not in PACKAGES else module


def test_a_name_of_another_room_is_imported_from_that_room_not_from_a_file_in_it() -> None:
    deep = [
        f"{module}: from {origin} import {name}"
        for module in modules()
        for origin, name in sources(module)
        if origin in modules() and module != "roundel.__main__" and room(module) != room(origin)
        if origin != room(origin) or f"{origin}.{name}" in modules()
        if origin not in PACKAGES and origin != BENCHES
    ]
    assert deep == []


def users() -> dict[str, set[str]]:
    """The modules that use each module, also through the names that its room exports."""
    exported = {(package, name): origin for package in packages() for origin, name in sources(package)}
    used = defaultdict(set)
    for module in modules():
        for origin, name in sources(module):
            while (origin, name) in exported:
                origin = exported[origin, name]
            target = f"{origin}.{name}" if f"{origin}.{name}" in modules() else origin
            used[target].add(module)
    return {target: names - set(packages()) for target, names in used.items()}


def test_a_small_file_has_more_than_one_user() -> None:
    used = users()
    small = {
        module: used[module]
        for module in modules()
        if len(used.get(module, ())) == 1
        and module not in packages()
        and (ROOT / file_of(module)).read_text().count("\n") < SMALL
        and not any(fnmatchcase(module, pattern) for pattern in SMALL_FILES)
    }
    assert small == {}


def class_names(package: str) -> dict[str, set[str]]:
    """The modules of a package in which a class of each name stands."""
    places = defaultdict(set)
    for module in modules():
        if owner(module) == package:
            for node in tree(module).body:
                if isinstance(node, ast.ClassDef):
                    places[node.name].add(module)
    return dict(places)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_class_name_stands_once_in_a_package(package: str) -> None:
    assert {name: places for name, places in class_names(package).items() if len(places) > 1} == {}


ALONE = {"subprocess", "tempfile", "multiprocessing", "concurrent"}
"""What `roundel.processes` is the one user of; a network file, as golden imports NumPy alone, makes its own folder."""


def test_processes_and_temporary_folders_come_from_one_room() -> None:
    users = {
        module
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        if name.split(".")[0] in ALONE and room_of(module, "roundel") != "processes"
    }
    assert users == {"roundel.golden.network.file"}


def test_every_text_file_has_a_named_encoding() -> None:
    # Without one it is that of the user's locale, and a report that a Latin-1 terminal wrote no other can read.
    unnamed = [
        f"{module}:{node.lineno}"
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("read_text", "write_text", "open")
        and owner(module) != "roundel.golden"  # whose one file is bytes
        and "encoding" not in {keyword.arg for keyword in node.keywords}
        and not any(isinstance(arg, ast.Constant) and "b" in str(arg.value) for arg in node.args)
        and ast.unparse(node.func) not in ("os.open", "gzip.open", "Image.open", "archive.open")
        and not (node.func.attr == "read_text" and node.args)
    ]
    assert unnamed == []
