"""Write the tables of areas in docs/heads.md: `python docs/make/heads_area.py LIBRARY`; takes some minutes.

LIBRARY is a Liberty file. Each row is a part of the box unit, the scan of `medium` and the decoder of `small`, mapped
by itself, also for an ECP5; and the box unit of `small` as one, without the suppression behind it.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from activation_area import TOP, on_ecp5, row
from amaranth.hdl import Module, Signal
from figures import replace as put

from roundel.golden.engine import HEADS, EngineParams
from roundel.hw.emit import to_verilog
from roundel.hw.engine.boxes.best import BestClass
from roundel.hw.engine.boxes.corners import BoxCorners
from roundel.hw.engine.boxes.decoder import BoxDecoder
from roundel.hw.engine.boxes.scan import Scan
from roundel.hw.engine.boxes.suppress import index_width
from roundel.hw.engine.boxes.unit import Boxes
from roundel.hw.engine.boxes.words import BoxWords
from roundel.hw.lib import Component, In, Out
from roundel.hw.nms.streams import boxes_in, boxes_out, error_layout
from roundel.synth.fpga.build import CELL_LUTS
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "heads.md"
COSTS = ["um2", "bits of memories", "longest path, ns", "LUT4", "flip-flops", "multipliers", "block memories"]


class Passing(Component):
    """Gives every box on, with its number: what stands for the suppression in `Unit`."""

    def __init__(self, params: EngineParams):
        assert params.nms is not None
        self.width, form = index_width(params), params.nms.format
        super().__init__(
            inputs=In(boxes_in(form, 1), "Boxes."),
            outputs=Out(boxes_out(form, 1, self.width), "The same boxes."),
            error=Out(error_layout(1, params.nms.capacity), "No fault."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        given, kept, number = self.inputs.p.boxes[0], self.outputs.p.boxes[0], Signal(self.width)
        m.d.comb += [
            self.outputs.valid.eq(self.inputs.valid),
            self.inputs.ready.eq(self.outputs.ready),
            self.outputs.p.last.eq(self.inputs.p.last),
            kept.index.eq(number),
            *(kept[name].eq(given[name]) for name in kept.shape().members if name != "index"),
        ]
        with m.If(self.inputs.valid & self.outputs.ready):
            m.d.sync += number.eq(number + 1)
        return m


class Unit(Boxes):
    """The box unit, behind which nothing is suppressed."""

    def _suppressor(self) -> Passing:
        return Passing(self.params)


def units() -> Iterator[tuple[str, Component]]:
    """Box units that are measured, by name."""
    small = EngineParams.named("small")
    yield "without `heads`", Unit(small)
    yield "with all forms", Unit(replace(small, heads=HEADS))


def parts() -> Iterator[tuple[str, Component]]:
    """What is measured, by name."""
    nms = EngineParams.named("small").nms
    assert nms is not None
    yield "corners of the plain head, without `heads`", BoxCorners(nms)
    yield "decoder, plain distances", BoxDecoder(nms.format, ("priors",))
    for name in ("dfl", "softmax", "centre", "corners"):
        yield f"decoder, `{name}`", BoxDecoder(nms.format, (name,))
    yield "decoder, all forms", BoxDecoder(nms.format, HEADS)


def scans() -> Iterator[tuple[str, Component]]:
    """Scans that are measured, by name."""
    medium = EngineParams.named("medium")
    yield "words of the plain head, without `heads`", BoxWords(medium)
    yield "best class of the plain head, without `heads`", BestClass(medium)
    for heads in (("priors",), ("dfl",), ("product", "centre"), ("softmax", "centre")):
        yield f"scan, {' and '.join(f'`{name}`' for name in heads)}", Scan(replace(medium, heads=heads))
    yield "scan, all forms", Scan(replace(medium, heads=HEADS))


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, measured in (("scans", scans()), ("parts", parts())):
        rows = [row(part, component, Path(sys.argv[1])) for part, component in measured]
        text = put(text, name, "\n".join(markdown_table(["part", *COSTS], rows)))
    rows = []
    for name, unit in units():
        counts = on_ecp5(to_verilog(unit, TOP))
        tables = sum(counts[kind] * luts for kind, luts in CELL_LUTS.items())
        rows.append([*row(name, unit, Path(sys.argv[1])), f"{tables:,}"])
    text = put(text, "unit", "\n".join(markdown_table(["box unit", *COSTS, "LUT4, carries and memories too"], rows)))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
