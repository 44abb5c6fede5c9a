"""Networks whose scales are not powers of two, kept as they are: integer layers whose requantizers multiply.

Weights keep their codes, activations their scale and zero point; only what the network does not state is searched.
[S] The arithmetic is that of ONNX's QLinear operators; [R] that of sums and means: see docs/quantization.md.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden import network as layers
from roundel.golden.errors import InputError
from roundel.golden.formats import Format, signed_width
from roundel.golden.network import Layer, Window
from roundel.golden.rounding import Ints, Rounding
from roundel.graph import Activation, AveragePool, Clip, Conv, Dense, Graph, Quantize, codes_of
from roundel.quantization.given import MAX_WIDTH
from roundel.quantization.module_lowering import ModuleLowering
from roundel.quantization.search import nearest_format

BIAS_WIDTH = 32
MOST_UNITS = 2**27  # of a bias beside weights whose step may be wider: the engine's 29 bits, with room for zero points
MULTIPLIER_BITS = 17  # of a mean whose number of taps is no power of two: 1 / taps to one part in 60,000
ROOM = 8  # bits by which an exact mean is shifted left first: `fixed32` cannot multiply by 1 or more


def file_format(graph: Graph, quantizer: Quantize) -> Format:
    """Return the format whose integers are those of `quantizer`.

    Raises
    ------
    InputError
        Integers of more than 8 bits, or a zero point that is none of them.
    """
    low, high = quantizer.low, quantizer.high
    width = max(2, signed_width(low, high) if low < 0 else high.bit_length())
    where = f"{graph.file}: node {quantizer.name}"
    if width > MAX_WIDTH:
        raise InputError(f"{where}: expected integers of at most {MAX_WIDTH} bits, not {low} to {high}")
    try:
        return Format.of_scale(width=width, signed=low < 0, scale=quantizer.scale, zero=quantizer.zero_point)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


class ScaledLowering(ModuleLowering):
    """One module on its way to an integer layer that keeps the scales of the network."""

    @property
    def _rounding(self) -> Rounding:
        """Rounding of the scheme if it is fixed, else that of the network."""
        scheme, quantizer = self.options.requant, self.module.quantizer
        nearest = quantizer is None or quantizer.rounding == "ROUND"
        if "rounding" in scheme.fixed:
            if not nearest:
                raise ValueError(f"{self.module.name}: {scheme.value} has a rounding of its own, it cannot do FLOOR")
            return scheme.default_rounding
        return Rounding.HALF_EVEN if quantizer and nearest else self.options.rounding

    @property
    def _activation(self) -> Activation:
        """Activation in the requantizer: all activations of the module, and the range of its quantizer."""
        activation, quantizer = self.module.activation, self.module.quantizer
        if quantizer is None:
            return activation
        ends = [(end - quantizer.zero_point) * quantizer.scale for end in (quantizer.low, quantizer.high)]
        return activation.then(Clip(name="", inputs=(), output="", low=ends[0], high=ends[1]))

    def _output(self) -> Format:
        """Return the network's format, or else the fractional bits that cost the calibration images least."""
        if self.module.quantizer is not None:
            return file_format(self.graph, self.module.quantizer)
        signed = isinstance(self.module.node, Conv | Dense) or any(self._may_be_negative(x) for _, x in self.inputs)
        width = self.options.bits_after(self.module.name)
        form = Format(width=width, signed=signed and self.module.activation.signed, fraction=0)
        return nearest_format(self.reference, form, self.options, blank=self._blank(form))

    @staticmethod
    def _may_be_negative(form: Format) -> bool:
        return form.limits[0] < form.zero

    def _requantized(self, output: Format) -> dict[str, Any]:
        activation = self._activation
        rest = {"rounding": self._rounding, "bounds": activation.bounds(output), "leak": activation.leak}
        return self._common(output) | rest | {"requant": self.options.requant}

    def _weighted(self, node: Conv | Dense) -> Layer:
        x = self.inputs[0][1]
        codes, steps, width = self._widened(node, *self._codes(node))
        forms = [Format.of_scale(width=width, signed=True, scale=step) for step in steps.tolist()]
        bias = Format(width=BIAS_WIDTH, signed=True, fraction=0)
        same = len(set(forms)) == 1
        return layers.Weighted(
            **self._requantized(self._output()),
            weights=self._matrix(replace(node, weights=codes.astype(np.float64))).astype(np.int64),
            bias=np.rint(node.bias.astype(np.float64) / (x.scale * steps)).astype(np.int64),
            x=x,
            w=min(forms, key=lambda form: form.fraction),
            b=bias,
            window=node.window if isinstance(node, Conv) else None,
            groups=node.groups if isinstance(node, Conv) else 1,
            w_fractions=None if same else tuple(form.fraction for form in forms),
            w_mantissas=None if same else tuple(form.mantissa for form in forms),
        )

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
        return layers.Add(**self._requantized(self._output()), x=x, y=y)

    def _average(self, node: AveragePool) -> Layer:
        """As for shifts, but 1 / taps is finer, as it is all that is not exact."""
        window = node.over(self.graph.shapes[node.inputs[0]])
        exponent = (window.taps - 1).bit_length()
        full = node.count_padding or not any(window.pad)  # else a window at an edge may have as little as one tap
        exact = full and window.taps == 1 << exponent
        least = exponent if full else 0
        fraction = exponent + ROOM if exact else least + MULTIPLIER_BITS - 2
        w = Format(width=max(2, fraction - least + 2), signed=True, fraction=fraction)
        return self._pool(window, w, count_padding=full)

    def _elementwise(self) -> Layer:
        if self.inputs[0][0].ndim != 4:
            return self._concat()
        w = Format(width=ROOM + 2, signed=True, fraction=ROOM)
        return self._pool(Window(kernel=(1, 1)), w, count_padding=True)

    def _pool(self, window: Window, w: Format, *, count_padding: bool) -> Layer:
        output = self._requantized(self._output())
        return layers.AveragePool(**output, x=self.inputs[0][1], w=w, window=window, count_padding=count_padding)

    def _concat(self) -> Layer:
        output, activation = self._output(), self._activation
        if activation.leak or activation.bounds(output) is not None:
            what = "Clip, LeakyRelu or a narrow range"
            raise ValueError(f"{self.module.name}: {what} cannot follow a concatenation, or features by itself")
        common = self._common(output) | {"rounding": self._rounding, "requant": self.options.requant}
        return layers.Concat(**common, inputs=tuple(form for _, form in self.inputs))


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
