"""docs/engine.md says what the code says: its tables are those that the script writes."""

import runpy

import pytest

from roundel.golden.engine import OFFSETS, RECORD, Descriptor, Opcode
from tests.support.places import DOCS

PAGE = (DOCS / "engine.md").read_text()


def rows(marker):
    """The cells of a table between markers, without its head and rule."""
    text = PAGE.partition(f"<!-- {marker} -->\n")[2].partition(f"\n<!-- /{marker} -->")[0]
    return [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:]]


def test_the_tables_are_those_of_the_code(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "make"))
    page = tmp_path / "engine.md"
    page.write_text(PAGE)
    runpy.run_path(str(DOCS / "make" / "engine_tables.py"))["main"](page)
    assert page.read_text() == PAGE, "run `python docs/make/engine_tables.py`"


def test_registers_are_listed_by_offset():
    listed = {name: int(place.split(" - ")[0], 16) for place, name, *_ in rows("registers")}
    assert listed == dict(OFFSETS)
    assert list(listed.values()) == sorted(listed.values())


@pytest.mark.parametrize("opcode", list(Opcode)[1:])
def test_bits_of_fields_are_where_the_page_says(opcode):
    """A program packed by hand from the page is the one that the code packs."""
    markers = {Opcode.LOAD: "LOAD and STORE", Opcode.STORE: "LOAD and STORE"}
    listed = [*rows("fields"), *rows(f"fields of {markers.get(opcode, opcode.name)}")]
    values, word = {}, int(opcode)
    for place, name, _ in listed[1:]:
        start, end = (int(bit) for bit in (place.split("-") * 2)[:2])
        if name:
            values[name] = 1
            word |= 1 << start
        assert end - start < 32
    assert Descriptor(opcode=opcode, values=values).pack() == word.to_bytes(128, "little")


def test_fields_of_the_record():
    assert tuple(name for _, name, _ in rows("record")) == RECORD.names
