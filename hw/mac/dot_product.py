"""One column's sum of products, combinational: the arithmetic heart of the MAC array."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, signed
from amaranth.lib import data

from roundel.golden.mac import MacParams
from roundel.hw.lib import Component, In, Out


def activation_layout(params: MacParams) -> data.ArrayLayout:
    """Return the activations of a beat, lane 0 first."""
    return data.ArrayLayout(Shape(params.act_width, params.act_signed), params.lanes)


def weight_layout(params: MacParams) -> data.ArrayLayout:
    """Return the weights of a column, lane 0 first."""
    return data.ArrayLayout(signed(params.weight_width), params.lanes)


class ProductDot(Component):
    """`dot = sum(activation * weight)`, one multiplier per lane.

    A technology with multipliers of its own overrides `multiply`.

    Parameters
    ----------
    params
        Widths and lanes.
    """

    def __init__(self, params: MacParams):
        self.mac = params
        super().__init__(
            operand=In(
                self.operand_layout(params),
                "What `prepare` made of the activations: registered once per array and broadcast to all columns.",
            ),
            weights=In(weight_layout(params), "The column's weights."),
            dot=Out(signed(params.dot_width), "The sum, in the same cycle; it cannot overflow."),
        )

    @staticmethod
    def operand_layout(params: MacParams) -> data.Layout:
        """Shape of the broadcast operand."""
        return activation_layout(params)

    @staticmethod
    def prepare(activations: data.View) -> Value:
        """Return the operand, from the activations of a beat."""
        return activations.as_value()

    def multiply(self, m: Module, activation: Value, weight: Value) -> Value:
        """One product of an activation and a weight."""
        return activation * weight

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        products = [self.multiply(m, self.operand[lane], self.weights[lane]) for lane in range(self.mac.lanes)]
        m.d.comb += self.dot.eq(balanced_sum(products))
        return m


class PairDot(ProductDot):
    """`dot = sum(activation * weight)` out of multiplexers and one carry-save tree.

    The lanes' sums `a + b` of neighbours are formed once per array. With them, one bit each of two weights chooses one
    of 0, a, b, a + b: one row of bits where two multipliers would bring two [R]. All rows, weighted, make one sum. The
    rows enter it complemented, since the smallest and-or gates invert, and what that adds is a constant; the sum is
    then `-dot - 1`, whose complement is `dot`.

    Parameters and members are those of `ProductDot`.
    """

    @staticmethod
    def operand_layout(params: MacParams) -> data.Layout:
        """For every pair of lanes `a`, `b` and `both`, their sum; a single last lane is paired with zero."""
        shape = Shape(params.act_width, params.act_signed)
        pair = data.StructLayout({"a": shape, "b": shape, "both": Shape(params.act_width + 1, params.act_signed)})
        return data.ArrayLayout(pair, (params.lanes + 1) // 2)

    @staticmethod
    def prepare(activations: data.View) -> Value:
        lanes = [activations[lane] for lane in range(activations.shape().length)]
        lanes += [Const(0, lanes[0].shape())] * (len(lanes) % 2)
        return Cat(Cat(a, b, a + b) for a, b in zip(lanes[::2], lanes[1::2], strict=True))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        width, top = self.mac.dot_width, self.mac.weight_width - 1
        all_bits = (2 << self.mac.act_width) - 1
        sign_bit = 1 << self.mac.act_width if self.mac.act_signed else 0
        terms, constant = [], -1
        weights = [*self.weights, Const(0, top + 1)]
        for pair in range(self.operand.shape().length):
            first, second = weights[2 * pair], weights[2 * pair + 1]
            lanes = self.operand[pair]
            for bit in range(top + 1):
                row = Signal(self.mac.act_width + 1, name=f"row_{pair}_{bit}")
                with m.Switch(Cat(first[bit], second[bit])):
                    for choice, value in enumerate((lanes.a, lanes.b, lanes.both), start=1):
                        with m.Case(choice):
                            m.d.comb += row.eq(value)
                    with m.Default():
                        m.d.comb += row.eq(0)
                # In the negated sum all rows count negative but those of the weights' sign bits. A bit that counts
                # negative is complemented, -b = ~b - 1; within a row that is every bit, or the sign bit alone.
                complement = sign_bit if bit == top else all_bits ^ sign_bit
                terms.append((row ^ complement) << bit)
                constant -= complement << bit
        # One chain of additions, not a tree of them: synthesizers make one carry-save tree of it.
        negated = reduce(lambda total, term: (total + term)[:width], terms, Const(constant % (1 << width), width))
        m.d.comb += self.dot.eq(~negated)
        return m


def balanced_sum(terms: Sequence[Value]) -> Value:
    """Return the sum of `terms` as a tree: no partial sum is wider than it must be."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return balanced_sum(terms[:half]) + balanced_sum(terms[half:])
