"""The boxes kept of an image: where they are filed, and how a box is compared with those near it."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data

from roundel.golden.nms import ExactParams
from roundel.hw.lib import Component, In, Out, TwoPortMemory, at_least, delay, first_set, named, without_first
from roundel.hw.nms.filing import KeptFile, bounds_layout, code_layout
from roundel.hw.nms.overlap import ShortOverlap
from roundel.hw.nms.streams import corner_layout

EACH = 4  # comparators of a group of slots: for the first two and the last two candidates


def solid_layout(params: ExactParams) -> data.StructLayout:
    """Return what is compared of a box."""
    form = params.format
    return data.StructLayout({"corners": corner_layout(form), "area": 2 * form.corner_width, "label": form.label_width})


class KeptBoxes(Component):
    """Compares a box with all boxes kept that it may overlap too much, `comparators` of them a cycle.

    Kept boxes are filed in groups of slots in turn. The four comparators of a group take the first two and the last two
    of its candidates, whichever slots these are in.

    Parameters
    ----------
    params
        The unit.
    """

    LATENCY = 2 + ShortOverlap.LATENCY

    def __init__(self, params: ExactParams):
        self.params = params
        self.groups = params.comparators // EACH
        super().__init__(
            codes=In(code_layout(params), "Codes of the next box."),
            bounds=In(bounds_layout(), "Codes of areas that it may be compared with."),
            load=In(1, "Look up that box in the file; only when `done`."),
            ask=In(1, "Look for kept boxes; otherwise the box is taken as compared."),
            done=Out(1, "No candidates are left of the box loaded last, but those picked in this cycle."),
            box=In(solid_layout(params), "The box loaded last, one cycle after candidates were picked."),
            hit=Out(1, "A kept box picked `LATENCY` - 1 cycles ago overlaps its box too much."),
            file=In(1, "File a box; only when fewer than all slots are in use."),
            filed=In(solid_layout(params), "The box to file."),
            filed_codes=In(code_layout(params), "Its codes."),
            count=Out(range(params.slots + 1), "Boxes filed."),
            clear=In(1, "Forget all boxes, and what is filed in this cycle."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.index = index = KeptFile(self.params)
        cleared = delay(m, self.clear, 1, "cleared", reset=True)  # in registers, as it goes to every slot
        m.d.sync += self.count.eq(Mux(cleared, 0, self.count + self.file))
        m.d.comb += [
            Cat(index.codes, index.bounds).eq(Cat(self.codes, self.bounds)),
            index.file.eq(self.file),
            index.slot.eq(self.count),
            index.filed.eq(self.filed_codes),
            index.clear.eq(cleared),
        ]
        split = (self.groups - 1).bit_length()  # low bits of a slot: its group
        hits, left = [], []
        for group in range(self.groups):
            near = Cat(index.near[slot] for slot in range(group, self.params.slots, self.groups))
            file = self.file & (self.count[:split] == group) if split else self.file
            more, found = self._compare(m, near, self.ask & ~cleared, group, file, self.count[split:-1])
            hits += found
            left.append(more)
        m.d.comb += [self.done.eq(~Cat(*left).any()), self.hit.eq(Cat(*hits).any())]
        return m

    def _compare(
        self, m: Module, near: Value, ask: Value, group: int, file: Value, place: Value
    ) -> tuple[Value, list[Value]]:
        """Pick the candidates of a group and compare them; returns whether more are left, and what hits."""
        mask = Signal(len(near), name=f"mask_{group}")
        hits, left, more = [], mask, Signal(name=f"more_{group}")
        for pair in range(EACH // 2):
            (first, some), (last, _) = first_set(left), first_set(left, highest=True)
            first, last = named(m, first, f"first_{group}_{pair}"), named(m, last, f"last_{group}_{pair}")
            some = named(m, some, f"some_{group}_{pair}")
            rest = without_first(m, left, f"above_{group}_{pair}")
            rest &= without_first(m, left, f"below_{group}_{pair}", highest=True)
            for name, slot, picked in (("first", first, some), ("last", last, some & (first != last))):
                kept = self._kept(m, f"{name}_{group}_{pair}", Cat(picked, slot), Cat(file, place))
                counts = delay(m, picked, 1, f"picked_{name}_{group}_{pair}")
                hits.append(self._overlap(m, f"{name}_{group}_{pair}", kept, counts))
            left = named(m, rest, f"left_{group}_{pair}")
            if pair == EACH // 2 - 2:  # counted beside the choice of the last two, which takes longer
                m.d.comb += more.eq(at_least(m, left, 3, f"count_{group}"))
        looked = named(m, self.load & ask, f"looked_{group}")  # nothing is left then
        m.d.sync += mask.eq(left | (near & looked.replicate(len(near))))
        return more, hits

    def _kept(self, m: Module, name: str, read: Value, write: Value) -> data.View:
        """Return a kept box of a group, read a cycle ago; each comparator has a memory of its own."""
        depth = self.params.slots // self.groups
        m.submodules[f"kept_{name}"] = memory = TwoPortMemory(width=len(Cat(self.filed)), depth=depth)
        m.d.comb += [
            Cat(memory.read_en, memory.read_addr).eq(read),
            Cat(memory.write_en, memory.write_addr).eq(write),
            memory.write_data.eq(self.filed),
        ]
        return data.View(solid_layout(self.params), memory.read_data)

    def _overlap(self, m: Module, name: str, kept: data.View, picked: Value) -> Value:
        m.submodules[f"overlap_{name}"] = overlap = ShortOverlap(self.params.format, self.params.threshold)
        m.d.comb += [
            Cat(overlap.a, overlap.area_a).eq(Cat(self.box.corners, self.box.area)),
            Cat(overlap.b, overlap.area_b).eq(Cat(kept.corners, kept.area)),
        ]
        counts = picked & same_class(self.params, self.box.label, kept.label)
        return overlap.exceeds & delay(m, counts, ShortOverlap.LATENCY, f"counts_{name}")


def same_class(params: ExactParams, one: Value, other: Value) -> Value:
    """Whether boxes of two labels suppress each other."""
    return Const(1) if params.class_agnostic or params.format.classes == 1 else one == other
