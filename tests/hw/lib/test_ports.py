"""Ports are declared once, and their documentation is read from the declaration."""

import pytest
from amaranth.lib import wiring

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


def test_members_section_of_a_nested_signature() -> None:
    """Strings and calls within a shape are not taken for documentation."""
    section = members_section(Walker).splitlines()
    at = section.index("counts : In(wiring.Signature({name: wiring.Out(bits) for name, bits in loops.items()}))")
    assert section[at + 1].startswith("    Rounds of each loop by name, at least one.")
