"""Integer layers: operations on tensors of integers that round once, at their output.

[R] With N_x, N_w, N_b, N_o fractional bits (`golden.formats`) of input, weights, bias and output, a weighted layer does

    acc = sum(W_I * X_I) + align(B_I, N_x + N_w - N_b)
    O_I = clamp(round_shift(acc, s), lo, hi),   s = N_x + N_w - N_o

and ReLU is `lo = 0`, which is what an unsigned output format means. docs/quantization.md is the normative text.
"""

from dataclasses import dataclass

import numpy as np

from golden.conv import Window, im2col, matmul, window_max, window_sum
from golden.formats import Format, accumulator_width, align
from golden.rounding import Ints, Rounding, round_shift

MAX_SHIFT = 31


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """What every layer has.

    Parameters
    ----------
    name
        The layer's own name and that of the tensor it makes.
    sources
        The tensors it reads.
    output
        Format of its result; unsigned means that negative results become 0, so that ReLU costs nothing and gains a bit.
    """

    name: str
    sources: tuple[str, ...]
    output: Format

    def compute(self, *inputs: Ints) -> "Step":
        """Run on integer tensors whose first axis is the batch and whose last is the channel."""
        raise NotImplementedError

    def check(self, *formats: Format) -> None:
        """Raise ValueError if the sources, which have `formats`, are not what the layer was made for."""
        if formats != (self.output,):
            raise ValueError(f"{self.name}: input and output formats must agree, not be {formats} and {self.output}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One run of one layer.

    Parameters
    ----------
    layer
        The layer that ran.
    outputs
        Its result, (batch, ..., channels).
    columns
        What multiplies the weights, (positions, reduction), one row for each output position: the MAC array's input.
        Weighted layers only.
    accumulators
        What enters the requantizer, (positions, channels). Layers that requantize only.
    """

    layer: Layer
    outputs: Ints
    columns: Ints | None = None
    accumulators: Ints | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Requantized(Layer):
    """A layer that ends in a shift, a rounding and a clamp.

    Parameters
    ----------
    rounding
        How the shift rounds.
    """

    rounding: Rounding = Rounding.HALF_UP

    @property
    def accumulator_fraction(self) -> int:
        """Fractional bits of what enters the requantizer."""
        raise NotImplementedError

    @property
    def shift(self) -> int:
        """The requantizer's right shift `s`, 0 to `MAX_SHIFT` (checked when the layer is made)."""
        return self.accumulator_fraction - self.output.fraction

    def _check_shift(self) -> None:
        if not 0 <= self.shift <= MAX_SHIFT:
            raise ValueError(f"{self.name}: shift must be 0 to {MAX_SHIFT}, not {self.shift}")

    def _check_alignment(self, fine: int, coarse: int) -> None:
        if fine - coarse > MAX_SHIFT:
            raise ValueError(f"{self.name}: summands are {fine - coarse} bits apart, more than {MAX_SHIFT}")

    def _requantize(self, accumulators: Ints) -> Ints:
        return np.asarray(np.clip(round_shift(accumulators, self.shift, self.rounding), *self.output.limits))


@dataclass(frozen=True, kw_only=True, eq=False)
class Weighted(Requantized):
    """Convolution or matrix product, bias, and optionally a residual: everything up to the one requantizer.

    Parameters
    ----------
    weights
        (reduction, outputs) int64 in the format `w`; rows in the order of `golden.conv.im2col`.
    bias
        (outputs,) int64 in the format `b`.
    x, w, b
        Formats of input, weights and bias.
    window
        How the kernel slides; None for a matrix product over the last axis.
    residual
        Format of the second source, which is added before the requantizer; None without one. Sum and residual are
        aligned to the larger number of fractional bits by left shifts [R].
    """

    weights: Ints
    bias: Ints
    x: Format
    w: Format
    b: Format
    window: Window | None = None
    residual: Format | None = None

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or self.bias.shape != self.weights.shape[1:]:
            raise ValueError(f"{self.name}: bias {self.bias.shape} does not fit weights {self.weights.shape}")
        if self.window is not None and self.weights.shape[0] % self.window.taps:
            raise ValueError(f"{self.name}: {self.weights.shape[0]} weight rows are no multiple of {self.window.taps}")
        for what, values, form in (("weights", self.weights, self.w), ("bias", self.bias, self.b)):
            if not np.array_equal(values, np.clip(values, *form.limits)):
                raise ValueError(f"{self.name}: {what} must be {form.limits[0]} to {form.limits[1]}")
        self._check_alignment(self.product_fraction, self.b.fraction)
        if self.residual is not None:
            self._check_alignment(self.accumulator_fraction, min(self.product_fraction, self.residual.fraction))
        if self.requantizer_width > 63:
            raise ValueError(f"{self.name}: sums of {self.requantizer_width} bits do not fit into 64-bit integers")
        self._check_shift()

    @property
    def product_fraction(self) -> int:
        """Fractional bits of the sum of products and of the aligned bias: N_x + N_w."""
        return self.x.fraction + self.w.fraction

    @property
    def accumulator_fraction(self) -> int:
        if self.residual is None:
            return self.product_fraction
        return max(self.product_fraction, self.residual.fraction)

    @property
    def aligned_bias(self) -> Ints:
        """The bias as it is added to the products, (outputs,)."""
        return align(self.bias, self.product_fraction - self.b.fraction, self.rounding)

    @property
    def accumulator_width(self) -> int:
        """Signed bits that hold any partial sum of products and bias, whatever input and weights of the formats."""
        return accumulator_width(len(self.weights), self.x, self.w, int(np.abs(self.aligned_bias).max(initial=0)))

    @property
    def requantizer_width(self) -> int:
        """Signed bits that hold what enters the requantizer: the accumulator, or its sum with the residual."""
        if self.residual is None:
            return self.accumulator_width
        up = self.accumulator_fraction
        products = self.accumulator_width + up - self.product_fraction
        residual = self.residual.width + (not self.residual.signed) + up - self.residual.fraction
        return max(products, residual) + 1

    def check(self, *formats: Format) -> None:
        expected = (self.x,) if self.residual is None else (self.x, self.residual)
        if formats != expected:
            raise ValueError(f"{self.name}: made for inputs of {expected}, not {formats}")

    def compute(self, *inputs: Ints) -> Step:
        x = inputs[0]
        if self.window is None:
            columns, shape = x.reshape(-1, x.shape[-1]), x.shape[:-1]
        else:
            columns, shape = im2col(x, self.window), (len(x), *self.window.output_size(*x.shape[1:3]))
        accumulators = matmul(columns, self.weights) + self.aligned_bias
        if self.residual is not None:
            residual = inputs[1].reshape(accumulators.shape)
            up = self.accumulator_fraction
            accumulators = (accumulators << up - self.product_fraction) + (residual << up - self.residual.fraction)
        outputs = self._requantize(accumulators).reshape(*shape, -1)
        return Step(layer=self, outputs=outputs, columns=columns, accumulators=accumulators)


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Requantized):
    """Sum of two tensors that exist already: aligned to the larger number of fractional bits, then requantized [R].

    Parameters
    ----------
    x, y
        Formats of the two sources.
    """

    x: Format
    y: Format

    def __post_init__(self) -> None:
        self._check_alignment(self.accumulator_fraction, min(self.x.fraction, self.y.fraction))
        self._check_shift()

    @property
    def accumulator_fraction(self) -> int:
        return max(self.x.fraction, self.y.fraction)

    def check(self, *formats: Format) -> None:
        if formats != (self.x, self.y):
            raise ValueError(f"{self.name}: made for inputs of {(self.x, self.y)}, not {formats}")

    def compute(self, *inputs: Ints) -> Step:
        up = self.accumulator_fraction
        total = (inputs[0] << up - self.x.fraction) + (inputs[1] << up - self.y.fraction)
        accumulators = total.reshape(-1, total.shape[-1])
        return Step(layer=self, outputs=self._requantize(total), accumulators=accumulators)


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(Requantized):
    """Mean of every window, padding counted as 0: the sum times `multiplier`, then requantized [R].

    Parameters
    ----------
    x
        Format of the source.
    w
        Format of the multiplier, which stands for `1 / taps`; a power of two needs no rounding.
    window
        How the kernel slides.
    """

    x: Format
    w: Format
    window: Window

    def __post_init__(self) -> None:
        self._check_shift()

    @property
    def multiplier(self) -> int:
        """The integer that stands for `1 / taps`."""
        return int(self.w.encode(np.asarray(1 / self.window.taps)))

    @property
    def accumulator_fraction(self) -> int:
        return self.x.fraction + self.w.fraction

    def check(self, *formats: Format) -> None:
        if formats != (self.x,):
            raise ValueError(f"{self.name}: made for an input of {self.x}, not {formats}")

    def compute(self, *inputs: Ints) -> Step:
        sums = window_sum(inputs[0], self.window) * self.multiplier
        return Step(layer=self, outputs=self._requantize(sums), accumulators=sums.reshape(-1, sums.shape[-1]))


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Layer):
    """Greatest integer of every window; the format stays. Padding never wins.

    Parameters
    ----------
    window
        How the kernel slides.
    """

    window: Window

    def compute(self, *inputs: Ints) -> Step:
        return Step(layer=self, outputs=window_max(inputs[0], self.window, self.output.limits[0]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Flatten(Layer):
    """All features in one axis, in the order (row, column, channel)."""

    def compute(self, *inputs: Ints) -> Step:
        return Step(layer=self, outputs=inputs[0].reshape(len(inputs[0]), -1))
