"""The boxes kept of an image: where they are filed, and how a box is compared with those near it."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data

from roundel.golden.nms import ExactParams
from roundel.hw.lib import Component, In, Out, TwoPortMemory, bit_count, delay, first_set, named, without_first
from roundel.hw.nms.filing import KeptFile, bounds_layout, code_layout
from roundel.hw.nms.overlap import ShortOverlap
from roundel.hw.nms.streams import corner_layout

EACH = 4  # comparators of a group of slots: for the first two and the last two candidates
PARTS = 4  # of a group, in which candidates are counted before the whole


def solid_layout(params: ExactParams) -> data.StructLayout:
    """Return what is compared of a box."""
    form = params.format
    return data.StructLayout({"corners": corner_layout(form), "area": 2 * form.corner_width, "label": form.label_width})


class KeptBoxes(Component):
    """Compares a box with all boxes kept that it may overlap too much, `comparators` of them a cycle.

    A box goes through three stages, a cycle in each. It is looked up in the file; its first and its last candidate are
    picked; and the first and the last one of those that remain. It stays in the third stage until none is left, two
    more in each cycle, and all boxes behind it wait. How many candidates there are is counted on the way, so that a
    register tells whether a box has to stay. A box that is filed while others are on their way to the third stage
    becomes a candidate of these, near or not, as they were looked up too early to meet it there.

    Kept boxes are filed in groups of slots in turn, each with four comparators of its own.

    Parameters
    ----------
    params
        The unit.
    """

    LATENCY = 3 + 1 + ShortOverlap.LATENCY

    def __init__(self, params: ExactParams):
        self.params = params
        self.groups = params.comparators // EACH
        super().__init__(
            codes=In(code_layout(params), "Codes of the next box."),
            bounds=In(bounds_layout(), "Codes of areas that it may be compared with."),
            ask=In(1, "Look that box up in the file, with `step`; otherwise no box comes."),
            step=Out(1, "Boxes go on to the next stage."),
            boxes=In(
                data.ArrayLayout(solid_layout(params), EACH // 2),
                "What is compared: the box that was in the second stage a cycle ago, and that in the third one.",
            ),
            hits=Out(
                EACH // 2,
                "A kept box overlaps the box too much, of the candidates picked in the second stage, in the third one: "
                "`LATENCY` - 1 and `LATENCY` cycles after the box was looked up, if it did not wait.",
            ),
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
        asks = named(m, self.ask & ~cleared, "asks")
        more, hits = zip(*(self._compare(m, index, asks, group) for group in range(self.groups)), strict=True)
        m.d.comb += [
            self.step.eq(~Cat(*more).any()),
            *(self.hits[pair].eq(Cat(*found).any()) for pair, found in enumerate(zip(*hits, strict=True))),
        ]
        return m

    def _compare(self, m: Module, index: KeptFile, asks: Value, group: int) -> tuple[Value, tuple[Value, ...]]:
        """Pick the candidates of a group and compare them; returns whether some have to wait, and what hits."""
        slots = range(group, self.params.slots, self.groups)
        near, placed = (Cat(mask[slot] for slot in slots) for mask in (index.near, index.placed))
        split = (self.groups - 1).bit_length()  # low bits of a slot: its group
        file = named(m, self.file & (self.count[:split] == group) if split else self.file, f"file_{group}")
        write = Cat(file, self.count[split:-1])
        masks = [Signal(len(near), name=f"{stage}_{group}") for stage in ("found", "second", "third")]
        picks = [
            self._pick(m, mask, f"{group}_{pair}", box, write)
            for pair, (mask, box) in enumerate(zip(masks[1:], self.boxes, strict=True))
        ]
        rests, hits = zip(*picks, strict=True)
        for mask, waits, comes in zip(
            masks,
            (masks[0] | placed, masks[1] | placed, rests[1]),
            (near & asks.replicate(len(near)), masks[0], rests[0]),
            strict=True,
        ):
            m.d.sync += mask.eq(Mux(self.step, comes | placed, waits))
        return self._count(m, masks[0], file, group), hits

    def _count(self, m: Module, mask: Value, filed: Value, group: int) -> Value:
        """Count the candidates of a box while it is in the first two stages; returns whether it has too many."""
        part = len(mask) // PARTS
        counts = [Signal(range(part + 1), name=f"part_{group}_{number}") for number in range(PARTS)]
        since, total, more = (
            Signal(4, name=f"since_{group}"),  # filed since it was looked up
            Signal(range(len(mask) + 16), name=f"total_{group}"),
            Signal(name=f"more_{group}"),
        )
        whole = named(m, sum(counts[1:], counts[0]) + since + filed, f"whole_{group}")
        with m.If(self.step):
            for number, count in enumerate(counts):
                m.d.sync += count.eq(bit_count(m, mask[number * part : (number + 1) * part], f"{group}_{number}"))
            m.d.sync += [since.eq(filed), total.eq(whole), more.eq(whole > EACH)]
        with m.Else():
            m.d.sync += [since.eq(since + filed), total.eq(total - 2), more.eq(more & (total > EACH + 2))]
        return more

    def _pick(self, m: Module, mask: Signal, name: str, box: data.View, write: Value) -> tuple[Value, Value]:
        """Compare a box with its first and its last candidate; returns the others, and whether one of the two hits."""
        (first, some), (last, _) = first_set(mask), first_set(mask, highest=True)
        first, last = named(m, first, f"first_{name}"), named(m, last, f"last_{name}")
        some, hits = named(m, some, f"some_{name}"), []
        for end, slot, picked in (("first", first, some), ("last", last, some & (first != last))):
            kept = self._kept(m, f"{end}_{name}", Cat(picked, slot), write)
            counts = delay(m, picked, 1, f"picked_{end}_{name}")
            hits.append(self._overlap(m, f"{end}_{name}", box, kept, counts))
        rest = without_first(m, mask, f"above_{name}") & without_first(m, mask, f"below_{name}", highest=True)
        return named(m, rest, f"rest_{name}"), Cat(*hits).any()

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

    def _overlap(self, m: Module, name: str, box: data.View, kept: data.View, picked: Value) -> Value:
        m.submodules[f"overlap_{name}"] = overlap = ShortOverlap(self.params.format, self.params.threshold)
        m.d.comb += [
            Cat(overlap.a, overlap.area_a).eq(Cat(box.corners, box.area)),
            Cat(overlap.b, overlap.area_b).eq(Cat(kept.corners, kept.area)),
        ]
        counts = picked & same_class(self.params, box.label, kept.label)
        return overlap.exceeds & delay(m, counts, ShortOverlap.LATENCY, f"counts_{name}")


def same_class(params: ExactParams, one: Value, other: Value) -> Value:
    """Whether boxes of two labels suppress each other."""
    return Const(1) if params.class_agnostic or params.format.classes == 1 else one == other
