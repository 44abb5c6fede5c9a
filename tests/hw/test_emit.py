"""The Verilog of `hw.emit`: memories without zeros to begin with, tables with all they hold."""

import re
from typing import Any

import pytest
from amaranth.hdl import Fragment, Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from roundel.hw.emit import ports, to_verilog
from roundel.hw.units import UNITS, Unit

INITIAL = re.compile(r"^ *initial begin\n(.*?)^ *end\n", re.MULTILINE | re.DOTALL)
WORD = re.compile(r"^ *\S+\[\d+\] = \d+'[bdho]([0-9a-fx]+);$")


class Storage(wiring.Component):
    """A memory of 4 words, of any width, that begins with the given words and then with zeros."""

    def __init__(self, width: int, words: list[int]):
        self.width, self.words = width, words
        super().__init__({"address": In(2), "write": In(1), "data": In(width), "read": Out(width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=unsigned(self.width), depth=4, init=self.words)
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [write.addr.eq(self.address), write.data.eq(self.data), write.en.eq(self.write)]
        m.d.comb += [read.addr.eq(self.address), self.read.eq(read.data)]
        return m


def begins(verilog: str) -> list[list[str]]:
    """The digits of all words of each initial block of a memory."""
    blocks = [[WORD.match(line) for line in match[1].splitlines()] for match in INITIAL.finditer(verilog)]
    return [[word[1] for word in block if word] for block in blocks if all(block)]


def zero_memories(verilog: str) -> int:
    """How many initial blocks of a memory write nothing but zeros."""
    return sum(not any(word.strip("0") for word in words) for words in begins(verilog))


def test_counts_blocks_of_zeros_in_all_forms_of_a_constant() -> None:
    block = "  initial begin\n    \\memory.x [0] = {0};\n    memory[1] = {1};\n  end\n"
    for first, second, expected in (
        ("8'h00", "8'h00", 1),
        ("32'd0", "32'd0", 1),
        ("1'h0", "1'h1", 0),
        ("32'd10", "32'd0", 0),
    ):
        assert zero_memories(block.replace("\\memory.x ", "memory").format(first, second)) == expected


@pytest.mark.parametrize("width", [1, 7, 8, 31, 32, 33, 64, 129])
def test_a_memory_of_zeros_has_no_initial_block(width: int) -> None:
    verilog = to_verilog(Storage(width, []), "storage")
    assert re.search(r"^  reg (\[\d+:0\] )?memory \[3:0\];$", verilog, re.MULTILINE)
    assert "initial" not in verilog


@pytest.mark.parametrize("width", [8, 32, 33])
def test_a_table_keeps_all_its_words(width: int) -> None:
    [words] = begins(to_verilog(Storage(width, [0, 5]), "storage"))
    assert [int(word, 16) for word in words] == [0, 5, 0, 0]


@pytest.mark.parametrize("unit", UNITS.values(), ids=lambda unit: unit.name)
def test_no_unit_has_a_memory_that_begins_with_zeros(unit: Unit) -> None:
    params = unit.params(**next(iter(unit.configs.values())))
    zeros = zero_memories(to_verilog(unit.component(params), unit.name))
    assert zeros == 0


def rows_of(component: wiring.Component) -> list[dict[str, Any]]:
    """The ports of a component, which is elaborated, as Amaranth warns of one that is not."""
    Fragment.get(component, None)
    return ports(component)


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_every_port_is_documented(unit: Unit) -> None:
    """Each row of a manifest says in a sentence what the port carries."""
    rows = rows_of(unit.component(unit.params(**next(iter(unit.configs.values())))))
    assert [row["name"] for row in rows if not re.fullmatch(r"[A-Z`].*\.\)?", row["doc"])] == []


def test_documentation_of_a_stream_is_that_of_its_payload() -> None:
    """The handshake says whose it is."""
    unit = UNITS["decoder"]
    docs = {row["name"]: row["doc"] for row in rows_of(unit.component(unit.params(**unit.configs["mask_8"])))}
    assert docs == {
        "clk": "The clock; all registers take its rising edge.",
        "rst": "The reset, active high, synchronous with the clock.",
        "inputs__payload": "The bytes of the streams, `last` with the last of each.",
        "inputs__valid": "`inputs` offers a payload, which stands until it is taken.",
        "inputs__ready": "The payload of `inputs` is taken.",
        "outputs__payload": "As many weights as the stream announces, zeros behind them up to a whole beat; fewer if "
        "it is damaged.",
        "outputs__valid": "`outputs` offers a payload, which stands until it is taken.",
        "outputs__ready": "The payload of `outputs` is taken.",
        "status": "After all weights of a stream: `done` for a cycle, with `error` and the `bit` where it is damaged.",
    }


def test_ports_of_another_component_have_no_documentation() -> None:
    """A component of Amaranth says nothing of its ports."""
    assert [row["doc"] for row in rows_of(Storage(8, []))[2:]] == [""] * 4
