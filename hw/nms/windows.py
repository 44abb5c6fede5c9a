"""Which window of a pass a box falls into."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import memory

from roundel.golden.nms import NmsParams, Pass
from roundel.hw.lib import Component, In, Out

CELLS = 128
"""Most cells along an axis for which tables are logic."""


class WindowKey(Component):
    """Number of a box's window among all windows of a pass, see `roundel.golden.nms.psrr.windows`. One box per cycle.

    Windows have any size, so that their number is a division by one of a few constants. The quotients are tables in
    logic, whose rows are ranges of cells: fewer gates than multiplying by a reciprocal, and faster, see
    docs/nms_hardware.md. For images of more than `CELLS` cells along an axis they are read-only memories.

    Parameters
    ----------
    params, nms_pass
        The unit and its pass.

    Attributes
    ----------
    words
        Windows of all groups, and of all classes where these are apart.
    """

    LATENCY = 2

    def __init__(self, params: NmsParams, nms_pass: Pass):
        self.params, self.nms_pass = params, nms_pass
        pyramid = params.pyramid
        self.words = pyramid.window_count(nms_pass) * params.tables
        columns, rows = pyramid.cells
        super().__init__(
            x=In(range(max(2, columns)), "Column of the box's cell."),
            y=In(range(max(2, rows)), "Row of the box's cell."),
            scale=In(range(max(2, len(pyramid.areas))), "Scale of the box's channel."),
            ratio=In(range(max(2, len(pyramid.ratios))), "Aspect ratio of the box's channel."),
            label=In(params.format.label_width, "Class; counts with `params.class_key` only."),
            key=Out(range(max(2, self.words)), "Number of the window, `LATENCY` cycles later."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pyramid, nms_pass = self.params.pyramid, self.nms_pass
        kernels, leads, grids = pyramid.kernels(nms_pass), pyramid.leads(nms_pass), pyramid.grids(nms_pass)
        columns, rows = pyramid.cells
        starts = [sum(x * y for x, y in grids[:group]) for group in range(len(grids))]
        group = self._group(m)

        def column(number: int, cell: int) -> int:
            return (cell + kernels[number][0] - leads[number][0]) // kernels[number][0]

        def row(number: int, cell: int) -> int:
            line = (cell + kernels[number][1] - leads[number][1]) // kernels[number][1]
            return starts[number] + line * grids[number][0]

        parts = [self._look_up(m, group, self.x, columns, column), self._look_up(m, group, self.y, rows, row)]
        if self.params.class_key:
            base = Signal.like(self.key, name="base", reset_less=True)
            m.d.sync += base.eq(self.label * pyramid.window_count(nms_pass))
            parts.append(base)
        m.d.sync += self.key.eq(sum(parts[1:], parts[0]))
        return m

    def _group(self, m: Module) -> Signal:
        """Return the number of the channel's group, by the numbers of its groups of scales and of ratios."""
        nms_pass = self.nms_pass
        group = Signal(range(max(2, len(nms_pass.groups))))
        with m.Switch(Cat(self.ratio, self.scale)):
            for number, channels in enumerate(nms_pass.groups):
                with m.Case(*(ratio | scale << len(self.ratio) for scale, ratio in channels)):
                    m.d.comb += group.eq(number)
            with m.Default():
                m.d.comb += group.eq(0)
        return group

    def _look_up(self, m: Module, group: Signal, cell: Signal, cells: int, part: Callable[[int, int], int]) -> Value:
        """Return the part of the key that follows from the cell along one axis, a cycle later."""
        name = "column" if cell is self.x else "row"
        parts = [tuple(part(number, value) for value in range(cells)) for number in range(len(self.nms_pass.groups))]
        return self._logic(m, group, cell, parts, name) if cells <= CELLS else self._memory(m, group, cell, parts, name)

    def _logic(self, m: Module, group: Signal, cell: Signal, parts: Sequence[Sequence[int]], name: str) -> Value:
        entry = Signal.like(self.key, name=name, reset_less=True)
        alike: dict[Sequence[int], list[int]] = {}
        for number, values in enumerate(parts):
            alike.setdefault(values, []).append(number)
        with m.Switch(group):
            for values, numbers in alike.items():
                with m.Case(*numbers), m.Switch(cell):
                    for value, low, high in runs(values):
                        with m.Case(*patterns(low, high, len(cell))) if high < len(values) else m.Default():
                            m.d.sync += entry.eq(value)
            with m.Default():
                m.d.sync += entry.eq(0)
        return entry

    def _memory(self, m: Module, group: Signal, cell: Signal, parts: Sequence[Sequence[int]], name: str) -> Value:
        rows = [0] * (len(parts) << len(cell))
        for number, values in enumerate(parts):
            for value, part in enumerate(values):
                rows[(number << len(cell)) + value] = part
        m.submodules[name] = table = memory.Memory(shape=self.key.shape(), depth=len(rows), init=rows)
        read = table.read_port()
        m.d.comb += read.addr.eq(Cat(cell, group))
        return read.data


def runs(values: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Each value of a sequence with the places, from the first to behind the last, that hold it in a row."""
    low = 0
    for place in range(1, len(values) + 1):
        if place == len(values) or values[place] != values[low]:
            yield values[low], low, place
            low = place


def patterns(low: int, high: int, width: int) -> Iterator[str]:
    """Return the integers from `low` to below `high` as bit patterns with don't-cares in the lower bits."""
    while low < high:
        free = min((low & -low).bit_length() - 1 if low else width, (high - low).bit_length() - 1)
        yield (format(low >> free, f"0{width - free}b") if free < width else "") + "-" * free
        low += 1 << free
