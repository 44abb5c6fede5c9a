"""Write the tables of docs/engine.md from `golden/engine`: `python docs/make/engine_tables.py`, at once."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from figures import replace as put

from roundel.golden.engine import (
    CAUSES,
    COMMON,
    CONFIGS,
    FIELDS,
    PLACE,
    RECORD,
    REGISTERS,
    EngineParams,
    Item,
    Opcode,
    positions,
)
from roundel.golden.registers import WIDTH, Access

PAGE = Path(__file__).resolve().parents[1] / "engine.md"
ACCESS = {Access.READ: "read", Access.WRITE: "read, write", Access.ACT: "write; reads as 0"}


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The text of a table whose columns are all set left."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *rows))


def registers() -> str:
    """All registers by offset."""
    rows = []
    for register in sorted(REGISTERS, key=lambda row: row.offset):
        last = register.offset + 4 * (len(register.words) - 1)
        place = f"0x{register.offset:02X}" + (f" - 0x{last:02X}" if register.width > WIDTH else "")
        rows.append([place, f"`{register.name}`", ACCESS[register.access], register.meaning])
    return table(["offset", "name", "access", "meaning"], rows)


def errors() -> str:
    """Error codes, what each stands for and what its address is."""
    rows = [[str(int(code)), code.name.lower(), cause.what, cause.address] for code, cause in CAUSES.items()]
    return table(["code", "name", "what", "`error_address`"], rows)


def fingerprints() -> str:
    """The fingerprint of every named configuration."""
    values = [f"0x{EngineParams(**config).fingerprint:08X}" for config in CONFIGS.values()]
    return table([f"`{name}`" for name in CONFIGS], [values])


def bits(items: tuple[Item, ...], skip: int = 0) -> str:
    """Fields with the bits that they take, without the first `skip`."""
    places, rows = positions(items), []
    for item in items[skip:]:
        place = places[item.name]
        where = str(place.start) if item.bits == 1 else f"{place.start}-{place.stop - 1}"
        spare = item.name.startswith("spare")
        meaning = "ignored" if spare else item.meaning + ("; two's complement" if item.signed else "")
        rows.append([where, "" if spare else f"`{item.name}`", meaning])
    return table(["bits", "field", "meaning"], rows)


def tables() -> dict[str, str]:
    """All tables of the page by their markers."""
    common = len(COMMON)
    return {
        "fingerprints": fingerprints(),
        "fields": bits(COMMON),
        "fields of LOAD and STORE": bits(FIELDS[Opcode.LOAD], common),
        "fields of COMPUTE": bits(FIELDS[Opcode.COMPUTE], common),
        "fields of BOXES": bits(FIELDS[Opcode.BOXES], common),
        "record": bits(RECORD.items),
        "place": bits(PLACE.items),
        "registers": registers(),
        "errors": errors(),
    }


def main(page: Path = PAGE) -> None:
    """Put the tables between their markers in a page."""
    text = page.read_text(encoding="utf-8")
    for name, content in tables().items():
        text = put(text, name, content)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
