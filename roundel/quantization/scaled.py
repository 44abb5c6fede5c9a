"""Networks whose scales are not powers of two, kept as they are: integer layers whose requantizers multiply.

Weights keep their codes, activations their scale and zero point; only what the network does not state is searched.
[S] The arithmetic is that of ONNX's QLinear operators; [R] that of sums and means: see docs/quantization.md.
"""

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden import network as layers
from roundel.golden.formats import Format, signed_width
from roundel.golden.network import InputRounding, Layer, Window, window_count
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Ints, Rounding
from roundel.graph import AveragePool, Conv, Dense, Interpolate, Quantize, codes_of
from roundel.quantization.given import MAX_WIDTH, is_power
from roundel.quantization.means import is_exact
from roundel.quantization.module_lowering import ModuleLowering
from roundel.quantization.quantizers import Lift, Way, file_bounds, file_format
from roundel.quantization.search import nearest_format
from roundel.quantization.value_lowering import AverageLayer

BIAS_WIDTH = 32
FACTOR_BITS = 8  # signed, of factors of a gate: of unsigned ones of 8 bits only shifts make up for half
MOST_UNITS = 2**27  # of a bias beside weights whose step may be wider: the engine's 29 bits, with room for zero points
MULTIPLIER_BITS = 17  # of a mean whose number of taps is no power of two: 1 / taps to one part in 60,000
ROOM = 8  # bits by which an exact mean is shifted left first: `fixed32` cannot multiply by 1 or more


class ScaledLowering(ModuleLowering):
    """One module on its way to an integer layer that keeps the scales of the network."""

    @cached_property
    def _way(self) -> Way:
        """Rounding of the scheme if it is fixed, else that of the network, whose halves go to even."""
        scheme, quantizer = self.options.requant, self.module.quantizer
        nearest = quantizer is None or quantizer.rounding == "ROUND"
        if "rounding" in scheme.fixed:
            if quantizer is not None and not nearest:
                own = f"{scheme.value} has a rounding of its own"
                raise ValueError(f"{self.module.name}: {own}, it cannot do {quantizer.rounding}")
            return Way(rounding=scheme.default_rounding)
        return Way(rounding=Rounding.HALF_EVEN) if quantizer and nearest else super()._way

    def _output(self) -> Format:
        """Return the network's format, or else the fractional bits that cost the calibration images least."""
        if self.module.quantizer is not None:
            return file_format(self.graph, self.module.quantizer)
        if self.tied is not None:
            return self.tied
        form = Format(width=self.options.bits_after(self.module.name), signed=self._signed, fraction=0)
        return nearest_format(self.reference, form, self.options, blank=self._blank(form))

    def _bounds(self, output: Format) -> tuple[int, int] | None:
        """Return the clamp in integers of `output`; None where its own limits do it."""
        activation, quantizer = self.module.activation, self.module.quantizer
        return activation.bounds(output) if quantizer is None else file_bounds(quantizer, activation, output)

    def _requantized(self, output: Format) -> dict[str, Any]:
        leak = self.module.activation.leak
        rest = {"rounding": self._way.rounding, "bounds": self._bounds(output), "leak": leak}
        return self._common(output) | rest | {"requant": self.options.requant}

    def _lifted(self, layer: layers.Weighted) -> layers.Weighted:
        """Return a layer with what makes it round as the network says added to its bias.

        Raises
        ------
        ValueError
            Its factor is no power of two, so that nothing added to a sum makes up for a rounding.
        """
        if self._way.lift is Lift.NONE:
            return layer
        fields = layer.runtime()
        multiplier, shift = np.broadcast_arrays(fields["multiplier"], fields["shift"])
        if (multiplier & (multiplier - 1)).any():
            raise ValueError(f"{layer.name}: a factor that is no power of two does not round by {self._rounding_name}")
        shifts = np.maximum(shift - np.log2(multiplier).astype(np.int64), 0)
        bias = layer.bias + self._way.lift.units(np.minimum(shifts, BIAS_WIDTH))
        return replace(layer, bias=bias)

    @property
    def _rounding_name(self) -> str:
        return "ROUND" if self.module.quantizer is None else self.module.quantizer.rounding

    def _bias_unit(self, width: int, fraction: int) -> Format:
        return Format(width=BIAS_WIDTH, signed=True, fraction=0)

    def _weighted(self, node: Conv | Dense) -> Layer:
        x, node = self.inputs[0][1], self._exact(node)
        codes, steps, width = self._widened(node, *self._codes(node))
        forms = [Format.of_scale(width=width, signed=True, scale=step) for step in steps.tolist()]
        matrix = self._matrix(replace(node, weights=codes.astype(np.float64)))
        bias = Format(width=BIAS_WIDTH, signed=True, fraction=0)
        same = len(set(forms)) == 1
        layer = layers.Weighted(
            **self._requantized(self._output()),
            weights=matrix.astype(np.int64),
            bias=np.rint(node.bias.astype(np.float64) / (x.scale * steps)).astype(np.int64),
            x=x,
            w=min(forms, key=lambda form: form.fraction),
            b=bias,
            window=node.window if isinstance(node, Conv) else None,
            groups=node.groups if isinstance(node, Conv) else 1,
            w_fractions=None if same else tuple(form.fraction for form in forms),
            w_mantissas=None if same else tuple(form.mantissa for form in forms),
        )
        return self._lifted(layer)

    def _codes(self, node: Conv | Dense) -> tuple[Ints, NDArray[np.float64], int]:
        """Integers, the step of each output, and the width: the network's own, or by the greatest weight."""
        if self.given is not None:
            fractions = np.asarray(self.given.fractions or [self.given.format.fraction] * len(node.bias))
            return self.given.codes, np.ldexp(1.0, -fractions), self.given.format.width
        width = self.options.bits_of(self.module.name)
        if node.step is None:
            node = replace(node, step=greatest_step(node, width, per_channel=self.options.per_channel))
        codes = codes_of(node)
        least, most = (int(end) for end in (codes.min(initial=0), codes.max(initial=0)))
        width = max(2, node.code_width or width, signed_width(least, most))
        return codes, np.broadcast_to(np.asarray(node.step, np.float64), node.bias.shape), width

    def _widened(
        self, node: Conv | Dense, codes: Ints, steps: NDArray[np.float64], width: int
    ) -> tuple[Ints, NDArray[np.float64], int]:
        """Widen the step of weights that are so small beside their bias that no sum of `BIAS_WIDTH` bits holds both.

        [S] onnxruntime's quantizer does the same. The weights of such an output are rounded again: what they lose is
        less than the bias' own rounding. One step for all outputs stays one.
        """
        free = node.step is None and self.given is None
        most = MOST_UNITS if free else 2 ** (BIAS_WIDTH - 1) - 1
        least = np.abs(node.bias.astype(np.float64)) / (self.inputs[0][1].scale * most)
        wide = steps < least
        if not wide.any():
            return codes, steps, width
        same = len(set(steps.tolist())) == 1 and not self.options.per_channel
        steps_after = np.full_like(steps, least.max()) if same else np.maximum(steps, least)
        columns = (-1,) + (1,) * (codes.ndim - 1) if isinstance(node, Conv) else (1, -1)
        codes = np.rint(codes * (steps / steps_after).reshape(columns)).astype(np.int64)
        channel = int(np.argmax(least / steps))
        self.notes.append(
            f"{node.name}: {int(wide.sum())} of {len(steps)} outputs have weights too small beside their bias for a sum"
            f" of {BIAS_WIDTH} bits, so the step of their weights is wider (output {channel}: {steps[channel]:.3g}"
            f" became {steps_after[channel]:.3g})"
        )
        return codes, steps_after, width

    def _add(self) -> Layer:
        (_, x), (_, y) = self.inputs
        if self._way.lift is not Lift.NONE:
            raise ValueError(
                f"{self.module.name}: a sum that rescales its operands does not round by {self._rounding_name}"
            )
        output = self._output()
        total = layers.total_format(x, y, output, self.options.requant)
        return layers.Add(**self._requantized(output), x=x, y=y, total=total)

    def _gate(self) -> Layer:
        (_, x), (_, gate) = self.inputs
        if self._way.lift is not Lift.NONE:
            raise ValueError(f"{self.module.name}: a product of two tensors does not round by {self._rounding_name}")
        common = self._requantized(self._output())
        if gate.zero or gate.width + (not gate.signed) > FACTOR_BITS:
            gate = self._narrower(gate)
            common["sources"] = (self.module.sources[0], self.copies[0].name)
        return layers.Gate(**common, x=x, gate=gate)

    def _narrower(self, gate: Format) -> Format:
        """Copy factors to a format that the engine multiplies by, with all that the network's holds; return that.

        The greatest factor stays exact, so that an open gate stays open.
        """
        least, most = (limit - gate.zero for limit in gate.limits)
        signed, end = least < 0, 2 ** (FACTOR_BITS - 1)
        scale = gate.scale * max(most / (end - 1), -least / end)
        form = Format.of_scale(width=FACTOR_BITS - (not signed), signed=signed, scale=scale)
        name = f"{self.module.name}: factors"
        self.copies.append(
            layers.Concat(
                name=name, sources=self.module.sources[1:], output=form, inputs=(gate,), rounding=self._way.rounding,
                requant=self.options.requant,
            )
        )  # fmt: skip
        self.notes.append(
            f"{self.module.name}: multipliers leave its factors {form.width} bits of {gate.width}: each is off by up "
            f"to {scale / 2:.3g}"
        )
        return form

    def _average(self, node: AveragePool) -> Layer:
        """As for shifts, but 1 / taps is finer, as it is all that is not exact."""
        shape = self.graph.shapes[node.inputs[0]]
        window = node.over(shape)
        exponent = (window.taps - 1).bit_length()
        full = node.count_padding or not any(window.pad)  # else a window at an edge may have as little as one tap
        least = exponent if full else 0
        if full and window.taps == 1 << exponent:
            return self._pool(window, _multiplier(exponent + ROOM, least), count_padding=full)
        counts = [window.taps] if full else np.unique(window_count(shape[1], shape[2], window)).tolist()
        return self._inexact_mean(window, _multiplier(least + MULTIPLIER_BITS - 2, least), counts, count_padding=full)

    def _is_told(self, quantizer: Quantize | None) -> bool:
        """Whether the network says exactly what a mean rounds to: not in scales that binary32 rounds itself."""
        if quantizer is None or not self.exact or self.options.requant is Scheme.FIXED32:
            return False
        return is_power(self.inputs[0][1].scale) and is_power(quantizer.scale)

    def _inexact_mean(self, window: Window, w: Format, counts: list[int], *, count_padding: bool) -> Layer:
        """As for shifts; in binary32 a weight of 1 / taps may hit halves that no integer does."""
        try:
            return super()._inexact_mean(window, w, counts, count_padding=count_padding)
        except ValueError:
            if self.options.requant is not Scheme.FLOAT32 or len(counts) > 1:
                raise
            share = Format.of_scale(width=2, signed=True, scale=float(np.float32(1 / window.taps)))
            layer = self._channelwise(window, share, self._output())
            if not is_exact(layer, counts, InputRounding.HALF_EVEN):
                raise
            return layer

    def _elementwise(self) -> Layer:
        point = self._point
        if self._repeats():
            return self._copy()
        if point is not None:
            return self._pool(point, Format(width=ROOM + 2, signed=True, fraction=ROOM), count_padding=True)
        output, leak = self._output(), self.module.activation.leak
        if not leak and self._way.lift is Lift.NONE and self._bounds(output) is None:
            return self._concat()
        w = Format(width=MAX_WIDTH, signed=True, fraction=MAX_WIDTH - 2)
        return self._lifted(self._channelwise(None, w, output))

    def _pool(self, window: Window, w: Format, *, count_padding: bool) -> AverageLayer:
        output, x = self._output(), self.inputs[0][1]
        if self._way.lift is Lift.NONE:
            return layers.AveragePool(**self._requantized(output), x=x, w=w, window=window, count_padding=count_padding)
        if not count_padding and any(window.pad):
            raise ValueError(f"{self.module.name}: means of several numbers of values have no bias to round with")
        return self._lifted(self._channelwise(window, w, output))

    def _interpolate(self, node: Interpolate) -> Layer:
        x, about = self.inputs[0][1], self._requantized(self._output())
        return self._unlifted(layers.Interpolate(**about, x=x, factor=node.factor, offset=node.offset))

    def _concat(self) -> Layer:
        output = self._output()
        if not self._moves_only(output) and (self.module.activation.leak or self._bounds(output) is not None):
            raise ValueError(f"{self.module.name}: a clamp cannot follow a concatenation")
        scheme = self.options.requant
        own = "rounding" in scheme.fixed and self._moves_only(output)
        rounding = scheme.default_rounding if own else self._concat_rounding(output)
        common = self._common(output) | {"rounding": rounding, "requant": scheme}
        return layers.Concat(**common, inputs=tuple(form for _, form in self.inputs))


def _multiplier(fraction: int, least: int) -> Format:
    """Return the format of a mean's multiplier: `fraction` bits, of which `least` are 0 in the greatest one."""
    return Format(width=max(2, fraction - least + 2), signed=True, fraction=fraction)


def greatest_step(node: Conv | Dense, width: int, *, per_channel: bool) -> NDArray[np.float32]:
    """Return the step at which the greatest weight, of all or of each output, becomes the greatest integer.

    Parameters
    ----------
    node
        Has the weights.
    width
        Signed bits of the integers.
    per_channel
        Whether each output has a step of its own.

    Returns
    -------
    array
        (outputs,) float32. Where weights are so small that no float32 is such a step, one at which they become 0.
    """
    axes = tuple(range(1, node.weights.ndim)) if isinstance(node, Conv) else 0
    greatest = np.abs(node.weights).max(axis=axes)
    if not per_channel:
        greatest = np.full_like(greatest, greatest.max())
    least = np.finfo(np.float32).tiny * 2**width
    return np.asarray(np.where(greatest > least, greatest, 1) / (2 ** (width - 1) - 1), np.float32)
