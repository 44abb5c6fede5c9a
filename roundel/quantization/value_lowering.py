"""The lowering of modules without weights: means, values by themselves, concatenations."""

import math
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from roundel.golden import network as layers
from roundel.golden.formats import Format
from roundel.golden.network import MAX_SHIFT, InputRounding, Layer, Window, window_count
from roundel.golden.rounding import Ints, Rounding
from roundel.graph import ROUNDINGS, AveragePool, Interpolate, Quantize
from roundel.quantization.calibration import Codes, steps_in_batches
from roundel.quantization.lowering_base import LoweringBase, lifted
from roundel.quantization.means import is_exact, mean_bias, most_multiplier
from roundel.quantization.modules import input_quantizers
from roundel.quantization.quantizers import Lift
from roundel.quantization.search import SUM_BITS, around, estimate, search_output, squared_error

MULTIPLIER_BITS = 12  # of a mean whose number of taps is no power of two: 1 / taps to one part in 2000
COARSE, WRONG = 1 / 256, 1 / 16  # of a mean: errors that are told, and that are refused
MOST_MULTIPLIER_BITS = 26  # where a quantizer wants it exact
ROOM = 6  # bits by which features by themselves are shifted left first, so that a quantizer may be finer

AverageLayer = layers.AveragePool | layers.Weighted
AnyLayer = TypeVar("AnyLayer", bound=layers.Requantized)


class ValueLowering(LoweringBase):
    """One module without weights on its way to an integer layer."""

    def _elementwise(self) -> Layer:
        """Lower an activation or quantization by itself: means of one value, for features a product by one weight."""
        if self._repeats():
            return self._copy()
        if self._point is None:
            return self._concat() if self._is_plain() else self._features()
        return self._pool(self._point, Format(width=MULTIPLIER_BITS, signed=True, fraction=0), count_padding=True)

    def _average(self, node: AveragePool) -> Layer:
        """Lower a mean; the multiplier is exact if all windows have a power of two of taps, else as fine as can be."""
        shape = self.graph.shapes[node.inputs[0]]
        window, rows, columns = node.over(shape), shape[1], shape[2]
        counts = np.asarray(window.taps) if node.count_padding else window_count(rows, columns, window)
        if (counts == window.taps).all() and window.taps & (window.taps - 1) == 0:
            w = Format(width=MULTIPLIER_BITS, signed=True, fraction=window.taps.bit_length() - 1)
            return self._pool(window, w, count_padding=node.count_padding)
        w = Format(width=MULTIPLIER_BITS, signed=True, fraction=0)
        w = replace(w, fraction=estimate(1 / np.maximum(counts, 1), w))
        while w.encode(np.asarray(1 / window.taps)) > most_multiplier(window):
            w = replace(w, fraction=w.fraction - 1)
        layer = self._inexact_mean(window, w, sorted(set(counts.ravel().tolist())), count_padding=node.count_padding)
        if isinstance(layer, layers.AveragePool):
            self._tell_error(layer)
        return layer

    def _tell_error(self, layer: layers.AveragePool) -> None:
        """Tell by how much a mean of many values is off; ValueError where that is too much."""
        taps = layer.window.taps
        off = abs(math.ldexp(layer.multiplier, -layer.w.fraction) * taps - 1)
        told = f"a mean of {taps} values is off by {off:.2%}, as sums of {SUM_BITS} bits hold no finer multiplier"
        if off > WRONG:
            raise ValueError(f"{self.module.name}: {told}: --outputs ends the network before it")
        if off > COARSE:
            self.notes.append(f"{self.module.name}: {told}")

    def _inexact_mean(self, window: Window, w: Format, counts: list[int], *, count_padding: bool) -> Layer:
        """Lower a mean whose multiplier is not exact: behind a quantizer to one of so many bits that all results are.

        Raises
        ------
        ValueError
            There is none: the mean may lie just where it rounds to another integer.
        """
        quantizer = self.module.quantizer
        if not self._is_told(quantizer):
            return self._pool(window, w, count_padding=count_padding)
        assert quantizer is not None
        rounding = ROUNDINGS[quantizer.rounding]
        if quantizer.rounding == "ROUND":
            rounding = InputRounding(self._way.rounding.value)
        counts = [count for count in counts if count]
        for more in range(MOST_MULTIPLIER_BITS - w.width):
            finer = replace(w, width=w.width + more, fraction=w.fraction + more)
            layer = self._pool(window, finer, count_padding=count_padding)
            if self._way.lift is Lift.NONE and is_exact(layer, counts, rounding):
                return layer
            bias = mean_bias(window.taps, layer.expects[0], layer.w, layer.output, rounding)
            if bias is not None and len(counts) == 1 and self._way.rounding is Rounding.FLOOR:
                layer = self._channelwise(window, layer.w, layer.output, bias=bias)
                if is_exact(layer, counts, rounding):
                    return layer
        means = f"means of {' or '.join(map(str, counts))} values"
        raise ValueError(
            f"{quantizer.name}: no multiplier rounds all {means} by {quantizer.rounding}, as some lie at a half: "
            "an explicit --rounding takes the nearest multiplier"
        )

    def _is_told(self, quantizer: Quantize | None) -> bool:
        """Whether the network says exactly what a mean rounds to, and nobody else says how to round."""
        return quantizer is not None and self.exact

    def _pool(self, window: Window, w: Format, *, count_padding: bool) -> AverageLayer:
        codes, x = self.inputs[0]
        if self._goal.fixed:  # which may be finer than the input: a multiplier twice as large is a bit more
            w = replace(w, fraction=max(w.fraction, self._goal.form.fraction - x.fraction))
        output = replace(self._goal.form, fraction=x.fraction + w.fraction)
        layer = layers.AveragePool(
            **self._common(output), rounding=self._way.rounding, x=x, w=w, window=window, count_padding=count_padding
        )
        layer = self._finish(layer, self._sampled_accumulators(layer, codes))
        if self._way.lift is Lift.NONE or layer.multiplier == 0:
            return layer
        if not count_padding and any(window.pad):
            raise ValueError(f"{self.module.name}: means of several numbers of values have no bias to round with")
        return lifted(self._channelwise(window, w, layer.output), self._way)

    def _gate(self) -> Layer:
        """Lower a product with one number a channel.

        Raises
        ------
        ValueError
            It would have to round otherwise than a requantizer does: there is no bias to make up for that.
        """
        (values, x), (factors, gate) = self.inputs
        if self._way.lift is not Lift.NONE:
            raise ValueError(f"{self.module.name}: a product of two tensors has no bias to round with")
        output = replace(self._goal.form, fraction=x.fraction + gate.fraction)
        layer = layers.Gate(**self._common(output), rounding=self._way.rounding, x=x, gate=gate)
        return self._finish(layer, self._sampled_accumulators(layer, values, factors))

    def _interpolate(self, node: Interpolate) -> Layer:
        """Lower a linear interpolation, whose sums are exact."""
        codes, x = self.inputs[0]
        unrounded: dict[str, Any] = {
            "rounding": self._way.rounding,
            "x": x,
            "factor": node.factor,
            "offset": node.offset,
        }
        layer = layers.Interpolate(**self._common(x), **unrounded)
        output = replace(self._goal.form, fraction=layer.accumulator_fraction)
        layer = self._unlifted(layers.Interpolate(**self._common(output), **unrounded))
        return self._finish(layer, self._sampled_accumulators(layer, codes))

    def _unlifted(self, layer: AnyLayer) -> AnyLayer:
        """Return a layer that has no bias; ValueError where it would need one to round as the network says."""
        if self._way.lift is not Lift.NONE:
            raise ValueError(f"{layer.name}: it has no bias to round with")
        return layer

    def _sampled_accumulators(self, layer: layers.Requantized, *codes: Codes) -> Ints:
        """Return what enters the requantizer of a layer at the sampled positions, (positions, channels)."""
        first, sums = 0, []
        for _, step in steps_in_batches(layer, [*codes]):
            assert step.accumulators is not None
            last = first + len(step.accumulators)
            sums.append(step.accumulators[self._sample[(self._sample >= first) & (self._sample < last)] - first])
            first = last
        return np.concatenate(sums)

    def _finish(self, layer: AnyLayer, accumulators: Ints) -> AnyLayer:
        """Give a layer without weights of its own, made with shift 0, the best fractional bits of its output."""
        output = search_output(accumulators, layer.accumulator_fractions.repeat(accumulators.shape[1]), self._goal)
        return replace(layer, **self._requantized(output))

    def _features(self) -> Layer:
        codes, x = self.inputs[0]
        up = max(ROOM, self._goal.form.fraction - x.fraction) if self._goal.fixed else ROOM
        w = Format(width=up + 2, signed=True, fraction=up)
        accumulators = (self._sampled(codes).astype(np.int64) - x.zero) << up
        fractions = np.full(accumulators.shape[1], x.fraction + up)
        output = search_output(accumulators, fractions, self._goal)
        return lifted(self._channelwise(None, w, output), self._way)

    def _is_plain(self) -> bool:
        """Whether the limits of a format are all the clamp there is, and nothing is added before rounding."""
        activation = self.module.activation
        clamps = bool(activation.leak) or activation.high < math.inf or activation.low not in (-math.inf, 0)
        return self._way.lift is Lift.NONE and (self._goal.limits is None if self._goal.fixed else not clamps)

    def _repeats(self) -> bool:
        """Whether the module is a quantizer alone, of what went through the same one."""
        node = self.module.node
        if not isinstance(node, Quantize):
            return False
        before = self.graph.maker(node.inputs[0])
        if before is None:
            return node in input_quantizers(self.graph)
        return isinstance(before, Quantize) and before.grid == node.grid

    def _copy(self) -> Layer:
        """Return a layer that changes nothing, whatever the format: a concatenation of one."""
        form, rounding = self.inputs[0][1], self.options.rounding
        assert rounding is not None
        rounding = self.options.requant.default_rounding if "rounding" in self.options.requant.fixed else rounding
        return layers.Concat(**self._common(form), inputs=(form,), rounding=rounding, requant=self.options.requant)

    def _concat(self) -> Layer:
        """Concatenation, or one tensor by itself, moved to the fractional bits of least error."""
        goal, forms = self._goal, tuple(form for _, form in self.inputs)
        fractions = [form.fraction for form in forms]
        tries: Any = [goal.form.fraction]
        if not goal.fixed:
            tries = around(
                goal.form.fraction, self.options.window, max(fractions) - MAX_SHIFT, min(fractions) + MAX_SHIFT
            )
        sampled = [self._sampled(codes).astype(np.int64) for codes, _ in self.inputs]

        def candidate(fraction: int) -> Layer:
            output = replace(goal.form, fraction=fraction)
            return layers.Concat(**self._common(output), rounding=self._concat_rounding(output), inputs=forms)

        def error(layer: Layer) -> float:
            return squared_error(layer.compute(*sampled).outputs, layer.output, goal.values)

        best = min(map(candidate, tries), key=error)
        if not self._moves_only(best.output) and (goal.activation.leak or goal.bounds(best.output) is not None):
            raise ValueError(f"{self.module.name}: a clamp cannot follow a concatenation")
        return best

    def _concat_rounding(self, output: Format) -> Rounding:
        """Return the rounding of a concatenation, which has no bias; where nothing rounds it is the options'."""
        if self._moves_only(output):
            assert self.options.rounding is not None
            return self.options.rounding
        if self._way.lift is not Lift.NONE:
            raise ValueError(f"{self.module.name}: a concatenation has no bias to round with")
        return self._way.rounding

    def _moves_only(self, output: Format) -> bool:
        """Whether all sources have the output's format, so that a quantizer has nothing left to do."""
        return self.module.quantizer is not None and all(form == output for _, form in self.inputs)
