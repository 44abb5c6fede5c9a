# amaranth: UnusedElaboratable=no
"""Ports are declared once, and their documentation is read from the declaration."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest
from amaranth.lib import wiring

import roundel.hw
from roundel.hw.lib import Component, In, Out, Walker, members_section


class Adder(Component):
    """A component of which the tests know everything."""

    def __init__(self, width: int):
        super().__init__(
            terms=In(width, "The `terms` to add.").array(2),
            total=Out(width + 1, "Their sum, in the same cycle.", init=3),
        )


def test_signature_is_what_was_declared() -> None:
    """Direction, shape, array and first value reach Amaranth's signature."""
    adder = Adder(8)
    expected = wiring.Signature({"terms": wiring.In(8).array(2), "total": wiring.Out(9, init=3)})
    assert adder.signature == expected
    assert len(adder.terms) == 2
    assert adder.total.init == 3


def test_documentation_stands_beside_the_port() -> None:
    """An instance knows the documentation of its ports by name, in their order."""
    docs = {name: port.doc for name, port in Adder(8).ports.items()}
    assert list(docs.items()) == [("terms", "The `terms` to add."), ("total", "Their sum, in the same cycle.")]


def test_documentation_is_compulsory() -> None:
    """A port without documentation is refused where it is declared."""
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'doc'"):
        In(1)  # type: ignore[call-arg]


def test_members_section() -> None:
    """The section has shapes as they are written, and the documentation in one piece."""
    assert members_section(Adder) == (
        "Members\n-------\n"
        "terms : In(width).array(2)\n    The `terms` to add.\n"
        "total : Out(width + 1, init=3)\n    Their sum, in the same cycle."
    )


def test_members_section_of_a_class_that_takes_the_ports_of_its_base() -> None:
    """A subclass without an `__init__` has the section of its base."""
    assert members_section(type("Faster", (Adder,), {})) == members_section(Adder)


def test_members_section_of_a_nested_signature() -> None:
    """Strings and calls within a shape are not taken for documentation."""
    section = members_section(Walker).splitlines()
    at = section.index("counts : In(wiring.Signature({name: wiring.Out(bits) for name, bits in loops.items()}))")
    assert section[at + 1].startswith("    Rounds of each loop by name, at least one.")


def components() -> list[type[wiring.Component]]:
    """All classes of hw that are components of Amaranth."""
    folder = Path(roundel.hw.__file__).parent
    names = [path.relative_to(folder).with_suffix("").parts for path in sorted(folder.rglob("*.py"))]
    modules = [
        import_module(".".join(("roundel.hw", *(part for part in name if part != "__init__")))) for name in names
    ]
    classes = {item for module in modules for item in vars(module).values() if inspect.isclass(item)}
    mine = [item for item in classes if item.__module__.startswith("roundel.hw.")]
    return sorted((item for item in mine if issubclass(item, wiring.Component)), key=lambda item: item.__qualname__)


def test_all_components_document_their_ports_at_the_declaration() -> None:
    """Each takes `Component` for its base, says nothing of ports in its docstring, and has a name of its own."""
    classes = components()
    assert len(classes) > 80
    assert len({item.__name__ for item in classes}) == len(classes)
    for item in classes:
        assert issubclass(item, Component), item
        docstring = item.__doc__ or ""
        assert docstring.strip(), item
        assert "Members\n" not in docstring, item
        declared = members_section(item)
        assert bool(declared) == (item is not Component), item
        sentences = [line.strip() for line in declared.splitlines() if line.startswith("    ")]
        assert [line for line in sentences if not line.endswith((".", ".)"))] == [], item
